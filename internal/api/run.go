package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// FramesType is the media type of a run's output as a shell wants it: frames, each a line of JSON. A frame that has bytes is
// followed by so many bytes of output, as they are: a table of many thousand rows would cost more to quote and unquote than to make.
const FramesType = "application/vnd.diagsh.frames"

// RunHeader names the run in an answer, for POST interrupt/RUN.
const RunHeader = "Diagsh-Run"

// BytesType is the media type of the output of a command that writes bytes for a program. They are the body as they are; whoever
// asked for frames gets the last one, with what the command had to say beside them, in the trailer LastTrailer, base64 of its JSON.
// So a stream of packets costs neither base64 nor JSON on its way: docs/decisions.md has the figures.
const BytesType = "application/octet-stream"

// LastTrailer is where the last frame stands behind bytes.
const LastTrailer = "Diagsh-Last"

// A Frame is a piece of what a running command says. The last one of a run has Exit set.
type Frame struct {
	Bytes    int        `json:"bytes,omitempty"`    // the length of Text
	Text     []byte     `json:"-"`                  // output: text, or JSON if that was asked for; it stands behind the line; valid until the next frame
	Data     []byte     `json:"-"`                  // output of a command that writes bytes; valid until the next frame
	Progress string     `json:"progress,omitempty"` // how far it has got
	View     string     `json:"view,omitempty"`     // begin or end: the text between takes the place of the view before on a terminal
	Error    *errorBody `json:"error,omitempty"`
	Exit     *int       `json:"exit,omitempty"`
}

// Err is the frame's failure, nil if it has none.
func (f Frame) Err() *menu.Error {
	if f.Error == nil {
		return nil
	}
	return f.Error.err()
}

// lastOfBytes is the last frame behind bytes, with the words that the command had to say beside them.
type lastOfBytes struct {
	Frame
	Words string `json:"words,omitempty"`
}

// A run is a command that runs now.
type run struct {
	session string
	cancel  context.CancelCauseFunc

	path  []string        // what is needed to say something to it is needed to run it
	lines chan menu.Input // nil if it takes none
	ended <-chan struct{}
}

// ResultRunning is the result in the audit log of a command that had not ended when the line was written. It is written longRun after the
// command began; the line of its end follows.
const (
	ResultRunning = "running"
	longRun       = 10 * time.Second
)

var (
	errInterrupt = errors.New("interrupted by the caller")
	errPeerGone  = errors.New("the caller has gone")
)

func (s *Server) command(r *http.Request, caller menu.Caller) (*menu.Command, []string, error) {
	path := pathOf(r)
	item, err := s.find(caller, path)
	if err != nil {
		return nil, path, err
	}
	c, ok := item.(*menu.Command)
	if !ok {
		return nil, path, menu.Errorf(menu.Usage, "%q is a menu, not a command", strings.Join(path, " ")).WithHint("Add one of its commands")
	}
	return c, path, nil
}

// refused audits a refusal of an act that led to no run: a dialogue that did not begin, a menu that was not shown. It passes err on.
func (s *Server) refused(caller menu.Caller, path []string, err error) error {
	if e := menu.AsError(err); err != nil && e.Kind == menu.Denied {
		s.appliance.Record(access.Event{Act: access.ActRefused, User: caller.User, Role: caller.Role, Source: caller.Source, Session: caller.Session,
			Path: cut(strings.Join(path, " ")), Result: e.Kind.String(), Exit: int(e.Kind), Message: menu.MaskedURLs(e.Error())})
	}
	return err
}

// run runs a command and audits it, whatever becomes of it.
func (s *Server) run(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	began := time.Now()
	c, path, err := s.command(r, caller)
	word := ""
	if err == nil {
		// An alias is the same command in the audit log.
		word, path[len(path)-1] = path[len(path)-1], c.Name
	}
	event := access.Event{Act: access.ActCommand, User: caller.User, Role: caller.Role, Source: caller.Source, Session: caller.Session,
		Path: strings.Join(path, " ")}
	if err == nil {
		now, done, changed := s.uses(caller, event.Path)
		defer done()
		if err = changed; err == nil {
			caller, event.Role = now, now.Role
			_, _, err = s.command(r, caller)
		}
	}
	defer func() {
		// Rounded up: a line of the audit log without seconds is of something that takes no time.
		event.Seconds = (time.Since(began) + time.Millisecond - 1).Truncate(time.Millisecond).Seconds()
		s.appliance.Record(event)
	}()
	fail := func(err error) error {
		e := s.asError(event.Path, err)
		event.Result, event.Exit, event.Message = e.Kind.String(), int(e.Kind), menu.MaskedURLs(e.Error())
		if e.Kind == menu.Denied {
			event.Act = access.ActRefused
		}
		return e
	}
	if err != nil {
		event.Path = cut(event.Path)
		return fail(err)
	}
	object := map[string]any{}
	if err := readJSON(r, &object); err != nil {
		return fail(err)
	}
	args, err := c.FromJSON(object)
	if err != nil {
		return fail(err)
	}
	event.Arguments = c.Masked(args)
	caller.Word = word
	caller.Columns, _ = strconv.Atoi(r.URL.Query().Get("columns")) // without it a table is as wide as it likes
	caller.ASCII = r.URL.Query().Get("characters") == ASCII

	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	one := &run{session: caller.Session, cancel: cancel, path: path, ended: ctx.Done()}
	typing := typingOf(r, c, args)
	if typing.Lines != nil {
		one.lines = make(chan menu.Input)
		typing.Lines = one.lines
	}
	id, err := s.begin(one)
	if err != nil {
		return fail(err)
	}
	defer s.end(id)
	// A command that hangs, or that the appliance's end cuts off, never comes to the line of its end.
	begun := event
	begun.Result = ResultRunning
	told := time.AfterFunc(s.longRun, func() { s.appliance.Record(begun) })
	defer told.Stop()

	w.Header().Set(RunHeader, id)
	out := newOutput(w, r, c.ShapeOf(args))
	defer out.stop()
	out.typing = typing
	err = c.Run(ctx, caller, args, func(packets string) error { return s.mayReadPackets(caller, packets) }, out)
	var known *menu.Error
	switch {
	case err == nil, errors.As(err, &known):
	case errors.Is(context.Cause(ctx), errInterrupt):
		err = menu.Errorf(menu.Interrupted, "Interrupted")
	case errors.Is(err, errPeerGone), r.Context().Err() != nil:
		err = menu.Errorf(menu.Interrupted, "The caller has gone") // a way to end a command, and no fault
	}
	if err != nil {
		err = fail(err)
	} else {
		event.Result = "ok"
	}
	return out.finish(err)
}

// begin names a run, for its interrupt.
func (s *Server) begin(one *run) (id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := 0
	for _, other := range s.runs {
		if other.session == one.session {
			own++
		}
	}
	if own >= maxRuns {
		return "", menu.Errorf(menu.State, "%d commands run in this session, which is the most", own).WithHint("Wait for one of them, or interrupt it")
	}
	id = rand.Text()
	s.runs[id] = one
	return id, nil
}

func (s *Server) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, id)
}

// interrupt asks one of the caller's own runs to end.
func (s *Server) interrupt(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	s.mu.Lock()
	running := s.runs[r.PathValue("run")]
	s.mu.Unlock()
	if running == nil || running.session != caller.Session {
		return menu.Errorf(menu.NotFound, "Nothing runs under that name in this session")
	}
	running.cancel(errInterrupt)
	return writeJSON(w, struct{}{})
}

// An output writes what a command yields, in the form that the request asks for. Small pieces are gathered for a moment, so that a
// table of many rows does not become as many packets.
type output struct {
	w      http.ResponseWriter
	flush  *http.ResponseController
	form   menu.Form
	frames bool
	shape  menu.Shape
	typing menu.Typing

	mu      sync.Mutex
	buf     bytes.Buffer // output not yet sent
	record  bytes.Buffer // the last record's JSON
	wire    []byte       // the last frame
	began   bool         // something was sent, so the status line has gone
	records int
	timer   *time.Timer
	last    time.Time // of the last send
	err     error
	ended   bool
}

// frameSize is how much output is gathered at most before it is sent.
const frameSize = 64 << 10

// gather is how long a piece of output may wait for more: below what a person sees.
const gather = 20 * time.Millisecond

func newOutput(w http.ResponseWriter, r *http.Request, shape menu.Shape) *output {
	o := &output{w: w, flush: http.NewResponseController(w), form: menu.JSONForm, shape: shape}
	accept := r.Header.Get("Accept")
	o.frames = strings.HasPrefix(accept, FramesType)
	if strings.HasPrefix(accept, "text/plain") || o.frames && r.URL.Query().Get("form") != "json" {
		o.form = menu.TextForm
	}
	switch {
	case shape == menu.Bytes:
		w.Header().Set("Content-Type", BytesType)
	case o.frames:
		w.Header().Set("Content-Type", FramesType)
		o.flushNow() // the run's name goes out before the command says anything, so that a silent one can be interrupted too
	case o.form == menu.TextForm:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	case shape == menu.Stream:
		w.Header().Set("Content-Type", "application/x-ndjson")
	default:
		w.Header().Set("Content-Type", "application/json")
	}
	return o
}

func (o *output) Form() menu.Form { return o.form }

func (o *output) Text(text []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Write(text)
	return o.pace()
}

// Data implements menu.Sink.
func (o *output) Data(p []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.began = true
	_, err := o.w.Write(p)
	o.keepSent(err)
	o.flushNow()
	return o.err
}

func (o *output) Record(v any, shape menu.Shape) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.record.Reset()
	encoder := json.NewEncoder(&o.record) // ends in a newline
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	o.shape = shape
	if shape == menu.Table {
		if o.records == 0 {
			o.buf.WriteString("[\n")
		} else {
			o.buf.WriteString(",\n")
		}
		o.buf.Write(bytes.TrimRight(o.record.Bytes(), "\n"))
	} else {
		o.buf.Write(o.record.Bytes())
	}
	o.records++
	return o.pace()
}

func (o *output) Progress(text string) {
	if !o.frames || o.shape == menu.Bytes {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.send()
	o.frame(Frame{Progress: text})
	o.flushNow()
}

// Bounds of a view, in a frame.
const (
	ViewBegins = "begin"
	ViewEnds   = "end"
)

// View implements menu.Sink.
func (o *output) View(begins bool) {
	if !o.frames || o.shape == menu.Bytes {
		return
	}
	bound := ViewEnds
	if begins {
		bound = ViewBegins
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.send()
	o.frame(Frame{View: bound})
	o.flushNow()
}

// pace sends what is gathered if the last send is long ago or there is much of it; else soon. Called with mu held.
func (o *output) pace() error {
	if o.shape == menu.Bytes {
		return o.err // it stands in the last frame
	}
	switch {
	case o.buf.Len() >= frameSize:
		o.send()
		o.flushNow()
	case o.timer != nil: // it is sent soon
	case time.Since(o.last) >= gather:
		o.send()
		o.flushNow()
	default:
		o.timer = time.AfterFunc(gather, func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.timer = nil
			if !o.ended {
				o.send()
				o.flushNow()
			}
		})
	}
	return o.err
}

// send writes what is gathered. Called with mu held.
func (o *output) send() {
	if o.buf.Len() == 0 {
		return
	}
	if o.frames {
		o.frame(Frame{Text: o.buf.Bytes()})
	} else {
		o.began = true
		_, err := o.w.Write(o.buf.Bytes())
		o.keepSent(err)
	}
	o.buf.Reset()
}

// frame writes line and output at once: each write is a frame of HTTP/2, and waits for it to be sent.
func (o *output) frame(f Frame) {
	o.began = true
	f.Bytes = len(f.Text)
	line, err := json.Marshal(f)
	o.keep(err)
	o.wire = append(append(append(o.wire[:0], line...), '\n'), f.Text...)
	_, err = o.w.Write(o.wire)
	o.keepSent(err)
}

func (o *output) flushNow() {
	o.keepSent(o.flush.Flush())
	o.last = time.Now()
}

// keepSent is keep for the way to the peer, on which nothing fails but by the peer.
func (o *output) keepSent(err error) {
	if err != nil {
		err = errors.Join(errPeerGone, err)
	}
	o.keep(err)
}

func (o *output) keep(err error) {
	if o.err == nil {
		o.err = err
	}
}

// finish ends the output. What it returns has not been told to the peer yet: nothing was sent, so it becomes the answer.
func (o *output) finish(err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.form == menu.JSONForm && o.shape == menu.Table && (err == nil || o.records > 0) {
		if o.records == 0 {
			o.buf.WriteString("[")
		}
		o.buf.WriteString("\n]\n")
	}
	if o.shape == menu.Bytes {
		return o.finishBytes(err)
	}
	if o.frames {
		o.send()
		o.frame(lastFrame(err))
		return nil
	}
	if err != nil && !o.began && o.records == 0 && o.form == menu.JSONForm {
		o.w.Header().Del("Content-Type")
		return err
	}
	o.send()
	if err != nil {
		if !o.began {
			return err
		}
		// The status line has gone as "200": break the connection, so that nobody takes a part for the whole.
		panic(http.ErrAbortHandler)
	}
	return nil
}

// lastFrame says how a run ended.
func lastFrame(err error) Frame {
	last := Frame{Exit: new(int)}
	if err != nil {
		e := menu.AsError(err)
		last.Error, *last.Exit = bodyOf(e), int(e.Kind)
	}
	return last
}

// finishBytes is finish for a command that writes bytes. Called with mu held.
func (o *output) finishBytes(err error) error {
	switch {
	case err != nil && !o.began:
		o.w.Header().Del("Content-Type")
		return err
	case o.frames:
		text, failed := json.Marshal(lastOfBytes{Frame: lastFrame(err), Words: o.buf.String()})
		if failed != nil {
			return failed
		}
		o.w.Header().Set(http.TrailerPrefix+LastTrailer, base64.StdEncoding.EncodeToString(text))
	case err != nil:
		panic(http.ErrAbortHandler) // as in finish
	}
	return nil
}

// stop makes sure that the timer writes nothing once the handler has returned.
func (o *output) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	if o.timer != nil {
		o.timer.Stop()
	}
}
