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
	"diagsh/capture/owners"
	"diagsh/capture/pcapfile"
	"diagsh/capture/replay"
	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/owned"
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
	Processes   bool           `arg:"processes" default:"no" help:"Say in comments of the packets which processes they are of; a capture with processes does so without it, unless the format is pcap."`
	AppleBlocks bool           `arg:"appleblocks" label:"Apple blocks" default:"no" help:"Name the processes in blocks as those of macOS's tcpdump too, which Wireshark from 4.6 on shows as fields and columns."`
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
			"last packet. Where processes are asked for, packets come a moment later: when their processes are known.",
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
	if a.Processes && a.Format == string(capture.PCAP) {
		return menu.BadArgument("processes", "The format pcap has no place for processes").WithHint("Give format pcapng")
	}
	if a.AppleBlocks && a.Format == string(capture.PCAP) {
		return menu.BadArgument("appleblocks", "The format pcap has no place for blocks").WithHint("Give format pcapng")
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
	w, err := newStreamer(out, from, most)
	if err != nil {
		return err
	}
	w.blocks, w.joined = a.AppleBlocks, joined
	_, err = follow(ctx, from.source, bounds{duration: a.Duration, whole: true}, func(batch []capture.Packet) error {
		w.joined.Wait(ctx, batch)
		return w.write(batch)
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	if ending := w.end(); err == nil {
		err = ending
	}
	sayLeftOut(from.chosen, out.Printf)
	out.Printf("%s\n", streamed(total(from.source.Counters()), w.written, from.chosen != nil || !a.Any()))
	out.Printf("%s", menu.Text(leftOut(from.late(), told, from.unfit(), from.header)))
	return err
}

// says reports whether the stream says which processes its packets are of.
func (a streamArgs) says(s packetService) bool {
	return a.Processes || a.AppleBlocks || a.Format != string(capture.PCAP) && keepsProcesses(s, a.Name)
}

// A tapped is where the packets of a stream come from.
type tapped struct {
	source  capture.Source
	header  capture.FileHeader
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
	return tapped{source: live, header: header, present: live.Interfaces, unfit: unfit, late: live.LeftOut}, nil
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

// A streamer writes the packets of a tapped.
type streamer struct {
	tapped
	stream     *pcapfile.Stream
	interfaces []capture.Interface // that the stream has
	most       int64               // packets to write; 0: no limit
	written    uint64
	joined     owned.Joined
	matching   []capture.Packet // of one batch
	of         []owners.Owners  // theirs
	blocks     bool             // say processes in blocks too
}

func newStreamer(out io.Writer, from tapped, most int64) (*streamer, error) {
	stream, err := pcapfile.NewStream(out, from.header)
	if errors.Is(err, capture.ErrMixedLinkTypes) {
		err = menu.BadArgument("format", "Interfaces of different kinds do not fit into one pcap stream").
			WithHint("Give format pcapng")
	}
	return &streamer{tapped: from, stream: stream, interfaces: from.header.Interfaces, most: most}, err
}

// write writes the packets of a batch that are wanted. It returns errEnough when the last
// one wanted is among them.
func (w *streamer) write(batch []capture.Packet) error {
	if err := w.introduce(); err != nil {
		return err
	}
	w.matching, w.of = w.matching[:0], w.of[:0]
	for n := range batch {
		on := w.interfaces[batch[n].Interface]
		if w.chosen != nil && !w.chosen.Match(&batch[n], on) {
			continue
		}
		if of, wanted := w.joined.Of(&batch[n], on); wanted {
			w.matching, w.of = append(w.matching, batch[n]), append(w.of, of)
		}
	}
	if left := uint64(w.most) - w.written; w.most > 0 && uint64(len(w.matching)) > left {
		w.matching = w.matching[:left]
	}
	w.written += uint64(len(w.matching))
	if err := w.stream.WriteSaying(w.matching, func(n int) pcapfile.Said { return w.of[n].Said(w.blocks) }); err != nil {
		return err
	}
	if w.most > 0 && w.written == uint64(w.most) {
		return errEnough
	}
	return nil
}

// introduce writes new interfaces, before their packets.
func (w *streamer) introduce() error {
	for present := w.present(); len(w.interfaces) < len(present); {
		next := present[len(w.interfaces)]
		if err := w.stream.AddInterface(next); err != nil {
			return err
		}
		w.interfaces = append(slices.Clone(w.interfaces), next)
	}
	return nil
}

// end writes the statistics, if they are known for each interface.
func (w *streamer) end() error {
	err := w.introduce()
	if counters := w.source.Counters(); err == nil && len(counters) == len(w.interfaces) {
		err = w.stream.End(counters)
	}
	return err
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
	if (a.Processes || a.AppleBlocks) && a.Format == "" {
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
