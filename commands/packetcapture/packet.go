package packetcapture

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"diagsh/capture/decode"
	"diagsh/capture/fields"
	"diagsh/capture/index"
	"diagsh/commands/shared/owned"
	"diagsh/internal/menu"
)

type packetArgs struct {
	Name     menu.Packets   `arg:"name,positional:1,required,headers" ask:"Capture or file" help:"Name of a capture or of a file of the diagnostic directory."`
	Position int64          `arg:"position,positional:2,required" ask:"Position of the packet" min:"1" help:"Position of the packet, as packets shows it."`
	Wait     *time.Duration `arg:"wait" max:"3600" help:"Looks for it no longer than this, if the file has not been read to there yet."`
}

// A locatedPacket is one packet with all its fields and their places.
type locatedPacket struct {
	packetRow
	File   string `json:"file"`
	InFile int64  `json:"inFile"` // its number in the file, from 1
	// the caller sees no bytes, and no more than the headers
	HeadersOnly bool           `json:"headersOnly"`
	Layers      []fields.Layer `json:"layers"`
	Bytes       string         `json:"bytes,omitempty"` // hexadecimal
}

func packetCommand(s indexService) *menu.Command {
	return menu.Decl[packetArgs, locatedPacket]{
		Name: "packet",
		Help: "Show one packet by its position: every field, where it is, and all bytes.",
		Details: "In JSON each field has its offset and length in the captured bytes, its bits, and the filter that " +
			"selects packets with the same value, where a filter can say it. What is not in the packet as it is has " +
			"no offset. Who may see headers only sees no bytes of packets that have contents.",
		Role:      menu.Operator,
		Shape:     menu.Object,
		Resources: []menu.Resource{{Method: "GET", Path: "captures/{name}/packets/{position}"}},
		Hidden:    noPackets(s),
		Ask:       askPackets[packetArgs](s),
		Suggest:   suggestPackets[packetArgs](s),
		Run: func(ctx context.Context, caller menu.Caller, a packetArgs, out *menu.Out[locatedPacket]) error {
			look := look{name: a.Name, wait: a.Wait, progress: out.Progress,
				enough: func(p index.Progress) bool { return p.Packets >= a.Position }}
			v, known, err := look.open(ctx, s, caller)
			if err != nil {
				return err
			}
			p, err := look.packetAt(v, known, a.Position)
			if err != nil {
				return err
			}
			j, err := owned.Args{}.Join(s, string(a.Name))
			if err != nil {
				return err
			}
			return out.Record(locate(v, p, j))
		},
		Text: locatedText,
	}.Command()
}

// locate returns a packet with its processes and the places of its fields.
func locate(v *index.View, p *index.Packet, j owned.Joined) locatedPacket {
	l := locatedPacket{HeadersOnly: v.HeadersOnly, File: v.FileName(p.File), InFile: p.InFile,
		packetRow: ownedRow(j, p, nil),
		Layers:    fields.Locate(&p.Packet, p.On.LinkType)}
	if !v.HeadersOnly {
		l.Bytes = hex.EncodeToString(p.Data)
	}
	return l
}

func locatedText(w io.Writer, l locatedPacket) {
	fmt.Fprintf(w, "Packet %d, number %d of %s\n", l.Position, l.InFile, l.File)
	owned.Text(w, owned.Packet{Packet: l.packet, Sender: l.Sender, Receiver: l.Receiver})
	for _, layer := range l.Layers {
		fmt.Fprintf(w, "    %s%s\n", layer.Label, place(layer.Offset, layer.Length))
		for _, f := range layer.Fields {
			writeField(w, f.Part, 2)
			for _, part := range f.Fields {
				writeField(w, part, 3)
			}
		}
	}
	if l.HeadersOnly {
		fmt.Fprintf(w, "    [This account sees the headers of packets only.]\n")
		return
	}
	data, _ := hex.DecodeString(l.Bytes)
	decode.Dump(w, data)
}

func writeField(w io.Writer, f fields.Part, depth int) {
	fmt.Fprintf(w, "%s%s: %s%s\n", strings.Repeat("    ", depth), f.Label, f.Value, place(f.Offset, f.Length))
}

// place writes where bytes are.
func place(offset *int, length int) string {
	switch {
	case offset == nil || length == 0:
		return ""
	case length == 1:
		return fmt.Sprintf(" [%d]", *offset)
	}
	return fmt.Sprintf(" [%d-%d]", *offset, *offset+length-1)
}
