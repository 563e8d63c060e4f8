package packetcapture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/capture/decode"
	"diagsh/capture/replay"
	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/owned"
	"diagsh/commands/shared/packets"
	"diagsh/internal/menu"
)

type watchArgs struct {
	Name       menu.Packets   `arg:"name,positional:1" ask:"Capture to watch" help:"Name of a running capture."`
	Interfaces []string       `arg:"interfaces" alias:"interface" ask:"Interfaces to watch, names or numbers separated by commas" help:"Names of interfaces, or ALL, to watch without a capture."`
	Filter     *string        `arg:"filter" help:"A tcpdump filter such as \"host 192.0.2.1 and port 25\"."`
	Detail     int            `arg:"detail" default:"1" min:"1" max:"6" help:"From 1, a line a packet, to 6, every field and all bytes."`
	Count      int64          `arg:"count" min:"1" help:"Ends after this many packets."`
	Packets    int64          `arg:"packets" min:"1" help:"The same as count."`
	Duration   *time.Duration `arg:"duration" min:"1" max:"31536000" help:"Ends after this time, such as 60s or 5m."`
	owned.Args
}

// A watched is a record of watch: a packet, or at the end the statistics. Event says which.
type watched struct {
	Event string `json:"event"` // packet, statistics
	owned.Packet
	*watchedStatistics
}

// watchedStatistics are the last record of watch. They count the packets that were not shown
// because the reader was too slow, also those after the last one shown.
type watchedStatistics struct {
	PacketsShown    int64  `json:"packetsShown"`
	PacketsNotShown uint64 `json:"packetsNotShown"`

	InterfacesLeftOut []capture.LeftOut `json:"interfacesLeftOut,omitempty"`
}

func watchedText(w io.Writer, r watched) {
	if s := r.watchedStatistics; s != nil {
		fmt.Fprintf(w, "%s shown, %s left out.\n", captures.Count(int(s.PacketsShown), "packet"),
			captures.Count(int(s.PacketsNotShown), "packet"))
		return
	}
	owned.Text(w, r.Packet)
}

// watchCommand returns the command that shows packets as they come. Packets that it is too slow to
// show are left out and counted. The capture keeps them all the same.
func watchCommand(s packetService) *menu.Command {
	return menu.Decl[watchArgs, watched]{
		Name: "watch",
		Help: "Show packets as they come, a line each or in detail.",
		Details: "Of a running capture, or of interfaces without one, until it is interrupted. A reader that is too slow " +
			"loses lines, and is told how many: where they are missing and, of all, at the end; the capture loses " +
			"nothing.",
		Role:  menu.Operator,
		Shape: menu.Stream,
		Ask: func(_ context.Context, _ menu.Caller, a watchArgs, q *menu.Question) error {
			switch running := captures.Running(s.Captures()); q.Name {
			case "name":
				captures.ChoosePackets(q, running)
				q.Skip, q.Required = len(running) == 0 || len(a.Interfaces) > 0, false
			case "interfaces":
				captures.ChooseInterfaces(q, s.CaptureInterfaces(), []string{capture.All})
				q.Skip = a.Name != ""
			}
			return nil
		},
		Check: func(ctx context.Context, _ menu.Caller, a watchArgs, name string) error {
			if a.Name != "" && a.Filter != nil {
				return checkFilter(ctx, s, *a.Filter, name)
			}
			return checkLiveFilter(ctx, s, a.Filter, name)
		},
		Run: func(ctx context.Context, caller menu.Caller, a watchArgs, out *menu.Out[watched]) error {
			w := watcher{args: a, out: out}
			var err error
			if w.most, err = howMany(a.Count, a.Packets); err != nil {
				return err
			}
			var stop func()
			if w.joined, stop, err = a.JoinLive(s, keepsProcesses(s, a.Name)); err != nil { // before the first packet
				return err
			}
			defer stop()
			if w.source, w.present, w.unfit, err = a.open(ctx, caller, s); err != nil {
				return err
			}
			defer w.source.Close()
			w.interfaces = w.present()
			if a.Name != "" && a.Filter != nil && captures.Cleared(*a.Filter) != "" {
				if w.chosen, err = s.MatchFilter(ctx, captures.Cleared(*a.Filter)); err != nil {
					return err
				}
				if err := w.chosen.Fault(w.interfaces, true); err != nil {
					return cannotFilter(err)
				}
			}
			return w.watch(ctx)
		},
		Text: watchedText,
	}.Command()
}

// A watcher is one run of the command.
type watcher struct {
	args       watchArgs
	out        *menu.Out[watched]
	source     capture.Source
	present    func() []capture.Interface
	unfit      func() []capture.LeftOut // interfaces that the filter cannot be applied to
	joined     owned.Joined
	chosen     *replay.Filter // filter of a capture's packets; nil: all of them
	most       int64          // packets to show; 0: no limit
	interfaces []capture.Interface
	shown      int64
	missed     uint64 // packets that the source dropped, up to the last one shown
}

// watch shows packets until a limit, the end of the source or of ctx, and then the sums.
func (w *watcher) watch(ctx context.Context) error {
	told := w.unfit()
	w.out.Printf("%sWatching %s. Ctrl-C ends it.\n", menu.Text(captures.LeftOut(told)), w.args.what())
	_, err := packets.Follow(ctx, w.source, packets.Bounds{Duration: w.args.Duration}, func(batch []capture.Packet) error {
		w.joined.Wait(ctx, batch)
		return w.show(batch)
	})
	if errors.Is(err, packets.ErrEnough) {
		err = nil
	}
	sayLeftOut(w.chosen, w.out.Printf)
	w.out.Printf("%s", menu.Text(leftOut(nil, told, w.unfit(), capture.FileHeader{})))
	sums := &watchedStatistics{PacketsShown: w.shown, PacketsNotShown: packets.Total(w.source.Counters()).Dropped,
		InterfacesLeftOut: w.unfit()}
	if ending := w.out.Record(watched{Event: "statistics", watchedStatistics: sums}); err == nil {
		err = ending
	}
	return err
}

// show writes the packets of a batch that the filter matches. It returns packets.ErrEnough when the last
// one wanted is among them.
func (w *watcher) show(batch []capture.Packet) error {
	dropped := packets.Total(w.source.Counters()).Dropped
	for n := range batch {
		p := &batch[n]
		if int(p.Interface) >= len(w.interfaces) {
			w.interfaces = w.present() // it joined
		}
		on := w.interfaces[p.Interface]
		if w.chosen != nil && !w.chosen.Match(p, on) {
			continue
		}
		of, wanted := w.joined.Of(p, on)
		if !wanted {
			continue
		}
		w.shown++
		record := decode.Decode(w.shown, p, on, decode.Detail(w.args.Detail))
		record.Missed, w.missed = int64(dropped-w.missed), dropped
		if err := w.out.Record(watched{Event: "packet", Packet: owned.Packet{Packet: record, Sender: of.Sender, Receiver: of.Receiver}}); err != nil {
			return err
		}
		if w.shown == w.most {
			return packets.ErrEnough
		}
	}
	return nil
}

// what returns what is watched, in words.
func (a watchArgs) what() string {
	if a.Name != "" {
		return "the capture " + string(a.Name)
	}
	return strings.Join(a.Interfaces, ", ")
}

// open returns the source of the packets. The functions return its interfaces, and those that are
// left out.
func (a watchArgs) open(
	ctx context.Context, caller menu.Caller, s packetService,
) (capture.Source, func() []capture.Interface, func() []capture.LeftOut, error) {
	switch {
	case a.Name != "" && len(a.Interfaces) > 0:
		return nil, nil, nil, menu.BadArgument("interfaces", "A capture has its own interfaces").
			WithHint("Give the name of a capture or interfaces, and not both")
	case a.Name != "":
		source, present, err := s.WatchCapture(string(a.Name))
		known := func(i capture.InterfaceInfo) bool { return i.Name == string(a.Name) }
		if fault, ok := errors.AsType[*menu.Error](err); ok && fault.Code == menu.NotFound && slices.ContainsFunc(s.CaptureInterfaces(), known) {
			err = fault.WithHint("To watch the interface, give: interfaces %s", a.Name)
		}
		return source, present, func() []capture.LeftOut { return nil }, err
	case len(a.Interfaces) > 0:
		live := streamArgs{Interfaces: a.Interfaces, Filter: a.Filter,
			Format: string(capture.PCAPNG), Promiscuous: true}
		source, _, unfit, err := s.OpenLive(ctx, caller, live.request())
		if err != nil {
			return nil, nil, nil, err
		}
		return source, source.Interfaces, unfit, nil
	}
	return nil, nil, nil, menu.BadArgument("name", "Neither a capture nor an interface is named").
		WithHint("Give the name of a running capture, or: interfaces NAME")
}

// keepsProcesses reports whether a capture keeps the processes of its packets.
func keepsProcesses(s packetService, name menu.Packets) bool {
	return slices.ContainsFunc(s.Captures(), func(c capture.Status) bool { return c.Name == string(name) && c.Processes })
}
