// Package streams puts together what two ends sent each other: the bytes of a TCP connection in
// their order, or the contents of datagrams of UDP, also where IP had to cut them up.
//
// It reads the packets of one stream only, which an index selects, and returns a page at a time. A
// Cursor says where a page has ended, so that nothing is kept between two pages. Memory is bounded,
// whatever the packets are: what cannot be kept any more is a gap, and gaps are named.
package streams

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/capture/headers"
	"diagsh/capture/index"
)

// A Stream is two ends, and how they talk.
type Stream struct {
	Transport uint8 // the number in IP
	Ends      [2]End
}

// An End is one of two.
type End struct {
	Address headers.Address
	Port    uint16
}

// Of returns the stream that a packet belongs to, with its sender first. It reports false if it is
// no packet of TCP or UDP, or the ports are not in it, as in later fragments.
func Of(p *capture.Packet, link capture.LinkType) (Stream, bool) {
	var r headers.Reader
	var h headers.Headers
	r.Read(&h, p, link)
	network, ok := h.Network()
	if !ok || !h.Ports || h.Transport == unix.IPPROTO_TCP && !h.Numbers {
		return Stream{}, false
	}
	switch h.Transport {
	case unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE:
		return Stream{h.Transport, [2]End{{network.Source, h.SourcePort}, {network.Target, h.TargetPort}}}, true
	}
	return Stream{}, false
}

// from returns which end sent a packet; -1 if it is another's.
func (s Stream) from(network headers.Network, h *headers.Headers) int {
	source, target := End{network.Source, h.SourcePort}, End{network.Target, h.TargetPort}
	switch {
	case h.Transport != s.Transport || !h.Ports:
	case source == s.Ends[0] && target == s.Ends[1]:
		return 0
	case source == s.Ends[1] && target == s.Ends[0]:
		return 1
	}
	return -1
}

// turned returns the same stream with the other end first.
func (s Stream) turned() Stream {
	s.Ends[0], s.Ends[1] = s.Ends[1], s.Ends[0]
	return s
}

// Filter returns the filter for the packets that may belong to the stream: its own, and fragments
// between its addresses.
func (s Stream) Filter() *index.Filter {
	if bytes.Compare(s.Ends[0].Address[:], s.Ends[1].Address[:]) > 0 {
		s = s.turned()
	}
	key := fmt.Sprintf("stream %d %x.%d %x.%d", s.Transport, s.Ends[0].Address, s.Ends[0].Port, s.Ends[1].Address, s.Ends[1].Port)
	return &index.Filter{Key: key, New: func() (index.Matcher, error) { return matcher{s}, nil }}
}

type matcher struct{ Stream }

// Match implements index.Matcher. It knows nothing of the packets before.
func (m matcher) Match(p *capture.Packet, on capture.Interface) bool {
	var r headers.Reader
	var h headers.Headers
	r.Read(&h, p, on.LinkType)
	network, ok := h.Network()
	if !ok {
		return false
	}
	if h.Protocol == headers.IPv4Fragment || h.Protocol == headers.IPv6Fragment {
		a, b := m.Ends[0].Address, m.Ends[1].Address
		return network.Source == a && network.Target == b || network.Source == b && network.Target == a
	}
	return m.from(network, &h) >= 0
}
