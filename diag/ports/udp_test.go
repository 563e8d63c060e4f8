package ports

import (
	"net"
	"os"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestUDP: sockets of UDP are told when they are bound or send first, with whom they talk, and how
// many bytes they carried.
func TestUDP(t *testing.T) {
	_, l, stop := watch(t, Full)
	in, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	out, err := net.Dial("udp", in.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	connected := time.Now()
	<-time.After(50 * time.Millisecond)
	out.Write([]byte("word"))
	in.ReadFrom(make([]byte, 16))
	out.Close()
	in.Close()
	stop()
	server, client := portAt(in.LocalAddr()), portAt(out.LocalAddr())
	for _, f := range l.flows {
		switch {
		case int(f.Local.Port()) != client:
		case f.Remote.Port() == 0:
			t.Errorf("a connected socket has a flow with any end: %+v", f)
		case f.From.After(connected.Add(10 * time.Millisecond)):
			t.Errorf("the flow of a connected socket began %s after connect(2)", f.From.Sub(connected))
		}
	}
	for _, port := range []int{server, client} {
		l.wait(t, "open", is(Opened, port))
		l.wait(t, "flow", is(Flowed, port))
	}
	if r := l.wait(t, "close", is(Closed, client)); *r.BytesSent != 4 || *r.BytesReceived != 0 || int(r.RemotePort) != server {
		t.Errorf("%+v", r)
	}
	if r := l.wait(t, "close", is(Closed, server)); *r.BytesSent != 0 || *r.BytesReceived != 4 {
		t.Errorf("%+v", r)
	}
}

// TestUDPTies: a socket of UDP takes datagrams from any end until it is connected, and again when it
// is not any more.
func TestUDPTies(t *testing.T) {
	_, l, stop := watch(t, Full)
	peer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	to := &unix.SockaddrInet4{Port: portAt(peer.LocalAddr()), Addr: [4]byte{127, 0, 0, 1}}
	for _, err := range []error{
		unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}),
		unix.Connect(fd, to),
		unix.Send(fd, []byte("tied"), 0),
		disconnect(fd),
		unix.Sendto(fd, []byte("free"), 0, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 2}}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	last, err := unix.Getsockname(fd)
	unix.Close(fd)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	var any []string
	for _, f := range l.flows {
		if f.PID == os.Getpid() && f.Remote.Port() == 0 && int(f.Local.Port()) != to.Port {
			at := map[bool]string{true: "at first", false: "then"}[f.Local.Port() != uint16(last.(*unix.SockaddrInet4).Port)]
			any = append(any, map[bool]string{true: "begins ", false: "ends "}[f.Until.IsZero()]+at)
		}
	}
	// Without an association it is given another port.
	if want := []string{"begins at first", "ends at first", "begins then", "ends then"}; !slices.Equal(any, want) {
		t.Errorf("the flow with any end: %q, want %q", any, want)
	}
}

// disconnect dissolves the association of a socket of UDP (connect(2), AF_UNSPEC).
func disconnect(fd int) error {
	var a unix.RawSockaddrInet4
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&a)), unix.SizeofSockaddrInet4)
	if errno != 0 {
		return errno
	}
	return nil
}

// TestUnseenEnds: where the end of a socket of UDP is not seen, as without a cgroup v2, it is found.
func TestUnseenEnds(t *testing.T) {
	e, l, stop := watch(t, Full)
	defer stop()
	k := e.running().(*kernel)
	k.mu.Lock()
	k.set.Remove("release")
	k.mu.Unlock()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := portAt(c.LocalAddr())
	l.wait(t, "open", is(Opened, port))
	c.Close()
	k.mu.Lock()
	k.second(time.Now().Add(compareEvery))
	k.mu.Unlock()
	ended := func(r Record) bool { return r.Event == Closed && int(r.LocalPort) == port }
	if r := l.wait(t, "close", ended); r.Reason == "" || r.PID != 0 {
		t.Errorf("%+v", r)
	}
}
