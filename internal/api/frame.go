package api

import "diagsh/internal/menu"

// FramesType is the media type of a run's output as a shell wants it: frames, each a line of JSON.
// After the line come as many bytes of output as it says, as they are. Quoting a table of many
// thousand rows would cost more than making it.
const FramesType = "application/vnd.diagsh.frames"

// BytesType is the media type of the output of a command that writes bytes for a program. The body
// is these bytes. For a request that accepts FramesType, the trailer LastTrailer has the last frame
// and the command's other output: base64 of JSON. So a stream of packets needs neither base64 nor
// JSON (docs/adr/0004 has the figures).
const BytesType = "application/octet-stream"

// LastTrailer is the trailer with the last frame, after bytes.
const LastTrailer = "Diagsh-Last"

// A Frame is a piece of the output of a run. The last one of a run has Exit set.
type Frame struct {
	// Bytes is the length of Text.
	Bytes int `json:"bytes,omitempty"`
	// Text is output: text, or JSON if the request asked for it. It follows the line of the frame,
	// and is valid until the next frame.
	Text []byte `json:"-"`
	// Data is output of a command that writes bytes, valid until the next frame.
	Data []byte `json:"-"`
	// Progress says how far the command has got.
	Progress string `json:"progress,omitempty"`
	// View is ViewBegins or ViewEnds. On a terminal, the text between them replaces that of the
	// view before.
	View  string      `json:"view,omitempty"`
	Error *menu.Error `json:"error,omitempty"`
	Exit  *int        `json:"exit,omitempty"`
}

// A lastOfBytes is the last frame after bytes, with the other output of the command.
type lastOfBytes struct {
	Frame
	Words string `json:"words,omitempty"`
}

// Values of Frame.View.
const (
	ViewBegins = "begin"
	ViewEnds   = "end"
)

// lastFrame returns the last frame of a run that ended with err.
func lastFrame(err error) Frame {
	last := Frame{Exit: new(int)}
	if err != nil {
		e := menu.AsError(err)
		last.Error, *last.Exit = e, int(e.Code)
	}
	return last
}
