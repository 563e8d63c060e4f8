// Package conversation shows one conversation of a capture, a file or a report: its packets, and between
// them what the kernel dropped and the port log has of it.
package conversation

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/capture/archive"
	"diagsh/capture/decode"
	"diagsh/capture/owners"
	"diagsh/capture/pcapfile"
	"diagsh/capture/replay"
	"diagsh/capture/summary"
	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/owned"
	"diagsh/commands/shared/packets"
	"diagsh/diag/ports"
	"diagsh/diag/ports/records"
	"diagsh/internal/menu"
)

// A Record is a packet or, of a conversation, what Type says: a packet, one that was sent again, one
// that the kernel dropped, or a record of the port log.
type Record struct {
	Type string `json:"type,omitempty"`
	*decode.Packet
	Dropped string `json:"dropped,omitempty"` // why the kernel did, of a drop

	// the processes at the ends that are on this machine, as far as they are known
	Sender   *owners.Process `json:"sender,omitempty"`
	Receiver *owners.Process `json:"receiver,omitempty"`

	Port *ports.Record `json:"port,omitempty"`
}

// The types of a Record.
const (
	packetType = "packet"
	againType  = "retransmission"
	dropType   = "drop"
	portType   = "port"
)

// Text writes a record in a line.
func Text(w io.Writer, r Record) {
	switch {
	case r.Port != nil:
		fmt.Fprintln(w, portText(r.Port))
		return
	case r.Type == againType:
		fmt.Fprint(w, "[sent again] ")
	case r.Type == dropType:
		fmt.Fprintf(w, "[%s] ", menu.Clean(r.Dropped))
	}
	owned.Text(w, owned.Packet{Packet: r.Packet, Sender: r.Sender, Receiver: r.Receiver})
}

// portText is a record of the port log in a line.
func portText(r *ports.Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s [%s] %s > %s", r.Time.UTC().Format("15:04:05.000000"), r.Event, netip.AddrPortFrom(r.LocalAddress, r.LocalPort),
		netip.AddrPortFrom(r.RemoteAddress, r.RemotePort))
	if r.PID != 0 {
		fmt.Fprintf(&b, ", %s, pid %d", menu.Clean(r.Name), r.PID)
		if r.User != "" {
			fmt.Fprintf(&b, ", user %s", menu.Clean(r.User))
		}
	}
	if r.BytesSent != nil && r.BytesReceived != nil {
		fmt.Fprintf(&b, ", %d bytes sent, %d received", *r.BytesSent, *r.BytesReceived)
	}
	if r.Reason != "" {
		fmt.Fprintf(&b, ": %s", menu.Clean(r.Reason))
	}
	return b.String()
}

// A view shows one conversation from all that is known of it.
type view struct {
	Wanted

	packets []replay.Opener
	drops   []replay.Opener
	joined  owned.Joined
	log     func(ctx context.Context, from, to time.Time, yield func(*ports.Record) error) error

	flow   *summary.Flow
	until  time.Time // another conversation has the same ends from then on
	events []Record  // drops and records of the port log, by their times
	left   int       // further ones
}

// maxEvents is how many drops and records of the port log are shown with one conversation.
const maxEvents = 10_000

// How much before its first packet, and after its last one, a conversation has records: a connection
// is closed long after the last packet by a process that sleeps.
const (
	flowBefore = time.Second
	flowAfter  = 5 * time.Minute
)

// A Service knows what belongs to captures. Package api has checked that the caller may read it.
type Service interface {
	owned.Service
	Capture(name string) (capture.Status, error)
	PortLogFiles() records.Log
	PacketFiles(name string) ([]replay.Opener, error)
}

// A Wanted names a conversation, and says how it is shown.
type Wanted struct {
	Name   menu.Packets // of a capture, a file or a report
	Number int64        // of the conversation there, as flows counts them
	Detail decode.Detail
	Most   int64 // records; 0 is all
}

// Show yields a conversation.
func Show(ctx context.Context, s Service, w Wanted, out *menu.Out[Record]) error {
	v := &view{Wanted: w}
	if err := v.open(ctx, s, string(w.Name)); err != nil {
		return err
	}
	if err := v.find(ctx); err != nil {
		return err
	}
	if err := v.collect(ctx); err != nil {
		return err
	}
	err := v.show(ctx, out)
	if err == nil && v.left > 0 {
		err = out.Printf("[%d further drops and records of the port log are not shown.]\n", v.left)
	}
	return err
}

// open finds what belongs to a capture, a file or a report.
func (v *view) open(ctx context.Context, s Service, name string) (err error) {
	if v.packets, err = s.PacketFiles(name); err != nil {
		return err
	}
	if strings.HasSuffix(name, archive.Suffix) {
		err := v.openReport(name, archive.Opener(v.packets[0]).During(ctx))
		return cmp.Or(menu.Failing("read the report", ctx.Err()), err)
	}
	if v.joined, err = (owned.Args{}).Join(s, name); err != nil {
		return err
	}
	netns := ownNetNS()
	v.log = func(ctx context.Context, from, to time.Time, yield func(*ports.Record) error) error {
		_, err := records.Each(ctx, s.PortLogFiles(), records.Query{From: from, To: to}, func(r *ports.Record) error {
			if r.NetNS != 0 && netns != 0 && r.NetNS != netns {
				return nil // the same addresses of another network
			}
			return yield(r)
		})
		return err
	}
	status, err := s.Capture(name)
	if err != nil {
		return nil // a file
	}
	for _, f := range status.FilesBeside {
		if f.Kind != "drops" {
			continue
		}
		if files, err := s.PacketFiles(f.Name); err == nil { // else it is still being written
			v.drops = append(v.drops, files...)
		}
	}
	return nil
}

// openReport finds what is in a report on a capture.
func (v *view) openReport(name string, open archive.Opener) error {
	names, err := archive.Names(open)
	if err != nil {
		return &menu.Error{Code: menu.Failed, Argument: "name", Message: menu.Quoted(name) + " is not a report that can be read"}
	}
	v.packets = nil
	var logs []string
	for _, member := range names {
		opener := func() (io.ReadCloser, error) { return archive.Open(open, member) }
		switch folder, end := path.Dir(member), path.Ext(member); {
		case folder == "portlog" && end == ".ndjson":
			logs = append(logs, member)
		case end == ".flows":
			if v.joined, err = joinedFrom(opener); err != nil {
				return &menu.Error{Code: menu.Failed, Argument: "name", Message: "What " + menu.Quoted(name) + " has of processes cannot be read"}
			}
		case strings.HasSuffix(member, ".drops.pcapng"):
			v.drops = append(v.drops, opener)
		case end == ".pcap" || end == ".pcapng":
			v.packets = append(v.packets, opener)
		}
	}
	if len(v.packets) == 0 {
		return &menu.Error{Code: menu.State, Argument: "name", Message: menu.Quoted(name) + " has no packets in it"}
	}
	v.log = func(ctx context.Context, from, to time.Time, yield func(*ports.Record) error) error {
		for _, member := range logs {
			if err := readLog(ctx, open, member, from, to, yield); err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}

// joinedFrom returns the Joined of a table of flows.
func joinedFrom(open replay.Opener) (owned.Joined, error) {
	f, err := open()
	if err != nil {
		return owned.Joined{}, err
	}
	defer f.Close()
	table := owners.NewTable()
	if err := table.Read(f); err != nil {
		return owned.Joined{}, err
	}
	return owned.By(table), nil
}

// readLog yields the records of a time in a part of the port log.
func readLog(ctx context.Context, open archive.Opener, member string, from, to time.Time, yield func(*ports.Record) error) error {
	f, err := archive.Open(open, member)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() && ctx.Err() == nil {
		var r ports.Record
		if json.Unmarshal(lines.Bytes(), &r) != nil || r.Time.Before(from) || r.Time.After(to) {
			continue
		}
		if err := yield(&r); err != nil {
			return err
		}
	}
	return cmp.Or(ctx.Err(), lines.Err())
}

// ownNetNS is the network namespace of the appliance, whose packets it captures; 0 if it is unknown.
func ownNetNS() uint64 {
	var s unix.Stat_t
	if unix.Stat("/proc/self/ns/net", &s) != nil {
		return 0
	}
	return s.Ino
}

// each reads all packets, with their conversations.
func (v *view) each(ctx context.Context,
	do func(position int64, p *capture.Packet, on capture.Interface, flows *summary.Flows) error) (*summary.Flows, error) {
	source, err := replay.Options{}.Open(v.packets...)
	if err != nil {
		return nil, packets.NotAFile(v.Name, err)
	}
	defer source.Close()
	flows, position := summary.NewFlows(), int64(0)
	_, err = packets.Follow(ctx, source, packets.Bounds{}, func(batch []capture.Packet) error {
		for n := range batch {
			position++
			on := source.Interfaces()[batch[n].Interface]
			flows.Add(position, &batch[n], on.LinkType)
			if err := do(position, &batch[n], on, flows); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, packets.ErrEnough) {
		return nil, packets.NotAFile(v.Name, err)
	}
	return flows, ctx.Err()
}

// find finds the conversation.
func (v *view) find(ctx context.Context) error {
	flows, err := v.each(ctx, func(int64, *capture.Packet, capture.Interface, *summary.Flows) error { return nil })
	if err != nil {
		return err
	}
	list := flows.List(summary.FlowsEarliest, 0, flows.Total())
	if int64(len(list)) < v.Number {
		e := &menu.Error{Code: menu.NotFound, Argument: "flow", Message: fmt.Sprintf("%s has no conversation %d", menu.Quoted(string(v.Name)), v.Number)}
		return e.WithHint("It has %s; packetcapture flows lists them", captures.Count(len(list), "conversation"))
	}
	v.flow = list[v.Number-1]
	v.until = time.Unix(0, v.flow.Last).Add(flowAfter)
	for _, other := range list {
		if begins := time.Unix(0, other.First); other.First > v.flow.Last && sameEnds(v.flow, other) && begins.Before(v.until) {
			v.until = begins
		}
	}
	return nil
}

// sameEnds reports whether two conversations have the same ends, either way round.
func sameEnds(a, b *summary.Flow) bool {
	if a.Protocol != b.Protocol {
		return false
	}
	return a.Client == b.Client && a.Server == b.Server && a.ClientPort == b.ClientPort && a.ServerPort == b.ServerPort ||
		a.Client == b.Server && a.Server == b.Client && a.ClientPort == b.ServerPort && a.ServerPort == b.ClientPort
}

// collect reads the drops and the records of the port log that are of the conversation.
func (v *view) collect(ctx context.Context) error {
	from := time.Unix(0, v.flow.First).Add(-flowBefore)
	client := netip.AddrPortFrom(v.flow.Client.Addr(), v.flow.ClientPort)
	server := netip.AddrPortFrom(v.flow.Server.Addr(), v.flow.ServerPort)
	err := v.log(ctx, from, v.until, func(r *ports.Record) error {
		if string(r.Protocol) == v.flow.Protocol && records.Between(r, client, server) {
			one := *r
			v.add(Record{Type: portType, Port: &one})
		}
		return nil
	})
	if err != nil {
		return menu.Failing("read the port log of that time", err)
	}
	for _, open := range v.drops {
		if err := v.collectDrops(ctx, open, from); err != nil {
			return menu.Failing("read what the kernel dropped meanwhile", err)
		}
	}
	slices.SortStableFunc(v.events, func(a, b Record) int { return cmp.Compare(a.nanoseconds(), b.nanoseconds()) })
	return nil
}

func (v *view) add(r Record) {
	if len(v.events) == maxEvents {
		v.left++
		return
	}
	v.events = append(v.events, r)
}

// nanoseconds is the time of a record.
func (r Record) nanoseconds() int64 {
	if r.Port != nil {
		return r.Port.Time.UnixNano()
	}
	return r.Time.UnixNano()
}

// collectDrops reads the packets of a file of drops.
func (v *view) collectDrops(ctx context.Context, open replay.Opener, from time.Time) error {
	f, err := open()
	if err != nil {
		return nil // it was deleted
	}
	defer f.Close()
	flows, number := summary.NewFlows(), int64(0)
	return pcapfile.EachSaid(f, func(p *capture.Packet, on capture.Interface, said pcapfile.Said) error {
		if number++; number%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		flows.Add(number, p, on.LinkType)
		flow, _ := flows.Latest()
		if flow == nil || !sameEnds(flow, v.flow) || p.Time < from.UnixNano() || p.Time > v.until.UnixNano() {
			return nil
		}
		dropped := dropType
		if len(said.Comments) > 0 {
			dropped = said.Comments[0]
		}
		of, _ := v.joined.Of(p, on)
		v.add(Record{Type: dropType, Packet: decode.Decode(number, p, on, 1), Dropped: dropped, Sender: of.Sender, Receiver: of.Receiver})
		return nil
	})
}

// show yields the packets of the conversation, and between them what else happened.
func (v *view) show(ctx context.Context, out *menu.Out[Record]) error {
	yielded := int64(0)
	yield := func(r Record) error {
		if err := out.Record(r); err != nil {
			return err
		}
		if yielded++; yielded == v.Most {
			return packets.ErrEnough
		}
		return nil
	}
	until := func(time int64) error {
		for len(v.events) > 0 && v.events[0].nanoseconds() <= time {
			r := v.events[0]
			v.events = v.events[1:]
			if err := yield(r); err != nil {
				return err
			}
		}
		return nil
	}
	_, err := v.each(ctx, func(position int64, p *capture.Packet, on capture.Interface, flows *summary.Flows) error {
		flow, again := flows.Latest()
		if flow == nil || flow.Position != v.flow.Position {
			return nil
		}
		if err := until(p.Time); err != nil {
			return err
		}
		of, _ := v.joined.Of(p, on)
		r := Record{Type: packetType, Packet: decode.Decode(position, p, on, v.Detail), Sender: of.Sender, Receiver: of.Receiver}
		if again {
			r.Type = againType
		}
		return yield(r)
	})
	if err != nil || yielded == v.Most && v.Most > 0 {
		return err
	}
	if err := until(1<<63 - 1); !errors.Is(err, packets.ErrEnough) {
		return err
	}
	return nil
}
