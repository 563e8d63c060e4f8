package api

import "diagsh/internal/menu"

// FramesType is the media type of a run's output as a shell wants it: frames, each a line of JSON. A frame that has bytes is
// followed by so many bytes of output, as they are: a table of many thousand rows would cost more to quote and unquote than to make.
const FramesType = "application/vnd.diagsh.frames"

// BytesType is the media type of the output of a command that writes bytes for a program. They are the body as they are; whoever
// asked for frames gets the last one, with what the command had to say beside them, in the trailer LastTrailer, base64 of its JSON.
// So a stream of packets costs neither base64 nor JSON on its way: docs/adr/0004 has the figures.
const BytesType = "application/octet-stream"

// LastTrailer is where the last frame stands behind bytes.
const LastTrailer = "Diagsh-Last"

// A Frame is a piece of what a running command says. The last one of a run has Exit set.
type Frame struct {
	Bytes    int         `json:"bytes,omitempty"`    // the length of Text
	Text     []byte      `json:"-"`                  // output: text, or JSON if that was asked for; it stands behind the line; valid until the next frame
	Data     []byte      `json:"-"`                  // output of a command that writes bytes; valid until the next frame
	Progress string      `json:"progress,omitempty"` // how far it has got
	View     string      `json:"view,omitempty"`     // begin or end: the text between takes the place of the view before on a terminal
	Error    *menu.Error `json:"error,omitempty"`
	Exit     *int        `json:"exit,omitempty"`
}

// lastOfBytes is the last frame behind bytes, with the words that the command had to say beside them.
type lastOfBytes struct {
	Frame
	Words string `json:"words,omitempty"`
}

// Bounds of a view, in a frame.
const (
	ViewBegins = "begin"
	ViewEnds   = "end"
)

// lastFrame says how a run ended.
func lastFrame(err error) Frame {
	last := Frame{Exit: new(int)}
	if err != nil {
		e := menu.AsError(err)
		last.Error, *last.Exit = e, int(e.Code)
	}
	return last
}
