package capture_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
	"diagsh/internal/test/packetfile"
)

// windowPackets returns how many packets go through a ring. WINDOW_PACKETS=3000000 make windows is
// the full test.
func windowPackets() int {
	if n, err := strconv.Atoi(os.Getenv("WINDOW_PACKETS")); err == nil {
		return n
	}
	return 60_000
}

// numbered gives packets that bear their numbers, of many lengths, as fast as they are
// taken, and then waits.
type numberedSource struct {
	*fakeSource
	next, most int
	given      atomic.Uint64
	buffer     []byte
	random     *rand.Rand
}

func newNumberedSource(most int) *numberedSource {
	return &numberedSource{fakeSource: newFakeSource(), most: most, buffer: make([]byte, 256*1600),
		random: rand.New(rand.NewPCG(6, 7))}
}

func (s *numberedSource) Read(batch []capture.Packet, until time.Time) (int, error) {
	if s.next == s.most || s.ended {
		s.idle = true
		return s.fakeSource.Read(batch, until)
	}
	n := min(len(batch), s.most-s.next)
	for i := range n {
		length := 30 + s.random.IntN(1500)
		data := s.buffer[i*1600 : i*1600+length]
		copy(data[14:], fmt.Sprintf("%016x", s.next))
		batch[i] = capture.Packet{Time: int64(s.next) * 1000, Data: data, Length: uint32(length)}
		s.next++
	}
	s.given.Store(uint64(s.next))
	return n, nil
}

func (s *numberedSource) Counters() []capture.Counters {
	return []capture.Counters{{Received: s.given.Load()}}
}

// numbersOf reads a file whose packets bear numbers, which must follow each other.
func numbersOf(t *testing.T, path string, want int) (next, packets int) {
	t.Helper()
	r := packetfile.Open(t, path)
	var p capture.Packet
	for r.Next(&p) == nil {
		n, err := strconv.ParseInt(string(p.Data[14:30]), 16, 64)
		if err != nil || want >= 0 && int(n) != want || p.Time != n*1000 {
			t.Fatalf("%s: where packet %d should be is %q of %d", path, want, p.Data[14:30], p.Time)
		}
		want = int(n) + 1
		packets++
	}
	return want, packets
}

func TestKeptWindowIsTheLastOne(t *testing.T) {
	total := windowPackets()
	for _, test := range []struct {
		name   string
		change func(*capture.Spec)
		most   int64 // bytes
	}{
		{"circular", func(s *capture.Spec) { s.Mode, s.Limits.SizeBytes = capture.Circular, 10<<20 }, 10 << 20},
		{"ring", func(s *capture.Spec) {
			s.Mode, s.Rotation = capture.Ring, capture.Rotation{FileBytes: 3 << 20, KeepFiles: 4}
		}, 12 << 20},
		{"all", func(s *capture.Spec) { s.Mode, s.Rotation = capture.Ring, capture.Rotation{FileBytes: 4 << 20} }, 0},
	} {
		for _, format := range []capture.Format{capture.PCAP, capture.PCAPNG} {
			t.Run(test.name+"/"+string(format), func(t *testing.T) {
				source := newNumberedSource(total)
				c := fakeConfig(t, source.fakeSource)
				c.Open = func([]capture.Tap) (capture.Source, error) { return source, nil }
				c.Interfaces, c.Spec.Format = c.Interfaces[:1], format
				c.FileName = "file" + format.Extension()
				c.Spec.Limits.Packets = int64(total)
				test.change(&c.Spec)
				files, err := pcapfile.NewFiles(0)
				if err != nil {
					t.Fatal(err)
				}
				c.Create, c.Release = files.Create, files.Close
				job, err := capture.Start(c)
				if err != nil {
					t.Fatal(err)
				}
				<-job.Done()
				status := job.Status()
				if status.StopReason != capture.PacketCountReached || status.PacketsWritten != uint64(total) {
					t.Fatalf("it ended as %+v", status)
				}
				next, bytes, kept := -1, int64(0), 0
				for _, f := range status.Files {
					path := filepath.Join(c.Dir.Name(), f.Name)
					n, packets := numbersOf(t, path, next)
					info, err := os.Stat(path)
					if err != nil || info.Size() != f.Bytes || int64(packets) != f.Packets {
						t.Fatalf("%s has %d packets in %d bytes, the status says %+v: %v", f.Name, packets,
							info.Size(), f, err)
					}
					next, bytes, kept = n, bytes+f.Bytes, kept+packets
				}
				entries, _ := os.ReadDir(c.Dir.Name())
				if next != total || len(entries) != len(status.Files) || kept+int(status.PacketsRemoved) != total {
					t.Errorf("the last packet is %d of %d; %d files, %d in the status; %d kept and %d removed",
						next, total, len(entries), len(status.Files), kept, status.PacketsRemoved)
				}
				switch {
				case test.most == 0 && kept != total:
					t.Errorf("%d packets are missing", total-kept)
				case test.most > 0 && (bytes > test.most || bytes < test.most*70/100):
					t.Errorf("%d bytes are kept of %d", bytes, test.most)
				}
			})
		}
	}
}
