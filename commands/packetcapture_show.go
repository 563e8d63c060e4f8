package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/capture/decode"
	"diagsh/capture/filter"
	"diagsh/capture/pcapfile"
	"diagsh/capture/replay"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

// packetService reads the packets of capture files. Package api has made sure that the caller may.
type packetService interface {
	liveService
	Captures() []capture.Status
	PacketFiles(name string) ([]replay.Opener, error)
	PacketFileNames(begun string, most int) []string
	MatchFilter(ctx context.Context, expression string) (*replay.Filter, error)
}

type captureWatchArgs struct {
	Name       menu.Packets   `arg:"name,main" ask:"Capture to watch" help:"Name of a running capture."`
	Interfaces []string       `arg:"interface" ask:"Interfaces to watch, names or numbers separated by commas" help:"Names of interfaces, or ALL, to watch without a capture."`
	Filter     *string        `arg:"filter" help:"A tcpdump filter such as \"host 192.0.2.1 and port 25\"."`
	Detail     int            `arg:"detail" default:"1" min:"1" max:"6" help:"From 1, a line a packet, to 6, every field and all bytes."`
	Count      int64          `arg:"count" min:"1" help:"Ends after so many packets."`
	Packets    int64          `arg:"packets" min:"1" help:"The same as count."`
	Duration   *time.Duration `arg:"duration" min:"1" max:"31536000" help:"Ends after this time, such as 60s or 5m."`
}

// A watched is what watch tells: packets, and at the end what became of all of them. Event says which.
type watched struct {
	Event string `json:"event"` // packet, statistics
	*decode.Packet
	*watchedStatistics
}

// watchedStatistics are the last that watch tells: what a reader who was too slow was not shown, behind the last packet too.
type watchedStatistics struct {
	PacketsShown    int64  `json:"packetsShown"`
	PacketsNotShown uint64 `json:"packetsNotShown"`

	InterfacesLeftOut []capture.LeftOut `json:"interfacesLeftOut,omitempty"`
}

func watchedText(w io.Writer, r watched) {
	if s := r.watchedStatistics; s != nil {
		fmt.Fprintf(w, "%s shown, %s left out.\n", captures.Count(int(s.PacketsShown), "packet"), captures.Count(int(s.PacketsNotShown), "packet"))
		return
	}
	decode.Text(w, r.Packet)
}

// captureWatch shows packets as they come. What it is too slow to show is left out, and counted; the capture keeps it all the same.
func captureWatch(s packetService) *menu.Command {
	return menu.Spec[captureWatchArgs, watched]{
		Name:    "watch",
		Help:    "Show packets as they come, a line each or in detail.",
		Details: "Of a running capture, or of interfaces without one. Ctrl-C ends it. A reader that is too slow loses lines, and is told how many: where they are missing and, of all, at the end; the capture loses nothing.",
		Role:    menu.Operator,
		Shape:   menu.Stream,
		Ask: func(_ context.Context, _ menu.Caller, a captureWatchArgs, q *menu.Question) error {
			switch running := captures.Running(s.Captures()); q.Name {
			case "name":
				captures.ChoosePackets(q, running)
				q.Skip, q.Required = len(running) == 0 || len(a.Interfaces) > 0, false
			case "interface":
				captures.ChooseInterfaces(q, s.CaptureInterfaces(), []string{capture.All})
				q.Skip = a.Name != ""
			}
			return nil
		},
		Check: func(ctx context.Context, _ menu.Caller, a captureWatchArgs, name string) error {
			if a.Name != "" && a.Filter != nil {
				return checkFilter(ctx, s, *a.Filter, name)
			}
			return checkLiveFilter(ctx, s, a.Filter, name)
		},
		Run: func(ctx context.Context, caller menu.Caller, a captureWatchArgs, out *menu.Out[watched]) error {
			most, err := howMany(a.Count, a.Packets)
			if err != nil {
				return err
			}
			source, present, unfit, err := a.open(ctx, caller, s)
			if err != nil {
				return err
			}
			defer source.Close()
			interfaces, shown, missed := present(), int64(0), uint64(0)
			var chosen *replay.Filter
			if a.Name != "" && a.Filter != nil && captures.Cleared(*a.Filter) != "" {
				if chosen, err = s.MatchFilter(ctx, captures.Cleared(*a.Filter)); err != nil {
					return err
				}
				if err := chosen.Fault(interfaces, true); err != nil {
					return cannotFilter(err)
				}
			}
			told := unfit()
			out.Printf("%sWatching %s. Ctrl-C ends it.\n", menu.Text(captures.LeftOut(told)), a.what())
			done := errors.New("enough")
			_, err = follow(ctx, source, bounds{duration: a.Duration}, func(batch []capture.Packet) error {
				dropped := total(source.Counters()).Dropped
				for n := range batch {
					p := &batch[n]
					if int(p.Interface) >= len(interfaces) {
						interfaces = present() // it joined
					}
					on := interfaces[p.Interface]
					if chosen != nil && !chosen.Match(p, on) {
						continue
					}
					shown++
					record := decode.Decode(shown, p, on, decode.Detail(a.Detail))
					record.Missed, missed = int64(dropped-missed), dropped
					if err := out.Record(watched{Event: "packet", Packet: record}); err != nil {
						return err
					}
					if shown == most {
						return done
					}
				}
				return nil
			})
			if errors.Is(err, done) {
				err = nil
			}
			sayLeftOut(chosen, out.Printf)
			out.Printf("%s", menu.Text(leftOut(nil, told, unfit(), capture.FileHeader{})))
			sums := &watchedStatistics{PacketsShown: shown, PacketsNotShown: total(source.Counters()).Dropped, InterfacesLeftOut: unfit()}
			if ending := out.Record(watched{Event: "statistics", watchedStatistics: sums}); err == nil {
				err = ending
			}
			return err
		},
		Text: watchedText,
	}.Command()
}

// what is watched, in words.
func (a captureWatchArgs) what() string {
	if a.Name != "" {
		return "the capture " + string(a.Name)
	}
	return strings.Join(a.Interfaces, ", ")
}

// open is where the packets come from. The functions tell of which interfaces, and which of all are left out.
func (a captureWatchArgs) open(ctx context.Context, caller menu.Caller, s packetService) (capture.Source, func() []capture.Interface, func() []capture.LeftOut, error) {
	switch {
	case a.Name != "" && len(a.Interfaces) > 0:
		return nil, nil, nil, menu.Wrong("interface", "A capture has its own interfaces").WithHint("Give the name of a capture or interfaces, and not both")
	case a.Name != "":
		source, present, err := s.WatchCapture(string(a.Name))
		return source, present, func() []capture.LeftOut { return nil }, err
	case len(a.Interfaces) > 0:
		live := captureStreamArgs{Interfaces: a.Interfaces, Filter: a.Filter, Format: string(capture.PCAPNG)}
		source, _, unfit, err := s.OpenLive(ctx, caller, live.request(), true)
		if err != nil {
			return nil, nil, nil, err
		}
		return source, source.Interfaces, unfit, nil
	}
	return nil, nil, nil, menu.Wrong("name", "Neither a capture nor an interface is named").WithHint("Give the name of a running capture, or: interface NAME")
}

type captureShowArgs struct {
	Name   menu.Packets `arg:"name,main,required" ask:"Capture or file" help:"Name of a capture or of a file of the diagnostic directory."`
	Filter string       `arg:"filter" help:"A tcpdump filter such as \"host 192.0.2.1 and port 25\"."`
	From   *time.Time   `arg:"from" help:"The first moment, such as \"2026-03-01 10:15\" (UTC)."`
	To     *time.Time   `arg:"to" help:"The moment behind the last."`
	Count  int64        `arg:"count" min:"1" help:"Shows so many packets."`
	Detail int          `arg:"detail" default:"1" min:"1" max:"6" help:"From 1, a line a packet, to 6, every field and all bytes."`

	Packets int64 `arg:"packets" min:"1" help:"The same as count."`
}

func captureShow(s packetService) *menu.Command {
	return menu.Spec[captureShowArgs, *decode.Packet]{
		Name: "show",
		Help: "Show the packets of a capture or a file.",
		Details: "Of a capture that runs it shows what is on the disk so far. A filter is asked of each packet by its own link type; inbound and outbound need a file " +
			"that knows them, as pcapng of this appliance. A file has no netmask: ip broadcast is 0.0.0.0 and 255.255.255.255 there. A header that a packet ends in is shown as [|tcp].",
		Role:   menu.Operator,
		Hidden: noPackets(s),
		Ask: func(_ context.Context, _ menu.Caller, _ captureShowArgs, q *menu.Question) error {
			askPackets(s, q)
			return nil
		},
		Suggest: suggestFiles[captureShowArgs](func(begun string, most int) []string { return s.PacketFileNames(begun, most) }),
		Check: func(ctx context.Context, _ menu.Caller, a captureShowArgs, name string) error {
			return checkFilter(ctx, s, a.Filter, name)
		},
		Run: func(ctx context.Context, _ menu.Caller, a captureShowArgs, out *menu.Out[*decode.Packet]) error {
			most, err := howMany(a.Count, a.Packets)
			if err != nil {
				return err
			}
			shown := int64(0)
			err = a.look(ctx, s, func(p *capture.Packet, on capture.Interface) error {
				shown++
				if err := out.Record(decode.Decode(shown, p, on, decode.Detail(a.Detail))); err != nil {
					return err
				}
				if shown == most {
					return errEnough
				}
				return nil
			}, out.Printf)
			if shown == 0 && err == nil {
				out.Printf("There is no such packet.\n")
			}
			return err
		},
		Text: func(w io.Writer, p *decode.Packet) { decode.Text(w, p) },
	}.Command()
}

// howMany is the number that was meant, by either of its two names: count and packets.
func howMany(count, packets int64) (int64, error) {
	if count > 0 && packets > 0 && count != packets {
		return 0, errBothCounts()
	}
	return max(count, packets), nil
}

func errBothCounts() error {
	return menu.Wrong("packets", "count and packets are two words for the same, and both are given").WithHint("Give one of them")
}

// errEnough ends a look at packets before they end.
var errEnough = errors.New("enough packets")

// askPackets offers captures. A name of a file is as good.
func askPackets(s packetService, q *menu.Question) {
	if q.Name == "name" {
		captures.ChoosePackets(q, s.Captures())
	}
}

// suggestedFiles is how many files are offered at most.
const suggestedFiles = 1000

// suggestFiles is menu.Spec.Suggest for a command whose name may be that of a file. A name that would have to be quoted, or would be taken
// for a flag, is left out: Tab completes words.
func suggestFiles[A any](names func(begun string, most int) []string) func(context.Context, menu.Caller, A, string, string) []menu.Choice {
	return func(_ context.Context, _ menu.Caller, _ A, argument, begun string) (list []menu.Choice) {
		if argument != "name" {
			return nil
		}
		for _, name := range names(begun, suggestedFiles) {
			if menu.Quote(name) == name && !strings.HasPrefix(name, "-") {
				list = append(list, menu.Choice{Value: name, Help: "A file."})
			}
		}
		return list
	}
}

// noPackets is menu.Spec.Hidden for what shows packets of captures and files.
func noPackets(s packetService) func(context.Context) bool {
	return func(context.Context) bool { return len(s.Captures()) == 0 && len(s.PacketFileNames("", 1)) == 0 }
}

// look goes through the packets of files. say tells what was wrong with them, if they could be read nevertheless.
func (a captureShowArgs) look(ctx context.Context, s packetService, hand func(*capture.Packet, capture.Interface) error, say func(string, ...any) error) error {
	files, err := s.PacketFiles(string(a.Name))
	if err != nil {
		return err
	}
	var options replay.Options
	if a.From != nil {
		options.From = *a.From
	}
	if a.To != nil {
		options.To = *a.To
	}
	var chosen *replay.Filter
	if expression := captures.Cleared(a.Filter); expression != "" {
		if chosen, err = s.MatchFilter(ctx, expression); err != nil {
			return err
		}
		options.Match = chosen.Match
	}
	source, err := options.Open(files...)
	if err != nil {
		return notPackets(a.Name, err)
	}
	defer source.Close()
	_, err = follow(ctx, source, bounds{}, func(batch []capture.Packet) error {
		for n := range batch {
			if err := hand(&batch[n], source.Interfaces()[batch[n].Interface]); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
		return nil
	case err != nil:
		return notPackets(a.Name, err)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if chosen != nil {
		if err := chosen.Fault(source.Interfaces(), source.Directed()); err != nil {
			return cannotFilter(err)
		}
		sayLeftOut(chosen, say)
	}
	var corrupt *pcapfile.CorruptError
	switch {
	case errors.As(source.Torn(), &corrupt):
		say("[A file is corrupt at byte %d; what is behind that is not read.]\n", corrupt.Offset)
	case source.Torn() != nil:
		say("[A file ends in the middle of a packet.]\n")
	}
	return nil
}

// checkFilter looks at a filter for packets that were captured, of whatever link type.
func checkFilter(ctx context.Context, s packetService, expression, name string) error {
	if expression = captures.Cleared(expression); name != "filter" || expression == "" {
		return nil
	}
	_, err := s.MatchFilter(ctx, expression)
	return err
}

// cannotFilter refuses a filter that none of the packets can be asked about: that is not the same as that none of them matches.
func cannotFilter(err error) error {
	var undirected *replay.UndirectedError
	if errors.As(err, &undirected) {
		return menu.Wrong("filter", "The filter asks which way packets went, and these do not tell it").
			WithHint("Captures in the format pcapng do, as those on several interfaces are; pcap has no place for it")
	}
	return menu.Wrong("filter", "These packets cannot be filtered so: %s", why(err))
}

// why is what is wrong with a filter, without the place.
func why(err error) string {
	var wrong *filter.Error
	if errors.As(err, &wrong) {
		return menu.Clean(strings.TrimSuffix(wrong.Message, "."))
	}
	return err.Error()
}

// sayLeftOut tells which packets a filter could not be asked about.
func sayLeftOut(f *replay.Filter, say func(string, ...any) error) {
	if f == nil {
		return
	}
	for _, left := range f.LeftOut() {
		verb := "are"
		if left.Packets == 1 {
			verb = "is"
		}
		say("[%s %s left out, which cannot be filtered so: %s.]\n", captures.Count(int(left.Packets), "packet"), verb, why(left.Err))
	}
}

func notPackets(name menu.Packets, err error) error {
	var corrupt *pcapfile.CorruptError
	var packed *pcapfile.PackedError
	if errors.As(err, &packed) {
		return (&menu.Error{Kind: menu.Failed, Argument: "name", Message: string(name) + " is packed by " + packed.By}).WithHint("Unpack it first; what gzip has packed can be read as it is")
	}
	if errors.Is(err, pcapfile.ErrNoCapture) || errors.As(err, &corrupt) {
		return &menu.Error{Kind: menu.Failed, Argument: "name", Message: string(name) + " is not a pcap or pcapng file"}
	}
	return err
}
