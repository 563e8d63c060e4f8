package netstat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/capture/drops"
	"diagsh/capture/owners"
	"diagsh/commands/shared/past"
	diag "diagsh/diag/sockets"
	"diagsh/diag/users"
	"diagsh/internal/menu"
)

// A dropService sees what the kernel drops, and who has which socket.
type dropService interface {
	Drops() *drops.Engine
	DropMeanings() drops.Meanings
	past.Service

	// FollowOwners follows who has which conversation, until stop is called. of tells it of packets
	// that begin with the header of IP; one goroutine may call it.
	FollowOwners() (of func(*capture.Packet) owners.Owners, stop func(), err error)
}

type dropsArgs struct {
	Watch     time.Duration `arg:"seconds" ask:"Enter for how many seconds to watch" default:"5" min:"1" max:"3600" help:"Watch for this many seconds, and then show the table."`
	By        string        `arg:"by" choices:"flow|interface|reason" default:"flow" help:"A row for each flow, or for each interface, or for each reason and place."`
	Interface string        `arg:"interface,bound" default:"ALL" help:"Only packets that came by this interface, or were to leave by it; ALL for any."`
	Reason    []string      `arg:"reason,bound" help:"Only these reasons, separated by commas, such as NETFILTER_DROP."`
	All       bool          `arg:"all" default:"no" help:"Show everyday noise too, which any machine drops all the time."`
	Rows      int           `arg:"rows" default:"50" min:"1" max:"8192" help:"At most this many rows, those of most packets."`
	Every     time.Duration `arg:"every,stream" min:"1" max:"3600" help:"Show the table again after this many seconds, with all since it began, until it is interrupted."`
}

// A dropsRow is how many packets were dropped for one reason at one place, and what they have in common.
type dropsRow struct {
	Time               *time.Time `json:"time,omitempty"` // of the table, with every
	Reason             string     `json:"reason"`
	Place              string     `json:"place,omitempty"` // the function of the kernel
	Interface          string     `json:"interface,omitempty"`
	EtherType          uint16     `json:"etherType"`
	EtherTypeName      string     `json:"etherTypeName,omitempty"`
	Protocol           string     `json:"protocol,omitempty"`
	SourceAddress      netip.Addr `json:"sourceAddress,omitzero"`
	SourcePort         uint16     `json:"sourcePort,omitempty"`
	DestinationAddress netip.Addr `json:"destinationAddress,omitzero"`
	DestinationPort    uint16     `json:"destinationPort,omitempty"`
	// PID, Process and User are of the end of the packet that is on this machine: the receiver, if
	// both are.
	PID     int        `json:"pid,omitempty"`
	Process string     `json:"process,omitempty"`
	User    string     `json:"user,omitempty"`
	Packets uint64     `json:"packets"` // since the command began
	Rate    float64    `json:"packetsPerSecond"`
	Last    *time.Time `json:"lastTime,omitempty"` // of a flow
	Noise   bool       `json:"noise,omitempty"`
	Meaning string     `json:"meaning,omitempty"`

	flow          flowKey
	cookie, inode uint64
	table         *dropsTable // of the first row, which writes all
}

func dropsCommand(s Services) *menu.Command {
	return menu.Decl[dropsArgs, dropsRow]{
		Name: "drops",
		Help: "Packets that the kernel drops, and why.",
		Details: "The reasons and places are those of the running kernel. A packet that was dropped on its way out has " +
			"the interface that it was to leave by. What any machine drops all the time is counted and left out unless all " +
			"is yes: packets that are for other machines, that came twice or that nobody asked for, what was in the queue of " +
			"a closed socket, messages of Unix and netlink sockets. Packets for other machines have no flow and no interface " +
			"here: a capture sees them. What the appliance's own captures do not take is never shown. Of more than 8,192 " +
			"flows the oldest are forgotten; the rows by reason have all packets. The process is that which the " +
			"packet was for, or else that which sent it, as of packets to a neighbour that does not answer, if it is known for " +
			"sure. A flow that several processes had one after another names none.",
		Role: menu.ReadOnly,
		Suggest: func(_ context.Context, _ menu.Caller, _ dropsArgs, name, _ string) []menu.Choice {
			return suggestDrops(s, name)
		},
		Ask: func(ctx context.Context, _ menu.Caller, _ dropsArgs, q *menu.Question) error {
			if q.Name == "interface" {
				return chooseInterface(ctx, q)
			}
			return nil
		},
		Run: func(ctx context.Context, _ menu.Caller, a dropsArgs, out *menu.Out[dropsRow]) error {
			v := &dropsView{dropsArgs: a, service: s, out: out, engine: s.Drops(), meanings: s.DropMeanings(),
				users: users.Names{}, known: map[flowKey]*owners.Process{}}
			return v.run(ctx)
		},
		Text: func(w io.Writer, r dropsRow) { r.table.write(w) },
	}.Command()
}

// suggestDrops offers the reasons that the catalogue knows.
func suggestDrops(s Services, name string) (choices []menu.Choice) {
	if name != "reason" {
		return nil
	}
	meanings := s.DropMeanings()
	for _, reason := range slices.Sorted(maps.Keys(meanings)) {
		choices = append(choices, menu.Choice{Value: reason, Help: meanings[reason]})
	}
	return choices
}

// A dropsView is one run of the command.
type dropsView struct {
	dropsArgs
	service  Services
	out      *menu.Out[dropsRow]
	engine   *drops.Engine
	meanings drops.Meanings
	users    users.Names

	owners   func(*capture.Packet) owners.Owners // nil: not known
	told     dropsTold
	known    map[flowKey]*owners.Process
	began    time.Time
	baseline dropsReading // what others had counted before
	earlier  map[dropsKey]uint64
	shown    time.Time // when the table before was read
}

// A dropsReading is the counters of the engine at one moment.
type dropsReading struct {
	at        time.Time
	counts    map[drops.Where]uint64
	flows     map[flowKey]drops.FlowCount
	uncounted uint64
}

type flowKey struct {
	drops.Where
	drops.Flow
}

// A dropsKey is what a row is the sum of.
type dropsKey = flowKey

func (v *dropsView) run(ctx context.Context) error {
	stop, err := v.engine.Watch(v.told.take)
	var unavailable *drops.UnavailableError
	if errors.As(err, &unavailable) {
		return &menu.Error{Code: menu.Unsupported, Message: unavailable.Reason,
			Hint: "netstat interfaces dropped yes has the counters of the interfaces"}
	}
	if err != nil {
		return err
	}
	defer stop()
	for _, reason := range v.Reason {
		if known, ok := v.engine.Knows(reason); ok && !known {
			return &menu.Error{Code: menu.NotFound, Argument: "reason",
				Message: "This kernel drops no packet for the reason " + menu.Clean(reason), Hint: "netstat drops by reason all yes shows which there were"}
		}
	}
	if of, stop, err := v.service.FollowOwners(); err == nil {
		defer stop()
		v.owners = of
	}
	if v.baseline, err = v.read(); err != nil {
		return err
	}
	v.began, v.shown, v.earlier = v.baseline.at, v.baseline.at, map[dropsKey]uint64{}
	wait := v.Watch
	if v.Every > 0 {
		wait = v.Every
	}
	v.out.Progress("Watching for %v", wait)
	tick := time.NewTicker(wait)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			if v.Every == 0 {
				v.show(context.WithoutCancel(ctx)) // what was seen until now
			}
			return ctx.Err()
		}
		if v.Every == 0 {
			pause(ctx, ownersLate)
			return v.show(ctx)
		}
		if err := v.out.View(func() error { return v.show(ctx) }); err != nil {
			return err
		}
	}
}

func (v *dropsView) read() (dropsReading, error) {
	r := dropsReading{at: time.Now(), counts: map[drops.Where]uint64{}, flows: map[flowKey]drops.FlowCount{}}
	counts, uncounted, err := v.engine.Counts()
	if err != nil {
		return r, err
	}
	r.uncounted = uncounted
	for _, c := range counts {
		r.counts[c.Where] = c.Packets
	}
	flows, err := v.engine.Flows()
	if err != nil {
		return r, err
	}
	for _, f := range flows {
		r.flows[flowKey{f.Where, f.Flow}] = f
	}
	return r, nil
}

// show writes the table of what was dropped since the command began.
func (v *dropsView) show(ctx context.Context) error {
	now, err := v.read()
	if err != nil {
		return err
	}
	v.join()
	rows := v.rows(now)
	if err := v.addProcesses(ctx, rows); err != nil {
		return err
	}
	more := max(0, len(rows)-v.Rows)
	rows = rows[:len(rows)-more]
	for i := range rows {
		if i == 0 {
			rows[i].table = &dropsTable{rows: slices.Clone(rows), by: v.By}
		}
		if v.Every > 0 {
			at := now.at.UTC().Truncate(time.Millisecond)
			rows[i].Time = &at
		}
		if err := v.out.Record(rows[i]); err != nil {
			return err
		}
	}
	return v.out.Printf("%s", menu.Text(v.notes(now, rows, more)))
}

// rows sums up what was dropped, the most packets first.
func (v *dropsView) rows(now dropsReading) []dropsRow {
	sums := map[dropsKey]*dropsRow{}
	add := func(key dropsKey, packets uint64, f drops.FlowCount) {
		if packets == 0 || key.Noise && !v.All || len(v.Reason) > 0 && !v.asked(key.Reason) {
			return
		}
		r := sums[key]
		if r == nil {
			r = v.row(key)
			sums[key] = r
		}
		r.Packets += packets
		if last := f.Last.UTC().Truncate(time.Millisecond); !f.Last.IsZero() && (r.Last == nil || last.After(*r.Last)) {
			r.Last = &last
		}
		if key.Flow == f.Flow {
			r.flow, r.cookie, r.inode = key, f.Cookie, f.Inode
		}
	}
	if v.By == "reason" && v.Interface == allInterfaces {
		for w, n := range now.counts {
			add(dropsKey{Where: w}, n-min(n, v.baseline.counts[w]), drops.FlowCount{})
		}
	} else {
		for key, f := range now.flows {
			if v.Interface != allInterfaces && key.Interface != v.Interface {
				continue
			}
			before := v.baseline.flows[key].Packets
			if before > f.Packets { // it was forgotten, and came again
				before = 0
			}
			switch v.By {
			case "reason":
				key.Flow = drops.Flow{}
			case "interface":
				key.Flow = drops.Flow{Interface: key.Interface, Index: key.Index}
			}
			add(key, f.Packets-before, f)
		}
	}
	return v.sorted(now, sums)
}

func (v *dropsView) asked(reason string) bool {
	return slices.ContainsFunc(v.Reason, func(r string) bool { return strings.EqualFold(r, reason) })
}

// sorted gives the rows their rates since the table before.
func (v *dropsView) sorted(now dropsReading, sums map[dropsKey]*dropsRow) []dropsRow {
	seconds := now.at.Sub(v.shown).Seconds()
	v.shown = now.at
	earlier := v.earlier
	v.earlier = make(map[dropsKey]uint64, len(sums))
	rows := make([]dropsRow, 0, len(sums))
	for key, r := range sums {
		v.earlier[key] = r.Packets
		if was := earlier[key]; seconds > 0 && r.Packets > was {
			r.Rate = float64(r.Packets-was) / seconds
		}
		rows = append(rows, *r)
	}
	slices.SortFunc(rows, func(a, b dropsRow) int {
		if a.Packets != b.Packets {
			return int(int64(b.Packets) - int64(a.Packets))
		}
		return bytes.Compare(a.order(), b.order())
	})
	return rows
}

// order returns what rows of as many packets are sorted by.
func (r dropsRow) order() []byte {
	return fmt.Appendf(nil, "%s %s %s %v %5d %v %5d %d", r.Reason, r.Place, r.Interface, r.SourceAddress, r.SourcePort,
		r.DestinationAddress, r.DestinationPort, r.EtherType)
}

func (v *dropsView) row(key dropsKey) *dropsRow {
	r := &dropsRow{Reason: key.Reason, Place: key.Place, Interface: key.Interface, EtherType: key.EtherType,
		Noise: key.Noise, Meaning: v.meanings[key.Reason]}
	if key.EtherType != 0 {
		r.EtherTypeName = diag.EtherTypeName(key.EtherType)
	}
	if key.Source.IsValid() {
		r.Protocol = diag.IPProtocolName(uint16(key.Flow.Protocol))
		if r.Protocol == "" {
			r.Protocol = strconv.Itoa(int(key.Flow.Protocol))
		}
		r.SourceAddress, r.SourcePort = key.Source.Addr(), key.Source.Port()
		r.DestinationAddress, r.DestinationPort = key.Destination.Addr(), key.Destination.Port()
	}
	return r
}

// notes says what the rows do not: what is hidden, what their reasons mean, what is not seen.
func (v *dropsView) notes(now dropsReading, rows []dropsRow, more int) string {
	var b strings.Builder
	if len(rows) == 0 {
		fmt.Fprintf(&b, "No such packet was dropped in %s.\n", plural(int(now.at.Sub(v.began).Seconds()), "second", "seconds"))
	}
	if more > 0 {
		fmt.Fprintf(&b, "%s not shown; rows shows more.\n", plural(more, "row is", "rows are"))
	}
	if noise := v.noise(now); noise > 0 && !v.All {
		fmt.Fprintf(&b, "%s of everyday noise %s hidden; all yes shows them.\n", plural(int(noise), "packet", "packets"),
			map[bool]string{true: "is", false: "are"}[noise == 1])
	}
	if n := now.uncounted - v.baseline.uncounted; n > 0 {
		fmt.Fprintf(&b, "%s in no row: there are too many places.\n", plural(int(n), "packet is", "packets are"))
	}
	blind, _ := v.engine.Running()
	for _, sentence := range blind {
		fmt.Fprintf(&b, "%s.\n", sentence)
	}
	said := map[string]bool{}
	for _, r := range rows {
		if r.Meaning != "" && !said[r.Reason] {
			fmt.Fprintf(&b, "%s: %s\n", r.Reason, r.Meaning)
			said[r.Reason] = true
		}
	}
	return b.String()
}

// noise returns how many packets of noise there were.
func (v *dropsView) noise(now dropsReading) (n uint64) {
	for w, packets := range now.counts {
		if w.Noise && (len(v.Reason) == 0 || v.asked(w.Reason)) {
			n += packets - min(packets, v.baseline.counts[w])
		}
	}
	return n
}
