package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"diagsh/internal/api/sse"
	"diagsh/internal/menu"
)

// An output writes the output of a command in the form that the request asks for. It gathers small
// pieces for a moment, so that the rows of a table do not become as many packets.
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
	early   *time.Timer // of head
	last    time.Time   // of the last send
	err     error
	ended   bool
}

// frameSize is the largest amount of output in bytes that is gathered before it is sent.
const frameSize = 64 << 10

// gather is how long a piece of output may wait for more. Users do not notice it.
const gather = 20 * time.Millisecond

// silence is how long a stream of lines waits for its first one until the header goes alone. So who
// waits can interrupt the run that the header names, and what fails at once still has its status.
const silence = time.Second

// An eventOutput writes the records of a run as server-sent events.
type eventOutput struct{ *sse.Records }

func (e eventOutput) finish(err error) error { e.Finish(err); return nil }
func (e eventOutput) stop()                  { e.Stop() }

// outputFor returns the output of a command for a request.
func (s *Server) outputFor(w http.ResponseWriter, r *http.Request, shape menu.Shape) runOutput {
	if shape == menu.Stream && strings.HasPrefix(r.Header.Get("Accept"), sse.Type) {
		return eventOutput{sse.NewRecords(w, s.quietTime)}
	}
	return newOutput(w, r, shape)
}

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
		o.flushNow() // sends the identifier of the run at once: a command without output can be interrupted too
	case o.form == menu.TextForm:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	case shape == menu.Stream:
		w.Header().Set("Content-Type", "application/x-ndjson")
		o.early = time.AfterFunc(silence, o.head)
	default:
		w.Header().Set("Content-Type", "application/json")
	}
	return o
}

// head sends the header, if nothing was sent yet.
func (o *output) head() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended && !o.began {
		o.began = true
		o.flushNow()
	}
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

// pace sends what is gathered, if it is much or the last send is long ago; else soon. The caller
// holds mu.
func (o *output) pace() error {
	if o.shape == menu.Bytes {
		return o.err // the text is for the last frame
	}
	switch {
	case o.buf.Len() >= frameSize:
		o.send()
		o.flushNow()
	case o.timer != nil: // which sends it
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

// send writes what is gathered. The caller holds mu.
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

// frame writes line and output at once: each write is a frame of HTTP/2, and waits until it is
// sent.
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

// keepSent is keep for errors of sending, which are the peer's.
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

// finish ends the output of a run that ended with err. If it returns an error, nothing was sent,
// and the caller must send it.
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
		// The status line was "200": break the connection, so that no client takes a part for the
		// whole.
		panic(http.ErrAbortHandler)
	}
	return nil
}

// finishBytes is finish for a command that writes bytes. The caller holds mu.
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

// stop ensures that the timer writes nothing after the handler has returned.
func (o *output) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	for _, t := range []*time.Timer{o.timer, o.early} {
		if t != nil {
			t.Stop()
		}
	}
}
