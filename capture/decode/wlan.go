package decode

import (
	"encoding/binary"
	"fmt"
	"net"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Frames of 802.11 as far as they lead to their content. Management and control frames are named;
// in data frames that are not encrypted the packet inside is decoded (IEEE 802.11-2020, 9.2 and
// 9.3; https://www.radiotap.org).

const (
	ieee80211      = 105 // link types
	ieee80211Radio = 127
)

var (
	layerRadiotap = gopacket.RegisterLayerType(2127, gopacket.LayerTypeMetadata{Name: "RadioTap"})
	layerWLAN     = gopacket.RegisterLayerType(2105, gopacket.LayerTypeMetadata{Name: "Dot11"})
)

// radiotap is what the receiver says about a frame, before it.
type radiotap struct {
	layers.BaseLayer
	Length uint16
	FCS    bool // the frame ends with a frame check sequence
	Padded bool // the header of the frame is padded to four bytes
}

// LayerType implements gopacket.Layer.
func (*radiotap) LayerType() gopacket.LayerType { return layerRadiotap }

func readRadiotap(s *stack, b []byte) (int, error) {
	const fixed, checksum = 8, 4
	if len(b) < fixed || len(b) < int(binary.LittleEndian.Uint16(b[2:])) {
		return -1, errCut
	}
	l := &radiotap{Length: binary.LittleEndian.Uint16(b[2:])}
	if l.Length < fixed {
		return -1, fmt.Errorf("a header of %d bytes", l.Length)
	}
	l.BaseLayer = split(b, int(l.Length))
	// Words that say what is present, followed by it: the time in eight bytes, aligned, and the
	// flags.
	const more, time, flags = 1 << 31, 1 << 0, 1 << 1
	present, at := binary.LittleEndian.Uint32(b[4:]), fixed
	for word := present; word&more != 0 && at+4 <= int(l.Length); at += 4 {
		word = binary.LittleEndian.Uint32(b[at:])
	}
	if present&time != 0 {
		at = (at+7)&^7 + 8
	}
	if present&flags != 0 && at < int(l.Length) {
		l.FCS, l.Padded = b[at]&0x10 != 0, b[at]&0x20 != 0
	}
	s.AddLayer(l)
	s.next = layerWLAN
	if l.FCS {
		return max(s.wire-int(l.Length)-checksum, 0), nil
	}
	return -1, nil
}

// wlan is the header of a frame.
type wlan struct {
	layers.BaseLayer
	Type, Subtype    uint8
	ToDS, FromDS     bool
	Retry, Protected bool
	Receiver         net.HardwareAddr
	Transmitter      net.HardwareAddr // nil if the frame has none
}

// LayerType implements gopacket.Layer.
func (*wlan) LayerType() gopacket.LayerType { return layerWLAN }

// Types of frames.
const (
	wlanManagement = iota
	wlanControl
	wlanData
)

func readWLAN(s *stack, b []byte) (int, error) {
	const short, usual = 10, 24 // control frames without a transmitter, frames with three addresses
	if len(b) < short {
		return -1, errCut
	}
	l := &wlan{Type: b[0] >> 2 & 3, Subtype: b[0] >> 4, ToDS: b[1]&1 != 0, FromDS: b[1]&2 != 0, Retry: b[1]&8 != 0,
		Protected: b[1]&0x40 != 0,
		Receiver:  net.HardwareAddr(b[4:10])}
	header := usual
	qos := l.Type == wlanData && l.Subtype&8 != 0
	switch {
	case l.Type == wlanControl:
		header = short
		switch l.Subtype {
		case 8, 9, 10, 11, 14, 15: // have a transmitter
			header = short + 6
		}
	case l.Type == wlanData:
		if l.ToDS && l.FromDS {
			header += 6
		}
		if qos {
			header += 2
		}
	}
	if b[1]&0x80 != 0 && (qos || l.Type == wlanManagement) {
		header += 4 // HT control
	}
	if len(b) < header {
		return -1, errCut
	}
	if header >= short+6 {
		l.Transmitter = net.HardwareAddr(b[10:16])
	}
	if n := len(s.layers) - 1; n >= 0 {
		if r, is := s.layers[n].(*radiotap); is && r.Padded {
			header = min((header+3)&^3, len(b))
		}
	}
	l.BaseLayer = split(b, header)
	s.AddLayer(l)
	if l.Type == wlanData && l.Subtype&4 == 0 && !l.Protected {
		s.next = layers.LayerTypeLLC
	}
	return -1, nil
}

// name returns the kind of a frame.
func (l *wlan) name() string {
	var names map[uint8]string
	switch l.Type {
	case wlanManagement:
		names = map[uint8]string{0: "Assoc Request", 1: "Assoc Response", 2: "ReAssoc Request", 3: "ReAssoc Response",
			4: "Probe Request", 5: "Probe Response",
			8: "Beacon", 9: "ATIM", 10: "Disassociation", 11: "Authentication", 12: "DeAuthentication", 13: "Action"}
	case wlanControl:
		names = map[uint8]string{8: "BAR", 9: "BA", 10: "Power Save-Poll", 11: "Request-To-Send", 12: "Clear-To-Send",
			13: "Acknowledgment", 14: "CF-End", 15: "CF-End+CF-Ack"}
	case wlanData:
		switch {
		case l.Subtype&4 != 0:
			return "Data without contents"
		case l.Protected:
			return "Data, encrypted"
		}
		return "Data"
	}
	if name, known := names[l.Subtype]; known {
		return name
	}
	return fmt.Sprintf("type %d, subtype %d", l.Type, l.Subtype)
}
