package pcapfile

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/internal/test/netnstest"
)

// processFile is a file as tcpdump of macOS writes one: blocks of two processes, the second after a
// packet without one, and two packets of the first, one of the second that acts for the first, and one
// of a process whose block never comes.
func processFile(o binary.ByteOrder) []byte {
	process := func(pid uint32, name string) []byte {
		body := appendUint16s(o, longs(o, pid), processName, uint16(len(name)))
		body = append(body, name...)
		body = append(body, "\x00\x00\x00"[:padding(len(name))]...)
		return foreignBlock(o, blockProcess, appendUint16s(o, body, 0, 0)...)
	}
	packet := func(options ...uint32) []byte {
		body := append(longs(o, 0, 0, 1000000, 4, 4), "four"...)
		for i := 0; i < len(options); i += 2 {
			body = append(appendUint16s(o, body, uint16(options[i]), 4), longs(o, options[i+1])...)
		}
		if len(options) > 0 {
			body = appendUint16s(o, body, 0, 0)
		}
		return foreignBlock(o, blockPacket, body...)
	}
	section := foreignFile(o)[:28]
	describe := foreignBlock(o, blockInterface, append(appendUint16s(o, nil, 1, 0), longs(o, 1<<18)...)...)
	one := bytes.Join([][]byte{
		section, describe,
		process(100, "first"), packet(packetProcessBlock, 0),
		packet(),
		process(200, "second"), packet(packetProcessBlock, 1, packetActsFor, 0),
		packet(packetProcessBlock, 0),
		packet(packetProcessBlock, 7),
	}, nil)
	return append(one, one...)
}

// said is what a file says of each packet.
func saidOf(t *testing.T, file []byte) (list []Said) {
	t.Helper()
	if err := EachSaid(bytes.NewReader(file), func(_ *capture.Packet, _ capture.Interface, said Said) error {
		list = append(list, said)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

// A copy with blocks of more processes refers to the same ones as the file did, in each of its
// sections; a packet that says itself whose it is keeps that. tshark finds the packets by the numbers
// that they had.
func TestProcessBlocksInACopy(t *testing.T) {
	tshark := netnstest.Tool(t, "tshark")
	for name, o := range map[string]binary.ByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian} {
		before := processFile(o)
		said := map[int64]Process{1: {5, "never"}, 2: {7, "ours"}, 4: {5, "never"}, 7: {7, "ours"}}
		var out bytes.Buffer
		if err := CopyCommented(&out, bytes.NewReader(before), func(n int64, _ *capture.Packet, _ capture.Interface) Said {
			return Said{Process: said[n]}
		}); err != nil {
			t.Fatal(err)
		}
		var got []Process
		for _, s := range saidOf(t, out.Bytes()) {
			got = append(got, s.Process)
		}
		first, second, ours := Process{100, "first"}, Process{200, "second"}, Process{7, "ours"}
		if want := []Process{first, ours, second, first, {}, first, ours, second, first, {}}; !slices.Equal(got, want) {
			t.Errorf("%s: the packets are of %v; want %v", name, got, want)
		}
		for options, want := range map[string]int{
			string(append(appendUint16s(o, nil, packetActsFor, 4), longs(o, 0)...)):      2, // the first block still
			string(append(appendUint16s(o, nil, packetProcessBlock, 4), longs(o, 2)...)): 2, // the second is after ours
		} {
			if n := bytes.Count(out.Bytes(), []byte(options)); n != want {
				t.Errorf("%s: the option %q is there %d times; want %d", name, options, n, want)
			}
		}
		if got, want := packetsIn(t, out.Bytes()), packetsIn(t, before); got != want {
			t.Errorf("%s: the packets are\n%s\nand were\n%s", name, got, want)
		}
		path := filepath.Join(t.TempDir(), "out.pcapng")
		if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		var complaint strings.Builder
		run := exec.Command(tshark, "-r", path, "-T", "fields", "-e", "frame.number", "-e", "frame.len")
		run.Stderr = &complaint
		read, err := run.Output()
		want := "1\t4\n2\t4\n3\t4\n4\t4\n5\t4\n6\t4\n7\t4\n8\t4\n9\t4\n10\t4\n"
		if complaints := withoutRoot(complaint.String()); err != nil || string(read) != want || complaints != "" {
			t.Errorf("%s: tshark reads %q, %v, %s", name, read, err, complaints)
		}
		var same bytes.Buffer
		err = CopyCommented(&same, bytes.NewReader(before), func(int64, *capture.Packet, capture.Interface) Said { return Said{} })
		if err != nil || !bytes.Equal(same.Bytes(), before) {
			t.Errorf("%s: where nothing is said the copy is another file, %v", name, err)
		}
	}
}

// withoutRoot is what tshark complains of, but for who runs it.
func withoutRoot(text string) string {
	var left []string
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "Running as user") {
			left = append(left, line)
		}
	}
	return strings.Join(left, "")
}

// A stream has one block of each process, before its first packet.
func TestProcessBlocksInAStream(t *testing.T) {
	var out bytes.Buffer
	s, err := NewStream(&out, capture.FileHeader{Format: capture.PCAPNG, Interfaces: []capture.Interface{{LinkType: capture.Ethernet}}})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("n", 300)
	want := []Said{
		{PID: 1, Process: Process{1, "one"}, Comments: []string{"said"}},
		{Process: Process{2, ""}},
		{},
		{Process: Process{1, "one"}},
		{Process: Process{1, "execed"}},
		{Process: Process{3, long[:maxNameLength]}},
	}
	for _, said := range want {
		if len(said.Process.Name) == maxNameLength {
			said.Process.Name = long
		}
		if err := s.WriteSaid(&capture.Packet{Data: []byte("data"), Length: 4}, said); err != nil {
			t.Fatal(err)
		}
	}
	got := saidOf(t, out.Bytes())
	for i := range want {
		if i >= len(got) || got[i].PID != want[i].PID || got[i].Process != want[i].Process || !slices.Equal(got[i].Comments, want[i].Comments) {
			t.Fatalf("it says %+v; want %+v", got, want)
		}
	}
	if n := bytes.Count(out.Bytes(), longs(order, blockProcess)); n != 4 {
		t.Errorf("there are %d blocks", n)
	}
}
