package sockets

import (
	"context"
	"errors"
	"maps"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"diagsh/diag/netlink"
	"diagsh/internal/test/netnstest"
)

func FuzzReader(f *testing.F) {
	message := make([]byte, messageSize)
	message[0], message[1] = unix.AF_INET6, byte(Listen)
	f.Add(netlink.AppendAttribute(message, inetDiagSKV6Only, []byte{1}))
	f.Add(netlink.AppendAttribute(message, inetDiagInfo, make([]byte, 300)))
	f.Fuzz(func(t *testing.T, b []byte) {
		reader(KindTCP, Query{Detail: true}, func(s *Socket) error {
			if !s.Local.IsValid() || !s.Remote.IsValid() {
				t.Error("an address is not valid")
			}
			return s.State.check()
		})(0, b)
	})
}

// check is for the fuzzer: no number makes String panic.
func (s State) check() error { _ = s.String(); return nil }

// TestOlderKernel uses the newer request, as on a kernel without the older one, and parses an older
// kernel's shorter struct.
func TestOlderKernel(t *testing.T) {
	ns := netnstest.New(t)
	ns.Do(t, func() {
		connections(t, "tcp4", 20)
		connections(t, "tcp6", 20)
		count := func(each func(yield func(*Socket) error) error) map[State]int {
			states := map[State]int{}
			if err := each(func(s *Socket) error { states[s.State]++; return nil }); err != nil &&
				!errors.Is(err, netlink.ErrChanged) {
				t.Fatal(err)
			}
			return states
		}
		q := Query{States: []State{Established, Listen}}
		one := count(func(y func(*Socket) error) error { return Each(t.Context(), q, y) })
		conn, err := netlink.Dial(unix.NETLINK_INET_DIAG)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		two := count(func(y func(*Socket) error) error { return eachFamily(t.Context(), conn, q, KindTCP, y) })
		if one[Established] != 80 || two[Established] != 80 || one[Listen] != 2 || two[Listen] != 2 {
			t.Errorf("in one walk %v, in two %v", one, two)
		}
	})
	info := unix.TCPInfo{Rtt: 1500, Snd_cwnd: 7, Total_retrans: 9}
	all := (*[unsafe.Sizeof(info)]byte)(unsafe.Pointer(&info))[:]
	var got TCP
	if got.read(all); got.RTT != 1500*time.Microsecond || got.CongestionWindow != 7 || got.Retransmits != 9 {
		t.Errorf("%+v", got)
	}
	if got.read(all[:unsafe.Offsetof(info.Total_retrans)]); got.Retransmits != 0 || got.CongestionWindow != 7 {
		t.Errorf("of a shorter struct %+v", got)
	}
}

// TestStateMaskIsTheKernels counts what the kernel sends, not what is left after filtering.
func TestStateMaskIsTheKernels(t *testing.T) {
	ns := netnstest.New(t)
	ns.Do(t, func() {
		connections(t, "tcp4", 50)
		conn, err := netlink.Dial(unix.NETLINK_INET_DIAG)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		n := 0
		if err := conn.Dump(t.Context(), tcpDiagGetSock, Query{}.olderRequest(1<<Listen, nil),
			func(uint16, []byte) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		if n != 1 {
			t.Errorf("the kernel sent %d sockets for one listener", n)
		}
	})
}

// connectAll makes connections between all ports, and returns the sockets that Each should list.
func connectAll(t *testing.T, ports []int) map[string]int {
	want := map[string]int{}
	for _, host := range []string{"127.0.0.1", "::1"} {
		for _, port := range ports {
			l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			want[l.Addr().String()+" LISTEN"] = 1
			for _, from := range ports {
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host), Port: from + 1}}
				if from == 60999 || from == 46883 {
					d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(host), Port: from - 1}
				}
				d.Control = func(_, _ string, c syscall.RawConn) error {
					return c.Control(func(fd uintptr) {
						unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
					})
				}
				c, err := d.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				a, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { a.Close() })
				want[c.LocalAddr().String()+c.RemoteAddr().String()] = 1
				want[c.RemoteAddr().String()+c.LocalAddr().String()] = 1
			}
		}
	}
	return want
}

// TestHalves makes connections with each kind of ports at each end. Both halves together must list
// each once.
func TestHalves(t *testing.T) {
	ns := netnstest.New(t)
	ns.Do(t, func() {
		ports := []int{20000, 32768, 46883, 46884, 60999}
		want := connectAll(t, ports)
		got := map[string]int{}
		if err := Each(t.Context(), Query{}, func(s *Socket) error {
			if s.State == Listen {
				got[s.Local.String()+" LISTEN"]++
			} else {
				got[s.Local.String()+s.Remote.String()]++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(got, want) {
			t.Errorf("of %d sockets %d came: %v", len(want), len(got), got)
		}
		for _, one := range []bool{true, false} {
			conn, err := netlink.Dial(unix.NETLINK_INET_DIAG)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			n := 0
			if err := conn.Dump(t.Context(), tcpDiagGetSock, Query{}.olderRequest(1<<Established, half(one)),
				func(uint16, []byte) error { n++; return nil }); err != nil {
				t.Fatal(err)
			}
			if n < 40 || n > 60 {
				t.Errorf("half(%v) shows %d of 100", one, n)
			}
		}
	})
}

func TestEachEndsEarly(t *testing.T) {
	ns := netnstest.New(t)
	ns.Do(t, func() {
		connections(t, "tcp4", 1000)
		enough := errors.New("enough")
		n := 0
		if err := Each(t.Context(), Query{}, func(*Socket) error { n++; return enough }); !errors.Is(err, enough) ||
			n != 1 {
			t.Errorf("%d sockets and %v", n, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := Each(ctx, Query{}, func(*Socket) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("after its end: %v", err)
		}
	})
}

// TestEachAllocatesNothingForASocket: memory does not grow with the number of sockets.
func TestEachAllocatesNothingForASocket(t *testing.T) {
	ns := netnstest.New(t)
	ns.Do(t, func() {
		allocations := func() float64 {
			return testing.AllocsPerRun(3, func() {
				if err := Each(t.Context(), Query{Detail: true}, func(*Socket) error { return nil }); err != nil &&
					!errors.Is(err, netlink.ErrChanged) {
					t.Fatal(err)
				}
			})
		}
		connections(t, "tcp4", 20)
		few := allocations()
		connections(t, "tcp4", 2000)
		if many := allocations(); many > few+100 {
			t.Errorf("%v allocations for 40 sockets, %v for 4000", few, many)
		}
	})
}

func TestFindOwners(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File() // a second descriptor of the same socket
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	o, err := FindOwners(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var found []Process
	o.Of(uint32(stat.Ino), func(p *Process) { found = append(found, *p) })
	want := Process{PID: unix.Getpid(), Name: "sockets.test", UID: uint32(unix.Geteuid())}
	if len(found) != 1 || found[0] != want {
		t.Errorf("the socket is held by %+v, not once by %+v", found, want)
	}
	o.Of(0, func(*Process) { t.Error("a socket without inode has a holder") })
}

func TestParseStatus(t *testing.T) {
	for status, want := range map[string]Process{
		"Name:\tsshd\nState:\tS (sleeping)\nUid:\t0\t33\t0\t0\n": {7, "sshd", 33},
		"Name:\ta\\nb\\\\c\nUid:\t1\t2\t3\t4\n":                  {7, "a\nb\\c", 2},
		"Name:\tUid:\t9\nUid:\t1\t5\t3\t4\n":                     {7, "Uid:\t9", 5},
		"Name:\tx":                                               {7, "x", 0},
		"":                                                       {7, "", 0},
		"Name:\t\\033[2J\nUid:\t0\t4294967295\t0\t0\n": {7, "\x1b[2J", 4294967295},
	} {
		if got := parseStatus(7, []byte(status)); *got != want {
			t.Errorf("%q is %+v, not %+v", status, *got, want)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte("Name:\ta\\033\nUid:\t1\t2\t3\t4\n"))
	f.Fuzz(func(t *testing.T, b []byte) { parseStatus(1, b) })
}

func TestSocketInode(t *testing.T) {
	for text, want := range map[string]uint32{"socket:[12345]": 12345, "socket:[0]": 0, "pipe:[7]": 0, "/dev/null": 0,
		"socket:[4294967297]": 1} {
		n, ok := socketInode([]byte(text))
		if n != want || ok != (text[:2] == "so") {
			t.Errorf("%s: %d, %v", text, n, ok)
		}
	}
}
