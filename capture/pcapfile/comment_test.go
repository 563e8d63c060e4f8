package pcapfile

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/internal/test/netnstest"
)

// A foreignBlock is a block in some byte order.
func foreignBlock(o binary.ByteOrder, kind uint32, body ...byte) []byte {
	body = append(body, "\x00\x00\x00"[:padding(len(body))]...)
	b := make([]byte, 8, 12+len(body))
	o.PutUint32(b, kind)
	o.PutUint32(b[4:], uint32(len(body)+12))
	b = append(b, body...)
	return append(b, b[4:8]...)
}

// longs are numbers of 32 bits in a byte order.
func longs(o binary.ByteOrder, numbers ...uint32) (b []byte) {
	for _, n := range numbers {
		b = append(b, 0, 0, 0, 0)
		o.PutUint32(b[len(b)-4:], n)
	}
	return b
}

// foreignFile has a packet with a comment of its own, a simple one, one of the obsolete kind, and
// one without options, and beside them a block that is not known here.
func foreignFile(o binary.ByteOrder) []byte {
	data := []byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x88\xb5hello")
	n := uint32(len(data))
	padded := append(bytes.Clone(data), "\x00\x00\x00"[:padding(len(data))]...)
	own := appendUint16s(o, nil, optionComment, 3)
	own = append(own, "own\x00\x00\x00\x00\x00"...)
	version := appendUint16s(o, nil, 1, 0)
	return bytes.Join([][]byte{
		foreignBlock(o, blockSection, append(append(longs(o, byteOrderMagic), version...), longs(o, 1<<32-1, 1<<32-1)...)...),
		foreignBlock(o, blockInterface, append(appendUint16s(o, nil, 1, 0), longs(o, 1<<18)...)...),
		foreignBlock(o, blockPacket, append(append(longs(o, 0, 0, 1000000, n, n), padded...), own...)...),
		foreignBlock(o, 0xf00, []byte("stays")...),
		foreignBlock(o, blockSimple, append(longs(o, n), data...)...),
		foreignBlock(o, blockOldPacket, append(append(appendUint16s(o, nil, 0, 0), longs(o, 0, 2000000, n, n)...), padded...)...),
		foreignBlock(o, blockPacket, append(longs(o, 0, 0, 3000000, n, n), padded...)...),
	}, nil)
}

// Comments come to the packets that they are for, in both byte orders and packed ones, and all else
// stays: tshark and the reader find the same packets.
func TestCommentsInAForeignFile(t *testing.T) {
	t.Parallel()
	tshark := netnstest.Tool(t, "tshark")
	long := strings.Repeat("ä", 500)
	comments := map[int64]string{1: "first", 2: "no <time>", 3: long}
	for name, o := range map[string]binary.ByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian} {
		before := foreignFile(o)
		for _, packed := range []bool{false, true} {
			in := before
			if packed {
				var b bytes.Buffer
				z := gzip.NewWriter(&b)
				z.Write(before)
				z.Close()
				in = b.Bytes()
			}
			var out bytes.Buffer
			if err := CopyCommented(&out, bytes.NewReader(in), func(n int64, _ *capture.Packet, _ capture.Interface) Said {
				return Said{Comments: []string{comments[n]}}
			}); err != nil {
				t.Fatal(err)
			}
			if got, want := packetsIn(t, out.Bytes()), packetsIn(t, before); got != want {
				t.Errorf("%s: the packets are\n%s\nand were\n%s", name, got, want)
			}
			if !bytes.Contains(out.Bytes(), []byte("stays")) {
				t.Errorf("%s: a block is lost", name)
			}
			path := filepath.Join(t.TempDir(), "out.pcapng")
			if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			said, err := exec.Command(tshark, "-r", path, "-T", "fields", "-E", "aggregator=|", "-e", "frame.number", "-e", "frame.len", "-e", "frame.comment").Output()
			if want := "1\t19\tfirst|own\n2\t19\tno <time>\n3\t19\t" + long + "\n4\t19\t\n"; err != nil || string(said) != want {
				t.Errorf("%s: tshark reads %q, %v", name, said, err)
			}
		}
		// Without comments every byte stays, and a packet that is not whole is left out.
		var out bytes.Buffer
		err := CopyCommented(&out, bytes.NewReader(before[:len(before)-3]), func(int64, *capture.Packet, capture.Interface) Said { return Said{} })
		last := len(foreignBlock(o, blockPacket, make([]byte, 40)...))
		if err != nil || !bytes.Equal(out.Bytes(), before[:len(before)-last]) {
			t.Errorf("%s: the copy has %d bytes of %d, %v", name, out.Len(), len(before), err)
		}
	}
}

// packetsIn are the packets of a file in text.
func packetsIn(t *testing.T, file []byte) string {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for {
		var p capture.Packet
		if err := r.Next(&p); err != nil {
			fmt.Fprintln(&text, err)
			return text.String()
		}
		fmt.Fprintln(&text, p.Time, p.Length, string(p.Data))
	}
}

// Whatever a file has, a copy of it is one that can be read, with the same packets.
func FuzzCopyCommented(f *testing.F) {
	f.Add(foreignFile(binary.LittleEndian))
	f.Add(foreignFile(binary.BigEndian))
	f.Add(processFile(binary.LittleEndian))
	f.Add(processFile(binary.BigEndian))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := NewReader(bytes.NewReader(file))
		if err != nil || r.Format() != capture.PCAPNG {
			return
		}
		packets := func(file []byte) (n int) {
			r, err := NewReader(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			for ; r.Next(&capture.Packet{}) == nil; n++ {
			}
			return n
		}
		var out bytes.Buffer
		CopyCommented(&out, bytes.NewReader(file), func(int64, *capture.Packet, capture.Interface) Said {
			return Said{Comments: []string{"noted"}, PID: 7, Process: Process{PID: 7, Name: "own"}}
		})
		if before, after := packets(file), packets(out.Bytes()); before != after {
			t.Errorf("of %d packets the copy has %d", before, after)
		}
	})
}
