package index

import (
	"bytes"
	"slices"
	"testing"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
)

// FuzzFiles: of any file, the pages have what a plain reader reads.
func FuzzFiles(f *testing.F) {
	packets := made(300)
	ng := encode(f, capture.PCAPNG, packets)
	f.Add(ng)
	f.Add(encode(f, capture.PCAP, packets))
	f.Add(slices.Concat(ng, ng[:5000]))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := put(t, "file", content)
		var want []capture.Packet
		r, err := pcapfile.NewReader(bytes.NewReader(content))
		var on []capture.Interface
		for err == nil {
			var p capture.Packet
			if err = r.Next(&p); err == nil {
				p.Data = slices.Clone(p.Data)
				want, on = append(want, p), append(on, r.Interface(p.Interface))
			}
		}
		l := NewLibrary(1 << 20)
		defer l.Close()
		v := open(t, l, 0, source(path))
		p, err := v.Wait(t.Context(), everyByLength, -1, nil)
		if err != nil {
			if len(want) > 0 {
				t.Fatalf("%v, and a reader reads %d packets", err, len(want))
			}
			return
		}
		if p.Packets != int64(len(want)) || !p.Complete {
			t.Fatalf("%+v, want %d packets", p, len(want))
		}
		v.Wait(t.Context(), nil, -1, nil)
		for first := int64(1); first <= p.Packets; first += max(1, p.Packets/7) {
			same(t, v, first, 70, want, on, upTo(len(want), 0))
		}
	})
}

type byLength struct{}

func (byLength) Match(p *capture.Packet, _ capture.Interface) bool { return len(p.Data)%2 == 0 }

var everyByLength = &Filter{Key: "length", New: func() (Matcher, error) { return byLength{}, nil }}
