package traceroute

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"diagsh/diag/icmp"
)

func flows() []flow {
	var list []flow
	for _, ends := range [][2]string{{"192.0.2.1", "198.51.100.7"}, {"2001:db8::1", "2001:db8:1::7"}} {
		for _, p := range []Protocol{UDP, ICMP, TCP} {
			for _, more := range []int{0, 1, 333, 1401} {
				f := flow{protocol: p, local: netip.MustParseAddr(ends[0]), remote: netip.MustParseAddr(ends[1]),
					port: 51234, destination: 33434}
				ip := ipv4Header
				if f.remote.Is6() {
					ip = ipv6Header
				}
				f.length = Smallest(p, f.remote) - ip + more
				list = append(list, f)
			}
		}
	}
	return list
}

// TestProbesAreOneFlow: all probes of a flow are equal in what routers balance by, have correct
// checksums, and are known by the first eight bytes that a router quotes.
func TestProbesAreOneFlow(t *testing.T) {
	for _, f := range flows() {
		numbers := []uint16{1, 2, 255, 256, 0x7fff, 0x8000, 0xfffe, 0xffff}
		first := f.probe(numbers[0])
		for _, n := range numbers {
			b := f.probe(n)
			if len(b) != f.length {
				t.Fatalf("%+v: %d bytes", f, len(b))
			}
			switch f.protocol {
			case UDP:
				if !bytes.Equal(b[:6], first[:6]) || f.sum(b, numberUDP) != 0xffff {
					t.Errorf("%+v, probe %d: ports, length or checksum", f, n)
				}
			case TCP:
				if !bytes.Equal(b[:4], first[:4]) || f.sum(b, numberTCP) != 0xffff {
					t.Errorf("%+v, probe %d: ports or checksum", f, n)
				}
			case ICMP:
				if !bytes.Equal(b[:6], first[:6]) {
					t.Errorf("%+v, probe %d: type, checksum or identifier", f, n)
				}
				if !f.remote.Is6() && icmp.Sum(0, b) != 0xffff {
					t.Errorf("%+v, probe %d: checksum", f, n)
				}
				if icmp.Sum(0, b[6:10]) != 0xffff {
					t.Errorf("%+v, probe %d: the checksum that the kernel makes differs", f, n)
				}
			}
			if got, ok := f.quoted(b[:8]); !ok || got != n {
				t.Errorf("%+v, probe %d: quoted as %d %v", f, n, got, ok)
			}
		}
	}
}

// TestReplies: the target's answers to TCP and ICMP tell the probe, and answers to others are
// rejected.
func TestReplies(t *testing.T) {
	for _, f := range flows() {
		const number = 0xabc
		probe := f.probe(number)
		var reply []byte
		switch f.protocol {
		case ICMP:
			reply = bytes.Clone(probe)
			if reply[0] = 0; f.remote.Is6() {
				reply[0] = 129
			}
		case TCP:
			for _, acknowledged := range []int{1, 1 + f.length - tcpHeader} {
				reply = make([]byte, tcpHeader)
				copy(reply, probe[2:4])
				copy(reply[2:], probe[:2])
				binary.BigEndian.PutUint32(reply[8:], binary.BigEndian.Uint32(probe[4:])+uint32(acknowledged))
				reply[13] = tcpACK | tcpRST
				if got, _, ok := f.replied(reply); !ok || got != number {
					t.Errorf("%+v: %d bytes acknowledged: probe %d %v", f, acknowledged, got, ok)
				}
			}
		case UDP:
			reply = append(append(append([]byte(nil), probe[2:4]...), probe[:2]...), 0, 8, 0, 0)
		}
		if _, _, ok := f.replied(reply); !ok {
			t.Errorf("%+v: the reply is not known", f)
		}
		reply[3]++
		reply[5]++
		if got, any, ok := f.replied(reply); ok && (any || got == number) {
			t.Errorf("%+v: a stranger's reply is taken", f)
		}
	}
}

func FuzzUnderstand(f *testing.F) {
	for _, fl := range flows() {
		f.Add(fl.probe(7), true)
	}
	f.Add([]byte{0x4f}, false)
	f.Fuzz(func(t *testing.T, data []byte, failure bool) {
		m := icmp.Message{From: netip.MustParseAddr("192.0.2.9"), Data: data}
		if failure {
			m.Error = &icmp.Error{Type: 11}
		}
		for _, fl := range flows() {
			p := &prober{flow: fl, open: map[uint16]outgoing{7: {mark: mark{3, 0}}}}
			if h, ok := p.understand(m); ok && h.mark != (mark{3, 0}) && h.probe != anyProbe {
				t.Errorf("an answer to the probe %+v, which was not sent", h.mark)
			}
		}
	})
}
