package portload

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/test/portload/truth"
)

// A PacketTally counts the ends of packets of a class that are in the network namespace of the capture.
type PacketTally struct {
	Class   string
	Ends    int // of a process
	Right   int
	Unnamed int
	Wrong   int
	Nobody  int // of none: the kernel's, or another machine's
	Named   int // of these, with a process all the same

	Faults []string // the first few
}

// A PacketScore is what a capture says of its packets.
type PacketScore struct {
	Tallies []*PacketTally
}

// elsewhere is the class of ends that no truth is about.
const elsewhere = "nobody's: the kernel, other machines, multicast"

// A socketTruth is what all processes said of one socket.
type socketTruth struct {
	class         string
	index         int
	local, remote netip.AddrPort
	acts          []truth.Truth // of those that had it, in the order of their times
	end           time.Time
}

// A socketKey finds sockets. A port is 0 where nobody said it.
type socketKey struct {
	protocol      ports.Protocol
	local, remote uint16
}

// A register has the sockets of a network namespace.
type register map[socketKey][]*socketTruth

// owning are the events at which a process has a socket.
var owning = []ports.Event{ports.Opened, ports.Listening, ports.Held, ports.Connected, ports.Accepted, ports.Used, ports.Flowed,
	ports.Refused, ports.TimedOut, ports.Aborted, ports.Failed}

func registerOf(truths []truth.Truth, netns uint64) register {
	r := register{}
	for _, t := range truths {
		if t.NetNS != netns || t.PID == 0 || t.Local.Port() == 0 && t.Remote.Port() == 0 {
			continue
		}
		if t.Event == string(ports.Bound) {
			continue // it gets no packet before it listens
		}
		k := socketKey{ports.Protocol(t.Protocol), t.Local.Port(), t.Remote.Port()}
		i := slices.IndexFunc(r[k], func(s *socketTruth) bool { return s.class == t.Class && s.index == t.Index })
		if i < 0 {
			i = len(r[k])
			r[k] = append(r[k], &socketTruth{class: t.Class, index: t.Index, local: t.Local, remote: t.Remote})
		}
		s := r[k][i]
		if slices.Contains(owning, ports.Event(t.Event)) {
			s.acts = append(s.acts, t)
		}
		if t.Time.After(s.end) {
			s.end = t.Time
		}
	}
	for _, sockets := range r {
		for _, s := range sockets {
			slices.SortStableFunc(s.acts, func(a, b truth.Truth) int { return a.Time.Compare(b.Time) })
		}
		slices.SortStableFunc(sockets, func(a, b *socketTruth) int { return a.end.Compare(b.end) })
	}
	return r
}

// at returns the sockets of a key that may have a packet: the first that had not ended, and one that
// ended right before, whose last packets come later than its process said so.
func (r register) at(k socketKey, local, remote netip.AddrPort, p *Packet) (found []*socketTruth) {
	const tail = time.Second
	for _, s := range r[k] {
		switch {
		case len(s.acts) == 0 || !same(s.local, local.Addr()) || !same(s.remote, remote.Addr()):
		case s.end.After(p.Time):
			return append(found, s)
		case p.Begins || p.Protocol == ports.TCP && p.Time.Sub(s.end) > tail:
			found = []*socketTruth{s} // unless a later one follows
		default:
			found = append(found, s)
		}
	}
	return found
}

// A verdict is who may be named at an end of a packet.
type verdict struct {
	class string
	may   []truth.Truth // none: nobody
}

// judge returns who had the local end of a packet.
func (r register) judge(p *Packet, local, remote netip.AddrPort, sends bool) verdict {
	listeners := r.listeners(p, local)
	handshake := p.Begins && !sends || p.Answers && sends
	for _, k := range []socketKey{{p.Protocol, local.Port(), remote.Port()}, {p.Protocol, 0, remote.Port()}} {
		sockets := r.at(k, local, remote, p)
		if len(sockets) == 0 {
			continue
		}
		v := verdict{class: sockets[len(sockets)-1].class}
		for _, s := range sockets {
			v.may = append(v.may, s.owners(p, sends)...)
		}
		// Until it is accepted, a connection is the listener's. Who of several would get it is not known.
		accepts := slices.ContainsFunc(sockets[0].acts, func(t truth.Truth) bool {
			return t.Event == string(ports.Accepted) && t.Time.After(p.Time)
		})
		if (handshake || accepts) && len(listeners) == 1 {
			v.may = append(v.may, listeners[0].acts...)
		}
		return v
	}
	if len(listeners) == 0 || p.Protocol == ports.TCP && !handshake {
		return verdict{class: elsewhere}
	}
	v := verdict{class: listeners[0].class}
	for _, l := range listeners {
		v.may = append(v.may, l.acts...)
	}
	return v
}

func (r register) listeners(p *Packet, local netip.AddrPort) (found []*socketTruth) {
	for _, s := range r[socketKey{p.Protocol, local.Port(), 0}] {
		if len(s.acts) > 0 && same(s.local, local.Addr()) && (s.end.After(p.Time) || len(s.acts) == 1 && s.end.Equal(s.acts[0].Time)) {
			found = append(found, s)
		}
	}
	return found
}

// owners returns which processes of a socket a packet may be of. Data is of who sent it, and what comes
// before a socket was handed over of who had it first; else all processes that had the socket may be
// meant.
func (s *socketTruth) owners(p *Packet, sends bool) []truth.Truth {
	if p.Time.Before(s.acts[0].Time) {
		return s.acts[:1]
	}
	if !sends || p.Payload == 0 {
		return s.acts
	}
	last := 0
	for i, act := range s.acts {
		if !act.Time.After(p.Time) {
			last = i
		}
	}
	return s.acts[last : last+1]
}

// A captured is what packets are judged by.
type captured struct {
	register
	local []netip.Prefix
}

// end returns who had an end of a packet.
func (c captured) end(p *Packet, sends bool) verdict {
	here, there := p.Source, p.Destination
	if !sends {
		here, there = there, here
	}
	if p.Protocol == "" || !slices.ContainsFunc(c.local, func(l netip.Prefix) bool { return l.Contains(here.Addr()) }) {
		return verdict{class: elsewhere}
	}
	return c.judge(p, here, there, sends)
}

// JudgePackets compares what a capture says of its packets with the truths. local are the addresses
// of the capture's namespace: an end with another address is not there.
func JudgePackets(packets []Packet, truths []truth.Truth, netns uint64, local []netip.Prefix) *PacketScore {
	s := &PacketScore{}
	c := captured{registerOf(truths, netns), local}
	tallies := map[string]*PacketTally{}
	for i := range packets {
		p := &packets[i]
		for _, sends := range []bool{true, false} {
			said := p.Sender
			if !sends {
				said = p.Receiver
			}
			v := c.end(p, sends)
			y := tallies[v.class]
			if y == nil {
				y = &PacketTally{Class: v.class}
				tallies[v.class] = y
				s.Tallies = append(s.Tallies, y)
			}
			y.add(v, said, p, sends)
		}
	}
	first := classOrder(truths)
	first[elsewhere] = len(truths)
	slices.SortFunc(s.Tallies, func(a, b *PacketTally) int { return cmp.Compare(first[a.Class], first[b.Class]) })
	return s
}

// PacketsOf returns the keys of packets, each as often as it is there, of which a wanted process has an
// end, and of ICMP errors about them. The truths are those of all processes: a port may have been
// another's before.
func PacketsOf(packets []Packet, truths []truth.Truth, netns uint64, local []netip.Prefix, wanted func(truth.Truth) bool) map[string]int {
	of := map[string]int{}
	c := captured{registerOf(truths, netns), local}
	for i := range packets {
		p := &packets[i]
		ours := slices.ContainsFunc(c.end(p, true).may, wanted) || slices.ContainsFunc(c.end(p, false).may, wanted)
		if a := p.About; a != nil && a.Protocol != "" {
			ours = slices.ContainsFunc(c.judge(a, a.Source, a.Destination, true).may, wanted)
		}
		if ours {
			of[p.Key]++
		}
	}
	return of
}

func (y *PacketTally) add(v verdict, said Said, p *Packet, sends bool) {
	is := func(t truth.Truth) bool {
		return t.PID == said.PID && (t.Exe == "" || said.Exe == t.Exe) && (t.Process == "" || said.Name == t.Process)
	}
	if len(v.may) == 0 {
		y.Nobody++
		if said.PID != 0 {
			y.Named++
			y.fault(v, said, p, sends)
		}
		return
	}
	y.Ends++
	switch {
	case said.PID == 0:
		y.Unnamed++
		y.fault(v, said, p, sends)
	case slices.ContainsFunc(v.may, is):
		y.Right++
	default:
		y.Wrong++
		y.fault(v, said, p, sends)
	}
}

func (y *PacketTally) fault(v verdict, said Said, p *Packet, sends bool) {
	if len(y.Faults) == maxFaults {
		return
	}
	end := "receiver"
	if sends {
		end = "sender"
	}
	var may []string
	for _, t := range v.may {
		may = append(may, fmt.Sprintf("%d %s (%s at %s)", t.PID, path.Base(t.Exe), t.Event, t.Time.Format("05.000000")))
	}
	y.Faults = append(y.Faults, fmt.Sprintf("%s: packet %d at %s, %s %s > %s, %d bytes: %s %d %s, not %s", v.class, p.Number,
		p.Time.Format("05.000000"), p.Protocol, p.Source, p.Destination, p.Payload, end, said.PID, path.Base(said.Exe), strings.Join(may, " or ")))
}

// Sum adds all tallies up.
func (s *PacketScore) Sum() *PacketTally {
	all := &PacketTally{Class: "all"}
	for _, y := range s.Tallies {
		all.Ends += y.Ends
		all.Right += y.Right
		all.Unnamed += y.Unnamed
		all.Wrong += y.Wrong
		all.Nobody += y.Nobody
		all.Named += y.Named
	}
	return all
}

// Blame replaces all processes that packets name, and those that they do not, by one that is nobody's.
func Blame(packets []Packet) []Packet {
	blamed := slices.Clone(packets)
	for i := range blamed {
		blamed[i].Sender.PID, blamed[i].Receiver.PID = -1, -1
	}
	return blamed
}

// Table returns the tallies as the table of a page, which ends with that of the control.
func (s *PacketScore) Table(control *PacketScore) string {
	var b strings.Builder
	b.WriteString("| class | ends | right % | unnamed % | wrong % |\n|---|---|---|---|---|\n")
	row := func(class string, y *PacketTally) {
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s |\n", class, y.Ends, percent(y.Right, y.Ends), percent(y.Unnamed, y.Ends), percent(y.Wrong, y.Ends))
	}
	for _, y := range s.Tallies {
		if y.Ends > 0 {
			row(y.Class, y)
		}
	}
	sum := s.Sum()
	row("**all of these**", sum)
	fmt.Fprintf(&b, "| %s: rightly not named | %d | %s | | %s |\n", elsewhere, sum.Nobody, percent(sum.Nobody-sum.Named, sum.Nobody), percent(sum.Named, sum.Nobody))
	row("control: all processes replaced", control.Sum())
	return b.String()
}

// Text writes the tallies for a terminal, with the faults.
func (s *PacketScore) Text(w io.Writer) {
	tabs := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tabs, "class\tends\tright\tunnamed\twrong\tof nobody\tnamed all the same")
	for _, y := range append(slices.Clone(s.Tallies), s.Sum()) {
		fmt.Fprintf(tabs, "%s\t%d\t%d\t%d\t%d\t%d\t%d\n", y.Class, y.Ends, y.Right, y.Unnamed, y.Wrong, y.Nobody, y.Named)
	}
	tabs.Flush()
	for _, y := range s.Tallies {
		for _, f := range y.Faults {
			fmt.Fprintln(w, f)
		}
	}
}
