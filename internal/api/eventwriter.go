package api

import (
	"bytes"
	"net/http"
	"time"
)

// An eventWriter writes server-sent events. What it is given it gathers until send.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	buffer  bytes.Buffer
}

func newEventWriter(w http.ResponseWriter) *eventWriter {
	return &eventWriter{w: w, control: http.NewResponseController(w)}
}

// event writes one event. data has no line break. An empty id leaves the last one.
func (e *eventWriter) event(id, name string, data []byte) {
	if id != "" {
		e.buffer.WriteString("id: " + id + "\n")
	}
	e.buffer.WriteString("event: " + name + "\ndata: ")
	e.buffer.Write(data)
	e.buffer.WriteString("\n\n")
}

// id sets the identifier that a reader comes back with, without an event.
func (e *eventWriter) id(id string) { e.buffer.WriteString("id: " + id + "\n\n") }

// comment writes what a reader ignores.
func (e *eventWriter) comment(text string) { e.buffer.WriteString(":" + text + "\n\n") }

// send sends what was gathered. A reader that does not take it within writeTime has gone.
func (e *eventWriter) send() error {
	if e.buffer.Len() == 0 {
		return nil
	}
	e.control.SetWriteDeadline(time.Now().Add(writeTime))
	defer e.control.SetWriteDeadline(time.Time{})
	if _, err := e.w.Write(e.buffer.Bytes()); err != nil {
		return err
	}
	e.buffer.Reset()
	return e.control.Flush()
}
