package capture_test

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/internal/test/netnstest"

	"github.com/google/gopacket/pcapgo"
	"github.com/vishvananda/netlink"
)

// Captures whose interfaces are renamed or removed.

// rename gives an interface another name. Older kernels need it to be down for that.
func (b *bed) rename(from, to string) {
	b.Helper()
	b.change(from, netlink.LinkSetDown)
	b.change(from, func(l netlink.Link) error { return netlink.LinkSetName(l, to) })
	b.change(to, netlink.LinkSetUp)
	b.ns.Do(b, func() {
		netnstest.Operates(b, to)
		netnstest.Operates(b, "left")
	})
}

// numbersByName returns the numbers of the frames in a pcapng file, by the names of their
// interfaces.
func (b *bed) numbersByName(file string) map[string][]int {
	b.Helper()
	f, err := os.Open(filepath.Join(b.path, file))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewNgReader(f, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		b.Fatal(err)
	}
	numbers := make(map[string][]int)
	for _, p := range drain(b, r) {
		if string(p.data[12:14]) == "\x88\xb5" {
			link, err := r.Interface(p.link)
			if err != nil {
				b.Fatal(err)
			}
			numbers[link.Name] = append(numbers[link.Name], int(binary.BigEndian.Uint64(p.data[14:])))
		}
	}
	return numbers
}

func TestWireIsCountedByInterfaceNotByName(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*bed)
		ends   bool // the capture ends by itself
	}{
		{"removed", func(b *bed) { b.change("right", netlink.LinkDel) }, true},
		{"moved", func(b *bed) {
			var other *os.File
			netnstest.New(b).Do(b, func() {
				var err error
				if other, err = os.Open("/proc/thread-self/ns/net"); err != nil {
					b.Fatal(err)
				}
			})
			defer other.Close()
			b.change("right", func(l netlink.Link) error { return netlink.LinkSetNsFd(l, int(other.Fd())) })
		}, true},
		{"renamed", func(b *bed) { b.rename("right", "other") }, false},
		{"renamed, and another one has its name", func(b *bed) {
			b.rename("right", "other")
			b.ns.Veth(b, "right", "another")
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBed(t)
			job := b.start(spec("right"), b.present)
			b.wire("left").send(frames(50)...)
			awaitStatus(t, job, "the packets are there", func(s capture.Status) bool { return s.PacketsReceived >= 50 })
			before := *job.Status().PacketsSeen
			test.change(b)
			if !test.ends {
				b.wire("left").send(frames(20)...)
				awaitStatus(t, job, "the name is known",
					func(s capture.Status) bool { return slices.Equal(s.Interfaces, []string{"other"}) })
				b.stop(job)
			}
			status := b.wait(job)
			switch {
			case status.PacketsSeen == nil && test.name == "removed":
				// A veth that is removed loses its counter of received packets, those that its peer
				// sent.
			case status.PacketsSeen == nil:
				t.Error("what was on the wire is not known")
			case before < 50 || *status.PacketsSeen < before || *status.PacketsSeen < *status.PacketsMatched:
				t.Errorf("%d packets on the wire, %d before, and %d matched", *status.PacketsSeen, before,
					*status.PacketsMatched)
			}
			if !test.ends && *status.PacketsMatched < 70 {
				t.Errorf("the capture of an interface that was renamed: %+v", status)
			}
		})
	}
}

// The kernel's last word on an interface counts.
func TestWireOfARemovedInterface(t *testing.T) {
	b := newBed(t)
	tap := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tap7"}, Mode: netlink.TUNTAP_MODE_TAP, Queues: 1,
		Flags: netlink.TUNTAP_NO_PI}
	b.ns.Do(t, func() {
		if err := netlink.LinkAdd(tap); err != nil {
			netnstest.Missing(t, "a tap interface cannot be made: "+err.Error())
		}
		if err := netlink.LinkSetUp(tap); err != nil {
			t.Fatal(err)
		}
	})
	defer tap.Fds[0].Close()
	job := b.start(spec("tap7"), b.present)
	for _, f := range frames(50) {
		if _, err := tap.Fds[0].Write(f); err != nil {
			t.Fatal(err)
		}
	}
	awaitStatus(t, job, "the packets are there", func(s capture.Status) bool { return s.PacketsReceived >= 50 })
	b.remove("tap7")
	if status := b.wait(job); status.PacketsSeen == nil || *status.PacketsSeen < 50 {
		t.Errorf("50 packets came before the interface went: %+v", status)
	}
}

// An unknown number is in no form shown as a number.
func TestUnknownIsNoNumber(t *testing.T) {
	source := newFakeSource()
	source.unknown, source.err = true, io.EOF
	status := run(t, fakeConfig(t, source))
	text, err := json.Marshal(status)
	if status.PacketsSeen != nil || err != nil || strings.Contains(string(text), "packetsSeen") {
		t.Errorf("packets on the wire: %v; %s, %v", status.PacketsSeen, text, err)
	}
}

// Packets bear the name that their interface has when they come.
func TestRenamedInterfaceOfAll(t *testing.T) {
	b := newBed(t)
	s := spec(capture.All)
	job := b.start(s, b.follow(s))
	view := job.Watch()
	left := b.wire("left")
	left.send(frame(1, 100), frame(2, 100))
	awaitStatus(t, job, "the packets are there", func(s capture.Status) bool { return s.PacketsWritten >= 4 })
	b.rename("right", "other")
	awaitStatus(t, job, "the name is known", func(s capture.Status) bool {
		return slices.Contains(s.Interfaces, "other") && !slices.Contains(s.Interfaces, "right")
	})
	left.send(frame(3, 100), frame(4, 100))
	status := b.stop(job)
	got := b.numbersByName(status.Files[0].Name)
	if !slices.Equal(got["right"], []int{1, 2}) || !slices.Equal(got["other"], []int{3, 4}) ||
		!slices.Equal(got["left"], []int{1, 2, 3, 4}) {
		t.Errorf("the packets are %v", got)
	}
	if status.PacketsWritten != status.PacketsReceived || *status.PacketsSeen < *status.PacketsMatched {
		t.Errorf("the counters do not add up: %+v", status)
	}
	view.Close()
}

// A capture that waits for a name continues with the next interface that has it, and only with
// that.
func TestWaitingForANameThatAnotherInterfaceGets(t *testing.T) {
	for _, format := range []capture.Format{capture.PCAP, capture.PCAPNG} {
		b := newBed(t)
		s := spec("right")
		s.OnInterfaceGone, s.Format = capture.GoneWaits, format
		job := b.start(s, b.follow(s))
		left := b.wire("left")
		left.send(frame(1, 100))
		awaitStatus(t, job, "the packet is there", func(s capture.Status) bool { return s.PacketsWritten >= 1 })
		b.rename("right", "old")
		b.ns.Veth(t, "new", "right")
		far := b.wire("new")
		received := job.Status().PacketsReceived
		awaitStatus(t, job, "the new interface has joined", func(s capture.Status) bool {
			far.send(frame(2, 100))
			return s.PacketsReceived > received+10
		})
		left.send(frame(3, 100))
		status := b.stop(job)
		for _, p := range b.read(status.Files[0].Name) {
			if binary.BigEndian.Uint64(p.data[14:]) == 3 && string(p.data[12:14]) == "\x88\xb5" {
				t.Errorf("%s: the capture of right has packets of the interface that is named old now", format)
			}
		}
		if status.PacketsWritten != status.PacketsReceived || !slices.Equal(status.Interfaces, []string{"right"}) ||
			status.PacketsSeen == nil {
			t.Errorf("%s: %+v", format, status)
		}
	}
}

// An interface that is removed and made again at once is in the capture once.
func TestInterfaceThatIsThereAgainAtOnce(t *testing.T) {
	b := newBed(t)
	s := spec("right")
	s.OnInterfaceGone = capture.GoneWaits
	job := b.start(s, b.follow(s))
	for n := range 3 {
		b.change("right", netlink.LinkDel)
		b.ns.Veth(t, "left", "right")
		left := b.wire("left")
		received := job.Status().PacketsReceived
		awaitStatus(t, job, "it has joined", func(s capture.Status) bool {
			left.send(frame(0, 100))
			return s.PacketsReceived > received+10
		})
		left.send(frame(1000+n, 100))
	}
	b.ns.Veth(t, "more", "other") // a change, at which all are looked at
	status := b.stop(job)
	times := make(map[uint64]int)
	for _, p := range b.read(status.Files[0].Name) {
		if n := binary.BigEndian.Uint64(p.data[14:]); string(p.data[12:14]) == "\x88\xb5" && n >= 1000 {
			times[n]++
		}
	}
	for n := range uint64(3) {
		if times[1000+n] != 1 {
			t.Errorf("packet %d is there %d times", n, times[1000+n])
		}
	}
}
