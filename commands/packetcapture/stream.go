package packetcapture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/capture/drops"
	"diagsh/capture/filter"
	"diagsh/capture/replay"
	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/owned"
	"diagsh/commands/shared/packets"
	"diagsh/commands/shared/streams"
	"diagsh/internal/menu"
)

type streamArgs struct {
	Given       []string       `arg:"*"`
	Name        menu.Packets   `arg:"name" help:"A running capture, whose packets are written instead of those of interfaces."`
	Interfaces  []string       `arg:"interfaces,positional:1" alias:"interface" ask:"Interfaces, names or numbers separated by commas" help:"Names of interfaces separated by commas, or ALL."`
	Filter      *string        `arg:"filter" help:"A tcpdump filter such as \"host 192.0.2.1 and port 25\"."`
	Packets     int64          `arg:"packets" min:"1" help:"Ends after this many packets that match the filter."`
	Count       int64          `arg:"count" min:"1" help:"The same as packets."`
	Duration    *time.Duration `arg:"duration" min:"1" max:"31536000" help:"Ends after this time, such as 60s or 5m."`
	SnapLength  int            `arg:"snaplength" label:"Snap length" alias:"snaplen" min:"0" max:"262144" help:"Bytes kept of each packet; 0 keeps all."`
	Format      string         `arg:"format" choices:"pcap|pcapng" help:"Format; pcap for one interface, pcapng for several and with processes, if not given."`
	Promiscuous bool           `arg:"promiscuous" default:"yes" help:"Show packets too that are addressed to other machines."`
	Management  bool           `arg:"management" help:"Show the packets of management sessions too, this one among them."`
	Processes   bool           `arg:"processes" default:"no" help:"Say in comments of the packets which processes they are of; a capture with processes does so if nothing is given, unless the format is pcap."`
	AppleBlocks bool           `arg:"appleblocks" label:"Apple blocks" default:"no" help:"Name the processes in blocks as those of macOS's tcpdump too, which Wireshark from 4.6 on shows as fields and columns."`
	Drops       bool           `arg:"drops" default:"no" help:"Have the packets that the kernel drops meanwhile among them, with the reason, from an interface drops; a capture with drops does so if nothing is given, unless the format is pcap."`
	owned.Args
}

// streamCommand returns the command for `ssh HOST 'packetcapture stream interfaces eth0' |
// wireshark -k -i -`. Package shell converts the lines that Wireshark's sshdump sends to such
// lines.
func streamCommand(s packetService) *menu.Command {
	return menu.Decl[streamArgs, struct{}]{
		Name: "stream",
		Help: "Write packets as they come, for Wireshark.",
		Details: "It ends when the reader ends. Interfaces that appear meanwhile join ALL, in pcap " +
			"those of the same link type. The packets go into no file of the appliance. A reader that is too " +
			"slow loses packets, and is told how many: in pcapng in the statistics of the interfaces after the " +
			"last packet. Where processes are asked for, packets come a moment later: when their processes are known. packets " +
			"does not count those that the kernel drops; of a flood of them the stream has a sample.",
		Terminal: "On your own machine: ssh HOST 'packetcapture stream interfaces eth0 filter \"port 25\"' | " +
			"wireshark -k -i -. How many packets were lost is also told on standard error. To see packets here, use " +
			"packetcapture watch.",
		Role:  menu.Operator,
		Shape: menu.Bytes,
		Resources: []menu.Resource{
			{Method: "GET", Path: "live.pcapng", Given: menu.Arguments{"format": "pcapng"}, Type: "application/x-pcapng",
				Help: "Packets of interfaces as they come, for Wireshark."},
			{Method: "GET", Path: "captures/{name}/live.pcapng", Given: menu.Arguments{"format": "pcapng"}, Type: "application/x-pcapng",
				Help: "Packets of a running capture as they come, for Wireshark."},
		},
		Ask: func(_ context.Context, _ menu.Caller, a streamArgs, q *menu.Question) error {
			q.Skip = a.Name != ""
			return askLive(s, q)
		},
		Check: func(ctx context.Context, _ menu.Caller, a streamArgs, name string) error {
			if a.Name != "" && a.Filter != nil {
				return checkFilter(ctx, s, *a.Filter, name)
			}
			return checkLiveFilter(ctx, s, a.Filter, name)
		},
		Run: func(ctx context.Context, caller menu.Caller, a streamArgs, out *menu.Out[struct{}]) error {
			return a.run(ctx, s, caller, out)
		},
	}.Command()
}

// run writes packets to out until a bound is met, then says what became of those that matched.
func (a streamArgs) run(ctx context.Context, s packetService, caller menu.Caller, out *menu.Out[struct{}]) error {
	most, err := howMany(a.Count, a.Packets)
	if err != nil {
		return err
	}
	if err := a.fits(); err != nil {
		return err
	}
	joined, stop, err := a.JoinLive(s, a.says(s)) // before the first packet
	if err != nil {
		return err
	}
	defer stop()
	from, err := a.open(ctx, s, caller)
	if err != nil {
		return err
	}
	defer from.source.Close()
	told := from.unfit()
	out.Printf("%s", menu.Text(captures.LeftOut(told)))
	o := streams.Options{Header: from.header, Source: from.source, Present: from.present, Chosen: from.chosen,
		Joined: joined, Blocks: a.AppleBlocks, Most: uint64(most)}
	if o.Drops, err = a.openDrops(ctx, s, from, out); err != nil {
		return err
	}
	if o.Drops != nil {
		defer o.Drops.Stop()
	}
	w, err := streams.New(out, o)
	if err != nil {
		return mixed(err)
	}
	counters, err := a.write(ctx, w, o)
	if err != nil {
		return err
	}
	sayLeftOut(from.chosen, out.Printf)
	out.Printf("%s\n", streamed(packets.Total(counters), w.Written(), from.chosen != nil || !a.Any()))
	if o.Drops != nil {
		out.Printf("%s\n", streamedDrops(w.Dropped(), o.Drops.Missed()))
	}
	out.Printf("%s", menu.Text(leftOut(from.late(), told, from.unfit(), from.header)))
	return nil
}

// write hands packets on until a bound is met, and returns the counters that the stream ends with.
func (a streamArgs) write(ctx context.Context, w *streams.Writer, o streams.Options) ([]capture.Counters, error) {
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := w.WriteDrops(cancel)
	_, err := packets.Follow(reading, o.Source, packets.Bounds{Duration: a.Duration, Whole: true}, func(batch []capture.Packet) error {
		o.Joined.Wait(reading, batch)
		full, err := w.Write(batch)
		if err == nil && full {
			err = packets.ErrEnough
		}
		return err
	})
	stop()
	if errors.Is(err, packets.ErrEnough) {
		err = nil
	}
	counters, ending := w.End(ctx)
	if err == nil {
		err = ending
	}
	return counters, err
}

// fits reports what the format has no place for.
func (a streamArgs) fits() error {
	if a.Format != string(capture.PCAP) {
		return nil
	}
	for _, one := range []struct {
		asked    bool
		argument string
		what     string
	}{{a.Processes, "processes", "processes"}, {a.AppleBlocks, "appleblocks", "blocks"}, {a.Drops, "drops", "packets that the kernel drops"}} {
		if one.asked {
			return menu.BadArgument(one.argument, "The format pcap has no place for %s", one.what).WithHint("Give format pcapng")
		}
	}
	return nil
}

// openDrops begins to see what the kernel drops, nil if that is not wanted.
func (a streamArgs) openDrops(ctx context.Context, s packetService, from tapped, out *menu.Out[struct{}]) (*drops.Feed, error) {
	kept := from.header.Format == capture.PCAPNG && a.Name != "" && from.options.Drops && !slices.Contains(a.Given, "drops")
	if !a.Drops && !kept {
		return nil, nil
	}
	o := from.options
	o.Interfaces = []string{capture.All} // which there are is known when packets are written
	selection, unfit := drops.Select(ctx, o, from.header.Filter)
	feed, err := s.Drops().Feed(selection)
	var unavailable *drops.UnavailableError
	if errors.As(err, &unavailable) {
		return nil, &menu.Error{Code: menu.Unsupported, Argument: "drops", Message: unavailable.Reason, Hint: "Leave drops out"}
	}
	if err == nil && unfit != nil {
		out.Printf("The filter asks for more than IP, so packets that the kernel drops are here that do not match it.\n")
	}
	if err == nil && from.chosen != nil && filter.ReadsLink(captures.Cleared(*a.Filter)) {
		out.Printf("The filter reads the header of the link. Packets that the kernel drops have none here: of them it reads that of IP.\n")
	}
	return feed, err
}

// says reports whether the stream says which processes its packets are of.
func (a streamArgs) says(s packetService) bool {
	return a.Processes || a.AppleBlocks ||
		a.Format != string(capture.PCAP) && keepsProcesses(s, a.Name) && !slices.Contains(a.Given, "processes")
}

// A tapped is where the packets of a stream come from.
type tapped struct {
	source  capture.Source
	header  capture.FileHeader
	options capture.Options
	present func() []capture.Interface // by Packet.Interface
	unfit   func() []capture.LeftOut   // interfaces that the filter cannot be applied to
	late    func() []capture.Interface // that appeared later and could not join
	chosen  *replay.Filter             // filter of a capture's packets; nil: all of them
}

// open taps interfaces, or a running capture.
func (a streamArgs) open(ctx context.Context, s packetService, caller menu.Caller) (tapped, error) {
	if a.Name != "" {
		return a.openCapture(ctx, s)
	}
	live, header, unfit, err := s.OpenLive(ctx, caller, a.request())
	if err != nil {
		return tapped{}, err
	}
	return tapped{source: live, header: header, options: live.Options(), present: live.Interfaces, unfit: unfit, late: live.LeftOut}, nil
}

// openCapture taps a running capture, whose packets come cut off and filtered as it writes them.
func (a streamArgs) openCapture(ctx context.Context, s packetService) (from tapped, err error) {
	if len(a.Interfaces) > 0 || a.SnapLength > 0 {
		return from, menu.BadArgument("name", "A capture has its own interfaces, and its own length of packets").
			WithHint("Give the name of a capture, or interfaces, and not both")
	}
	name := string(a.Name)
	if from.source, from.present, err = s.WatchCapture(name); err != nil {
		return from, err
	}
	from.unfit, from.late = func() []capture.LeftOut { return nil }, func() []capture.Interface { return nil }
	from.header, err = s.CaptureHeader(name)
	if status, missing := s.Capture(name); err == nil {
		from.options, err = status.Options, missing
	}
	from.header.Format, from.header.Interfaces = capture.PCAPNG, from.present()
	if a.Format != "" {
		from.header.Format = capture.Format(a.Format)
	}
	if err == nil && a.Filter != nil && captures.Cleared(*a.Filter) != "" {
		if from.chosen, err = s.MatchFilter(ctx, captures.Cleared(*a.Filter)); err == nil {
			if fault := from.chosen.Fault(from.header.Interfaces, true); fault != nil {
				err = cannotFilter(fault)
			}
		}
	}
	if err != nil {
		from.source.Close()
	}
	return from, err
}

// mixed says that interfaces do not fit into one stream.
func mixed(err error) error {
	if errors.Is(err, capture.ErrMixedLinkTypes) {
		return menu.BadArgument("format", "Interfaces of different kinds do not fit into one pcap stream").
			WithHint("Give format pcapng")
	}
	return err
}

// streamedDrops returns how many packets of the stream the kernel dropped.
func streamedDrops(written, missed uint64) string {
	text := captures.Count(int(written), "packet") + " that the kernel dropped written"
	if missed > 0 {
		text += fmt.Sprintf(", %d not seen because the reader was too slow", missed)
	}
	return text + "."
}

// streamed returns how many packets matched the filter, and what happened to them, in numbers that
// add up. Where a filter chose among the packets of a capture, it returns how many came of it.
func streamed(c capture.Counters, written uint64, chosen bool) string {
	if chosen {
		return fmt.Sprintf("%d packets written of %d, %d not seen because the reader was too slow.", written,
			c.Received+c.Dropped, c.Dropped)
	}
	text := fmt.Sprintf("%d packets matched: %d written, %d dropped by the kernel", c.Received+c.Dropped,
		written, c.Dropped)
	if c.Dropped > 0 {
		text += " because the reader was too slow"
	}
	if c.Received > written {
		text += fmt.Sprintf(", %d after the end of the stream", c.Received-written)
	}
	return text + "."
}

// leftOut returns which interfaces appeared later and have no packets in the stream, "" if none.
// The filter cannot be applied to those of unfit; told are those of them that were named at the
// start.
func leftOut(interfaces []capture.Interface, told, unfit []capture.LeftOut, header capture.FileHeader) string {
	since := slices.DeleteFunc(slices.Clone(unfit), func(l capture.LeftOut) bool { return slices.Contains(told, l) })
	interfaces = slices.DeleteFunc(slices.Clone(interfaces), func(i capture.Interface) bool {
		return slices.ContainsFunc(unfit, func(l capture.LeftOut) bool { return l.Interface == i.Name })
	})
	text := captures.LeftOut(since)
	if len(interfaces) == 0 {
		return text
	}
	var names []string
	why := ""
	for _, i := range interfaces {
		names = append(names, menu.Clean(i.Name))
		if header.Format == capture.PCAP && i.LinkType != header.Interfaces[0].LinkType {
			why = " A pcap stream is of one link type; with format pcapng all join."
		}
	}
	return text + fmt.Sprintf("Left out, because they appeared later and could not join: %s.%s\n",
		strings.Join(names, ", "), why)
}

func (a streamArgs) request() capture.Request {
	o := capture.Options{
		Interfaces: a.Interfaces, SnapLength: a.SnapLength, Format: capture.Format(a.Format),
		Promiscuous: a.Promiscuous, Management: a.Management,
	}
	if a.Filter != nil {
		o.Filter = captures.Cleared(*a.Filter)
	}
	given := append(a.Given, "promiscuous")
	if (a.Processes || a.AppleBlocks || a.Drops) && a.Format == "" {
		o.Format, given = capture.PCAPNG, append(given, "format")
	}
	return capture.Request{Partial: capture.Partial{Options: o, Given: given}}
}

func askLive(s liveService, q *menu.Question) error {
	if q.Name == "interfaces" {
		captures.ChooseInterfaces(q, s.CaptureInterfaces(), nil)
	}
	return nil
}
