package packetcapture

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"diagsh/capture/index"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// A noteService keeps what users note at packets, by the file of a packet and its number there.
type noteService interface {
	indexService
	Notes(files ...string) []access.Note
	SetNote(caller menu.Caller, n access.Note) (access.Note, error)
	DeleteNote(file string, inFile int64) (n access.Note, there bool, err error)
}

// noteMenu returns packetcapture > note.
func noteMenu(s noteService) *menu.Menu {
	return &menu.Menu{
		Name:  "note",
		Help:  "Notes and marks at packets of captures and files.",
		Items: []menu.Item{noteSetCommand(s), noteListCommand(s), noteDeleteCommand(s)},
	}
}

// A packetNote is a note with the position of its packet in what was asked for.
type packetNote struct {
	Position int64 `json:"position"`
	access.Note
}

type noteSetArgs struct {
	Name     menu.Packets `arg:"name,positional:1,required" ask:"Capture or file" help:"Name of a capture or of a file of the diagnostic directory."`
	Position int64        `arg:"position,positional:2,required" ask:"Position of the packet" min:"1" help:"Position of the packet, as packets shows it."`
	Text     string       `arg:"text,positional:3" ask:"Note; Enter for a mark without text" help:"What to note, at most 500 characters in one line; without it the packet is marked."`
}

func noteSetCommand(s noteService) *menu.Command {
	return menu.Decl[noteSetArgs, packetNote]{
		Name: "set",
		Help: "Note something at a packet, or mark it.",
		Details: "A note takes the place of one that the packet has. Everyone who may read the whole packet sees it, as " +
			"it may quote what is in there. It goes along when the file is downloaded as pcapng, as a comment of the " +
			"packet, and is deleted with the file.",
		Role:      menu.Operator,
		Shape:     menu.Object,
		Resources: []menu.Resource{{Method: "PUT", Path: "captures/{name}/notes/{position}"}},
		Hidden:    noPackets(s),
		Ask:       askPackets[noteSetArgs](s),
		Suggest:   suggestPackets[noteSetArgs](s),
		Run: func(ctx context.Context, caller menu.Caller, a noteSetArgs, out *menu.Out[packetNote]) error {
			file, inFile, err := packetPlace(ctx, s, caller, a.Name, a.Position, out.Progress)
			if err != nil {
				return err
			}
			n, err := s.SetNote(caller, access.Note{File: file, InFile: inFile, Text: a.Text})
			if err != nil {
				return err
			}
			return out.Record(packetNote{a.Position, n})
		},
		Text: packetNoteText,
	}.Command()
}

// packetPlace returns the file of a packet and its number there.
func packetPlace(ctx context.Context, s indexService, caller menu.Caller, name menu.Packets, position int64,
	progress func(string, ...any)) (file string, inFile int64, err error) {
	look := look{name: name, progress: progress, enough: func(p index.Progress) bool { return p.Packets >= position }}
	v, known, err := look.open(ctx, s, caller)
	if err != nil {
		return "", 0, err
	}
	p, err := look.packetAt(v, known, position)
	if err != nil {
		return "", 0, err
	}
	return v.FileName(p.File), p.InFile, nil
}

type noteListArgs struct {
	Name menu.Packets   `arg:"name,positional:1,required" ask:"Capture or file" help:"Name of a capture or of a file of the diagnostic directory."`
	Wait *time.Duration `arg:"wait" max:"3600" help:"Answers after this time with the notes whose packets are known by then; without it with all."`
}

func noteListCommand(s noteService) *menu.Command {
	return menu.Decl[noteListArgs, packetNote]{
		Name: "list",
		Help: "List the notes at packets of a capture or a file.",
		Role: menu.Operator,
		Resources: []menu.Resource{
			{Method: "GET", Path: "captures/{name}/notes", List: "notes", Key: "position"},
			{Method: "GET", Path: "captures/{name}/notes/{position}", Key: "position", Pick: true, Help: "Show the note at one packet."},
		},
		Topic:   "notes",
		Ask:     askPackets[noteListArgs](s),
		Suggest: suggestPackets[noteListArgs](s),
		Run: func(ctx context.Context, caller menu.Caller, a noteListArgs, out *menu.Out[packetNote]) error {
			list, err := a.notes(ctx, s, caller, out.Progress)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				out.Printf("There is no note.\n")
			}
			return out.Records(list)
		},
		Text: packetNoteText,
	}.Command()
}

// notes returns the notes with the positions of their packets, in their order. Files are read only
// until all of these are known.
func (a noteListArgs) notes(ctx context.Context, s noteService, caller menu.Caller,
	progress func(string, ...any)) ([]packetNote, error) {
	look := look{name: a.Name, wait: a.Wait, progress: progress}
	v, err := s.OpenPackets(caller, string(a.Name))
	if err != nil {
		return nil, look.failed(err)
	}
	kept := s.Notes(v.FileNames()...)
	if len(kept) == 0 {
		return nil, nil
	}
	look.enough = func(index.Progress) bool {
		return !slices.ContainsFunc(kept, func(n access.Note) bool { return v.PositionOf(n.File, n.InFile) == 0 })
	}
	if _, err := look.again(ctx, v, nil); err != nil {
		return nil, err
	}
	var list []packetNote
	for _, n := range kept {
		if position := v.PositionOf(n.File, n.InFile); position > 0 {
			list = append(list, packetNote{position, n})
		}
	}
	return list, nil
}

type noteDeleteArgs struct {
	Name     menu.Packets `arg:"name,positional:1,required" ask:"Capture or file" help:"Name of a capture or of a file of the diagnostic directory."`
	Position int64        `arg:"position,positional:2,required" ask:"Position of the packet" min:"1" help:"Position of the packet, as note list shows it."`
}

func noteDeleteCommand(s noteService) *menu.Command {
	return menu.Decl[noteDeleteArgs, packetNote]{
		Name:      "delete",
		Help:      "Delete the note at a packet.",
		Role:      menu.Operator,
		Shape:     menu.Object,
		Resources: []menu.Resource{{Method: "DELETE", Path: "captures/{name}/notes/{position}", Status: 204}},
		Hidden:    noPackets(s),
		Ask:       askPackets[noteDeleteArgs](s),
		Suggest:   suggestPackets[noteDeleteArgs](s),
		Run: func(ctx context.Context, caller menu.Caller, a noteDeleteArgs, out *menu.Out[packetNote]) error {
			file, inFile, err := packetPlace(ctx, s, caller, a.Name, a.Position, out.Progress)
			if err != nil {
				return err
			}
			n, there, err := s.DeleteNote(file, inFile)
			switch {
			case err != nil:
				return err
			case !there:
				return &menu.Error{Code: menu.NotFound, Argument: "position",
					Message: fmt.Sprintf("There is no note at packet %d", a.Position), Hint: "`packetcapture note list` shows them"}
			}
			out.Printf("Deleted:\n")
			return out.Record(packetNote{a.Position, n})
		},
		Text: packetNoteText,
	}.Command()
}

func packetNoteText(w io.Writer, n packetNote) {
	text := n.Text
	if text == "" {
		text = "marked"
	}
	fmt.Fprintf(w, "Packet %d: %s (%s, %s)\n", n.Position, text, n.Author, n.Time.Format(time.DateTime))
}
