package shell

import (
	"context"
	"errors"
	"io"

	"diagsh/api"
	"diagsh/menu"
	"diagsh/shell/term"
)

// run runs a command and shows its output as it comes: through the pager, unless it is a stream that a person watches. Ctrl-C asks
// the command to end, a second one gives it up. The command's failure is the first result; an error is what ends the session.
func (s *shell) run(ctx context.Context, call menu.Call, args menu.Arguments) (*menu.Error, error) {
	form := menu.TextForm
	if call.JSON {
		form = menu.JSONForm
	}
	running, stop := s.terminal.Running(ctx)
	defer stop()
	out, closeOut := s.writer(running, s.pager && !call.Stream)
	quit := false
	failure, err := s.client.Run(running, term.HardContext(running), call.Path, args, form, func(f api.Frame) error {
		if f.Progress != "" {
			s.terminal.Progress(f.Progress)
		}
		if f.Text == "" {
			return nil
		}
		_, err := io.WriteString(out, f.Text)
		quit = errors.Is(err, term.ErrPagerQuit)
		return err
	})
	closeErr := closeOut()
	if quit || errors.Is(closeErr, term.ErrPagerQuit) {
		return nil, nil
	}
	if failure != nil && failure.Kind == menu.Interrupted {
		// Whoever pressed Ctrl-C knows it.
		failure = nil
	}
	return failure, err
}

// page shows a text that may be longer than the screen.
func (s *shell) page(ctx context.Context, text string) error {
	running, stop := s.terminal.Running(ctx)
	defer stop()
	out, closeOut := s.writer(running, s.pager)
	_, err := io.WriteString(out, text)
	closeErr := closeOut()
	if err == nil {
		err = closeErr
	}
	if errors.Is(err, term.ErrPagerQuit) || running.Err() != nil {
		return nil
	}
	return err
}
