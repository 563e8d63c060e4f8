package netstat

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"diagsh/commands/shared/past"
	diag "diagsh/diag/sockets"
	"diagsh/internal/menu"
)

// A socketRow is a socket as netstat shows it.
type socketRow struct {
	Time           *time.Time `json:"time,omitempty"`   // with every: of the list
	Change         string     `json:"change,omitempty"` // with every: new, changed or gone; empty if it is as before
	Protocol       string     `json:"protocol"`         // tcp4, tcp6, tcp46 for a listener of both, udp4, udplite6, raw4, packet ...
	Type           string     `json:"type,omitempty"`   // of a packet socket: raw, dgram or packet, as in packet(7)
	RecvQ          *uint32    `json:"recvQ,omitempty"`  // these two only where the kernel says them
	SendQ          *uint32    `json:"sendQ,omitempty"`
	Drops          *uint32    `json:"drops,omitempty"` // packets that the socket could not take; not of TCP, nor of a packet socket with a ring
	LocalAddress   netip.Addr `json:"localAddress,omitzero"`
	LocalPort      *uint16    `json:"localPort,omitempty"` // of protocols that have ports
	LocalName      string     `json:"localName,omitempty"`
	RemoteAddress  netip.Addr `json:"remoteAddress,omitzero"`
	RemotePort     *uint16    `json:"remotePort,omitempty"`
	RemoteName     string     `json:"remoteName,omitempty"`
	IPProtocol     uint16     `json:"ipProtocol,omitempty"` // of a raw socket
	IPProtocolName string     `json:"ipProtocolName,omitempty"`
	EtherType      *uint16    `json:"etherType,omitempty"` // of a packet socket; 0 if it takes nothing
	EtherTypeName  string     `json:"etherTypeName,omitempty"`
	State          string     `json:"state"` // empty for a socket of UDP, UDP-Lite or IP without a peer, and for a packet socket
	Interface      string     `json:"interface,omitempty"`
	// InterfaceGone reports that the socket is bound to an interface that was removed.
	// InterfaceUnknown reports that the kernel does not say whether it is bound to one.
	InterfaceGone    bool     `json:"interfaceGone,omitempty"`
	InterfaceUnknown bool     `json:"interfaceUnknown,omitempty"`
	PID              int      `json:"pid,omitempty"`
	Process          string   `json:"process,omitempty"`
	User             string   `json:"user,omitempty"`
	Others           []holder `json:"others,omitempty"` // further processes that hold the socket
	// Released reports that no process holds the socket any more: PID is of the one that had it last.
	Released  bool       `json:"released,omitempty"`
	History   *past.Past `json:"history,omitempty"`
	Waiting   string     `json:"waiting,omitempty"`   // accept or handshake: no process holds it yet, and
	Listeners []holder   `json:"listeners,omitempty"` // one of these will
	TCP       *measured  `json:"tcp,omitempty"`

	full, processes, measures, drops, changes, history bool

	kind diag.Kind
	text []byte
	// The values of the pointers above.
	recvQ, sendQ, dropped uint32
	ports                 [2]uint16
	etherType             uint16
	tcp                   measured
}

// A holder is a further process that holds a socket.
type holder struct {
	PID     int    `json:"pid"`
	Process string `json:"process"`
	User    string `json:"user"`
}

// A measured is what TCP measured on a connection (TCP_INFO in tcp(7)).
type measured struct {
	RTT              float64 `json:"rtt"` // seconds
	RTTVariance      float64 `json:"rttVariance"`
	RTO              float64 `json:"rto"`
	Retransmits      uint32  `json:"retransmits"` // segments, since the connection began
	Unacknowledged   uint32  `json:"unacknowledged"`
	CongestionWindow uint32  `json:"congestionWindow"`
	SegmentSize      uint32  `json:"segmentSize"`
	PathMTU          uint32  `json:"pathMtu"`
}

// fill sets all members of the record from a socket. The record may have been another one before.
func (r *socketRow) fill(v *socketsView, s *diag.Socket, names map[netip.Addr]string) {
	local, remote := ends(s)
	*r = socketRow{
		Protocol: protocolOf(s), LocalAddress: local, RemoteAddress: remote, InterfaceGone: s.DeviceGone,
		InterfaceUnknown: s.Unknown&diag.UnknownDevice != 0,
		State:            s.State.String(), Others: r.Others[:0], Listeners: r.Listeners[:0],
		text: r.text[:0], kind: s.Kind,
		full: v.Full, processes: v.Processes, measures: v.measures(), drops: v.drops(), history: v.History,
	}
	if s.Kind != diag.KindTCP && s.State == diag.Closed {
		r.State = ""
	}
	r.number(s)
	if names != nil {
		r.LocalName, r.RemoteName = names[r.LocalAddress], names[r.RemoteAddress]
	}
	if s.Device != 0 {
		r.Interface = v.devices.Of(s.Device)
		r.InterfaceGone = r.Interface == ""
		if s.Local.Addr().IsLinkLocalUnicast() && s.IPv6 {
			r.LocalAddress = r.LocalAddress.WithZone(r.Interface)
		}
		if s.Remote.Addr().IsLinkLocalUnicast() && s.IPv6 {
			r.RemoteAddress = r.RemoteAddress.WithZone(r.Interface)
		}
	}
	if t := s.TCP; t != nil && s.State != diag.Listen {
		r.tcp = measured{t.RTT.Seconds(), t.RTTVariance.Seconds(), t.RTO.Seconds(), t.Retransmits, t.Unacknowledged,
			t.CongestionWindow, t.SegmentSize, t.PathMTU}
		r.TCP = &r.tcp
	}
	if v.History {
		r.History = past.Of(v.services, s, v.users)
	}
	if v.Processes {
		r.hold(v, s)
	}
}

// hold sets the members about the processes that have the socket.
func (r *socketRow) hold(v *socketsView, s *diag.Socket) {
	v.owners.Of(s.Inode, func(p *diag.Process) {
		if r.PID == 0 {
			r.PID, r.Process, r.User = p.PID, p.Name, v.users.Of(p.UID)
		} else {
			r.Others = append(r.Others, holder{p.PID, p.Name, v.users.Of(p.UID)})
		}
	})
	if s.Waits() {
		r.Waiting = waitsAccept
		if s.State == diag.SynRcvd {
			r.Waiting = waitsHandshake
		}
		v.listening(s, func(p *diag.Process) {
			r.Listeners = append(r.Listeners, holder{p.PID, p.Name, v.users.Of(p.UID)})
		})
	}
	if r.PID == 0 && r.Waiting == "" {
		if last := past.Of(v.services, s, v.users).Last(); last != nil {
			r.PID, r.Process, r.User, r.Released = last.PID, last.Process, last.User, s.Inode == 0
			return
		}
	}
	if r.PID == 0 && s.Inode != 0 {
		r.User = v.users.Of(s.UID) // a process that cannot be seen, or the kernel itself
	}
}

// number sets the members that only some kinds of sockets have, or that the kernel may not know.
func (r *socketRow) number(s *diag.Socket) {
	r.recvQ, r.sendQ = s.RecvQ, s.SendQ
	if s.Unknown&diag.UnknownRecvQ == 0 {
		r.RecvQ = &r.recvQ
	}
	if s.Unknown&diag.UnknownSendQ == 0 {
		r.SendQ = &r.sendQ
	}
	if s.DropsKnown {
		r.dropped = s.Drops
		r.Drops = &r.dropped
	}
	switch s.Kind {
	case diag.KindRaw:
		r.IPProtocol, r.IPProtocolName = s.Protocol, diag.IPProtocolName(s.Protocol)
	case diag.KindPacket:
		r.etherType = s.Protocol
		r.EtherType, r.EtherTypeName, r.Type = &r.etherType, diag.EtherTypeName(s.Protocol), packetType(s.Type)
	default:
		r.ports = [2]uint16{s.Local.Port(), s.Remote.Port()}
		r.LocalPort, r.RemotePort = &r.ports[0], &r.ports[1]
	}
}

// packetType returns the last part of the name that a type has in packet(7).
func packetType(t diag.PacketType) string {
	switch t {
	case diag.PacketRaw:
		return "raw"
	case diag.PacketDatagram:
		return "dgram"
	case diag.PacketOld:
		return "packet"
	}
	return ""
}

// The values of socketRow.Waiting.
const (
	waitsAccept    = "accept"
	waitsHandshake = "handshake"
)

// ends returns the addresses of a socket's two ends, unmapped: IPv4 addresses of an IPv6 socket are
// IPv4 addresses.
func ends(s *diag.Socket) (local, remote netip.Addr) {
	local, remote = s.Local.Addr(), s.Remote.Addr()
	if !s.Mapped() {
		return local, remote
	}
	if remote = remote.Unmap(); remote.Is6() {
		remote = netip.IPv4Unspecified()
	}
	return local.Unmap(), remote
}

func protocolOf(s *diag.Socket) string {
	v4, v6 := "tcp4", "tcp6"
	switch s.Kind {
	case diag.KindUDP:
		v4, v6 = "udp4", "udp6"
	case diag.KindUDPLite:
		v4, v6 = "udplite4", "udplite6"
	case diag.KindRaw:
		v4, v6 = "raw4", "raw6"
	case diag.KindPacket:
		return "packet"
	}
	switch {
	case !s.IPv6, s.Mapped():
		return v4
	case s.Dual():
		return "tcp46"
	}
	return v6
}

// column returns the protocol in at most the width of its column: UDP-Lite as net-tools, packet
// sockets as ss write them.
func (r *socketRow) column() string {
	switch r.kind {
	case diag.KindUDPLite:
		return map[string]string{"udplite4": "udpl4", "udplite6": "udpl6"}[r.Protocol]
	case diag.KindPacket:
		if short := map[string]string{"raw": "p_raw", "dgram": "p_dgr", "packet": "p_old"}[r.Type]; short != "" {
			return short
		}
	}
	return r.Protocol
}

// The widths of the columns are those of netstat(1) on FreeBSD. A longer value moves the rest of
// its row to the right. A number is never cut.
const (
	protocolWidth = 5
	queueWidth    = 6
	addressWidth  = 22
	stateWidth    = 11
	processWidth  = 24
	userWidth     = 10
	sinceWidth    = 26
	cutName       = 16 // of a host name
)

// title returns the first line, which says what the list contains.
func (v *socketsView) title() string {
	switch v.Protocol {
	case "packet":
		return "Active packet sockets"
	case "all":
		return "Active Internet connections (including servers) and packet sockets"
	}
	return "Active Internet connections (including servers)"
}

// measures reports whether there are columns for what TCP measured.
func (v *socketsView) measures() bool {
	return v.Details && (v.Protocol == "tcp" || v.Protocol == "all")
}

// drops reports whether there is a column for packets that a socket dropped. TCP does not count
// them.
func (v *socketsView) drops() bool { return v.Details && v.Protocol != "tcp" }

func (v *socketsView) heading() string {
	var b []byte
	if v.Every > 0 {
		b = append(b, "  "...)
	}
	b = append(b, "Proto Recv-Q Send-Q Local Address          Foreign Address        (state)"...)
	start := len(b)
	if v.Details || v.Processes || v.History {
		b = pad(b, start-len("(state)"), stateWidth)
	}
	if v.measures() {
		b = append(b, "   RTT ms  Retr  Cwnd"...)
	}
	if v.drops() {
		b = append(b, "  Drops"...)
	}
	if v.Processes {
		b = append(b, " PID/Process              User"...)
	}
	if v.History {
		if v.Processes {
			b = append(b, "      "...)
		}
		b = append(b, " Since (UTC)                Opened by                Accepted by"...)
	}
	return string(append(b, '\n'))
}

// line returns the record as text. The next call overwrites it.
func (r *socketRow) line() []byte {
	b := r.text[:0]
	if r.changes {
		b = append(b, changeMark(r.Change), ' ')
	}
	start := len(b)
	b = pad(append(b, r.column()...), start, protocolWidth)
	b = append(known(append(b, ' '), r.RecvQ, queueWidth), ' ')
	b = append(known(b, r.SendQ, queueWidth), ' ')
	b = append(pad(r.localEnd(b), len(b), addressWidth), ' ')
	b = append(pad(appendEndpoint(b, r.RemoteAddress, r.RemoteName, "", r.ports[1], r.full), len(b), addressWidth), ' ')
	start = len(b)
	b = append(b, r.State...)
	if r.measures || r.drops || r.processes || r.history {
		b = pad(b, start, stateWidth)
	}
	if r.measures {
		b = r.measuredColumns(b)
	}
	if r.drops {
		b = known(append(b, ' '), r.Drops, queueWidth)
	}
	if r.processes {
		b = r.processColumns(b)
	}
	if r.history {
		b = r.historyColumns(b)
	}
	r.text = append(trimRight(b), '\n')
	return r.text
}

// localEnd appends the local end: address, interface, and the port, IP protocol or EtherType.
func (r *socketRow) localEnd(b []byte) []byte {
	device := r.Interface
	switch {
	case r.LocalAddress.Zone() != "":
		device = "" // the address says it
	case r.InterfaceGone:
		device = "(gone)"
	}
	b = append(appendHost(b, r.LocalAddress, r.LocalName, device, r.full), '.')
	switch {
	case r.kind == diag.KindRaw && r.IPProtocolName == "":
		return strconv.AppendUint(b, uint64(r.IPProtocol), 10)
	case r.kind == diag.KindRaw:
		return append(b, r.IPProtocolName...)
	case r.kind == diag.KindPacket && r.EtherTypeName == "":
		return fmt.Appendf(b, "0x%04x", r.etherType)
	case r.kind == diag.KindPacket:
		return append(b, r.EtherTypeName...)
	}
	return appendPort(b, r.ports[0])
}

func (r *socketRow) measuredColumns(b []byte) []byte {
	t := r.TCP
	if t == nil {
		return append(b, "        -     -     -"...)
	}
	b = append(b, ' ')
	start := len(b)
	b = strconv.AppendFloat(b, t.RTT*1000, 'f', 3, 64)
	b = alignRight(b, start, 8)
	b = number(append(b, ' '), uint64(t.Retransmits), 5)
	return number(append(b, ' '), uint64(t.CongestionWindow), 5)
}

func (r *socketRow) processColumns(b []byte) []byte {
	b = append(b, ' ')
	start := len(b)
	if r.PID == 0 {
		b = append(b, '-')
	} else {
		b = strconv.AppendInt(b, int64(r.PID), 10)
		b = append(append(b, '/'), menu.Clean(r.Process)...)
		if n := len(r.Others); n > 0 {
			b = append(strconv.AppendInt(append(b, " +"...), int64(n), 10), ' ')
		}
	}
	if r.Released {
		b = append(b, " (closed it)"...)
	}
	b = append(pad(b, start, processWidth), ' ')
	start = len(b)
	if r.User == "" {
		b = append(b, '-')
	}
	b = append(b, menu.Clean(r.User)...)
	if r.history {
		b = pad(b, start, userWidth)
	}
	return b
}

func (r *socketRow) historyColumns(b []byte) []byte {
	b = append(b, ' ')
	b = append(pad(append(b, r.History.SinceText()...), len(b), sinceWidth), ' ')
	b = append(pad(append(b, r.History.Opener()...), len(b), processWidth), ' ')
	return append(b, r.History.Accepter()...)
}

// appendEndpoint appends address and port as BSD writes them, with a full stop between. The
// interface that the socket is bound to follows the address.
func appendEndpoint(b []byte, a netip.Addr, name, device string, port uint16, full bool) []byte {
	return appendPort(append(appendHost(b, a, name, device, full), '.'), port)
}

func appendHost(b []byte, a netip.Addr, name, device string, full bool) []byte {
	switch {
	case name != "":
		b = append(b, shortened(name, full)...)
	case a.IsUnspecified(), !a.IsValid():
		b = append(b, '*')
	default:
		b = a.AppendTo(b)
	}
	if device != "" {
		b = append(append(b, '%'), device...)
	}
	return b
}

func appendPort(b []byte, port uint16) []byte {
	if port == 0 {
		return append(b, '*')
	}
	return strconv.AppendUint(b, uint64(port), 10)
}

// shortened returns a host name cut to the width of its column, unless full is set.
func shortened(name string, full bool) string {
	if name = menu.Clean(name); full || len(name) <= cutName {
		return name
	}
	return strings.ToValidUTF8(name[:cutName], "")
}

func changeMark(change string) byte {
	switch change {
	case changeNew:
		return '+'
	case changeGone:
		return '-'
	case changeOther:
		return '*'
	}
	return ' '
}

const blanks = "                                                                "

// pad appends blanks until the text since start has a width.
func pad(b []byte, start, width int) []byte {
	if n := width - (len(b) - start); n > 0 {
		b = append(b, blanks[:n]...)
	}
	return b
}

// alignRight moves the text since start to the right end of a column.
func alignRight(b []byte, start, width int) []byte {
	n := width - (len(b) - start)
	if n <= 0 {
		return b
	}
	b = append(b, blanks[:n]...)
	copy(b[start+n:], b[start:])
	copy(b[start:start+n], blanks)
	return b
}

func number(b []byte, n uint64, width int) []byte {
	start := len(b)
	return alignRight(strconv.AppendUint(b, n, 10), start, width)
}

// known appends a number, or a dash if n is nil.
func known(b []byte, n *uint32, width int) []byte {
	if n == nil {
		return alignRight(append(b, '-'), len(b), width)
	}
	return number(b, uint64(*n), width)
}

func trimRight(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}
