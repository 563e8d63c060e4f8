package decode

import (
	"unsafe"

	"github.com/google/gopacket"

	"diagsh/capture"
)

// A Header is one header of a packet, and where it is.
type Header struct {
	Name    string // as in a Layer
	Summary string
	Kind    gopacket.LayerType
	Layer   gopacket.Layer // nil if only its beginning was captured
	Offset  int            // in the captured bytes; -1 if it is not in them as it is
	Bytes   []byte         // as far as they were captured
	Outer   bool           // no header of the same kind is before it
}

// Headers returns the headers of a packet, the outermost first, and what is wrong after the last
// one. They are those of Decode.
func Headers(p *capture.Packet, link capture.LinkType) (list []Header, fault string) {
	s := &stack{packet: p}
	s.decode(link)
	seen := map[gopacket.LayerType]bool{}
	for n, layer := range s.list(Layers) {
		h := Header{Name: layer.Name, Summary: layer.Summary, Kind: s.cut, Offset: -1, Bytes: s.rest}
		if n < len(s.layers) {
			h.Layer, h.Kind, h.Bytes = s.layers[n], s.layers[n].LayerType(), s.layers[n].LayerContents()
		}
		h.Offset = offset(p.Data, h.Bytes)
		h.Outer = !seen[h.Kind]
		seen[h.Kind] = true
		list = append(list, h)
	}
	return list, clean(s.fault)
}

// Fields returns the values of the header, by the names of Decode.
func (h Header) Fields() (list []Field) {
	if h.Layer != nil {
		guarded(func() { list = fields(h.Layer) })
	}
	return list
}

// Clean returns text as one line that is safe on a screen.
func Clean(text string) string { return clean(text) }

// offset returns where a part of a packet's bytes is, or -1 if it is none.
func offset(whole, part []byte) int {
	if len(whole) == 0 || len(part) == 0 {
		return -1
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(part))) - uintptr(unsafe.Pointer(unsafe.SliceData(whole)))
	if at >= uintptr(len(whole)) || int(at)+len(part) > len(whole) {
		return -1
	}
	return int(at)
}

// Kinds of headers that gopacket does not know.
var (
	LinuxSLL2 = layerSLL2
	CiscoHDLC = layerCiscoHDLC
	RadioTap  = layerRadiotap
	WLAN      = layerWLAN
)
