package traceroute

import (
	"net/netip"
	"slices"
	"testing"

	"diagsh/diag/icmp"
)

// TestSettle: a router's refusals move to its own place over the silent hops before them; all else
// stays.
func TestSettle(t *testing.T) {
	exceeded, unreachable, port := &icmp.Error{Type: 11}, &icmp.Error{Type: 3, Code: 1}, &icmp.Error{Type: 3, Code: 3}
	answer := func(from string, ttl int, e *icmp.Error) Answer {
		return Answer{From: netip.MustParseAddr(from), TTL: ttl, Error: e}
	}
	first, second, lost := answer("192.0.2.1", 64, exceeded), answer("192.0.2.2", 63, exceeded), Answer{}
	refused := func(ttl int) Answer { return answer("192.0.2.3", ttl, unreachable) }
	own := answer("192.0.2.2", 63, unreachable)
	for _, c := range []struct {
		name      string
		hops, out []Answer // one probe a hop
	}{
		{"known at hop 2", []Answer{first, second, lost, lost, own}, []Answer{first, second, own}},
		{"in its place", []Answer{first, second, own}, []Answer{first, second, own}},
		{"silent itself, the way back as long", []Answer{first, second, lost, lost, lost, refused(62)},
			[]Answer{first, second, refused(62)}},
		{"silent itself behind a silent router", []Answer{first, second, lost, lost, lost, refused(61)},
			[]Answer{first, second, lost, refused(61)}},
		{"of a system that begins with 255", []Answer{first, second, lost, lost, lost, refused(253)},
			[]Answer{first, second, refused(253)}},
		{"the way back of all is longer", []Answer{answer("192.0.2.1", 60, exceeded), lost, lost, refused(59)},
			[]Answer{answer("192.0.2.1", 60, exceeded), refused(59)}},
		{"the way back is longer than there are hops", []Answer{first, lost, lost, refused(40)},
			[]Answer{first, lost, lost, refused(40)}},
		{"without a TTL", []Answer{first, lost, lost, refused(0)}, []Answer{first, lost, lost, refused(0)}},
		{"a target behind silent hops", []Answer{first, lost, lost, answer("192.0.2.9", 63, port)},
			[]Answer{first, lost, lost, answer("192.0.2.9", 63, port)}},
	} {
		tr := &trace{options: Options{Probes: 1}, last: len(c.hops), reached: true}
		for _, a := range c.hops {
			tr.hops = append(tr.hops, []Answer{a})
		}
		tr.settle()
		if out := slices.Concat(tr.hops[:tr.last]...); !slices.Equal(out, c.out) {
			t.Errorf("%s: %+v", c.name, out)
		}
	}
}
