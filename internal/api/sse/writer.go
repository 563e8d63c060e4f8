// Package sse writes server-sent events (HTML, section 9.2), and the stream of what changes.
package sse

import (
	"bytes"
	"net/http"
	"time"
)

// Type is the media type of events, as EventSource reads it.
const Type = "text/event-stream"

// Quiet is how long a stream is silent at most. A comment then keeps proxies from ending it.
const Quiet = 15 * time.Second

// writeTime is how long a reader may take for what is written at a time.
const writeTime = 30 * time.Second

// A Writer writes events. What it is given it gathers until Send. It is for one goroutine at a time.
type Writer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	buffer  bytes.Buffer
}

// NewWriter returns a writer of an answer, and sets its header.
func NewWriter(w http.ResponseWriter) *Writer {
	w.Header().Set("Content-Type", Type)
	w.Header().Set("Cache-Control", "no-store")
	return &Writer{w: w, control: http.NewResponseController(w)}
}

// Event writes one event. data has no line break. An empty id leaves the last one.
func (e *Writer) Event(id, name string, data []byte) {
	if id != "" {
		e.buffer.WriteString("id: " + id + "\n")
	}
	e.buffer.WriteString("event: " + name + "\ndata: ")
	e.buffer.Write(data)
	e.buffer.WriteString("\n\n")
}

// ID sets the identifier that a reader comes back with, without an event.
func (e *Writer) ID(id string) { e.buffer.WriteString("id: " + id + "\n\n") }

// Comment writes what a reader ignores.
func (e *Writer) Comment(text string) { e.buffer.WriteString(":" + text + "\n\n") }

// Send sends what was gathered. A reader that does not take it within writeTime has gone.
func (e *Writer) Send() error {
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
