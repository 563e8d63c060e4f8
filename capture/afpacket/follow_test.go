package afpacket

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/test/netnstest"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A following is a source that interfaces of a namespace join.
type following struct {
	*Source
	t  *testing.T
	ns *netnstest.Namespace
}

func follow(t *testing.T, rings int) *following {
	t.Helper()
	f := &following{t: t, ns: netnstest.New(t)}
	f.ns.Veth(t, "left", "right")
	f.ns.Do(t, func() {
		s, err := Options{Promiscuous: true, Follow: true, Rings: rings}.Open(f.taps("right"))
		if err != nil {
			t.Fatal(err)
		}
		f.Source = s.(*Source)
	})
	t.Cleanup(func() { f.Close() })
	f.changed() // what may have come while it was opened
	return f
}

// taps returns taps of interfaces, in their namespace.
func (f *following) taps(names ...string) (taps []capture.Tap) {
	f.t.Helper()
	all, err := Resolve(names)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, in := range all {
		taps = append(taps, capture.Tap{Interface: in, SnapLength: capture.MaxSnapLength})
	}
	return taps
}

// add adds interfaces as they are now.
func (f *following) add(names ...string) (errs []error) {
	f.t.Helper()
	f.ns.Do(f.t, func() { errs = f.Add(f.taps(names...)) })
	return errs
}

// changed reads until the source reports that there are other interfaces.
func (f *following) changed() {
	f.t.Helper()
	batch := make([]capture.Packet, 10)
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if _, err := f.Read(batch, end); errors.Is(err, capture.ErrInterfacesChanged) {
			return
		} else if err != nil {
			f.t.Fatal(err)
		}
	}
	f.t.Fatal("it does not say that there are other interfaces")
}

// ready reads until the rings of all joining interfaces are made.
func (f *following) ready() {
	f.t.Helper()
	for _, c := range f.coming {
		for !c.ready.Load() {
			f.changed()
		}
	}
}

// sockets returns the number of packet sockets in the namespace.
func (f *following) sockets() (n int) {
	f.t.Helper()
	f.ns.Do(f.t, func() {
		table, err := os.ReadFile("/proc/thread-self/net/packet")
		if err != nil {
			f.t.Fatal(err)
		}
		n = strings.Count(string(table), "\n") - 1
	})
	return n
}

func notReady(errs []error) bool {
	for _, err := range errs {
		if !errors.Is(err, capture.ErrNotReady) {
			return false
		}
	}
	return true
}

func TestNewcomersAreMadeReadyBesideTheReader(t *testing.T) {
	for _, rings := range []int{1, 3} {
		f := follow(t, rings)
		if errs := f.add("left", "lo"); !notReady(errs) {
			t.Fatalf("before the rings are there: %v", errs)
		}
		f.ready()
		// The rings are matched by the interface's index, under its current name.
		f.ns.Do(t, func() {
			left, err := netlink.LinkByName("left")
			if err == nil {
				err = netlink.LinkSetDown(left)
			}
			if err == nil {
				err = netlink.LinkSetName(left, "other")
			}
			if err == nil {
				err = netlink.LinkSetUp(left)
			}
			if err != nil {
				t.Fatal(err)
			}
			netnstest.Operates(t, "other")
			netnstest.Operates(t, "right")
		})
		if errs := f.add("lo", "other"); errors.Join(errs...) != nil {
			t.Fatalf("%d rings: when they are there: %v", rings, errs)
		}
		if len(f.places) != 3 || f.places[1].tap.Interface.Name != "lo" || f.places[2].tap.Interface.Name != "other" ||
			len(f.rings) != 3*rings {
			t.Errorf("%d rings of %+v", len(f.rings), f.places)
		}
		frame := make([]byte, 60)
		copy(frame[12:], "\x88\xb5")
		// any bound socket will do; it does not see its own packets
		for _, r := range []*ring{f.rings[0], f.rings[2*rings]} {
			if _, err := unix.Write(r.fd, frame); err != nil {
				t.Fatal(err)
			}
		}
		batch, end := make([]capture.Packet, 10), time.Now().Add(10*time.Second)
		for seen := map[uint32]bool{}; !seen[0] || !seen[2]; {
			n, err := f.Read(batch, end)
			if err != nil && !errors.Is(err, capture.ErrInterfacesChanged) || time.Now().After(end) {
				t.Fatalf("the frame was seen at %v: %v", seen, err)
			}
			for _, p := range batch[:n] {
				if string(p.Data[12:14]) == "\x88\xb5" {
					seen[p.Interface] = true
				}
			}
		}
	}
}

func TestNewcomersThatAreNotWantedAnyMore(t *testing.T) {
	f := follow(t, 1)
	f.add("left", "lo")
	f.ready()
	if errs := f.add("lo"); errors.Join(errs...) != nil {
		t.Fatal(errs)
	}
	f.beside.Wait()
	if n := f.sockets(); n != 2 || len(f.coming) != 0 {
		t.Errorf("%d sockets for two interfaces", n)
	}
}

// TestNewcomerWithTheIndexOfAnother: the ring of a removed interface is not taken for the next one
// with its index.
func TestNewcomerWithTheIndexOfAnother(t *testing.T) {
	f := follow(t, 1)
	f.add("left")
	f.ready()
	f.ns.Do(t, func() {
		left, err := netlink.LinkByName("left")
		if err == nil {
			err = netlink.LinkDel(left)
		}
		if err != nil {
			t.Fatal(err)
		}
		again := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "left", Index: left.Attrs().Index}, PeerName: "right"}
		if err := netlink.LinkAdd(again); err != nil {
			t.Fatal(err)
		}
	})
	batch := make([]capture.Packet, 10)
	for gone, changed := false, false; !gone || !changed; {
		_, err := f.Read(batch, time.Now().Add(10*time.Second))
		var g *capture.InterfaceGoneError
		changed = changed || errors.Is(err, capture.ErrInterfacesChanged)
		if gone = gone || errors.As(err, &g); err == nil {
			t.Fatal("it does not say that the interface went")
		}
	}
	if errs := f.add("left"); !notReady(errs) {
		t.Fatalf("with the ring of another interface: %v", errs)
	}
	f.ready()
	if errs := f.add("left"); errors.Join(errs...) != nil {
		t.Fatal(errs)
	}
}

func TestCloseWhileNewcomersAreMadeReady(t *testing.T) {
	f := follow(t, 1)
	f.ns.Veth(t, "more", "most")
	f.add("left", "lo", "more", "most")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if n := f.sockets(); n != 0 {
		t.Errorf("%d sockets are left", n)
	}
}

// TestInterfaceThatGoesBeforeTheStart: an interface that goes between the list and the start has a
// position and is reported gone. The others are captured.
func TestInterfaceThatGoesBeforeTheStart(t *testing.T) {
	for _, rings := range []int{1, 2} {
		f := &following{t: t, ns: netnstest.New(t)}
		f.ns.Veth(t, "left", "right")
		f.ns.Veth(t, "brief", "short")
		f.ns.Do(t, func() {
			taps := f.taps("brief", "right", "short")
			link, err := netlink.LinkByName("brief")
			if err == nil {
				err = netlink.LinkDel(link)
			}
			if err != nil {
				t.Fatal(err)
			}
			s, err := Options{Promiscuous: true, Follow: true, Rings: rings}.Open(taps)
			if err != nil {
				t.Fatal(err)
			}
			f.Source = s.(*Source)
			t.Cleanup(func() { f.Close() })
			if _, err := (Options{Rings: rings}).Open(taps[:2]); err == nil {
				t.Error("one that was named, and went, is not missed")
			}
			if _, err := (Options{Follow: true, Rings: rings}).Open(taps[:1]); err == nil {
				t.Error("a capture of nothing began")
			}
		})
		for _, want := range []capture.InterfaceGoneError{{Name: "brief", Position: 0, Left: rings},
			{Name: "short", Position: 2, Left: rings}} {
			var gone *capture.InterfaceGoneError
			if _, err := f.Read(make([]capture.Packet, 9), time.Now().Add(10*time.Second)); !errors.As(err, &gone) ||
				*gone != want {
				t.Errorf("with %d rings: %v, want %+v", rings, err, want)
			}
		}
		if counters := f.Counters(); len(counters) != 3 || !counters[0].SeenKnown || counters[0].Seen != 0 {
			t.Errorf("counters: %+v", counters)
		}
	}
}
