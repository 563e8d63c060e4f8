package capture_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/capture/pcapfile"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
)

// The files of captures in every mode.

func TestFileCountEndsACapture(t *testing.T) {
	source := newFakeSource()
	c := fakeConfig(t, source)
	c.Spec.Mode, c.Spec.Rotation, c.Spec.Limits.Files = capture.Ring,
		capture.Rotation{FileBytes: 1 << 20, KeepFiles: 2}, 3
	status := run(t, c)
	if status.StopReason != capture.FileCountReached || len(status.Files) != 2 || status.FilesRemoved != 1 ||
		status.Files[1].Name != "file-0003.pcapng" {
		t.Errorf("it ended as %+v", status)
	}
}

func TestSizeOfAllFilesEndsARing(t *testing.T) {
	source := newFakeSource()
	c := fakeConfig(t, source)
	c.Spec.Mode, c.Spec.Rotation, c.Spec.Limits.SizeBytes = capture.Ring, capture.Rotation{FileBytes: 2 << 20}, 5<<20
	status := run(t, c)
	if status.StopReason != capture.SizeExceeded || len(status.Files) != 3 || status.BytesWritten > 5<<20 ||
		status.BytesWritten < 5<<20-1000 {
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

// A capture that is resumed, as a persistent one is, or one that appends.
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
						c.Create, c.Append, c.Release, c.Before, c.NextFile = files.Create, files.Append,
							files.Close, before, round+1
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
	if *status.PacketsSeen < 500 || *status.PacketsMatched != 0 || status.PacketsReceived != 0 ||
		*status.PacketsDropped != 0 {
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

// present lets a capture list the interfaces of the namespace.
func (b *bed) present(c *capture.Config) {
	c.Present = func() (present []capture.Interface, err error) {
		b.ns.Do(b, func() { present, err = afpacket.Interfaces() })
		return present, err
	}
}

// follow lets interfaces join a capture, which has as many rings as s says.
func (b *bed) follow(s capture.Spec) func(*capture.Config) {
	return func(c *capture.Config) {
		b.present(c)
		c.Open = func(taps []capture.Tap) (capture.Source, error) {
			source, err := afpacket.Options{Promiscuous: true, Follow: true, Rings: s.Rings}.Open(taps)
			return joiningSource{source, source.(capture.Follower), b}, err
		}
	}
}

// joined reports whether packets came after an interface joined.
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
		await.Until(t, "the interface to join", func() bool {
			far.send(frame(1, 100))
			return joined(job.Status(), "late")
		})
		far.send(frame(1, 100)) // those before came perhaps before it had joined
		status := b.stop(job)
		out, err := exec.Command(netnstest.Tool(t, "tshark"), "-r", filepath.Join(b.path, status.Files[0].Name), "-T",
			"fields", "-e", "frame.interface_name").Output()
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
			t.Errorf("%v: no packet of the interface that joined was shown by its name, of %+v",
				names, job.Interfaces())
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
	if status.StopReason != capture.DiskLow || !strings.Contains(status.Error, "at its quota") ||
		status.PacketsWritten == 0 {
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
		"nothing": {capture.Spec{Options: capture.Options{Limits: size}},
			capture.Status{BytesWritten: 999}, ""},
		"size": {capture.Spec{Options: capture.Options{Limits: size}},
			capture.Status{BytesWritten: 1000}, capture.SizeExceeded},
		"size that is kept": {capture.Spec{Options: capture.Options{Limits: size, Mode: capture.Circular}},
			capture.Status{BytesWritten: 1000}, ""},
		"no limit": {capture.Spec{Options: capture.Options{Limits: capture.Limits{SizeBytes: capture.Unlimited,
			Packets: capture.Unlimited}}}, capture.Status{BytesWritten: 1 << 40, PacketsWritten: 1 << 40}, ""},
		"packets": {capture.Spec{Options: capture.Options{Limits: capture.Limits{SizeBytes: 1000,
			Packets: 10}}}, capture.Status{PacketsWritten: 10}, capture.PacketCountReached},
		"one packet is wanted": {capture.Spec{Options: capture.Options{Limits: capture.Limits{SizeBytes: 1000,
			Packets: 10}}}, capture.Status{PacketsWritten: 9}, ""},
		"files, of which some went": {capture.Spec{Options: capture.Options{Limits: capture.Limits{SizeBytes: 1000,
			Files: 3}, Mode: capture.Ring}}, capture.Status{FilesRemoved: 1, Files: make([]capture.FileInfo, 2)},
			capture.FileCountReached},
		"time": {capture.Spec{Options: capture.Options{Limits: capture.Limits{SizeBytes: 1000,
			DurationSeconds: 60}}}, capture.Status{StartTime: now.Add(-time.Minute)}, capture.TimeExceeded},
		"time is left": {capture.Spec{Options: capture.Options{Limits: capture.Limits{SizeBytes: 1000,
			DurationSeconds: 60}}}, capture.Status{StartTime: now.Add(-59 * time.Second)}, ""},
	} {
		if got := c.spec.Met(c.before, now); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
