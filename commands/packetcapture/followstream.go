package packetcapture

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/capture/decode"
	"diagsh/capture/streams"
	"diagsh/internal/menu"
)

type followArgs struct {
	Name     menu.Packets `arg:"name,positional:1,required" ask:"Capture or file" help:"Name of a capture or of a file of the diagnostic directory."`
	Position int64        `arg:"position,positional:2,required" ask:"Position of a packet of the stream" min:"1" help:"Position of any packet of the stream, as packets and flows show it."`
	Form     string       `arg:"form" choices:"text|hex|raw" default:"text" help:"As text, in hexadecimal, or raw: in JSON base64, else as text."`
	After    string       `arg:"after" help:"Goes on where another page has ended: the member next of it."`
	Bytes    int          `arg:"bytes" default:"65536" min:"1" max:"1048576" help:"About how many bytes a page has."`
}

// A streamPage is a part of what two ends said.
type streamPage struct {
	Name       string `json:"name"`
	Protocol   string `json:"protocol"` // tcp, udp
	Client     string `json:"client"`   // the end that opened it, or sent first
	ClientPort int    `json:"clientPort"`
	Server     string `json:"server"`
	ServerPort int    `json:"serverPort"`
	Position   int64  `json:"position"` // of the first packet of the stream
	Form       string `json:"form"`
	// bytes that each had sent at the end of this page, gaps included
	ClientBytes int64   `json:"clientBytes"`
	ServerBytes int64   `json:"serverBytes"`
	Chunks      []chunk `json:"chunks"`
	Next        string  `json:"next,omitempty"` // for after; none if there is no more
	Complete    bool    `json:"complete"`       // no more packets will come
}

// A chunk is bytes of one end, or a gap where bytes are missing.
type chunk struct {
	From     string    `json:"from"` // client, server
	Offset   int64     `json:"offset"`
	Length   int64     `json:"length"`
	Position int64     `json:"position"` // of the packet that brought it
	Time     time.Time `json:"time"`
	Data     string    `json:"data,omitempty"`    // in the wanted form
	Missing  bool      `json:"missing,omitempty"` // these bytes are not there
	Reason   string    `json:"reason,omitempty"`  // why not

	bytes []byte
}

func followstreamCommand(s indexService) *menu.Command {
	return menu.Decl[followArgs, streamPage]{
		Name: "followstream",
		Help: "Show what two ends said in a TCP connection or by UDP, in its order.",
		Details: "Retransmissions and segments out of order are put in their places, fragments are put together, and " +
			"bytes that were not captured are named. The stream is that of a packet: also where its ports are used " +
			"again. It comes in pages.",
		Role:      menu.Operator,
		Shape:     menu.Object,
		Resources: []menu.Resource{{Method: "GET", Path: "captures/{name}/flows/{position}/data"}},
		Hidden:    noPackets(s),
		Ask:       askPackets[followArgs](s),
		Suggest:   suggestPackets[followArgs](s),
		Run: func(ctx context.Context, caller menu.Caller, a followArgs, out *menu.Out[streamPage]) error {
			page, err := a.page(ctx, s, caller, out.Progress)
			if err != nil {
				return err
			}
			return out.Record(*page)
		},
		Text: streamText,
	}.Command()
}

func (a followArgs) page(ctx context.Context, s indexService, caller menu.Caller,
	progress func(string, ...any)) (*streamPage, error) {
	var cursor streams.Cursor
	if a.After != "" {
		var err error
		if cursor, err = streams.ParseCursor(a.After); err != nil {
			return nil, menu.BadArgument("after", "%s is no place in a stream", menu.Quoted(a.After)).
				WithHint("Give the member next of the page before")
		}
	}
	look := look{name: a.Name, progress: progress}
	v, known, err := look.open(ctx, s, caller)
	if err != nil {
		return nil, err
	}
	p, err := look.packetAt(v, known, a.Position)
	if err != nil {
		return nil, err
	}
	stream, ok := streams.Of(&p.Packet, p.On.LinkType)
	if !ok {
		return nil, menu.BadArgument("position", "Packet %d is of no stream: it is no TCP and no UDP, or only a part", a.Position).
			WithHint("packetcapture flows lists the streams with their first packets")
	}
	if known, err = look.again(ctx, v, stream.Filter()); err != nil {
		return nil, err
	}
	stream, begin, err := stream.Begin(ctx, v, a.Position)
	if err != nil {
		return nil, look.failed(err)
	}
	part, err := stream.Follow(ctx, v, begin, cursor, a.Bytes, known.Complete)
	if err != nil {
		return nil, look.failed(err)
	}
	page := &streamPage{Name: string(a.Name), Protocol: "udp", Position: begin, Form: a.Form, Complete: known.Complete,
		Client: stream.Ends[0].Address.Addr().String(), ClientPort: int(stream.Ends[0].Port),
		Server: stream.Ends[1].Address.Addr().String(), ServerPort: int(stream.Ends[1].Port),
		ClientBytes: part.Bytes[0], ServerBytes: part.Bytes[1], Chunks: []chunk{}}
	if stream.Transport == unix.IPPROTO_TCP {
		page.Protocol = "tcp"
	}
	if part.More {
		page.Next = part.Next.String()
	}
	for _, c := range part.Chunks {
		page.Chunks = append(page.Chunks, chunkOf(c, a.Form))
	}
	return page, nil
}

func chunkOf(c streams.Chunk, form string) chunk {
	r := chunk{From: [...]string{"client", "server"}[c.From], Offset: c.Offset, Length: int64(len(c.Data)) + c.Missing,
		Position: c.Position, Time: time.Unix(0, c.Time).UTC(), Missing: c.Missing > 0, Reason: string(c.Reason), bytes: c.Data}
	switch form {
	case "hex":
		r.Data = hex.EncodeToString(c.Data)
	case "raw":
		r.Data = base64.StdEncoding.EncodeToString(c.Data)
	default:
		r.Data = string(c.Data)
	}
	return r
}

func streamText(w io.Writer, p streamPage) {
	fmt.Fprintf(w, "%s, %s > %s, from packet %d on\n", strings.ToUpper(p.Protocol), end(p.Client, &p.ClientPort), end(p.Server, &p.ServerPort), p.Position)
	from := ""
	for _, c := range p.Chunks {
		if c.From != from {
			from = c.From
			fmt.Fprintf(w, "--- %s, byte %d, packet %d\n", from, c.Offset, c.Position)
		}
		switch {
		case c.Missing:
			fmt.Fprintf(w, "[%d bytes are missing: %s]\n", c.Length, c.Reason)
		case p.Form == "hex":
			decode.Dump(w, c.bytes)
		default:
			for line := range strings.Lines(string(c.bytes)) {
				fmt.Fprintf(w, "%s\n", decode.Clean(strings.TrimRight(line, "\r\n")))
			}
		}
	}
	if p.Next != "" {
		fmt.Fprintf(w, "--- more: after %s\n", p.Next)
	}
}
