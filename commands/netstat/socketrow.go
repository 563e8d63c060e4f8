package netstat

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	diag "diagsh/diag/sockets"
	"diagsh/menu"
)

// A socketRow is a socket as netstat shows it.
type socketRow struct {
	Time           *time.Time `json:"time,omitempty"`   // with every: of the list
	Change         string     `json:"change,omitempty"` // with every: new, changed or gone; empty if it is as before
	Protocol       string     `json:"protocol"`         // tcp4, tcp6, tcp46 for a listener of both, udp4, udp6, udp46
	RecvQ          uint32     `json:"recvQ"`
	SendQ          uint32     `json:"sendQ"`
	LocalAddress   netip.Addr `json:"localAddress"`
	LocalPort      uint16     `json:"localPort"`
	LocalName      string     `json:"localName,omitempty"`
	ForeignAddress netip.Addr `json:"foreignAddress"`
	ForeignPort    uint16     `json:"foreignPort"`
	ForeignName    string     `json:"foreignName,omitempty"`
	State          string     `json:"state"` // empty for a UDP socket without a peer
	Interface      string     `json:"interface,omitempty"`
	PID            int        `json:"pid,omitempty"`
	Process        string     `json:"process,omitempty"`
	User           string     `json:"user,omitempty"`
	Others         []holder   `json:"others,omitempty"`    // further processes that hold the socket
	Waiting        string     `json:"waiting,omitempty"`   // accept or handshake: no process holds it yet, and
	Listeners      []holder   `json:"listeners,omitempty"` // one of these will
	TCP            *measured  `json:"tcp,omitempty"`

	full, processes, details, changes bool
	text                              []byte
	tcp                               measured
}

// A holder is a further process that holds a socket.
type holder struct {
	PID     int    `json:"pid"`
	Process string `json:"process"`
	User    string `json:"user"`
}

// measured is what TCP measured on a connection.
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

// fill takes everything that the record shows from a socket. The record may have been another one before.
func (r *socketRow) fill(v *socketsView, s *diag.Socket, names map[netip.Addr]string) {
	local, remote := ends(s)
	*r = socketRow{
		Protocol: protocolOf(s), RecvQ: s.RecvQ, SendQ: s.SendQ,
		LocalAddress: local, LocalPort: s.Local.Port(),
		ForeignAddress: remote, ForeignPort: s.Remote.Port(),
		State: s.State.String(), Others: r.Others[:0], Listeners: r.Listeners[:0], text: r.text[:0],
		full: v.Full, processes: v.Processes, details: v.Details,
	}
	if s.UDP && s.State == diag.Closed {
		r.State = ""
	}
	if names != nil {
		r.LocalName, r.ForeignName = names[r.LocalAddress], names[r.ForeignAddress]
	}
	if s.Device != 0 {
		r.Interface = v.devices[s.Device]
		if s.Local.Addr().IsLinkLocalUnicast() && s.IPv6 {
			r.LocalAddress = r.LocalAddress.WithZone(r.Interface)
		}
		if s.Remote.Addr().IsLinkLocalUnicast() && s.IPv6 {
			r.ForeignAddress = r.ForeignAddress.WithZone(r.Interface)
		}
	}
	if t := s.TCP; t != nil && s.State != diag.Listen {
		r.tcp = measured{t.RTT.Seconds(), t.RTTVariance.Seconds(), t.RTO.Seconds(), t.Retransmits, t.Unacknowledged, t.CongestionWindow, t.SegmentSize, t.PathMTU}
		r.TCP = &r.tcp
	}
	if !v.Processes {
		return
	}
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
		v.listening(s, func(p *diag.Process) { r.Listeners = append(r.Listeners, holder{p.PID, p.Name, v.users.Of(p.UID)}) })
	}
	if r.PID == 0 && s.Inode != 0 {
		r.User = v.users.Of(s.UID) // a process that cannot be seen, or the kernel itself
	}
}

// What a connection without a process waits for.
const (
	waitsAccept    = "accept"
	waitsHandshake = "handshake"
)

// ends are the addresses of a socket's two ends; those of IPv4 as such, also where the socket is one of IPv6.
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
	switch {
	case s.UDP && s.Mapped():
		return "udp4"
	case s.Mapped():
		return "tcp4"
	case s.UDP && s.IPv6:
		return "udp6"
	case s.UDP:
		return "udp4"
	case s.Dual():
		return "tcp46"
	case s.IPv6:
		return "tcp6"
	}
	return "tcp4"
}

// Widths of the columns are those of netstat(1) on FreeBSD. What is longer pushes the rest to the right; a number is never cut.
const (
	protocolWidth = 5
	queueWidth    = 6
	addressWidth  = 22
	stateWidth    = 11
	processWidth  = 24
	userWidth     = 10
	cutName       = 16 // of a host name
)

func (v *socketsView) heading() string {
	var b []byte
	if v.Every > 0 {
		b = append(b, "  "...)
	}
	b = append(b, "Proto Recv-Q Send-Q Local Address          Foreign Address        (state)"...)
	start := len(b)
	if v.Details || v.Processes {
		b = pad(b, start-len("(state)"), stateWidth)
	}
	if v.Details {
		b = append(b, "   RTT ms  Retr  Cwnd"...)
	}
	if v.Processes {
		b = append(b, " PID/Process              User"...)
	}
	return string(append(b, '\n'))
}

// line is the record as text.
func (r *socketRow) line() []byte {
	b := r.text[:0]
	if r.changes {
		b = append(b, changeMark(r.Change), ' ')
	}
	start := len(b)
	b = pad(append(b, r.Protocol...), start, protocolWidth)
	b = append(number(append(b, ' '), uint64(r.RecvQ), queueWidth), ' ')
	b = append(number(b, uint64(r.SendQ), queueWidth), ' ')
	device := r.Interface
	if r.LocalAddress.Zone() != "" {
		device = "" // the address says it
	}
	b = append(pad(appendEndpoint(b, r.LocalAddress, r.LocalName, device, r.LocalPort, r.full), len(b), addressWidth), ' ')
	b = append(pad(appendEndpoint(b, r.ForeignAddress, r.ForeignName, "", r.ForeignPort, r.full), len(b), addressWidth), ' ')
	start = len(b)
	b = append(b, r.State...)
	if r.details || r.processes {
		b = pad(b, start, stateWidth)
	}
	if r.details {
		b = r.measuredColumns(b)
	}
	if r.processes {
		b = r.processColumns(b)
	}
	r.text = append(trimRight(b), '\n')
	return r.text
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
	b = append(pad(b, start, processWidth), ' ')
	if r.User == "" {
		return append(b, '-')
	}
	return append(b, menu.Clean(r.User)...)
}

// appendEndpoint writes address and port as BSD does, with a full stop between them; behind the address, the interface that the socket
// is bound to.
func appendEndpoint(b []byte, a netip.Addr, name, device string, port uint16, full bool) []byte {
	switch {
	case name != "":
		b = append(b, shortened(name, full)...)
	case a.IsUnspecified():
		b = append(b, '*')
	default:
		b = a.AppendTo(b)
	}
	if device != "" {
		b = append(append(b, '%'), device...)
	}
	b = append(b, '.')
	if port == 0 {
		return append(b, '*')
	}
	return strconv.AppendUint(b, uint64(port), 10)
}

// shortened is a host name as a column has it.
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

// pad fills what was appended since start up to a width.
func pad(b []byte, start, width int) []byte {
	if n := width - (len(b) - start); n > 0 {
		b = append(b, blanks[:n]...)
	}
	return b
}

// alignRight moves what was appended since start to the right end of a column.
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

func trimRight(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}
