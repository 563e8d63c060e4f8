package afpacket

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"time"
	"unsafe"

	"diagsh/capture"
	"diagsh/internal/test/netnstest"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

func TestProgram(t *testing.T) {
	accept := unix.SockFilter{Code: 6, K: 100}
	refuse := unix.SockFilter{Code: 6}
	lo := []unix.SockFilter{{Code: 0x20, K: 0xfffff004}, {Code: 0x15, K: 4, Jf: 1}, refuse}
	for _, test := range []struct {
		name     string
		loopback bool
		filter   []bpf.RawInstruction
		want     []unix.SockFilter
	}{
		{"everything", false, nil, []unix.SockFilter{accept}},
		{"everything on a loopback", true, nil, append(slices.Clone(lo), accept)},
		{"snap length in place of what is returned", false,
			[]bpf.RawInstruction{{Op: 0x28, K: 12}, {Op: 0x15, Jf: 1, K: 0x800}, {Op: 6, K: 262144}, {Op: 6}},
			[]unix.SockFilter{{Code: 0x28, K: 12}, {Code: 0x15, Jf: 1, K: 0x800}, accept, refuse}},
		{"a filter on a loopback", true, []bpf.RawInstruction{{Op: 6, K: 1}}, append(slices.Clone(lo), accept)},
	} {
		got := program(capture.Tap{Interface: capture.Interface{Loopback: test.loopback}, Filter: test.filter,
			SnapLength: 100})
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, not %v", test.name, got, test.want)
		}
	}
}

func TestMemoryOfRings(t *testing.T) {
	const k, m = 1 << 10, 1 << 20
	for _, test := range []struct{ ring, blocks, taps, size, number int }{
		{0, 0, 1, 4 * m, 8}, {0, 0, 2, 2 * m, 8}, {0, 0, 3, m, 10}, {0, 0, 4, m, 8}, {0, 0, 8, 512 * k, 8}, {0, 0, 16, 256 * k, 8},
		{0, 0, 100, 256 * k, 8},
		{64 * m, 0, 1, 4 * m, 16}, {m, 0, 1, 256 * k, 8},
		{8 * m, 32, 1, 256 * k, 32}, {8 * m, 32, 2, 256 * k, 16}, {8 * m, 32, 100, 256 * k, 8}, {8 * m, 4, 1, m, 8},
	} {
		size, number := Options{RingBytes: test.ring, Blocks: test.blocks}.blocks(test.taps)
		if size != test.size || number != test.number {
			t.Errorf("%d bytes for %d interfaces: %d blocks of %d bytes", test.ring, test.taps, number, size)
		}
	}
}

// fakeRing returns a ring in ordinary memory. Its blocks have one packet each.
func fakeRing(position int, seen time.Duration, times ...int64) *ring {
	const size = 4096
	// uint64 aligns the structures in it.
	words := make([]uint64, len(times)*size/8)
	r := &ring{
		tap: capture.Tap{Interface: capture.Interface{LinkType: capture.Ethernet},
			SnapLength: capture.MaxSnapLength},
		position:  uint32(position),
		memory:    unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(words)*8),
		blockSize: size,
		blocks:    len(times),
		noted:     make([]time.Duration, len(times)),
	}
	for i, t := range times {
		block := r.block(i)
		block.Num_pkts = 1
		block.Offset_to_first_pkt = 48
		block.Block_status = unix.TP_STATUS_USER
		if t == 0 {
			block.Block_status = unix.TP_STATUS_KERNEL
		}
		r.next = i*size + 48
		h := r.header()
		h.Nsec, h.Mac, h.Snaplen, h.Len = uint32(t), 100, 60, 60
	}
	r.next = 0
	r.ready(seen)
	return r
}

func TestMergeWaitsForOlderPackets(t *testing.T) {
	for _, test := range []struct {
		name  string
		rings func(now time.Duration) []*ring
		want  []int64
	}{
		{"a young block waits", func(now time.Duration) []*ring {
			return []*ring{fakeRing(0, now, 5, 0, 0, 0), fakeRing(1, now, 0, 0, 0, 0)}
		}, nil},
		{"one that has waited goes", func(now time.Duration) []*ring {
			return []*ring{fakeRing(0, now-window, 5, 0, 0, 0), fakeRing(1, now, 0, 0, 0, 0)}
		}, []int64{5}},
		{"and so does the one behind it that was there as long", func(now time.Duration) []*ring {
			return []*ring{fakeRing(0, now-window, 5, 6, 0, 0, 0, 0), fakeRing(1, now, 0, 0, 0, 0)}
		}, []int64{5, 6}},
		{"and with it what is older, not what is younger", func(now time.Duration) []*ring {
			return []*ring{fakeRing(0, now-window, 5, 0, 0, 0), fakeRing(1, now, 3, 7, 0, 0)}
		}, []int64{3, 5}},
		{"a ring that fills does not wait", func(now time.Duration) []*ring {
			return []*ring{fakeRing(0, now, 5, 6, 7, 0), fakeRing(1, now, 4, 0, 0, 0)}
		}, []int64{4, 5}},
	} {
		s := &Source{begin: time.Now().Add(-time.Hour)}
		s.rings = test.rings(s.now())
		batch := make([]capture.Packet, 10)
		var got []int64
		for _, p := range batch[:s.merge(batch)] {
			got = append(got, p.Time)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, not %v", test.name, got, test.want)
		}
	}
}

// TestWaitEndsWhenARingFills: a wait for the window ends when the kernel reports another full block
// and the ring fills. Otherwise later packets of the window would find no room.
func TestWaitEndsWhenARingFills(t *testing.T) {
	for _, test := range []struct {
		times []int64
		want  bool
	}{
		{[]int64{5, 6, 0, 0}, false},
		{[]int64{5, 6, 7, 0}, true},
	} {
		fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		s := &Source{begin: time.Now(), polls: []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}}
		s.rings = []*ring{fakeRing(0, s.now(), test.times...), fakeRing(1, s.now(), 0, 0, 0, 0)}
		if s.ready() != test.want {
			t.Errorf("blocks %v: the wait ends: %v", test.times, !test.want)
		}
	}
}

func TestBlocksGoBackWithTheNextRead(t *testing.T) {
	r := fakeRing(0, 0, 1, 2, 3)
	s := &Source{begin: time.Now(), rings: []*ring{r}}
	batch := make([]capture.Packet, 10)
	if n := s.fill(batch); n != 3 {
		t.Fatalf("%d packets", n)
	}
	if !r.ours(0) || !r.ours(1) || !r.ours(2) {
		t.Error("a block went back while its packets were in use")
	}
	r.release()
	if r.ours(0) || r.ours(1) || r.ours(2) {
		t.Error("a block did not go back")
	}
}

func TestRestoreTag(t *testing.T) {
	for _, test := range []struct {
		status uint32
		want   string
	}{
		{unix.TP_STATUS_VLAN_VALID, "\x81\x00"},
		{unix.TP_STATUS_VLAN_VALID | unix.TP_STATUS_VLAN_TPID_VALID, "\x88\xa8"},
	} {
		b := []byte("....ABCDEFabcdef\x08\x00data")
		restoreTag(b, &unix.Tpacket3Hdr{Status: test.status,
			Hv1: unix.TpacketHdrVariant1{Vlan_tci: 0x602a, Vlan_tpid: 0x88a8}})
		if want := "ABCDEFabcdef" + test.want + "\x60\x2a\x08\x00data"; string(b) != want {
			t.Errorf("%q, not %q", b, want)
		}
	}
}

func TestResolve(t *testing.T) {
	ns := netnstest.New(t)
	ns.Veth(t, "left", "right")
	ns.Do(t, func() {
		got, err := Resolve([]string{"right", "lo"})
		if err != nil || len(got) != 2 || got[0].Name != "right" || got[0].LinkType != capture.Ethernet ||
			got[0].Loopback || !got[1].Loopback {
			t.Errorf("%+v, %v", got, err)
		}
		all, err := Resolve([]string{"all"})
		if err != nil || len(all) < 3 {
			t.Errorf("all: %+v, %v", all, err)
		}
		var none *capture.NoSuchInterfaceError
		for _, name := range []string{"eth77", "", "a name that is too long for an interface", "right/../left"} {
			if _, err := Resolve([]string{name}); !errors.As(err, &none) || none.Name != name {
				t.Errorf("%q: %v", name, err)
			}
		}
		if _, err := (Options{}).Open([]capture.Tap{{Interface: capture.Interface{Name: "gone", Index: 9999},
			SnapLength: 1}}); !errors.As(err, &none) {
			t.Errorf("an interface that went since: %v", err)
		}
	})
}

func TestFilterThatTheKernelRefuses(t *testing.T) {
	ns := netnstest.New(t)
	ns.Do(t, func() {
		lo, err := Resolve([]string{"lo"})
		if err != nil {
			t.Fatal(err)
		}
		for _, filter := range [][]bpf.RawInstruction{{{Op: 0xffff}}, make([]bpf.RawInstruction, 5000)} {
			if s, err := (Options{}).Open([]capture.Tap{{Interface: lo[0], Filter: filter,
				SnapLength: 1}}); err == nil {
				s.Close()
				t.Error("it was taken")
			}
		}
	})
}

// open opens a source on interfaces of a namespace.
func open(t *testing.T, ns *netnstest.Namespace, names ...string) capture.Source {
	t.Helper()
	var s capture.Source
	ns.Do(t, func() {
		interfaces, err := Resolve(names)
		if err != nil {
			t.Fatal(err)
		}
		var taps []capture.Tap
		for _, i := range interfaces {
			taps = append(taps, capture.Tap{Interface: i, SnapLength: capture.MaxSnapLength})
		}
		if s, err = (Options{Promiscuous: true}).Open(taps); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { s.Close() })
	return s
}

func TestReadWaits(t *testing.T) {
	ns := netnstest.New(t)
	ns.Veth(t, "left", "right")
	s := open(t, ns, "right")
	batch := make([]capture.Packet, 10)

	begin := time.Now()
	if n, err := s.Read(batch, begin.Add(30*time.Millisecond)); n != 0 || err != nil ||
		time.Since(begin) < 30*time.Millisecond {
		t.Errorf("%d packets, %v after %v", n, err, time.Since(begin))
	}
	go func() {
		time.Sleep(20 * time.Millisecond)
		s.Wake()
	}()
	if n, err := s.Read(batch, time.Time{}); n != 0 || err != nil {
		t.Errorf("%d packets, %v", n, err)
	}
	s.Wake()
	if n, err := s.Read(batch, time.Time{}); n != 0 || err != nil {
		t.Errorf("woken before: %d packets, %v", n, err)
	}
	if err := s.Finish(); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Read(batch, time.Time{}); n != 0 || err != io.EOF {
		t.Errorf("finished: %d packets, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s.Wake()
	if counters := s.Counters(); len(counters) != 1 {
		t.Errorf("after the end: %v", counters)
	}
}

func TestWaitingCostsNothing(t *testing.T) {
	for _, names := range [][]string{{"right"}, {"right", "left"}} {
		ns := netnstest.New(t)
		ns.Veth(t, "left", "right")
		sender := open(t, ns, "left").(*Source).all[0].fd // any bound socket will do
		s := open(t, ns, names...)
		const packets = 10
		go func() {
			for range packets {
				unix.Write(sender, make([]byte, 60))
				time.Sleep(100 * time.Millisecond)
			}
		}()
		batch := make([]capture.Packet, 1) // so that a batch ends where its block ends
		var before, after unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &before); err != nil {
			t.Fatal(err)
		}
		for read := 0; read < packets*len(names); {
			n, err := s.Read(batch, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			read += n
		}
		if err := unix.Getrusage(unix.RUSAGE_SELF, &after); err != nil {
			t.Fatal(err)
		}
		if used := time.Duration(
			after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()); used > 100*time.Millisecond {
			t.Errorf("%v: %d packets in a second cost %v", names, packets, used)
		}
	}
}

// TestCountersAddUp: a ring that nobody reads fills. Kept and dropped packets add up to those sent,
// and the kept ones are the first sent.
func TestCountersAddUp(t *testing.T) {
	ns := netnstest.New(t)
	ns.Veth(t, "left", "right")
	var s capture.Source
	fd := -1
	ns.Do(t, func() {
		interfaces, err := Resolve([]string{"right", "left"})
		if err != nil {
			t.Fatal(err)
		}
		s, err = Options{RingBytes: 2 << 20}.Open([]capture.Tap{{Interface: interfaces[0], SnapLength: 9000}})
		if err != nil {
			t.Fatal(err)
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0); err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: interfaces[1].Index}); err != nil {
			t.Fatal(err)
		}
	})
	defer s.Close()
	defer unix.Close(fd)
	const sent = 3000
	f := bytes.Repeat([]byte{2}, 1500)
	for i := range sent {
		f[20], f[21] = byte(i>>8), byte(i)
		if _, err := unix.Write(fd, f); err != nil {
			t.Fatal(err)
		}
	}
	c := s.Counters()[0]
	if c.Dropped == 0 || c.Received == 0 || c.Received+c.Dropped != sent {
		t.Errorf("of %d packets %+v", sent, c)
	}
	if err := s.Finish(); err != nil {
		t.Fatal(err)
	}
	batch := make([]capture.Packet, 100)
	for read := 0; ; {
		n, err := s.Read(batch, time.Time{})
		for i := range n {
			if number := int(batch[i].Data[20])<<8 | int(batch[i].Data[21]); number != read+i {
				t.Fatalf("packet %d has number %d", read+i, number)
			}
		}
		read += n
		if err != nil {
			if err != io.EOF || read != int(c.Received) {
				t.Errorf("%d packets, %v", read, err)
			}
			return
		}
	}
}
