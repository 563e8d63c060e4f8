package index

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/decode"
	"diagsh/capture/pcapfile"
	"diagsh/capture/replay"
	"diagsh/capture/summary"
)

// million makes a file of 1,000,000 packets of TCP, 400 MB.
func million(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "million.pcapng")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	out := bufio.NewWriter(f)
	s, err := pcapfile.NewStream(out, capture.FileHeader{Format: capture.PCAPNG, SnapLength: capture.MaxSnapLength,
		Interfaces: []capture.Interface{{Name: "eth0", LinkType: capture.Ethernet}}})
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 372)
	data[12], data[14], data[16], data[17], data[22], data[23], data[26], data[30] = 8, 0x45, 1, 102, 64, 6, 10, 10
	data[46], data[47] = 0x50, 0x10
	for n := range 1_000_000 {
		data[34], data[35], data[36], data[37] = 200, byte(n%100), 0, 80
		data[38], data[39], data[40] = byte(n>>16), byte(n>>8), byte(n)
		err := s.Write([]capture.Packet{{Time: 1_700_000_000e9 + int64(n)*1e4, Data: data, Length: 372}})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkMillion compares what a look at a file of a million packets costs: the summary, which has
// always read all of it, the index, and after that a page of 200 rows from anywhere.
func BenchmarkMillion(b *testing.B) {
	path := million(b)
	b.Run("summary", func(b *testing.B) {
		for b.Loop() {
			source, err := replay.Options{}.Open(func() (io.ReadCloser, error) { return os.Open(path) })
			if err != nil {
				b.Fatal(err)
			}
			c, batch := summary.NewCounter(), make([]capture.Packet, 256)
			for err == nil {
				var n int
				n, err = source.Read(batch, time.Time{})
				for i := range n {
					c.Add(&batch[i], capture.Ethernet)
				}
			}
			if !errors.Is(err, io.EOF) {
				b.Fatal(err)
			}
			source.Close()
		}
	})
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			l := NewLibrary(32 << 20)
			v := open(b, l, 0, source(path))
			if p := wait(b, v, nil); p.Packets != 1_000_000 {
				b.Fatal(p)
			}
			b.ReportMetric(float64(l.Bytes()), "kept-bytes")
			l.Close()
		}
	})
	l := library(b)
	v := open(b, l, 0, source(path))
	wait(b, v, nil)
	b.Run("page", func(b *testing.B) {
		for b.Loop() {
			err := v.Page(b.Context(), 1+rand.Int64N(999_800), 200, func(p *Packet) error {
				decode.Decode(p.Position, &p.Packet, p.On, decode.Line)
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
