package packetcapture

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

type streamArgs struct {
	Given       []string       `arg:"*"`
	Interfaces  []string       `arg:"interfaces,positional:1" alias:"interface" ask:"Interfaces, names or numbers separated by commas" help:"Names of interfaces separated by commas, or ALL."`
	Filter      *string        `arg:"filter" help:"A tcpdump filter such as \"host 192.0.2.1 and port 25\"."`
	Packets     int64          `arg:"packets" min:"1" help:"Ends after this many packets that match the filter."`
	Count       int64          `arg:"count" min:"1" help:"The same as packets."`
	Duration    *time.Duration `arg:"duration" min:"1" max:"31536000" help:"Ends after this time, such as 60s or 5m."`
	SnapLength  int            `arg:"snaplength" label:"Snap length" alias:"snaplen" min:"0" max:"262144" help:"Bytes kept of each packet; 0 keeps all."`
	Format      string         `arg:"format" choices:"pcap|pcapng" help:"Format; pcap for one interface, pcapng for several, if not given."`
	Promiscuous bool           `arg:"promiscuous" default:"yes" help:"Show packets too that are addressed to other machines."`
	Management  bool           `arg:"management" help:"Show the packets of management sessions too, this one among them."`
}

// streamCommand returns the command for `ssh HOST 'packetcapture stream interfaces eth0' |
// wireshark -k -i -`. Package shell converts the lines that Wireshark's sshdump sends to such
// lines.
func streamCommand(s liveService) *menu.Command {
	return menu.Decl[streamArgs, struct{}]{
		Name: "stream",
		Help: "Write packets to standard output as they come, for Wireshark.",
		Details: "On your own machine: ssh HOST 'packetcapture stream interfaces eth0 filter \"port 25\"' | " +
			"wireshark -k -i -. It ends when the reader ends. Interfaces that appear meanwhile join ALL, in pcap " +
			"those of the same link type. The packets go into no file of the appliance. A reader that is too " +
			"slow loses packets, and is told how many: on standard error and, in pcapng, in the statistics " +
			"of the interfaces after the last packet.",
		Role:  menu.Operator,
		Shape: menu.Bytes,
		Ask: func(_ context.Context, _ menu.Caller, _ streamArgs, q *menu.Question) error {
			return askLive(s, q)
		},
		Check: func(ctx context.Context, _ menu.Caller, a streamArgs, name string) error {
			return checkLiveFilter(ctx, s, a.Filter, name)
		},
		Run: func(ctx context.Context, caller menu.Caller, a streamArgs, out *menu.Out[struct{}]) error {
			return a.run(ctx, s, caller, out)
		},
	}.Command()
}

// run writes packets to out until a bound is met, then says what became of those that matched.
func (a streamArgs) run(ctx context.Context, s liveService, caller menu.Caller, out *menu.Out[struct{}]) error {
	most, err := howMany(a.Count, a.Packets)
	if err != nil {
		return err
	}
	source, header, unfit, err := s.OpenLive(ctx, caller, a.request())
	if err != nil {
		return err
	}
	defer source.Close()
	told := unfit()
	out.Printf("%s", menu.Text(captures.LeftOut(told)))
	stream, err := pcapfile.NewStream(out, header)
	if err != nil {
		return err
	}
	known := len(header.Interfaces)
	introduce := func() error { // new interfaces, before their packets
		for ; known < len(source.Interfaces()); known++ {
			if err := stream.AddInterface(source.Interfaces()[known]); err != nil {
				return err
			}
		}
		return nil
	}
	limits := bounds{packets: most, duration: a.Duration, whole: true}
	written, err := follow(ctx, source, limits, func(batch []capture.Packet) error {
		if err := introduce(); err != nil {
			return err
		}
		return stream.Write(batch)
	})
	counters := source.Counters()
	ending := introduce()
	if ending == nil {
		ending = stream.End(counters)
	}
	if err == nil {
		err = ending
	}
	out.Printf("%s\n", streamed(total(counters), uint64(written)))
	out.Printf("%s", menu.Text(leftOut(source.LeftOut(), told, unfit(), header)))
	return err
}

// streamed returns how many packets matched the filter, and what happened to them, in numbers that
// add up.
func streamed(c capture.Counters, written uint64) string {
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
	return capture.Request{Partial: capture.Partial{Options: o, Given: append(a.Given, "promiscuous")}}
}

func askLive(s liveService, q *menu.Question) error {
	if q.Name == "interfaces" {
		captures.ChooseInterfaces(q, s.CaptureInterfaces(), nil)
	}
	return nil
}
