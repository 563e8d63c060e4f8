package packetcapture

import (
	"context"
	"errors"
	"time"

	"diagsh/capture"
	"diagsh/capture/decode"
	"diagsh/capture/owners"
	"diagsh/capture/pcapfile"
	"diagsh/capture/replay"
	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/conversation"
	"diagsh/commands/shared/owned"
	"diagsh/commands/shared/packets"
	"diagsh/internal/menu"
)

type showArgs struct {
	Name   menu.Packets `arg:"name,positional:1,required" ask:"Capture or file" help:"Name of a capture or of a file of the diagnostic directory."`
	Filter string       `arg:"filter" help:"A tcpdump filter such as \"host 192.0.2.1 and port 25\"."`
	From   *time.Time   `arg:"from" help:"The first moment, such as \"2026-03-01 10:15\" (UTC)."`
	To     *time.Time   `arg:"to" help:"The time after the last packet."`
	Count  int64        `arg:"count" min:"1" help:"Shows this many packets."`
	Detail int          `arg:"detail" default:"1" min:"1" max:"6" help:"From 1, a line a packet, to 6, every field and all bytes."`
	Flow   int64        `arg:"flow" min:"1" help:"Number of a conversation, as flows counts them: its packets, and between them what the kernel dropped and the port log has of it."`

	Packets int64 `arg:"packets" min:"1" help:"The same as count."`
	owned.Args
}

func showCommand(s packetService) *menu.Command {
	return menu.Decl[showArgs, conversation.Record]{
		Name: "show",
		Help: "Show the packets of a capture or a file.",
		Details: "Of a capture that runs it shows what is on the disk so far. A filter is asked of each packet by " +
			"its own link type; inbound and outbound need a file that knows them, as pcapng of this appliance. A " +
			"file has no netmask: ip broadcast is 0.0.0.0 and 255.255.255.255 there. A header that a packet ends " +
			"in is shown as [|tcp]. With flow it shows one conversation of a capture, a file, or a report on a capture " +
			"(packetcapture report), with what belongs to it by time.",
		Role:    menu.Operator,
		Hidden:  noPackets(s),
		Ask:     askPackets[showArgs](s),
		Suggest: suggestPackets[showArgs](s),
		Check: func(ctx context.Context, _ menu.Caller, a showArgs, name string) error {
			return checkFilter(ctx, s, a.Filter, name)
		},
		Run: func(ctx context.Context, _ menu.Caller, a showArgs, out *menu.Out[conversation.Record]) error {
			most, err := howMany(a.Count, a.Packets)
			switch {
			case err != nil:
				return err
			case a.Flow > 0 && (a.Filter != "" || a.From != nil || a.To != nil || !a.Any()):
				return menu.BadArgument("flow", "A conversation is shown as a whole, without filter, from, to, process, pid and user").
					WithHint("Leave them out")
			case a.Flow > 0:
				return conversation.Show(ctx, s, conversation.Wanted{Name: a.Name, Number: a.Flow, Detail: decode.Detail(a.Detail), Most: most}, out)
			}
			number := int64(0)
			err = a.look(ctx, s, func(p *capture.Packet, on capture.Interface, of owners.Owners) error {
				number++
				if err := out.Record(conversation.Record{Packet: decode.Decode(number, p, on, decode.Detail(a.Detail)),
					Sender: of.Sender, Receiver: of.Receiver}); err != nil {
					return err
				}
				if number == most {
					return packets.ErrEnough
				}
				return nil
			}, out.Printf)
			if number == 0 && err == nil {
				out.Printf("There is no such packet.\n")
			}
			return err
		},
		Text: conversation.Text,
	}.Command()
}

// look hands on the packets of files. It calls say with what was wrong with files that could be
// read nevertheless.
func (a showArgs) look(ctx context.Context, s packetService,
	hand func(*capture.Packet, capture.Interface, owners.Owners) error, say func(string, ...any) error) error {
	files, err := s.PacketFiles(string(a.Name))
	if err != nil {
		return err
	}
	j, err := a.Join(s, string(a.Name))
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
		return packets.NotAFile(a.Name, err)
	}
	defer source.Close()
	_, err = packets.Follow(ctx, source, packets.Bounds{}, func(batch []capture.Packet) error {
		return j.Each(batch, source.Interfaces, hand)
	})
	switch {
	case errors.Is(err, packets.ErrEnough):
		return nil
	case err != nil:
		return packets.NotAFile(a.Name, err)
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
		say("[A file is corrupt at byte %d; what follows is not read.]\n", corrupt.Offset)
	case source.Torn() != nil:
		say("[A file ends in the middle of a packet.]\n")
	}
	return nil
}
