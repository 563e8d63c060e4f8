package archive

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"testing"
	"time"
)

// A sparse file keeps the blocks that are not all zeros.
type sparse struct {
	blocks map[int64][]byte
	size   int64
}

const block = 64 << 10

func (s *sparse) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		at := s.size % block
		piece := p[:min(len(p), int(block-at))]
		if bytes.Count(piece, []byte{0}) != len(piece) {
			if s.blocks[s.size/block] == nil {
				s.blocks[s.size/block] = make([]byte, block)
			}
			copy(s.blocks[s.size/block][at:], piece)
		}
		s.size += int64(len(piece))
		p = p[len(piece):]
	}
	return written, nil
}

func (s *sparse) ReadAt(p []byte, at int64) (int, error) {
	for i := range p {
		if at+int64(i) >= s.size {
			return i, io.EOF
		}
		p[i] = 0
		if b := s.blocks[(at+int64(i))/block]; b != nil {
			p[i] = b[(at+int64(i))%block]
		}
	}
	return len(p), nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// What is larger than 4 GiB, and what follows it, is found in the archive by what is after it.
func TestLargeArchives(t *testing.T) {
	t.Parallel()
	const large = 4<<30 + 12345
	to := &sparse{blocks: map[int64][]byte{}}
	a := New(to, Manifest{Hostname: "mx1", Time: time.Now()})
	if _, err := a.Add(File{Name: "large.pcap"}, io.LimitReader(zeros{}, large)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Add(File{Name: "small.pcap"}, bytes.NewReader([]byte("small"))); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := zip.NewReader(to, to.size)
	if err != nil {
		t.Fatal(err)
	}
	if len(files.File) != 3 || files.File[0].UncompressedSize64 != large {
		t.Fatalf("the archive has %d files, the first of %d bytes", len(files.File), files.File[0].UncompressedSize64)
	}
	read := func(n int) []byte {
		open, err := files.File[n].Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(open)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if text := read(1); string(text) != "small" {
		t.Errorf("after the large file there is %q", text)
	}
	var m Manifest
	if err := json.Unmarshal(read(2), &m); err != nil || m.Files[0].Bytes != large || m.Files[1].Bytes != 5 {
		t.Errorf("the manifest is %+v (%v)", m, err)
	}
}
