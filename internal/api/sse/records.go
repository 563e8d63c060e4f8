package sse

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"diagsh/internal/menu"
)

// Events of a run.
const (
	eventRecord = "record" // its id is its number, from 1 on
	eventEnd    = "end"    // the last one
)

// An ending is the data of eventEnd.
type ending struct {
	Exit  int         `json:"exit"`
	Error *menu.Error `json:"error,omitempty"`
}

// gather is how long a record may wait for more, and gatherSize how many bytes at most wait.
const (
	gather     = 20 * time.Millisecond
	gatherSize = 64 << 10
)

// Records writes the records of a run as events. It is a menu.Sink.
type Records struct {
	quiet time.Duration

	mu     sync.Mutex
	out    *Writer
	count  int
	record bytes.Buffer // the last record's JSON
	last   time.Time    // of the last send
	timer  *time.Timer  // sends what was gathered, or a comment when there is nothing
	due    bool         // the timer is for what was gathered
	err    error
	ended  bool
}

// NewRecords returns a sink that answers a request. It sends the header at once, and is silent for quiet
// at most.
func NewRecords(w http.ResponseWriter, quiet time.Duration) *Records {
	r := &Records{out: NewWriter(w), quiet: quiet}
	r.out.Comment("")
	r.err = r.out.Send()
	r.timer = time.AfterFunc(quiet, r.wake)
	return r
}

// wake sends what was gathered, or a comment.
func (r *Records) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	if !r.due {
		r.out.Comment("")
	}
	r.send()
}

// send sends what was gathered. The caller holds mu.
func (r *Records) send() {
	if err := r.out.Send(); r.err == nil {
		r.err = err
	}
	r.last, r.due = time.Now(), false
	r.timer.Reset(r.quiet)
}

// Form implements menu.Sink.
func (r *Records) Form() menu.Form { return menu.JSONForm }

// Record implements menu.Sink.
func (r *Records) Record(v any, _ menu.Shape) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.record.Reset()
	encoder := json.NewEncoder(&r.record)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	r.count++
	r.out.Event(strconv.Itoa(r.count), eventRecord, bytes.TrimRight(r.record.Bytes(), "\n"))
	switch {
	case time.Since(r.last) >= gather, r.out.buffer.Len() >= gatherSize:
		r.send()
	case !r.due:
		r.due = true
		r.timer.Reset(gather)
	}
	return r.err
}

// Text implements menu.Sink: there is none beside the records.
func (r *Records) Text([]byte) error { return nil }

// Data implements menu.Sink: a command whose shape is a stream has none.
func (r *Records) Data([]byte) error { return nil }

// Progress implements menu.Sink.
func (r *Records) Progress(string) {}

// View implements menu.Sink.
func (r *Records) View(bool) {}

// Finish tells how the run ended. After it nothing is sent.
func (r *Records) Finish(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	end := ending{}
	if err != nil {
		end.Error = menu.AsError(err)
		end.Exit = int(end.Error.Code)
	}
	r.out.Event("", eventEnd, marshaled(end))
	r.send()
	r.ended = true
	r.timer.Stop()
}

// Stop ensures that nothing is sent after the handler has returned.
func (r *Records) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	r.timer.Stop()
}
