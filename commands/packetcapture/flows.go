package packetcapture

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"diagsh/capture/index"
	"diagsh/capture/summary"
	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/tables"
	"diagsh/internal/menu"
)

type flowsArgs struct {
	Name   menu.Packets `arg:"name,positional:1,required,headers" ask:"Capture or file" help:"Name of a capture or of a file of the diagnostic directory."`
	Filter string       `arg:"filter" help:"A tcpdump filter such as \"host 192.0.2.1 and port 25\"."`
	Order  string       `arg:"order" choices:"earliest|largest|busiest|longest|worst" default:"earliest" help:"Which come first: those that began first, with most bytes, with most packets, that lasted longest, or with most retransmissions and resets."`
	First  int          `arg:"first" default:"1" min:"1" help:"Number of the first one to show."`
	Count  int          `arg:"count" default:"20" min:"0" max:"1000" help:"Shows at most this many."`
}

// A flowPage is a part of the conversations of a capture or a file.
type flowPage struct {
	Name     string `json:"name"`
	Total    int    `json:"total"`    // conversations
	Packets  int64  `json:"packets"`  // of these
	Others   int64  `json:"others"`   // packets that are of no conversation: not of IP, or of an incomplete datagram
	Unlisted int64  `json:"unlisted"` // packets of conversations that were too many to list
	Complete bool   `json:"complete"` // no more packets will come
	First    int    `json:"first"`
	Rows     []flow `json:"rows"`
}

// A flow is a conversation: what two ends sent each other.
type flow struct {
	Flow            int       `json:"flow,omitempty"` // its number, which show takes; with a filter none is known
	Protocol        string    `json:"protocol"`
	Client          string    `json:"client"` // the end that opened it, or sent first
	ClientPort      *int      `json:"clientPort,omitempty"`
	Server          string    `json:"server"`
	ServerPort      *int      `json:"serverPort,omitempty"`
	Position        int64     `json:"position"` // of its first packet
	FirstTime       time.Time `json:"firstTime"`
	Seconds         float64   `json:"seconds"`     // from the first packet to the last
	PacketsSent     int64     `json:"packetsSent"` // by the client
	PacketsReceived int64     `json:"packetsReceived"`
	BytesSent       int64     `json:"bytesSent"` // on the wire, with headers
	BytesReceived   int64     `json:"bytesReceived"`
	Resets          int64     `json:"resets"`
	Retransmissions int64     `json:"retransmissions"` // as tshark counts them
	Closed          bool      `json:"closed"`          // a connection whose end was seen
	// that selects its packets; none in tunnels, into which a filter does not see
	Filter string `json:"filter,omitempty"`
}

func flowsCommand(s indexService) *menu.Command {
	return menu.Decl[flowsArgs, flowPage]{
		Name: "flows",
		Help: "List the conversations of a capture or a file: ends, packets, bytes, faults.",
		Details: "Connections of TCP, each one even if its ports are used again, and for other protocols what was sent " +
			"between two addresses and ports. A packet in tunnels belongs to the innermost. packetcapture " +
			"show with flow shows all of one by its number, which those of a filter do not have; packetcapture followstream what was said in it.",
		Role:      menu.Operator,
		Shape:     menu.Object,
		Resources: []menu.Resource{{Method: "GET", Path: "captures/{name}/flows"}},
		Hidden:    noPackets(s),
		Ask:       askPackets[flowsArgs](s),
		Suggest:   suggestPackets[flowsArgs](s),
		Check: func(ctx context.Context, _ menu.Caller, a flowsArgs, name string) error {
			return checkFilter(ctx, s, a.Filter, name)
		},
		Run: func(ctx context.Context, caller menu.Caller, a flowsArgs, out *menu.Out[flowPage]) error {
			page, err := a.page(ctx, s, caller, out.Progress)
			if err != nil {
				return err
			}
			return out.Record(*page)
		},
		Text: flowsText,
	}.Command()
}

func (a flowsArgs) page(ctx context.Context, s indexService, caller menu.Caller,
	progress func(string, ...any)) (*flowPage, error) {
	look := look{name: a.Name, filter: a.Filter, progress: progress}
	v, known, err := look.open(ctx, s, caller)
	if err != nil {
		return nil, err
	}
	if _, fault := v.LeftOut(); fault != nil {
		return nil, cannotFilter(fault)
	}
	list := summary.NewFlows()
	err = v.Page(ctx, 1, int(known.Selected), func(p *index.Packet) error {
		list.Add(p.Position, &p.Packet, p.On.LinkType)
		return nil
	})
	if err != nil {
		return nil, look.failed(err)
	}
	page := &flowPage{Name: string(a.Name), Total: list.Total(), Packets: list.Packets - list.Forgotten, Others: list.Others,
		Unlisted: list.Forgotten, Complete: known.Complete, First: a.First, Rows: []flow{}}
	for _, f := range list.List(summary.FlowOrder(a.Order), a.First-1, a.Count) {
		row := flowOf(f)
		if captures.Cleared(a.Filter) == "" {
			row.Flow = f.Number
		}
		page.Rows = append(page.Rows, row)
	}
	return page, nil
}

func flowOf(f *summary.Flow) flow {
	r := flow{Protocol: f.Protocol, Client: f.Client.Addr().String(), Server: f.Server.Addr().String(), Position: f.Position,
		FirstTime: time.Unix(0, f.First).UTC(), Seconds: f.Duration().Seconds(), PacketsSent: f.Packets[0], PacketsReceived: f.Packets[1],
		BytesSent: f.Bytes[0], BytesReceived: f.Bytes[1], Resets: f.Resets, Retransmissions: f.Retransmissions, Closed: f.Closed}
	if f.Ports {
		client, server := int(f.ClientPort), int(f.ServerPort)
		r.ClientPort, r.ServerPort = &client, &server
	}
	switch {
	case f.Tunneled:
	case f.Ports && (f.Protocol == "tcp" || f.Protocol == "udp" || f.Protocol == "sctp"):
		r.Filter = fmt.Sprintf("%s and ((src host %s and src port %d and dst host %s and dst port %d) or "+
			"(src host %s and src port %d and dst host %s and dst port %d))", f.Protocol,
			r.Client, f.ClientPort, r.Server, f.ServerPort, r.Server, f.ServerPort, r.Client, f.ClientPort)
	case f.Protocol == "icmp" || f.Protocol == "icmp6":
		r.Filter = fmt.Sprintf("%s and ((src host %s and dst host %s) or (src host %s and dst host %s))", f.Protocol,
			r.Client, r.Server, r.Server, r.Client)
	}
	return r
}

// end writes an address with its port.
func end(address string, port *int) string {
	if port == nil {
		return address
	}
	return net.JoinHostPort(address, strconv.Itoa(*port))
}

func flowsText(w io.Writer, p flowPage) {
	t := tables.Table{Head: []string{"FLOW", "PACKET", "PROTOCOL", "CLIENT", "SERVER", "SENT", "SIZE", "RECEIVED", "SIZE", "SECONDS", "AGAIN", "RESETS"},
		Spare: []string{"RESETS", "AGAIN", "SECONDS"}}
	for _, f := range p.Rows {
		number := "-"
		if f.Flow > 0 {
			number = strconv.Itoa(f.Flow)
		}
		t.Add(number, strconv.FormatInt(f.Position, 10), f.Protocol, end(f.Client, f.ClientPort), end(f.Server, f.ServerPort),
			strconv.FormatInt(f.PacketsSent, 10), tables.Whole(captures.Bytes(f.BytesSent)), strconv.FormatInt(f.PacketsReceived, 10), tables.Whole(captures.Bytes(f.BytesReceived)),
			fmt.Sprintf("%.3f", f.Seconds), strconv.FormatInt(f.Retransmissions, 10), strconv.FormatInt(f.Resets, 10))
	}
	if len(p.Rows) > 0 {
		t.Write(w)
		fmt.Fprintf(w, "%d to %d of %s.\n", p.First, p.First+len(p.Rows)-1, captures.Count(p.Total, "conversation"))
	} else {
		fmt.Fprintf(w, "%s.\n", captures.Count(p.Total, "conversation"))
	}
	if p.Others > 0 {
		fmt.Fprintf(w, "%s of none: not of IP, or of an incomplete datagram.\n", captures.Count(int(p.Others), "packet"))
	}
	if p.Unlisted > 0 {
		fmt.Fprintf(w, "%s of conversations that were too many to list.\n", captures.Count(int(p.Unlisted), "packet"))
	}
}
