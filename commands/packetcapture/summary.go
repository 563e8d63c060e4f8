package packetcapture

import (
	"context"
	"io"
	"time"

	"diagsh/capture"
	"diagsh/capture/owners"
	"diagsh/capture/summary"
	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/owned"
	"diagsh/internal/menu"
)

type summaryArgs struct {
	Name   menu.Packets `arg:"name,positional:1,required" ask:"Capture or file" help:"Name of a capture or of a file of the diagnostic directory."`
	By     string       `arg:"by" choices:"connection" help:"Shows the connections of TCP instead, each with its times and faults."`
	Order  string       `arg:"order" choices:"slowest|largest|worst|earliest" default:"slowest" help:"Which connections come first: those that waited longest for the server, with most bytes, with most packets sent again, or those that began first."`
	Filter string       `arg:"filter" help:"A tcpdump filter such as \"host 192.0.2.1 and port 25\"."`
	From   *time.Time   `arg:"from" help:"The first moment, such as \"2026-03-01 10:15\" (UTC)."`
	To     *time.Time   `arg:"to" help:"The time after the last packet."`
	Top    int          `arg:"top" default:"10" min:"1" max:"1000" help:"Number of each: talkers, ports, connections, name servers, questions."`
	owned.Args
	Chart string `arg:"chart" choices:"blocks|ascii|none" help:"How the chart of the rate is drawn. By default blocks, or ascii where those cannot be shown."`
}

var summaryOrders = map[string]summary.Order{"slowest": summary.Slowest, "largest": summary.Largest,
	"worst": summary.Worst, "earliest": summary.Earliest}

// A summed is a summary, with how to show it.
type summed struct {
	*summary.Summary
	// Drops is what the kernel dropped while the capture ran, of one that records it.
	Drops       []capture.DropReason `json:"drops,omitempty"`
	Processes   []owned.Count        `json:"processes,omitempty"` // those with most bytes
	uncounted   bool                 // there may be more Drops
	connections bool                 // show only the connections
	options     captures.SummaryOptions
}

func summaryCommand(s packetService) *menu.Command {
	return menu.Decl[summaryArgs, summed]{
		Name: "summary",
		Help: "Sum up the packets of a capture or a file.",
		Details: "Talkers, protocols, tunnels, ports, sizes, the rate over time; for TCP retransmissions and the " +
			"like, as tshark counts them, and how long clients waited for the network and for servers; for DNS " +
			"questions without an answer and slow ones. With by connection a table of the connections of TCP.",
		Role:    menu.Operator,
		Shape:   menu.Object,
		Hidden:  noPackets(s),
		Ask:     askPackets[summaryArgs](s),
		Suggest: suggestPackets[summaryArgs](s),
		Check: func(ctx context.Context, _ menu.Caller, a summaryArgs, name string) error {
			return checkFilter(ctx, s, a.Filter, name)
		},
		Run: func(ctx context.Context, caller menu.Caller, a summaryArgs, out *menu.Out[summed]) error {
			counter, by := summary.NewCounter(), owned.Counter{}
			look := showArgs{Name: a.Name, Filter: a.Filter, From: a.From, To: a.To, Args: a.Args}
			err := look.look(ctx, s, func(p *capture.Packet, on capture.Interface, of owners.Owners) error {
				by.Add(p, of)
				if n := counter.Add(p, on.LinkType); n%progressStep == 0 {
					out.Progress("%d packets", n)
				}
				return nil
			}, out.Printf)
			if err != nil {
				return err
			}
			options := captures.SummaryOptions{Columns: caller.Columns, Chart: captures.Chart(a.Chart), Order: a.Order}
			if a.Chart == "" && caller.ASCII {
				options.Chart = captures.ASCIIChart
			}
			status := statusOf(s, string(a.Name))
			return out.Record(summed{counter.Summary(a.Top, summaryOrders[a.Order]), captures.Drops(status), by.Top(a.Top),
				captures.Uncounted(status), a.By != "", options})
		},
		Text: func(w io.Writer, s summed) {
			if s.connections {
				captures.Connections(w, s.Summary)
				return
			}
			captures.Summary(w, s.Summary, s.options)
			captures.DropTable(w, s.Drops, s.uncounted)
			owned.CountsText(w, s.Processes)
		},
	}.Command()
}

// statusOf returns the status of a capture, an empty one if none has the name.
func statusOf(s packetService, name string) capture.Status {
	for _, status := range s.Captures() {
		if status.Name == name {
			return status
		}
	}
	return capture.Status{}
}

// progressStep is the number of packets between two reports of progress: some tenths of a second.
const progressStep = 1 << 20
