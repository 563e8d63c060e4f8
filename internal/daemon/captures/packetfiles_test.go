package captures

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/replay"
	"diagsh/internal/menu"
)

// A capture that runs is read whatever its ring does meanwhile: files that wait to be closed have
// no name yet, those that get it are found by it, and the oldest may be gone.
func TestReadingARingThatRuns(t *testing.T) {
	t.Parallel()
	d := start(t, roomOptions{Dir: t.TempDir()})
	var listed []capture.FileInfo
	for n, part := range []bool{false, false, true, true, true} {
		name := capture.NumberedName("h-ring.pcap", n+1)
		listed = append(listed, capture.FileInfo{Name: name})
		if part {
			name = capture.PartName(name)
		}
		if err := os.WriteFile(filepath.Join(d.Path(), name), onePacket(byte(n+1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The next file has just been made.
	begun := capture.NumberedName("h-ring.pcap", 6)
	listed = append(listed, capture.FileInfo{Name: begun})
	if err := os.WriteFile(filepath.Join(d.Path(), capture.PartName(begun)), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := &entry{File: "h-ring.pcap", Status: capture.Status{Name: "ring", State: capture.Running, Files: listed}}
	d.Table.mu.Lock()
	d.Table.entries = append(d.Table.entries, r)
	d.Table.mu.Unlock()

	files, err := d.PacketFiles("ring")
	if err != nil {
		t.Fatal(err)
	}
	// Since then the oldest went, and one was closed.
	if err := os.Remove(filepath.Join(d.Path(), listed[0].Name)); err != nil {
		t.Fatal(err)
	}
	d.Table.mu.Lock()
	d.Table.takeOut(r, listed[0])
	d.Table.mu.Unlock()
	closed := filepath.Join(d.Path(), listed[2].Name)
	if err := os.Rename(filepath.Join(d.Path(), capture.PartName(listed[2].Name)), closed); err != nil {
		t.Fatal(err)
	}
	got, err := firstBytes(files)
	if want := []byte{2, 3, 4, 5}; err != nil || !slices.Equal(got, want) {
		t.Errorf("packets %v, %v, want %v", got, err, want)
	}

	// One that the capture still has and that is not there is no file of a ring that went.
	if err := os.Remove(filepath.Join(d.Path(), listed[1].Name)); err != nil {
		t.Fatal(err)
	}
	if files, err = d.PacketFiles("ring"); err == nil {
		got, err = firstBytes(files)
	}
	if e := menu.AsError(err); err == nil || e.Code != menu.NotFound || len(got) > 0 {
		t.Errorf("packets %v, %v, although a file is missing", got, err)
	}
}

// onePacket is a pcap file with one packet of one byte.
func onePacket(content byte) []byte {
	file := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	// The version, the snap length, Ethernet; then the time and both lengths of the packet.
	for _, field := range []uint32{2 | 4<<16, 0, 0, 262144, 1, 0, 0, 1, 1} {
		file = binary.LittleEndian.AppendUint32(file, field)
	}
	return append(file, content)
}

// firstBytes reads the packets of files and returns the first byte of each.
func firstBytes(files []replay.Opener) ([]byte, error) {
	source, err := replay.Options{}.Open(files...)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	var all bytes.Buffer
	batch := make([]capture.Packet, 16)
	for {
		n, err := source.Read(batch, time.Time{})
		for _, p := range batch[:n] {
			all.WriteByte(p.Data[0])
		}
		if errors.Is(err, io.EOF) {
			return all.Bytes(), nil
		}
		if err != nil {
			return all.Bytes(), err
		}
	}
}
