package drops

import (
	"net/netip"
	"testing"
	"time"

	"diagsh/capture"
)

// A Feed keeps what is wanted until it is taken, no more of it than the capture may keep, and counts
// what it has no room for.
func TestFeed(t *testing.T) {
	s, err := Select(t.Context(), capture.Options{Interfaces: []string{"eth0"}, Direction: capture.In, SnapLength: 20}, "udp")
	if err != nil {
		t.Fatal(err)
	}
	f := &Feed{selection: s}
	data := []byte{0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1, 0, 1, 0, 9, 0, 9, 0, 0, 'x'}
	drop := func(second int64, change func(*Drop)) {
		d := Drop{Time: time.Unix(second, 0), Incoming: true, Data: data, Length: len(data)}
		d.Source, d.Interface = netip.MustParseAddrPort("127.0.0.1:1"), "eth0"
		if change != nil {
			change(&d)
		}
		f.take(&d)
	}
	tcp := append([]byte{}, data...)
	tcp[9] = 6
	for _, unwanted := range []func(*Drop){
		func(d *Drop) { d.Noise = true }, func(d *Drop) { d.Incoming = false }, func(d *Drop) { d.Interface = "eth1" },
		func(d *Drop) { d.Data = tcp }, func(d *Drop) { d.Source = netip.AddrPort{} },
	} {
		drop(1, unwanted)
	}
	drop(1, nil)
	drop(2, func(d *Drop) { d.Interface = "" }) // which one is not known
	drop(3, nil)
	data[0] = 0 // it is the kernel's again
	if list := f.TakeDropped(time.Unix(2, 0)); len(list) != 2 || list[0].Data[0] != 0x45 || len(list[0].Data) != 20 || list[0].Length != 29 {
		t.Errorf("taken are %+v", list)
	}
	if list := f.TakeDropped(time.Unix(2, 0)); len(list) != 0 {
		t.Errorf("taken twice are %+v", list)
	}
	if list := f.Take(time.Now().Add(-time.Minute)); len(list) != 0 {
		t.Errorf("told a minute ago are %+v", list)
	}
	if list := f.Take(time.Now()); len(list) != 1 || list[0].Time.Unix() != 3 {
		t.Errorf("the rest is %+v", list)
	}
	data[0] = 0x45
	for range mostWaiting + 3 {
		drop(4, nil)
	}
	if missed := f.Missed(); missed != 3 {
		t.Errorf("%d missed, not 3", missed)
	}
}

// A filter that asks for bytes of the header of the link is not applied to those of IP, which would
// leave out all packets, but said to be unfit.
func TestSelectOfLink(t *testing.T) {
	d := Drop{Data: []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1, 0, 1, 0, 9, 0, 8, 0, 0}, Length: 28}
	d.Source = netip.MustParseAddrPort("127.0.0.1:1")
	for _, expression := range []string{"udp and ether[0] = 0", "byte 0 = 0", "ether host 00:00:00:00:00:01"} {
		s, err := Select(t.Context(), capture.Options{Interfaces: []string{capture.All}}, expression)
		if err == nil || !s.Wants(&d) {
			t.Errorf("%s: %v, wanted %v", expression, err, s.Wants(&d))
		}
	}
}

// TestReasonOf: the reason is read from a comment with a place and without, and from no other.
func TestReasonOf(t *testing.T) {
	for comment, want := range map[string]string{"dropped: NO_SOCKET at tcp_v4_rcv (interface lo)": "NO_SOCKET", "dropped: 99": "99",
		"process=dropped: pid=1": "", "": ""} {
		if got, ok := ReasonOf(comment); got != want && ok || ok != (want != "") {
			t.Errorf("%q: %q %v", comment, got, ok)
		}
	}
}

// What a comment says of a packet is one line, whatever the interface is called.
func TestComment(t *testing.T) {
	d := Drop{Where: Where{Reason: "NO_SOCKET", Place: "tcp_v4_rcv"}, Flow: Flow{Interface: "a\nb\xff"}}
	if got, want := d.Comment(), "dropped: NO_SOCKET at tcp_v4_rcv (interface a_b_)"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

// A packet waits until its processes have had the time to become known, whatever the clock of the day
// says by then.
func TestFeedWhenTheClockIsSet(t *testing.T) {
	for _, stamp := range []time.Duration{-time.Hour, 0, time.Hour} {
		f := &Feed{selection: Selection{options: capture.Options{Interfaces: []string{capture.All}}}}
		told := time.Now()
		d := Drop{Time: told.Add(stamp)}
		d.Source = netip.MustParseAddrPort("127.0.0.1:1")
		f.take(&d)
		if list := f.Take(told); len(list) != 0 {
			t.Errorf("stamped %s later it is taken before its time", stamp)
		}
		if list := f.Take(time.Now()); len(list) != 1 {
			t.Errorf("stamped %s later it is not taken", stamp)
		}
	}
}
