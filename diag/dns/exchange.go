package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"diagsh/diag/source"
)

const (
	headerSize  = 12 // of a message (RFC 1035, section 4.1.1)
	maxMessage  = 65535
	ignoredKept = 5 // how many kinds of ignored messages are kept by name
)

// An exchange is one question to one server over one protocol.
type exchange struct {
	source  source.Source
	server  netip.AddrPort
	timeout time.Duration
	ignored []string // each kind of message that was no answer, once
}

// An answer is a message that answers a question.
type answer struct {
	*dns.Msg
	size int
	took time.Duration
}

// udp asks by a datagram. It ignores datagrams that do not answer the question until the server's
// time is up: anyone can send them. The socket is not connected: on a connected one the kernel
// hides answers from other addresses, which are worth reporting.
func (e *exchange) udp(ctx context.Context, m *dns.Msg) (answer, error) {
	ctx, stop := context.WithTimeout(ctx, e.timeout)
	defer stop()
	wire, err := m.Pack()
	if err != nil {
		return answer{}, err
	}
	conn, err := e.listen(ctx)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	began := time.Now()
	if _, err := conn.WriteToUDPAddrPort(wire, e.server); err != nil {
		return answer{}, e.fault(ctx, err)
	}
	buffer := make([]byte, maxMessage)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return answer{}, e.fault(ctx, err)
		}
		if from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port()); !sameServer(from, e.server) {
			e.ignore("a message from " + from.String())
			continue
		}
		reply, wrong := match(m, buffer[:n])
		if wrong == "" {
			return answer{reply, n, time.Since(began)}, nil
		}
		e.ignore(wrong)
	}
}

// listen opens a datagram socket with IP_RECVERR (ip(7)), so that it learns of ICMP errors.
func (e *exchange) listen(ctx context.Context) (*net.UDPConn, error) {
	network, level, option := "udp4", unix.IPPROTO_IP, unix.IP_RECVERR
	local := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	if e.server.Addr().Is6() {
		network, level, option = "udp6", unix.IPPROTO_IPV6, unix.IPV6_RECVERR
		local = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	}
	if a := e.source.Address; a.IsValid() {
		if a.Is4() != e.server.Addr().Is4() {
			return nil, syscall.EADDRNOTAVAIL // of the other version of IP
		}
		local = netip.AddrPortFrom(a, 0)
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (failed error) {
		err := c.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), level, option, 1)
			if failed == nil && e.source.Interface != "" {
				failed = unix.BindToDevice(int(fd), e.source.Interface)
			}
		})
		return errors.Join(err, failed)
	}}
	conn, err := config.ListenPacket(ctx, network, local.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

// sameServer compares addresses. A server without a scope may answer from any scope.
func sameServer(a, b netip.AddrPort) bool {
	if b.Addr().Zone() == "" {
		a = netip.AddrPortFrom(a.Addr().WithZone(""), a.Port())
	}
	return a == b || sameScope(a.Addr(), b.Addr()) && a.Port() == b.Port()
}

// sameScope compares addresses whose scope may be a number in one and a name in the other (RFC
// 4007, section 11.2).
func sameScope(a, b netip.Addr) bool {
	if a.WithZone("") != b.WithZone("") || a.Zone() == "" || b.Zone() == "" {
		return false
	}
	index := func(zone string) string {
		if i, err := net.InterfaceByName(zone); err == nil {
			return fmt.Sprint(i.Index)
		}
		return zone
	}
	return index(a.Zone()) == index(b.Zone())
}

// tcp asks over a connection. On it, a message that answers another question ends the exchange.
func (e *exchange) tcp(ctx context.Context, m *dns.Msg) (answer, error) {
	ctx, stop := context.WithTimeout(ctx, e.timeout)
	defer stop()
	conn, err := e.connect(ctx)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	began := time.Now()
	if err := conn.WriteMsg(m); err != nil {
		return answer{}, e.fault(ctx, err)
	}
	raw, err := conn.ReadMsgHeader(nil)
	if err != nil {
		return answer{}, e.fault(ctx, err)
	}
	reply, wrong := match(m, raw)
	if wrong != "" {
		e.ignore(wrong)
		return answer{}, ErrReply
	}
	return answer{reply, len(raw), time.Since(began)}, nil
}

func (e *exchange) connect(ctx context.Context) (*dns.Conn, error) {
	conn, err := e.source.Dialer(e.timeout, "tcp").DialContext(ctx, "tcp", e.server.String())
	if err != nil {
		return nil, e.fault(ctx, err)
	}
	return &dns.Conn{Conn: conn}, nil
}

// fault returns why nothing came: the end of the caller's context, but not of our own deadline, or
// the network's error.
func (e *exchange) fault(ctx context.Context, err error) error {
	var network net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, syscall.ETIMEDOUT):
		if len(e.ignored) > 0 {
			return ErrReply
		}
		return ErrSilence
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, dns.ErrShortRead):
		return ErrClosed
	}
	return err
}

func (e *exchange) ignore(what string) {
	if len(e.ignored) < ignoredKept && !slices.Contains(e.ignored, what) {
		e.ignored = append(e.ignored, what)
	}
}

// match unpacks a message and returns in wrong why it does not answer the question, or "". A
// truncated answer need not be well-formed after its question.
func match(m *dns.Msg, raw []byte) (reply *dns.Msg, wrong string) {
	if len(raw) < headerSize {
		return nil, "a message shorter than its header"
	}
	flags := binary.BigEndian.Uint16(raw[2:])
	count := func(section int) int { return int(binary.BigEndian.Uint16(raw[4+2*section:])) }
	code := int(flags & 0xf)
	switch {
	case binary.BigEndian.Uint16(raw) != m.Id:
		return nil, "the answer to another question (number)"
	case flags&0x8000 == 0:
		return nil, "a question (no flag QR)"
	case flags>>11&0xf != uint16(m.Opcode):
		return nil, "a message of another operation (opcode)"
	case count(0) > 1, count(0) == 0 && code == dns.RcodeSuccess:
		return nil, fmt.Sprintf("a message with %d questions", count(0))
	}
	reply = new(dns.Msg)
	err := reply.Unpack(raw)
	for _, q := range reply.Question {
		if asked := m.Question[0]; !sameName(q.Name, asked.Name) || q.Qtype != asked.Qtype || q.Qclass != asked.Qclass {
			return nil, "the answer to another question"
		}
	}
	switch {
	case len(reply.Question) != count(0):
		return nil, "a malformed message"
	case reply.Truncated:
	case err != nil:
		return nil, "a malformed message"
	case len(reply.Answer) != count(1) || len(reply.Ns) != count(2) || len(reply.Extra) != count(3):
		return nil, "a message with fewer records than it says"
	}
	return reply, ""
}
