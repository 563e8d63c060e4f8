package shell

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"

	"diagsh/internal/api"
	"diagsh/internal/menu"
	"diagsh/shell/term"
)

// escapeKey leaves a command that takes lines: Ctrl-], as in telnet(1).
const escapeKey = "\x1d"

// A typist reads lines for a running command, with the arrow keys for earlier ones.
type typist struct {
	terminal *term.Terminal
	typing   sync.WaitGroup
	leave    context.CancelFunc
	ended    error // why the session must end, if at all
}

// begin reads lines until the context of a running command ends. The context that it returns also
// ends by the escape key.
func (t *typist) begin(running context.Context) (context.Context, api.Conversation) {
	ctx, leave := context.WithCancel(running)
	t.leave = leave
	lines := make(chan menu.Input)
	say := func(in menu.Input) bool {
		select {
		case lines <- in:
			return true
		case <-ctx.Done():
			return false
		}
	}
	t.typing.Go(func() {
		var history []string
		for {
			line, err := t.terminal.ReadLine(term.Line{Escape: escapeKey, History: history})
			switch {
			case err == nil:
				history = append(history, line)
				if !say(menu.Input{Line: line}) {
					return
				}
				continue
			case errors.Is(err, term.ErrEnd):
				say(menu.Input{Ends: true})
				return
			case errors.Is(err, term.ErrIdle), errors.Is(err, io.EOF):
				t.ended = err
			}
			leave()
			return
		}
	})
	return ctx, api.Conversation{Lines: lines, Person: true}
}

// end waits until the reading is over, after the running command's context has ended. Its error
// ends the session.
func (t *typist) end() error {
	t.leave()
	t.typing.Wait()
	return t.ended
}

// piped sends the lines of a reader to a command until ctx ends. It splits lines that are too long.
func piped(ctx context.Context, in io.Reader) api.Conversation {
	lines := make(chan menu.Input)
	say := func(said menu.Input) bool {
		select {
		case lines <- said:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		reader := bufio.NewReaderSize(in, menu.MaxInputLine)
		for {
			line, err := reader.ReadSlice('\n')
			text := strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), "\r", "")
			if (len(line) > 0 && !say(menu.Input{Line: text})) || err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				break
			}
		}
		say(menu.Input{Ends: true})
	}()
	return api.Conversation{Lines: lines}
}

// conversation runs a command that takes lines on the process's controlling terminal, without
// menus. It returns the exit status.
func conversation(ctx context.Context, client *api.Client, call menu.Call, errs io.Writer) int {
	terminal, err := term.Open(term.Options{Dumb: term.Dumb(os.Getenv("TERM"))})
	if err != nil {
		return complain(err)
	}
	failure, err := converse(ctx, client, call, terminal)
	terminal.Close()
	if failure != nil {
		err = failure
	}
	if err != nil {
		return fail(errs, err)
	}
	return exitOK
}

func converse(ctx context.Context, client *api.Client, call menu.Call, terminal *term.Terminal) (*menu.Error, error) {
	form := menu.TextForm
	if call.JSON {
		form = menu.JSONForm
	}
	running, stop := terminal.Running(ctx)
	defer stop()
	t := &typist{terminal: terminal}
	running, said := t.begin(running)
	failure, err := client.Converse(running, term.HardContext(running), call.Path, call.Arguments, form, said,
		func(f api.Frame) error {
			_, err := terminal.Write(f.Text)
			return err
		})
	stop()
	t.end()
	return failure, err
}
