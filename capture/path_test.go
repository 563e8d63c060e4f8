package capture_test

import (
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/capture/pcapfile"
	"diagsh/internal/test/await"
)

// A path is the way of packets from blocks of the kernel into the buffers of a file, without a job.
type path struct {
	*bed
	wire   *wire
	source capture.Source
	file   capture.File
	batch  []capture.Packet

	interfaces int
}

// ringBytes keeps 64 blocks: what is sent in 2.5 s, as the kernel hands over a block after 40 ms.
const ringBytes = 256 << 20

func newPath(t testing.TB, format capture.Format, interfaces ...string) *path {
	t.Helper()
	p := &path{bed: newBed(t), batch: make([]capture.Packet, 256), interfaces: len(interfaces)}
	p.wire = p.bed.wire("left")
	p.ns.Do(t, func() {
		found, err := afpacket.Resolve(interfaces)
		if err != nil {
			t.Fatal(err)
		}
		var taps []capture.Tap
		for _, i := range found {
			taps = append(taps, capture.Tap{Interface: i, SnapLength: capture.MaxSnapLength})
		}
		if p.source, err = (afpacket.Options{RingBytes: ringBytes}).Open(taps); err != nil {
			t.Fatal(err)
		}
		p.file, err = pcapfile.Create(p.dir, "file", capture.FileHeader{
			Format: format, Interfaces: found, SnapLength: capture.MaxSnapLength, MaxBytes: capture.Unlimited,
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() {
		p.source.Close()
		p.file.Close(nil)
	})
	return p
}

// fill lets the kernel put n packets of each interface into the rings and hand over their blocks. What
// found no room in the backlog, which all that the machine does shares (net.core.netdev_max_backlog),
// is sent again.
func (p *path) fill(n int, frame []byte) {
	p.Helper()
	end := time.Now().Add(await.Patience)
	for want := p.received() + n*p.interfaces; ; {
		missing := (want - p.received() + p.interfaces - 1) / p.interfaces
		if missing <= 0 {
			break
		}
		if time.Now().After(end) {
			p.Fatalf("%d packets do not arrive", missing)
		}
		for sent := range missing {
			if sent%256 == 255 {
				time.Sleep(time.Millisecond)
			}
			p.wire.send(frame)
		}
		await.Within(200*time.Millisecond, func() bool { return p.received() >= want })
	}
	time.Sleep(200 * time.Millisecond)
}

// received returns how many packets the rings got so far.
func (p *path) received() int {
	all := 0
	for _, c := range p.source.Counters() {
		all += int(c.Received)
	}
	return all
}

// empty writes n packets from the ring to the file.
func (p *path) empty(n int) {
	p.Helper()
	end := time.Now().Add(await.Patience)
	for n > 0 {
		got, err := p.source.Read(p.batch[:min(n, len(p.batch))], end)
		if err != nil {
			p.Fatal(err)
		}
		if got == 0 && time.Now().After(end) {
			p.Fatalf("%d packets did not come", n)
		}
		if _, err := p.file.Write(p.batch[:got]); err != nil {
			p.Fatal(err)
		}
		n -= got
	}
}

func TestPathDoesNotAllocate(t *testing.T) {
	for name, interfaces := range map[string][]string{"one": {"right"}, "merged": {"right", "left"}} {
		for _, format := range []capture.Format{capture.PCAP, capture.PCAPNG} {
			t.Run(name+"/"+string(format), func(t *testing.T) {
				p := newPath(t, format, interfaces...)
				// Tags, so that restoring them is measured too.
				f := frame(0, 200)
				copy(f[12:], "\x81\x00\x00\x07")
				const runs, each = 20, 256
				n := (runs + 1) * each * len(interfaces)
				p.fill((runs+1)*each, f)
				perRun := testing.AllocsPerRun(runs, func() { p.empty(min(n, each)); n -= each })
				if perRun != 0 {
					t.Errorf("%v allocations for %d packets", perRun, each)
				}
			})
		}
	}
}

// BenchmarkPath moves full blocks of the kernel into a file's buffers and onto the disk. It
// measures what a packet costs this process.
func BenchmarkPath(b *testing.B) {
	for _, format := range []capture.Format{capture.PCAP, capture.PCAPNG} {
		for name, length := range map[string]int{"64": 64, "1442": 1442} {
			b.Run(string(format)+"/"+name, func(b *testing.B) {
				p := newPath(b, format, "right")
				f := frame(0, length)
				// What half of the ring holds.
				most := 16 << 20 / (length + 120)
				b.ReportAllocs()
				b.SetBytes(int64(length))
				b.ResetTimer()
				for left := b.N; left > 0; {
					n := min(left, most)
					b.StopTimer()
					p.fill(n, f)
					b.StartTimer()
					p.empty(n)
					left -= n
				}
			})
		}
	}
}
