package portload

import (
	"net/netip"
	"slices"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/test/portload/truth"
)

// flowEnds is one end of a conversation as a packet has it.
type flowEnds struct {
	netns         uint64
	protocol      ports.Protocol
	local, remote netip.AddrPort
}

// talking are the events at whose time a packet of the socket is its process's.
var talking = []ports.Event{ports.Connected, ports.Accepted, ports.Flowed, ports.Refused, ports.TimedOut, ports.Failed,
	ports.Aborted, ports.Closed}

// Lateness is how long after an act its process may say it, and a packet may come, on a machine whose
// processors are not emulated.
const Lateness = 100 * time.Millisecond

// JudgeFlows asks the flows whose packets each truth's socket sends and gets at its time. A flow that
// has ended counts for so much longer, as the last packets do.
func JudgeFlows(truths []truth.Truth, flows []ports.Flow, late time.Duration) *Score {
	at := map[flowEnds][]ports.Flow{}
	for _, f := range current(flows) {
		k := flowEnds{f.NetNS, f.Protocol, netip.AddrPortFrom(netip.Addr{}, f.Local.Port()), f.Remote}
		at[k] = append(at[k], f)
	}
	s := &Score{}
	tallies := map[string]*Tally{}
	for _, t := range truths {
		if t.PID == 0 || t.Local.Port() == 0 || t.Remote.Port() == 0 || !slices.Contains(talking, ports.Event(t.Event)) {
			continue
		}
		y := tallies[t.Class]
		if y == nil {
			y = &Tally{Class: t.Class, Event: "packets"}
			tallies[t.Class] = y
			s.Tallies = append(s.Tallies, y)
		}
		t.Sent, t.Received = nil, nil
		if f := owner(t, at, late); f == nil {
			y.add(t, nil)
		} else {
			y.add(t, &ports.Record{Event: "flow", Time: f.From, LocalAddress: f.Local.Addr(), LocalPort: f.Local.Port(),
				RemoteAddress: f.Remote.Addr(), RemotePort: f.Remote.Port(), NetNS: f.NetNS, Process: f.Process, Socket: f.Socket})
		}
	}
	return s
}

// owner returns the flow of the truth's ends and time, the youngest if several are.
func owner(t truth.Truth, at map[flowEnds][]ports.Flow, late time.Duration) *ports.Flow {
	local := netip.AddrPortFrom(netip.Addr{}, t.Local.Port())
	remote := netip.AddrPortFrom(t.Remote.Addr().Unmap(), t.Remote.Port())
	var best *ports.Flow
	for _, r := range []netip.AddrPort{remote, {}} {
		for i, f := range at[flowEnds{t.NetNS, ports.Protocol(t.Protocol), local, r}] {
			if !same(t.Local, f.Local.Addr()) || f.From.After(t.Time) || !f.Until.IsZero() && t.Time.Sub(f.Until) > late {
				continue
			}
			if best == nil || f.From.After(best.From) {
				best = &at[flowEnds{t.NetNS, ports.Protocol(t.Protocol), local, r}][i]
			}
		}
		if best != nil {
			return best // that of the very ends
		}
	}
	return best
}

// current returns what was told last of each flow.
func current(flows []ports.Flow) []ports.Flow {
	type key struct {
		socket        uint64
		from          time.Time
		local, remote netip.AddrPort
	}
	last := map[key]int{}
	var all []ports.Flow
	for _, f := range flows {
		k := key{f.Socket, f.From, f.Local, f.Remote}
		if i, ok := last[k]; ok {
			all[i] = f
			continue
		}
		last[k] = len(all)
		all = append(all, f)
	}
	return all
}
