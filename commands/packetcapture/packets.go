package packetcapture

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"diagsh/capture/decode"
	"diagsh/capture/index"
	"diagsh/capture/owners"
	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/owned"
	"diagsh/internal/menu"
)

// An indexService finds the packets of capture files by their positions. Package api has checked
// that the caller may read them, or their headers: then a view has no more.
type indexService interface {
	packetService
	OpenPackets(caller menu.Caller, name string) (*index.View, error)
	PacketsFilter(ctx context.Context, caller menu.Caller, v *index.View, expression string) (*index.Filter, error)
}

type packetsArgs struct {
	Name    menu.Packets `arg:"name,positional:1,required,headers" ask:"Capture or file" help:"Name of a capture or of a file of the diagnostic directory."`
	First   int64        `arg:"first" min:"1" help:"Number of the first packet to show, of those that the filter selects; 1 is the earliest."`
	Count   int          `arg:"count" default:"20" min:"0" max:"1000" help:"Shows at most this many packets; 0 only counts them."`
	Filter  string       `arg:"filter" help:"A tcpdump filter such as \"host 192.0.2.1 and port 25\"."`
	At      int64        `arg:"at" min:"1" help:"Begins with the packet at this position, or with the next one that the filter selects."`
	From    *time.Time   `arg:"from" help:"Begins with the first packet at this moment or later, such as \"2026-03-01 10:15\" (UTC)."`
	Columns []string     `arg:"columns" help:"Which members a packet has in JSON, such as time,source,info; all without it. The position is always there."`
	owned.Args
	Wait *time.Duration `arg:"wait" max:"3600" help:"Answers after this time with what is known by then; without it when all packets are."`
}

// A packetPage is a part of the packets of a capture or a file.
type packetPage struct {
	Name     string `json:"name"`
	Total    int64  `json:"total"`    // packets that are there
	Matched  int64  `json:"matched"`  // of these, those that the filter selects; all if there is none
	Complete bool   `json:"complete"` // no more will be found, and no more will come
	Growing  bool   `json:"growing"`  // the capture runs
	// packets of the capture in files that its ring has deleted: positions begin after them
	Removed int64 `json:"removed"`
	// of all packets, the earliest and the latest time
	FirstTime time.Time        `json:"firstTime,omitzero"`
	LastTime  time.Time        `json:"lastTime,omitzero"`
	First     int64            `json:"first"`             // number of the first row among those that match
	LeftOut   []leftOutPackets `json:"leftOut,omitempty"` // packets that the filter cannot be applied to
	Damaged   []damagedFile    `json:"damaged,omitempty"` // files that were not read to their ends
	Rows      []packetRow      `json:"rows"`
}

// leftOutPackets are packets that a filter cannot be applied to.
type leftOutPackets struct {
	Packets int64  `json:"packets"`
	Reason  string `json:"reason"`
}

// A damagedFile ends in the middle of a packet, or is corrupt.
type damagedFile struct {
	Name   string `json:"name"`
	Offset *int64 `json:"offset,omitempty"` // where it is corrupt
	Reason string `json:"reason"`
}

// A packetRow is one packet in a line.
type packetRow struct {
	Position        int64      `json:"position"` // in the capture, from 1
	Time            *time.Time `json:"time,omitempty"`
	Interface       string     `json:"interface,omitempty"`
	Direction       string     `json:"direction,omitempty"` // in, out, or unknown if empty
	Length          *int       `json:"length,omitempty"`    // on the wire
	Captured        *int       `json:"captured,omitempty"`
	Source          string     `json:"source,omitempty"`
	SourcePort      *int       `json:"sourcePort,omitempty"`
	Destination     string     `json:"destination,omitempty"`
	DestinationPort *int       `json:"destinationPort,omitempty"`
	Protocol        string     `json:"protocol,omitempty"` // the innermost that is known
	Info            string     `json:"info,omitempty"`
	CutIn           string     `json:"cutIn,omitempty"` // the header that the bytes end in
	Fault           string     `json:"fault,omitempty"` // why it is not decoded to its end

	// the processes at the ends that are on this machine, as far as they are known
	Sender   *owners.Process `json:"sender,omitempty"`
	Receiver *owners.Process `json:"receiver,omitempty"`

	packet *decode.Packet
}

// columns are the members of a packetRow that a caller can choose, and how they are left out.
var columns = map[string]func(*packetRow){
	"time":            func(r *packetRow) { r.Time = nil },
	"interface":       func(r *packetRow) { r.Interface = "" },
	"direction":       func(r *packetRow) { r.Direction = "" },
	"length":          func(r *packetRow) { r.Length = nil },
	"captured":        func(r *packetRow) { r.Captured = nil },
	"source":          func(r *packetRow) { r.Source = "" },
	"sourcePort":      func(r *packetRow) { r.SourcePort = nil },
	"destination":     func(r *packetRow) { r.Destination = "" },
	"destinationPort": func(r *packetRow) { r.DestinationPort = nil },
	"protocol":        func(r *packetRow) { r.Protocol = "" },
	"info":            func(r *packetRow) { r.Info = "" },
	"cutIn":           func(r *packetRow) { r.CutIn = "" },
	"fault":           func(r *packetRow) { r.Fault = "" },
	"sender":          func(r *packetRow) { r.Sender = nil },
	"receiver":        func(r *packetRow) { r.Receiver = nil },
}

func packetsCommand(s indexService) *menu.Command {
	return menu.Decl[packetsArgs, packetPage]{
		Name: "packets",
		Help: "Show some packets of a large capture or file, from anywhere in it.",
		Details: "The packets have positions from 1 on, the files of a ring in one series. The first look at a file " +
			"reads all of it once; after that any page is there at once, also with a filter that was asked before. " +
			"Of a capture that runs there are those that are on the disk so far. Who may see headers only sees no " +
			"more of packets that have contents.",
		Role:      menu.Operator,
		Shape:     menu.Object,
		Resources: []menu.Resource{{Method: "GET", Path: "captures/{name}/packets"}},
		Hidden:    noPackets(s),
		Ask:       askPackets[packetsArgs](s),
		Suggest:   suggestPackets[packetsArgs](s),
		Check: func(ctx context.Context, _ menu.Caller, a packetsArgs, name string) error {
			if name == "columns" {
				return checkColumns(a.Columns)
			}
			return checkFilter(ctx, s, a.Filter, name)
		},
		Run: func(ctx context.Context, caller menu.Caller, a packetsArgs, out *menu.Out[packetPage]) error {
			page, err := a.page(ctx, s, caller, out.Progress)
			if err != nil {
				return err
			}
			return out.Record(*page)
		},
		Text: packetPageText,
	}.Command()
}

// checkColumns returns an error for a name that is no column.
func checkColumns(names []string) error {
	for _, name := range names {
		if _, known := columns[name]; !known && name != "position" {
			var all []string
			for known := range columns {
				all = append(all, known)
			}
			slices.Sort(all)
			return menu.BadArgument("columns", "There is no column %s", menu.Quoted(name)).
				WithHint("The columns are %s", strings.Join(all, ", "))
		}
	}
	return nil
}

// page reads the wanted part of the packets.
func (a packetsArgs) page(ctx context.Context, s indexService, caller menu.Caller,
	progress func(string, ...any)) (*packetPage, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	j, err := a.Join(s, string(a.Name))
	if err != nil {
		return nil, err
	}
	look := look{name: a.Name, filter: a.Filter, joined: j, wait: a.Wait, progress: progress}
	if a.At == 0 && a.From == nil && a.Wait != nil {
		// What is wanted may be there long before all is known.
		look.enough = func(p index.Progress) bool { return p.Selected >= max(a.First, 1)-1+int64(a.Count) }
	}
	v, known, err := look.open(ctx, s, caller)
	if err != nil {
		return nil, err
	}
	page, err := newPage(a.Name, v, known)
	if err != nil {
		return nil, err
	}
	page.First = max(a.First, 1)
	switch {
	case a.At > 0:
		page.First = v.Rank(a.At)
	case a.From != nil:
		at, err := v.At(ctx, *a.From)
		if err != nil {
			return nil, look.failed(err)
		}
		if page.First = known.Selected + 1; at > 0 {
			page.First = v.Rank(at)
		}
	}
	err = v.Page(ctx, page.First, a.Count, func(p *index.Packet) error {
		page.Rows = append(page.Rows, ownedRow(j, p, a.Columns))
		return nil
	})
	if err != nil {
		return nil, look.failed(err)
	}
	return page, nil
}

// check returns an error for arguments that contradict each other.
func (a packetsArgs) check() error {
	given := 0
	for _, is := range []bool{a.First > 0, a.At > 0, a.From != nil} {
		if is {
			given++
		}
	}
	if given > 1 {
		return menu.BadArgument("first", "first, at and from all say where to begin, and more than one is given").
			WithHint("Give one of them")
	}
	return checkColumns(a.Columns)
}

// newPage returns a page without rows.
func newPage(name menu.Packets, v *index.View, known index.Progress) (*packetPage, error) {
	p := &packetPage{Name: string(name), Total: known.Packets, Matched: known.Selected, Complete: known.Complete,
		Growing: known.Growing, Removed: v.Removed(), Rows: []packetRow{}, Damaged: damaged(v)}
	if known.Packets > 0 {
		p.FirstTime, p.LastTime = time.Unix(0, known.Earliest).UTC(), time.Unix(0, known.Latest).UTC()
	}
	left, fault := v.LeftOut()
	if fault != nil {
		return nil, cannotFilter(fault)
	}
	for _, l := range left {
		p.LeftOut = append(p.LeftOut, leftOutPackets{l.Packets, why(l.Err)})
	}
	return p, nil
}

// rowOf returns the row of a packet with the wanted columns; nil are all.
func rowOf(d *decode.Packet, of owners.Owners, wanted []string) packetRow {
	r := packetRow{Position: d.Number, Time: &d.Time, Interface: d.Interface, Direction: d.Direction, Length: &d.Length,
		Captured: &d.Captured, Source: d.Source, Destination: d.Destination, Protocol: d.Protocol, Info: d.Info,
		CutIn: d.CutIn, Fault: d.Fault, Sender: of.Sender, Receiver: of.Receiver, packet: d}
	if d.Ported() {
		r.SourcePort, r.DestinationPort = &d.SourcePort, &d.DestinationPort
	}
	if len(wanted) > 0 {
		for name, leave := range columns {
			if !slices.Contains(wanted, name) {
				leave(&r)
			}
		}
	}
	return r
}

func packetPageText(w io.Writer, p packetPage) {
	for _, r := range p.Rows {
		fmt.Fprintf(w, "%7d  ", r.Position)
		owned.Text(w, owned.Packet{Packet: r.packet, Sender: r.Sender, Receiver: r.Receiver})
	}
	of := captures.Count(int(p.Total), "packet")
	if p.Matched != p.Total || len(p.LeftOut) > 0 {
		of = fmt.Sprintf("%d of %s", p.Matched, of)
	}
	state := "."
	switch {
	case p.Growing:
		state = " so far; the capture runs."
	case !p.Complete:
		state = " so far; the file is still being read."
	}
	if len(p.Rows) > 0 {
		fmt.Fprintf(w, "%d to %d of %s%s\n", p.First, p.First+int64(len(p.Rows))-1, of, state)
	} else {
		fmt.Fprintf(w, "%s%s\n", of, state)
	}
	for _, l := range p.LeftOut {
		fmt.Fprintf(w, "[%s left out, which cannot be filtered so: %s.]\n", captures.Count(int(l.Packets), "packet"), l.Reason)
	}
	for _, d := range p.Damaged {
		fmt.Fprintf(w, "[%s: %s.]\n", d.Name, d.Reason)
	}
}

// ownedRow returns the row of a packet with its owners.
func ownedRow(j owned.Joined, p *index.Packet, wanted []string) packetRow {
	d := decode.Decode(p.Position, &p.Packet, p.On, decode.Line)
	of, _ := j.Of(&p.Packet, p.On)
	return rowOf(d, of, wanted)
}
