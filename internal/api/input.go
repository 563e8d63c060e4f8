package api

import (
	"context"
	"net/http"
	"strings"

	"diagsh/internal/menu"
)

const (
	// InputQuery is the query parameter of a run that will get lines of input: "typed" for a user
	// at a terminal, else "piped". Each line is a POST input/RUN. Its reply comes after the command
	// has taken the line, so the sender waits for a command that does not read.
	InputQuery = "input"
	inputTyped = "typed"
	inputPiped = "piped"
)

// typingOf returns how the command of a request will get lines. Lines is nil if it gets none.
func typingOf(r *http.Request, c *menu.Command, args menu.Arguments) menu.Typing {
	kind := r.URL.Query().Get(InputQuery)
	if !c.Converses(args) || kind != inputTyped && kind != inputPiped {
		return menu.Typing{}
	}
	return menu.Typing{Lines: make(chan menu.Input), Person: kind == inputTyped}
}

// Typing implements menu.Typist.
func (o *output) Typing() menu.Typing { return o.typing }

// input passes a line to one of the caller's own runs.
func (s *Server) input(w http.ResponseWriter, r *http.Request, caller menu.Caller) error {
	s.mu.Lock()
	running := s.runs[r.PathValue("run")]
	s.mu.Unlock()
	if running == nil || running.session != caller.Session {
		return menu.Errorf(menu.NotFound, "No such run in this session")
	}
	if _, err := s.find(caller, running.path); err != nil {
		return err
	}
	var said menu.Input
	if err := readJSON(r, &said); err != nil {
		return err
	}
	switch {
	case running.lines == nil:
		return menu.Errorf(menu.State, "This command takes nothing while it runs").
			WithHint("Run it with ?%s=%s or %s, if it can", InputQuery, inputTyped, inputPiped)
	case strings.ContainsAny(said.Line, "\r\n"):
		return menu.Errorf(menu.Usage, "A line has no line break in it").WithHint("Say one line after the other")
	case len(said.Line) > menu.MaxInputLine:
		return menu.Errorf(menu.Usage, "The line is longer than %d KB", menu.MaxInputLine>>10)
	}
	select {
	case running.lines <- said:
		return writeJSON(w, struct{}{})
	case <-running.ended:
		return menu.Errorf(menu.NotFound, "The command has ended")
	case <-r.Context().Done():
		return r.Context().Err()
	}
}

// A Conversation is the input of a run, for Client.Converse.
type Conversation struct {
	Lines  <-chan menu.Input // need not be closed: lines after the end of the command are not taken
	Person bool              // a user types them and sees the output
}

// query returns the part of a run's query that announces the input.
func (v Conversation) query() string {
	switch {
	case v.Lines == nil:
		return ""
	case v.Person:
		return "&" + InputQuery + "=" + inputTyped
	}
	return "&" + InputQuery + "=" + inputPiped
}

// converse sends the lines, until ctx ends or the command takes no more.
func (c *Client) converse(ctx context.Context, run string, v Conversation) {
	for {
		select {
		case said, ok := <-v.Lines:
			if !ok || c.call(ctx, "POST", "input/"+run, said, nil) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
