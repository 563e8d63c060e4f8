package dns

import (
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A peer is a name server with scripted answers. It has one port of the loopback for both UDP and
// TCP.
type peer struct {
	t       *testing.T
	address netip.AddrPort
	asked   atomic.Int64 // over UDP
}

// samePort listens on one port of both protocols. A port that is free for one may be taken for the
// other.
func samePort(t *testing.T) (*net.TCPListener, *net.UDPConn, int) {
	t.Helper()
	for range 100 {
		listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		port := listener.Addr().(*net.TCPAddr).Port
		packets, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err == nil {
			return listener, packets, port
		}
		listener.Close()
	}
	t.Fatal("no port is free for both protocols")
	return nil, nil, 0
}

// newPeer answers each datagram with the messages that answer returns, and each question over TCP
// with those of stream. Without stream, TCP is refused.
func newPeer(t *testing.T, answer func(q *dns.Msg, n int64) [][]byte, stream func(q *dns.Msg) []byte) *peer {
	t.Helper()
	listener, packets, port := samePort(t)
	p := &peer{t: t, address: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))}
	t.Cleanup(func() { packets.Close(); listener.Close() })
	go func() {
		buffer := make([]byte, 65535)
		for {
			n, from, err := packets.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			q := new(dns.Msg)
			if q.Unpack(buffer[:n]) != nil {
				continue
			}
			for _, m := range answer(q, p.asked.Add(1)) {
				packets.WriteToUDPAddrPort(m, from)
			}
		}
	}()
	if stream == nil {
		listener.Close()
		return p
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			conn := &dns.Conn{Conn: c}
			if q, err := conn.ReadMsg(); err == nil {
				if m := stream(q); m != nil {
					conn.Write(m)
				}
			}
			c.Close()
		}
	}()
	return p
}

// wire packs an answer to a question, with the records and then change applied.
func wire(t testing.TB, q *dns.Msg, change func(m *dns.Msg), records ...string) []byte {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Error(err)
			return nil
		}
		m.Answer = append(m.Answer, rr)
	}
	if change != nil {
		change(m)
	}
	raw, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return raw
}

// nobody returns a peer with a port where nothing listens, on an address that no other test uses.
func nobody(t *testing.T) *peer {
	t.Helper()
	packets, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 9)})
	if err != nil {
		t.Fatal(err)
	}
	packets.Close()
	return &peer{t: t, address: packets.LocalAddr().(*net.UDPAddr).AddrPort()}
}

const record = "a.test. 60 A 192.0.2.1"

func good(t testing.TB) func(*dns.Msg, int64) [][]byte {
	return func(q *dns.Msg, _ int64) [][]byte { return [][]byte{wire(t, q, nil, record)} }
}

func code(t testing.TB, code int) func(*dns.Msg, int64) [][]byte {
	return func(q *dns.Msg, _ int64) [][]byte {
		return [][]byte{wire(t, q, func(m *dns.Msg) { m.Rcode = code })}
	}
}

func silent(*dns.Msg, int64) [][]byte { return nil }

// patience is how long a test waits for what should come; soon is how long for what should not.
const (
	patience = 10 * time.Second
	soon     = 500 * time.Millisecond
)

// question returns a question to the peers about a.test.
func question(peers ...*peer) Question {
	q := Question{Name: "a.test", Type: "A", Recursive: true, Timeout: soon, Attempts: 2}
	for _, p := range peers {
		q.Servers = append(q.Servers, p.address)
	}
	return q
}

func plainClient() *Client {
	return &Client{Config: func() Config { return parseConfig(strings.NewReader("")) }}
}
