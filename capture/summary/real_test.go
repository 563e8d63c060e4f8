package summary

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/netnstest"
)

// cable records the packets on a link that loses some, reorders some and doubles some: those sent,
// and those that arrived.
type cable struct {
	mu      sync.Mutex
	begin   time.Time
	dice    *rand.Rand
	sent    recording
	arrived []arrival
}

type arrival struct {
	at   time.Duration
	data []byte
}

// record handles the arrival of a packet.
func (c *cable) record(packet []byte) netnstest.Fate {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, data := time.Since(c.begin), slices.Clone(packet)
	c.sent.now = int64(at)
	c.sent.add("sent", 1, data)
	c.arrived = append(c.arrived, arrival{at, data})
	return netnstest.Fate{}
}

// decide decides whether it arrives.
func (c *cable) decide(packet []byte) (fate netnstest.Fate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := time.Since(c.begin)
	data := slices.Clone(packet)
	c.sent.now = int64(at)
	c.sent.add("sent", 1, data)
	switch dice := c.dice.IntN(100); {
	case dice < 3:
		return netnstest.Fate{Lost: true}
	case dice < 6:
		fate.Late = 2 * time.Millisecond
	case dice < 7:
		fate.Twice = true
		c.arrived = append(c.arrived, arrival{at, data})
	}
	c.arrived = append(c.arrived, arrival{at + fate.Late, data})
	return fate
}

// connect opens a connection with keep-alive probes from a namespace.
func connect(t *testing.T, from *netnstest.Namespace, address string) net.Conn {
	t.Helper()
	alive := net.Dialer{Timeout: 20 * time.Second, KeepAlive: -1,
		Control: func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) {
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 1)
			})
		}}
	var conn net.Conn
	var err error
	from.Do(t, func() {
		// On a busy machine the neighbour may not answer in time, and then nothing was sent to
		// it.
		for end := time.Now().Add(20 * time.Second); conn == nil && time.Now().Before(end); {
			conn, err = alive.DialContext(context.Background(), "tcp", address)
			if !errors.Is(err, unix.EHOSTUNREACH) {
				break
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// retransmissions returns how often the kernel sent segments of a connection again.
func retransmissions(conn net.Conn) (n int64, err error) {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if failed = err; err == nil {
			n = int64(info.Total_retrans)
		}
	})
	return n, errors.Join(err, failed)
}

// check compares the figures of the packets before and after the loss with tshark's, and the
// retransmissions with those that the kernels counted.
func (c *cable) check(t *testing.T, kernels int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := c.sent.compare(t, 10).TCP
	var behind recording
	slices.SortStableFunc(c.arrived, func(a, b arrival) int { return int(a.at - b.at) })
	for _, a := range c.arrived {
		behind.now = int64(a.at)
		behind.add("arrived", 1, a.data)
	}
	arrived := behind.compare(t, 10).TCP
	if got := sent.Retransmissions + sent.OutOfOrder; got != kernels || kernels == 0 {
		t.Errorf("%d packets were sent again, and the kernels count %d: %+v", got, kernels, sent)
	}
	if arrived.LostSegments == 0 || arrived.Copies == 0 || sent.Copies > 0 || sent.LostSegments > 0 {
		t.Errorf("sent: %+v\narrived: %+v", sent, arrived)
	}
}

// TestTSharkAgreesOnRealConnections: with real programs on a bad network, the figures are tshark's
// before the loss and after it. There are as many retransmissions as the kernels sent.
func TestTSharkAgreesOnRealConnections(t *testing.T) {
	t.Parallel()
	left, right := netnstest.New(t), netnstest.New(t)
	link := netnstest.Ethernet(t, left, "cl", right, "sv", 3*time.Millisecond)
	left.Address(t, "cl", "10.9.0.1/24", "fd09::1/64")
	right.Address(t, "sv", "10.9.0.2/24", "fd09::2/64")
	c := &cable{begin: time.Now(), dice: rand.New(rand.NewPCG(3, 4))}
	link.Decide(c.decide)

	var resent sync.Map // by connection and end
	count := func(conn net.Conn) {
		if n, err := retransmissions(conn); err != nil {
			t.Error(err)
		} else {
			resent.Store(conn.LocalAddr().String()+conn.RemoteAddr().String(), n)
		}
	}
	read := make(chan struct{}) // closed when the server is to read on
	const connections = 6
	var served sync.WaitGroup
	served.Add(connections)
	for _, address := range []string{"10.9.0.2:80", "[fd09::2]:80"} {
		right.Serve(t, address, func(conn net.Conn) {
			conn.Write(make([]byte, 150_000))
			<-read
			io.Copy(io.Discard, conn)
			served.Done()
			served.Wait()
			link.Decide(c.record) // nothing that is counted here is sent again after it
			count(conn)
		})
	}
	var clients sync.WaitGroup
	for n := range connections {
		conn := connect(t, left, []string{"10.9.0.2:80", "[fd09::2]:80"}[n%2])
		clients.Go(func() {
			defer conn.Close()
			io.ReadFull(conn, make([]byte, 150_000))
			if n < 4 { // fills the server's window; the others send nothing, and probe it
				conn.Write(make([]byte, 500_000))
			} else {
				<-read
			}
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, conn)
			count(conn)
		})
	}
	time.AfterFunc(1500*time.Millisecond, func() { close(read) })
	clients.Wait()

	var kernels int64
	resent.Range(func(_, n any) bool { kernels += n.(int64); return true })
	c.check(t, kernels)
}
