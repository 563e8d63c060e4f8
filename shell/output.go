package shell

import (
	"context"
	"errors"
	"io"

	"diagsh/internal/api"
	"diagsh/internal/menu"
	"diagsh/shell/term"
)

// run runs a command and shows its output as it comes: through the pager, unless it is a stream
// that a user watches. Ctrl-C asks the command to end, a second one aborts it. The first result is
// the command's failure; an error ends the session.
func (s *shell) run(ctx context.Context, call menu.Call, args menu.Arguments) (*menu.Error, error) {
	form := menu.TextForm
	if call.JSON {
		form = menu.JSONForm
	}
	running, stop := s.terminal.Running(ctx)
	defer stop()
	typist := &typist{terminal: s.terminal}
	var said api.Conversation
	if call.Converses {
		running, said = typist.begin(running)
	}
	out := io.Writer(s.terminal)
	pager := s.terminal.Page()
	if !call.Stream {
		out = pager
	}
	view := &view{terminal: s.terminal}
	failure, err := s.client.Converse(running, term.HardContext(running), call.Path, args, form, said,
		func(f api.Frame) error {
			if f.Progress != "" {
				s.terminal.Progress(f.Progress)
			}
			if view.take(f) {
				return nil
			}
			_, err := out.Write(f.Text)
			if errors.Is(err, term.ErrInterrupted) {
				return nil // the command was asked to end; its last output is still shown
			}
			return err
		})
	if call.Converses {
		stop()
		if ended := typist.end(); err == nil && ended != nil {
			return nil, s.ended(ended)
		}
	}
	view.leave()
	if closed := pager.Close(); err == nil {
		err = closed
	}
	switch {
	case errors.Is(err, term.ErrPagerQuit):
		return nil, nil
	case failure != nil && failure.Code == menu.Interrupted:
		return nil, err // the user who pressed Ctrl-C knows it
	}
	return failure, s.ended(err)
}

// ended converts what ends a wait inside a command's output to what it means for the session.
func (s *shell) ended(err error) error {
	if err == nil || errors.Is(err, term.ErrInterrupted) {
		return nil
	}
	return s.left(err)
}

// page shows a text that may be longer than the screen.
func (s *shell) page(ctx context.Context, text string) error {
	_, stop := s.terminal.Running(ctx)
	defer stop()
	pager := s.terminal.Page()
	_, err := pager.WriteString(text)
	if closed := pager.Close(); err == nil {
		err = closed
	}
	if errors.Is(err, term.ErrPagerQuit) {
		return nil
	}
	return s.ended(err)
}
