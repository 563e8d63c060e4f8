package capture_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/capture/pcapfile"
	"diagsh/internal/test/netnstest"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
)

// What happens to files as a capture goes on.

// windowPackets is how many packets go through a ring; WINDOW_PACKETS=3000000 make
// windows is the whole of it.
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
	return &numberedSource{fakeSource: newFakeSource(), most: most, buffer: make([]byte, 256*1600), random: rand.New(rand.NewPCG(6, 7))}
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
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapfile.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
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
						t.Fatalf("%s has %d packets in %d bytes, the status says %+v: %v", f.Name, packets, info.Size(), f, err)
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

// slowFile takes packets at once, and the disk takes its time to close it.
type slowFile struct {
	capture.File // of a name, and no contents
	most, bytes  int64
	packets      int64
	closes       <-chan struct{}
}

func (f *slowFile) Write(batch []capture.Packet) (int, error) {
	for i, p := range batch {
		if f.bytes+int64(len(p.Data)) > f.most {
			return i, capture.ErrSizeLimit
		}
		f.bytes += int64(len(p.Data))
		f.packets++
	}
	return len(batch), nil
}

func (f *slowFile) Info() capture.FileInfo {
	return capture.FileInfo{Bytes: f.bytes, Packets: f.packets}
}
func (f *slowFile) Ending() int64             { return 0 }
func (f *slowFile) Flush() (bool, error)      { return false, nil }
func (f *slowFile) Free(int64) (int64, error) { return 1 << 40, nil }
func (f *slowFile) Close([]capture.Counters) (capture.FileInfo, error) {
	<-f.closes
	return f.Info(), nil
}

// While the disk is slow there are more files than are kept, within bounds; and no longer than that.
func TestFilesThatWaitForASlowDisk(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*capture.Spec)
		keep   int
		most   int
	}{
		{"circular", func(s *capture.Spec) { s.Mode, s.Limits.SizeBytes = capture.Circular, 100<<20 }, 10, 10 + 10 + 3},
		{"small", func(s *capture.Spec) {
			s.Mode, s.Rotation = capture.Ring, capture.Rotation{FileBytes: 4 << 20, KeepFiles: 3}
		}, 3, 3 + 16 + 3},
		{"large", func(s *capture.Spec) {
			s.Mode, s.Rotation = capture.Ring, capture.Rotation{FileBytes: 40 << 20, KeepFiles: 4}
		}, 4, 4 + 4 + 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			source := newNumberedSource(1 << 30)
			c := fakeConfig(t, source.fakeSource)
			c.Open = func([]capture.Tap) (capture.Source, error) { return source, nil }
			c.Interfaces = c.Interfaces[:1]
			test.change(&c.Spec)
			closes := make(chan struct{})
			count := func() int {
				entries, err := os.ReadDir(c.Dir.Name())
				if err != nil {
					t.Error(err)
				}
				return len(entries)
			}
			c.Create = func(dir *os.Root, name string, h capture.FileHeader) (capture.File, error) {
				err := dir.WriteFile(name, nil, 0o600)
				return &slowFile{most: h.MaxBytes, closes: closes}, err
			}
			job, err := capture.Start(c)
			if err != nil {
				t.Fatal(err)
			}
			// As many files close as are kept, and then the disk stands still.
			for range test.keep {
				closes <- struct{}{}
			}
			for end := time.Now().Add(30 * time.Second); count() < test.most-3; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("there are only %d files, of which %d are kept; at most %d", count(), test.keep, test.most)
				}
			}
			for last := -1; last != count(); time.Sleep(50 * time.Millisecond) {
				last = count() // until the capture waits
			}
			if n := count(); n > test.most {
				t.Errorf("there are %d files, of which %d are kept; at most %d", n, test.keep, test.most)
			}
			job.Stop(capture.StoppedByUser)
			close(closes)
			<-job.Done()
			if s := job.Status(); count() != test.keep || len(s.Files) != test.keep {
				t.Errorf("in the end there are %d files, and %d in the status", count(), len(s.Files))
			}
		})
	}
}

// Files that are held stay, and all that are younger, while the capture goes on; then the window is the last one again. Each file is
// told of as it closes, before it could go.
func TestHeldFilesStay(t *testing.T) {
	source := newNumberedSource(20_000)
	c := fakeConfig(t, source.fakeSource)
	c.Open = func([]capture.Tap) (capture.Source, error) { return source, nil }
	c.Interfaces, c.Spec.Format, c.FileName = c.Interfaces[:1], capture.PCAP, "file.pcap"
	c.Spec.Mode, c.Spec.Rotation = capture.Ring, capture.Rotation{FileBytes: 1 << 20, KeepFiles: 3}
	files, err := pcapfile.NewFiles(0)
	if err != nil {
		t.Fatal(err)
	}
	c.Create, c.Release = files.Create, files.Close
	var mutex sync.Mutex
	held, closed := map[string]bool{}, []string{}
	c.Closed = func(f capture.FileInfo) {
		mutex.Lock()
		defer mutex.Unlock()
		if _, err := c.Dir.Stat(f.Name); err != nil || f.Packets == 0 {
			t.Errorf("it is told of %+v, which is not there: %v", f, err)
		}
		held[f.Name] = true
		closed = append(closed, f.Name)
	}
	c.Held = func(name string) bool {
		mutex.Lock()
		defer mutex.Unlock()
		return held[name]
	}
	job, err := capture.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	numbers := func() (all int) {
		mutex.Lock()
		defer mutex.Unlock()
		return len(closed)
	}
	awaitStatus(t, job, "all is written", func(s capture.Status) bool { return s.PacketsWritten == 20_000 && numbers() == len(s.Files)-1 })
	if s := job.Status(); s.FilesRemoved != 0 || len(s.Files) < 10 {
		t.Errorf("it kept %d files and removed %d", len(s.Files), s.FilesRemoved)
	}
	// The second may go, and waits for the first.
	mutex.Lock()
	delete(held, closed[1])
	mutex.Unlock()
	job.Prune()
	mutex.Lock()
	delete(held, closed[0])
	mutex.Unlock()
	job.Prune()
	awaitStatus(t, job, "two files are gone", func(s capture.Status) bool { return s.FilesRemoved == 2 && s.Files[0].Name == closed[2] })
	mutex.Lock()
	clear(held)
	mutex.Unlock()
	job.Prune()
	awaitStatus(t, job, "the window is the last one", func(s capture.Status) bool { return len(s.Files) == 3 })
	job.Stop(capture.StoppedByUser)
	<-job.Done()
	s := job.Status()
	next, packets := -1, 0
	for _, f := range s.Files {
		n, count := numbersOf(t, filepath.Join(c.Dir.Name(), f.Name), next)
		next, packets = n, packets+count
	}
	if next != 20_000 || packets+int(s.PacketsRemoved) != 20_000 || numbers() != len(s.Files)+int(s.FilesRemoved) {
		t.Errorf("the last packet is %d; %d packets and %d files are kept of %+v", next, packets, len(s.Files), s)
	}
}

func TestFileCountEndsACapture(t *testing.T) {
	source := newFakeSource()
	c := fakeConfig(t, source)
	c.Spec.Mode, c.Spec.Rotation, c.Spec.Limits.Files = capture.Ring, capture.Rotation{FileBytes: 1 << 20, KeepFiles: 2}, 3
	status := run(t, c)
	if status.StopReason != capture.FileCountReached || len(status.Files) != 2 || status.FilesRemoved != 1 || status.Files[1].Name != "file-0003.pcapng" {
		t.Errorf("it ended as %+v", status)
	}
}

func TestSizeOfAllFilesEndsARing(t *testing.T) {
	source := newFakeSource()
	c := fakeConfig(t, source)
	c.Spec.Mode, c.Spec.Rotation, c.Spec.Limits.SizeBytes = capture.Ring, capture.Rotation{FileBytes: 2 << 20}, 5<<20
	status := run(t, c)
	if status.StopReason != capture.SizeExceeded || len(status.Files) != 3 || status.BytesWritten > 5<<20 || status.BytesWritten < 5<<20-1000 {
		t.Errorf("it ended as %+v", status)
	}
}

func TestFilesByTime(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := spec("right")
	s.Mode, s.Rotation = capture.Ring, capture.Rotation{FileSeconds: 1}
	job := b.start(s)
	left := b.wire("left")
	sent := 0
	for len(job.Status().Files) < 3 {
		left.send(killedFrame(sent))
		sent++
		time.Sleep(time.Millisecond)
	}
	status := b.stop(job)
	next := 0
	for _, f := range status.Files {
		for _, p := range b.read(f.Name) {
			if !sameFrame(p.data, next) {
				t.Fatalf("%s: where packet %d should be is %x", f.Name, next, p.data)
			}
			next++
		}
	}
	if next != sent {
		t.Errorf("%d packets of %d", next, sent)
	}
	if d := status.Files[0].Last.Sub(status.Files[0].First); d > 1200*time.Millisecond {
		t.Errorf("the first file is of %s", d)
	}
}

// A capture that goes on, as one that persists does or one that appends.
func TestGoingOn(t *testing.T) {
	t.Parallel()
	for _, format := range []capture.Format{capture.PCAP, capture.PCAPNG} {
		for _, mode := range []capture.Mode{capture.Single, capture.Append} {
			t.Run(string(mode)+"/"+string(format), func(t *testing.T) {
				b := newBed(t)
				left := b.wire("left")
				var before *capture.Status
				for round := range 3 {
					s := spec("right")
					s.Format, s.Mode = format, mode
					files, err := pcapfile.NewFiles(0)
					if err != nil {
						t.Fatal(err)
					}
					job := b.start(s, func(c *capture.Config) {
						c.Create, c.Append, c.Release, c.Before, c.NextFile = files.Create, files.Append, files.Close, before, round+1
					})
					for i := range 1000 {
						left.send(killedFrame(round*1000 + i))
					}
					status := b.stop(job)
					before = &status
				}
				if before.PacketsWritten != 3000 || before.PacketsReceived != 3000 || *before.PacketsMatched != 3000 {
					t.Errorf("the counters are %+v", before)
				}
				want := 3
				if mode == capture.Append {
					want = 1
				}
				if len(before.Files) != want {
					t.Fatalf("the files are %+v", before.Files)
				}
				next := 0
				for _, f := range before.Files {
					for _, p := range b.read(f.Name) {
						if !sameFrame(p.data, next) {
							t.Fatalf("%s: where packet %d should be is %x", f.Name, next, p.data)
						}
						next++
					}
					wireshark(t, filepath.Join(b.path, f.Name), int(f.Packets))
				}
				if next != 3000 {
					t.Errorf("%d packets", next)
				}
			})
		}
	}
}

func TestDirection(t *testing.T) {
	for direction, want := range map[capture.Traffic]int{capture.In: 3, capture.Out: 5, capture.Both: 8} {
		b := newBed(t)
		s := spec("right")
		s.Direction = direction
		job := b.start(s)
		b.wire("left").send(frames(3)...)
		b.wire("right").send(frames(5)...)
		// What the kernel sends by itself is on the wire too.
		if status := b.stop(job); status.PacketsWritten != uint64(want) || *status.PacketsSeen < uint64(want) {
			t.Errorf("%s: %d packets, %d on the wire", direction, status.PacketsWritten, *status.PacketsSeen)
		}
	}
}

// A filter that nothing matches is not a silent wire.
func TestSeenIsBeforeTheFilter(t *testing.T) {
	b := newBed(t)
	s := spec("right")
	job := b.start(s, func(c *capture.Config) {
		c.Compile = func(capture.Interface) ([]bpf.RawInstruction, error) {
			return []bpf.RawInstruction{{Op: 0x06, K: 0}}, nil // ret #0: none
		}
	})
	b.wire("left").send(frames(500)...)
	status := b.stop(job)
	if *status.PacketsSeen < 500 || *status.PacketsMatched != 0 || status.PacketsReceived != 0 || *status.PacketsDropped != 0 {
		t.Errorf("the counters are %+v", status)
	}
	before := *status.PacketsSeen
	b.wire("left").send(frames(10)...)
	if after := *job.Status().PacketsSeen; after != before {
		t.Errorf("%d packets were seen after the end", after-before)
	}
}

// joiningSource adds interfaces of the namespace, wherever it is asked to.
type joiningSource struct {
	capture.Source
	capture.Follower
	b *bed
}

func (s joiningSource) Add(taps []capture.Tap) (errs []error) {
	s.b.ns.Do(s.b, func() { errs = s.Follower.Add(taps) })
	return errs
}

// present has a capture know which interfaces there are.
func (b *bed) present(c *capture.Config) {
	c.Present = func() (present []capture.Interface, err error) {
		b.ns.Do(b, func() { present, err = afpacket.Interfaces() })
		return present, err
	}
}

// follow makes a capture one that interfaces can join, of so many rings as it says.
func (b *bed) follow(s capture.Spec) func(*capture.Config) {
	return func(c *capture.Config) {
		b.present(c)
		c.Open = func(taps []capture.Tap) (capture.Source, error) {
			source, err := afpacket.Options{Promiscuous: true, Follow: true, Rings: s.Rings}.Open(taps)
			return joiningSource{source, source.(capture.Follower), b}, err
		}
	}
}

// joined tells whether there were packets since an interface joined.
func joined(s capture.Status, name string) bool {
	return slices.Contains(s.Interfaces, name) && s.PacketsReceived > 4
}

func TestInterfacesJoinAndCome(t *testing.T) {
	for _, names := range [][]string{{capture.All}, {"right", "late"}} {
		b := newBed(t)
		s := spec(names...)
		link := func(add bool) {
			b.ns.Do(t, func() {
				if !add {
					late, err := netlink.LinkByName("late")
					if err == nil {
						err = netlink.LinkDel(late)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			})
			if add {
				b.ns.Veth(t, "late", "far")
			}
		}
		if names[0] != capture.All {
			s.OnInterfaceGone = capture.GoneWaits
			link(true)
		}
		job := b.start(s, b.follow(s))
		view := job.Watch()
		if names[0] != capture.All {
			link(false)
		}
		link(true)
		// It is joined when its packets come.
		far := b.wire("far")
		for end := time.Now().Add(10 * time.Second); !joined(job.Status(), "late"); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the interface does not join")
			}
			far.send(frame(1, 100))
		}
		far.send(frame(1, 100)) // those before came perhaps before it had joined
		status := b.stop(job)
		out, err := exec.Command(netnstest.Tool(t, "tshark"), "-r", filepath.Join(b.path, status.Files[0].Name), "-T", "fields", "-e", "frame.interface_name").Output()
		if err != nil || !strings.Contains(string(out), "late") {
			t.Errorf("%v: tshark reads %q, %v; the status is %+v", names, out, err, status)
		}
		if status.PacketsWritten != status.PacketsReceived || *status.PacketsSeen < *status.PacketsMatched {
			t.Errorf("the counters do not add up: %+v", status)
		}
		// Who watches finds its name.
		shown, batch := 0, make([]capture.Packet, 100)
		for {
			n, err := view.Read(batch, time.Time{})
			for _, p := range batch[:n] {
				if job.Interfaces()[p.Interface].Name == "late" {
					shown++
				}
			}
			if err != nil {
				break
			}
		}
		if shown == 0 {
			t.Errorf("%v: no packet of the interface that joined was shown by its name, of %+v", names, job.Interfaces())
		}
	}
}

func TestSeveralRings(t *testing.T) {
	b := newBed(t)
	s := spec("right")
	s.Rings = 3
	job := b.start(s, b.follow(s))
	sent := frames(3000)
	b.wire("left").send(sent...)
	status := b.stop(job)
	if status.PacketsReceived != 3000 {
		t.Errorf("the counters are %+v", status)
	}
	same(t, b.read(status.Files[0].Name), sent, capture.MaxSnapLength)
}

func TestQuotaEndsACapture(t *testing.T) {
	c := fakeConfig(t, newFakeSource())
	looks := 0
	c.Allowance = func() error {
		if looks++; looks > 2 {
			return &capture.QuotaError{QuotaBytes: 1 << 20}
		}
		return nil
	}
	status := run(t, c)
	if status.StopReason != capture.DiskLow || !strings.Contains(status.Error, "allowed") || status.PacketsWritten == 0 {
		t.Errorf("it ended as %+v", status)
	}
}

func TestMet(t *testing.T) {
	now := time.Now()
	size := capture.Limits{SizeBytes: 1000}
	for name, c := range map[string]struct {
		spec   capture.Spec
		before capture.Status
		want   capture.StopReason
	}{
		"nothing":              {capture.Spec{Limits: size}, capture.Status{BytesWritten: 999}, ""},
		"size":                 {capture.Spec{Limits: size}, capture.Status{BytesWritten: 1000}, capture.SizeExceeded},
		"size that is kept":    {capture.Spec{Limits: size, Mode: capture.Circular}, capture.Status{BytesWritten: 1000}, ""},
		"no limit":             {capture.Spec{Limits: capture.Limits{SizeBytes: capture.Unlimited, Packets: capture.Unlimited}}, capture.Status{BytesWritten: 1 << 40, PacketsWritten: 1 << 40}, ""},
		"packets":              {capture.Spec{Limits: capture.Limits{SizeBytes: 1000, Packets: 10}}, capture.Status{PacketsWritten: 10}, capture.PacketCountReached},
		"one packet is wanted": {capture.Spec{Limits: capture.Limits{SizeBytes: 1000, Packets: 10}}, capture.Status{PacketsWritten: 9}, ""},
		"files, of which some went": {capture.Spec{Limits: capture.Limits{SizeBytes: 1000, Files: 3}, Mode: capture.Ring},
			capture.Status{FilesRemoved: 1, Files: make([]capture.FileInfo, 2)}, capture.FileCountReached},
		"time":         {capture.Spec{Limits: capture.Limits{SizeBytes: 1000, DurationSeconds: 60}}, capture.Status{StartTime: now.Add(-time.Minute)}, capture.TimeExceeded},
		"time is left": {capture.Spec{Limits: capture.Limits{SizeBytes: 1000, DurationSeconds: 60}}, capture.Status{StartTime: now.Add(-59 * time.Second)}, ""},
	} {
		if got := c.spec.Met(c.before, now); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
