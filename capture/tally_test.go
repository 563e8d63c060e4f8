package capture_test

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
	"diagsh/capture/tuples"
)

// A tallySource returns packets of TCP or UDP from a random port, and counts by itself what filters
// on the port match.
type tallySource struct {
	*fakeSource
	random *rand.Rand
	left   int
	length int
	snap   int
	taken  []uint64 // what tallyFilters match of each packet that was handed over, as bits
}

var tallyFilters = tuples.List{{Protocol: "TCP", RemotePort: "1000-1499"}, {Protocol: "UDP"}, {RemotePort: "1400-1600;1700;"}}

func (s *tallySource) Read(batch []capture.Packet, _ time.Time) (int, error) {
	n := min(len(batch), s.left, 1+s.random.IntN(100))
	if n == 0 {
		return 0, io.EOF
	}
	for i := range batch[:n] {
		var bits uint64
		batch[i], bits = s.packet()
		s.taken = append(s.taken, bits)
	}
	s.left -= n
	return n, nil
}

func (s *tallySource) packet() (capture.Packet, uint64) {
	port, protocol, tagged := 1000+s.random.IntN(1000), []byte{6, 17}[s.random.IntN(2)], s.random.IntN(3) == 0
	b := make([]byte, 12, s.length)
	if tagged {
		b = append(b, 0x81, 0, 0, 7)
	}
	b = append(b, 0x08, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0, 9)
	b = binary.BigEndian.AppendUint16(b, uint16(port))
	b = append(b, make([]byte, s.length-len(b))...)
	bits := uint64(0)
	if protocol == 6 && port < 1500 {
		bits |= 1
	}
	if protocol == 17 {
		bits |= 2
	}
	if port >= 1400 && port <= 1600 || port == 1700 {
		bits |= 4
	}
	kept := b[:min(len(b), s.snap)]
	return capture.Packet{Time: time.Now().UnixNano(), Data: kept, Length: uint32(len(b)), Tagged: tagged}, bits
}

// tally runs a capture of n packets, and returns its status with what a count of the first packets
// that it wrote says.
func tally(t *testing.T, c capture.Config, n, length int) (capture.Status, *tallySource) {
	t.Helper()
	s := &tallySource{fakeSource: newFakeSource(), random: rand.New(rand.NewPCG(1, uint64(n))), left: n, length: length}
	c.Open = func(taps []capture.Tap) (capture.Source, error) {
		s.snap = taps[0].SnapLength
		return s, nil
	}
	return run(t, c), s
}

// counted returns what the filters match of the first packets that were taken.
func (s *tallySource) counted(packets uint64) capture.Counts {
	counts := make(capture.Counts, len(tallyFilters))
	for _, bits := range s.taken[:packets] {
		counts.Add(bits)
	}
	return counts
}

func TestFiltersAreCounted(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*capture.Spec){
		"one file":       func(*capture.Spec) {},
		"short packets":  func(s *capture.Spec) { s.SnapLength = 20 },
		"packet limit":   func(s *capture.Spec) { s.Limits.Packets = 1777 },
		"size limit":     func(s *capture.Spec) { s.Limits.SizeBytes = 1 << 20 },
		"ring, all kept": func(s *capture.Spec) { s.Mode, s.Rotation.FileBytes = capture.Ring, 1<<20 },
		"ring, two kept": func(s *capture.Spec) {
			s.Mode, s.Rotation = capture.Ring, capture.Rotation{FileBytes: 1 << 20, KeepFiles: 2}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := fakeConfig(t, nil)
			c.Spec.Filters = tallyFilters
			change(&c.Spec)
			status, s := tally(t, c, 6000, 1000)
			if status.PacketsWritten == 0 || !slices.Equal(status.FilterPackets, s.counted(status.PacketsWritten)) {
				t.Errorf("of %d packets %v, want %v", status.PacketsWritten, status.FilterPackets, s.counted(status.PacketsWritten))
			}
			if keeps := c.Spec.Rotation.KeepFiles > 0; keeps != (status.FilesRemoved > 0) {
				t.Errorf("%d files were removed", status.FilesRemoved)
			}
			skipped := uint64(status.PacketsRemoved)
			for _, f := range status.Files {
				until := skipped + uint64(f.Packets)
				want := s.counted(until)
				for i, before := range s.counted(skipped) {
					want[i] -= before
				}
				if !slices.Equal(f.FilterPackets, want) {
					t.Errorf("%s: %v, want %v", f.Name, f.FilterPackets, want)
				}
				skipped = until
				for _, p := range readAll(t, c, f.Name) {
					if n := c.Spec.SnapLength; n > 0 && len(p.Data) != n {
						t.Fatalf("%d bytes of a packet are kept", len(p.Data))
					}
				}
			}
		})
	}
}

func readAll(t *testing.T, c capture.Config, name string) (packets []capture.Packet) {
	t.Helper()
	f, err := c.Dir.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapfile.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for {
		var p capture.Packet
		if err := r.Next(&p); err == io.EOF {
			return packets
		} else if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, p)
	}
}

// A capture that goes on, in a new file or in its last one, goes on counting, unless it has other
// filters now.
func TestCountsGoOn(t *testing.T) {
	t.Parallel()
	for _, mode := range []capture.Mode{capture.Single, capture.Append} {
		t.Run(string(mode), func(t *testing.T) {
			c := fakeConfig(t, nil)
			c.Spec.Filters, c.Spec.Mode = tallyFilters, mode
			files, err := pcapfile.NewFiles(0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(files.Close)
			c.Create, c.Append = files.Create, files.Append
			before, first := tally(t, c, 1000, 100)
			c.Before, c.NextFile = &before, 2
			status, second := tally(t, c, 700, 100)
			if want := first.counted(1000).Plus(second.counted(700)); !slices.Equal(status.FilterPackets, want) {
				t.Errorf("gone on: %v, want %v", status.FilterPackets, want)
			}
			c.Spec.Filters = tallyFilters[:2]
			c.Before, c.NextFile = &status, 3
			other, third := tally(t, c, 300, 100)
			if want := third.counted(300)[:2]; !slices.Equal(other.FilterPackets, want) {
				t.Errorf("with other filters: %v, want %v", other.FilterPackets, want)
			}
			if last := other.Files[len(other.Files)-1]; mode == capture.Append && last.UncountedPackets != 1700 {
				t.Errorf("%+v", last)
			}
			c.Spec.Filters = nil
			c.Before, c.NextFile = &other, 4
			if none, _ := tally(t, c, 10, 100); none.FilterPackets != nil || none.Files[0].FilterPackets != nil {
				t.Errorf("without filters: %v", none.FilterPackets)
			}
		})
	}
}

func TestTallyDoesNotAllocate(t *testing.T) {
	s := &tallySource{fakeSource: newFakeSource(), random: rand.New(rand.NewPCG(1, 2)), length: 200, snap: 256}
	counter, counts := capture.NewTally(tallyFilters), make(capture.Counts, len(tallyFilters))
	p, _ := s.packet()
	if n := testing.AllocsPerRun(1000, func() { counts.Add(counter.Match(&p, capture.Ethernet)) }); n != 0 {
		t.Errorf("%v allocations for a packet", n)
	}
}

func BenchmarkTally(b *testing.B) {
	s := &tallySource{fakeSource: newFakeSource(), random: rand.New(rand.NewPCG(1, 2)), length: 200, snap: 256}
	counter, counts := capture.NewTally(tallyFilters), make(capture.Counts, len(tallyFilters))
	p, _ := s.packet()
	for b.Loop() {
		counts.Add(counter.Match(&p, capture.Ethernet))
	}
}
