// Package decode describes a packet for people: in one line, or up to a tree of every field with
// all bytes.
//
// Packets come from strangers, so nothing in them is believed. Only chosen layers are decoded by
// github.com/google/gopacket (see allowed), within bounds. Some of its decoders panic for packets
// made for that purpose; then the packet is shown as far as it was decoded, with its bytes. No
// control character of a packet reaches a text.
//
// Nothing is said about bytes that are not there. A header that the packet ends in is shown as
// tcpdump shows it, [|tcp], and lengths are those on the wire, whatever was captured.
package decode

import (
	"encoding/hex"
	"strconv"
	"time"

	"diagsh/capture"
)

// Detail is how much of a packet is shown. Each level shows what the one before shows, and more.
type Detail int

const (
	Line   Detail = 1 + iota // one line
	Link                     // with the link addresses, and the head of IP
	Layers                   // with a line for each layer
	Tree                     // with every field
	Data                     // with the bytes after the headers
	All                      // with all bytes
)

// Packet is a packet for people. Its texts contain no control characters.
type Packet struct {
	Number          int64     `json:"number"`
	Time            time.Time `json:"time"`
	Interface       string    `json:"interface,omitempty"`
	Direction       string    `json:"direction,omitempty"` // in, out, or unknown if empty
	Length          int       `json:"length"`              // on the wire
	Captured        int       `json:"captured"`
	Protocol        string    `json:"protocol"` // the innermost that is known
	Source          string    `json:"source,omitempty"`
	SourcePort      int       `json:"sourcePort,omitempty"`
	Destination     string    `json:"destination,omitempty"`
	DestinationPort int       `json:"destinationPort,omitempty"`
	Info            string    `json:"info"`
	Link            string    `json:"link,omitempty"`
	Layers          []Layer   `json:"layers,omitempty"`
	Bytes           string    `json:"bytes,omitempty"` // hexadecimal
	// packets between the previous one and this that are not shown
	Missed int64 `json:"missed,omitempty"`
	// the header that the bytes end in: nothing is said about what it lacks
	CutIn string `json:"cutIn,omitempty"`
	Fault string `json:"fault,omitempty"` // why it is not decoded to its end

	family string // the word that tcpdump starts a line with
	ported bool   // the ports are known; one may be 0
	data   []byte // what is shown as bytes
}

// Layer is one header of a packet.
type Layer struct {
	Name    string  `json:"name"`
	Summary string  `json:"summary"`
	Fields  []Field `json:"fields,omitempty"`
}

// Field is one value of a header. Values of lists and structures have names such as
// Questions[0].Name.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Decode decodes a packet of an interface.
func Decode(number int64, p *capture.Packet, i capture.Interface, detail Detail) *Packet {
	d := &Packet{
		Number:    number,
		Time:      time.Unix(0, p.Time).UTC(),
		Interface: clean(i.Name),
		Direction: direction(p.Direction),
		Length:    int(p.Length),
		Captured:  len(p.Data),
	}
	s := &stack{packet: p}
	s.decode(i.LinkType)
	d.Fault = clean(s.fault)
	if s.cut != 0 {
		d.CutIn = s.cut.String()
	}
	if !guarded(func() { d.describe(s) }) || d.Protocol == "" {
		d.Protocol, d.Info = "unknown", "link type "+strconv.Itoa(int(i.LinkType))+", length "+strconv.Itoa(d.Length)
	}
	if detail >= Link {
		guarded(func() { d.Link = s.link() })
	}
	if detail >= Layers {
		d.Layers = s.list(detail)
	}
	switch {
	case detail >= All:
		d.data = p.Data
	case detail >= Data:
		d.data = s.rest
	}
	d.Bytes = hex.EncodeToString(d.data)
	return d
}

// guarded calls f and reports whether it returned without a panic.
func guarded(f func()) (whole bool) {
	defer func() {
		if recover() != nil {
			whole = false
		}
	}()
	f()
	return true
}

func direction(d capture.Direction) string {
	switch d {
	case capture.DirectionUnknown:
		return ""
	case capture.Outgoing:
		return "out"
	}
	return "in"
}
