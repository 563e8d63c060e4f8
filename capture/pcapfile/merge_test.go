package pcapfile

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/test/netnstest"
)

// Packets of another file come among those of the first one by their times, though an interface of
// that appears late, and tshark, mergecap and editcap keep from which interface they are.
func TestMerge(t *testing.T) {
	t.Parallel()
	tshark, mergecap, editcap := netnstest.Tool(t, "tshark"), netnstest.Tool(t, "mergecap"), netnstest.Tool(t, "editcap")
	header := capture.FileHeader{Format: capture.PCAPNG, SnapLength: 100, Start: time.Unix(0, 0)}
	packet := func(on uint32, seconds int64) capture.Packet {
		return capture.Packet{Interface: on, Time: seconds * 1e9, Data: make([]byte, 40), Length: 40}
	}
	write := func(s *Stream, p capture.Packet, comment string) {
		t.Helper()
		if err := s.WriteCommented(&p, comment); err != nil {
			t.Fatal(err)
		}
	}
	var file, other, out bytes.Buffer
	header.Interfaces = []capture.Interface{{Name: "one", LinkType: capture.Ethernet}}
	s, err := NewStream(&file, header)
	if err != nil {
		t.Fatal(err)
	}
	write(s, packet(0, 10), "")
	write(s, packet(0, 20), "")
	if err := s.AddInterface(capture.Interface{Name: "late", LinkType: capture.Ethernet}); err != nil {
		t.Fatal(err)
	}
	write(s, packet(1, 30), "")
	if err := s.End([]capture.Counters{{Received: 2}, {Received: 1}}); err != nil {
		t.Fatal(err)
	}
	header.Interfaces = []capture.Interface{{Name: "drops", LinkType: capture.Raw}}
	for _, part := range [][]int64{{1, 15, 25}, {35, 99}} { // a capture that was resumed has a section for each part
		if s, err = NewStream(&other, header); err != nil {
			t.Fatal(err)
		}
		for _, at := range part {
			write(s, packet(0, at), "dropped")
		}
	}
	if err := Merge(&out, &file, &other, func(ns int64) bool { return ns > 5e9 && ns < 50e9 }); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	path, merged, edited := filepath.Join(folder, "out.pcapng"), filepath.Join(folder, "merged.pcapng"), filepath.Join(folder, "edited.pcapng")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{mergecap, "-w", merged, path}, {editcap, path, edited}} {
		if text, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command[0], err, text)
		}
	}
	const want = "10.000000000 one \n15.000000000 drops dropped\n20.000000000 one \n25.000000000 drops dropped\n" +
		"30.000000000 late \n35.000000000 drops dropped\n"
	for _, name := range []string{path, merged, edited} {
		text, err := exec.Command(tshark, "-r", name, "-T", "fields", "-E", "separator= ", "-e", "frame.time_epoch",
			"-e", "frame.interface_name", "-e", "frame.comment").Output()
		if err != nil || string(text) != want {
			t.Errorf("%s: tshark reads %v\n%swant\n%s", filepath.Base(name), err, text, want)
		}
	}
}
