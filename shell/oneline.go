package shell

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"diagsh/internal/api"
	"diagsh/internal/menu"
	"diagsh/shell/term"
)

// OneLine runs a line of commands without questions and without a pager: output goes to out,
// failures to errs. It runs all commands in order, even after failures. The exit status is that of
// the first failure. Wrong words anywhere in the line are found before anything runs. Commands may
// read from in, if not nil.
func OneLine(ctx context.Context, client *api.Client, line string, in io.Reader, out, errs io.Writer) int {
	status, _ := oneLine(ctx, client, line, in, out, errs)
	return status
}

// oneLine is OneLine. left reports that the line ended in exit, so that later lines must not run.
func oneLine(ctx context.Context, client *api.Client, line string, in io.Reader, out, errs io.Writer) (status int,
	left bool) {
	list := parts(line)
	commands, err := remoteCapture(theirs(list))
	if err != nil {
		return fail(errs, err), false
	}
	calls, err := client.Parse(ctx, api.LineRequest{Line: commands})
	if err != nil {
		return fail(errs, err), false
	}
	for _, p := range list {
		step := exitOK
		switch p.own {
		case "help":
			step = helpLine(ctx, client, p.args, out, errs)
		case "?":
			step = followsLine(ctx, client, p.text, out, errs)
		case "terminal":
			step = windowLine(client, p.args, out, errs)
		case "exit":
			if err := p.standsAlone(); err != nil {
				step = fail(errs, err)
				break
			}
			return status, true
		default:
			step = runOne(ctx, client, calls[0], in, out, errs)
			calls = calls[1:]
		}
		if status == exitOK {
			status = step
		}
		if ctx.Err() != nil {
			break
		}
	}
	return status, false
}

// windowLine carries out `terminal`. Without a terminal there is no pager, and a width limits
// tables and help.
func windowLine(client *api.Client, words []string, out, errs io.Writer) int {
	w, err := parseWindow(words)
	if err != nil {
		return fail(errs, err)
	}
	if w.what == "width" {
		client.Columns = nil
		if w.n > 0 {
			client.Columns = func() int { return w.n }
		}
	}
	fmt.Fprintln(out, w.said())
	return exitOK
}

// maxInput limits in bytes what a command reads. As JSON it fits a request whatever it contains.
const maxInput = 128 << 10

// quietInput is how long a command waits for its input before a message says so.
const quietInput = 2 * time.Second

// readInput reads standard input. It ends with the context, too.
func readInput(ctx context.Context, in io.Reader, errs io.Writer) (string, error) {
	type read struct {
		text []byte
		err  error
	}
	done := make(chan read, 1)
	go func() {
		text, err := io.ReadAll(io.LimitReader(in, maxInput+1))
		done <- read{text, err}
	}()
	hint := time.AfterFunc(quietInput,
		func() { fmt.Fprintln(errs, "Standard input is read to its end: Ctrl-D, if it is typed.") })
	defer hint.Stop()
	select {
	case <-ctx.Done():
		return "", menu.Errorf(menu.Interrupted, "Interrupted")
	case r := <-done:
		switch {
		case r.err != nil:
			return "", menu.Errorf(menu.Failed, "Standard input could not be read to its end")
		case len(r.text) > maxInput:
			return "", menu.Errorf(menu.Usage, "What standard input has is longer than %d KB", maxInput>>10)
		}
		return string(r.text), nil
	}
}

// helpLine carries out `help [COMMAND]`.
func helpLine(ctx context.Context, client *api.Client, path []string, out, errs io.Writer) int {
	text, err := client.Help(ctx, path)
	if err != nil {
		return fail(errs, err)
	}
	io.WriteString(out, fitted(client, text))
	return exitOK
}

// fitted breaks the lines of a text at blanks if a width was set.
func fitted(client *api.Client, text string) string {
	if client.Columns == nil {
		return text
	}
	return term.Wrapped(text, client.Columns())
}

// followsLine carries out `?` after the words of a line: it prints the help of the command that
// they name, else what may follow.
func followsLine(ctx context.Context, client *api.Client, line string, out, errs io.Writer) int {
	text, err := client.Help(ctx, strings.Fields(line))
	if err == nil {
		io.WriteString(out, fitted(client, text))
		return exitOK
	}
	found, failed := client.Complete(ctx, api.LineRequest{Line: line})
	if failed != nil {
		return fail(errs, failed)
	}
	if found.Value != nil {
		found.Candidates = append([]menu.Candidate{*found.Value}, found.Candidates...)
	}
	if len(found.Candidates) > 0 {
		io.WriteString(out, fitted(client, columns(found.Candidates)))
		return exitOK
	}
	if found.Remark != "" {
		io.WriteString(out, fitted(client, found.Remark))
		return exitOK
	}
	if _, wrong := client.Parse(ctx, api.LineRequest{Line: line}); wrong != nil {
		return fail(errs, wrong)
	}
	io.WriteString(out, "Nothing more is needed.\n")
	return exitOK
}

// errReaderGone ends a run whose output is not read any more.
var errReaderGone = errors.New("the output is not read any more")

// runOne runs one command of a line and returns its exit status.
func runOne(ctx context.Context, client *api.Client, call menu.Call, in io.Reader, out, errs io.Writer) int {
	if call.Menu {
		return menuLine(ctx, client, call.Path, errs)
	}
	if call.Input != "" && in != nil {
		text, err := readInput(ctx, in, errs)
		if err != nil {
			return fail(errs, err)
		}
		if call.Arguments == nil {
			call.Arguments = menu.Arguments{}
		}
		call.Arguments[call.Input] = text
	}
	words := out
	if call.Bytes {
		if isTerminal(out) {
			return fail(errs, errBytesOnTerminal(call.Path))
		}
		words = errs
	}
	if call.Bytes || call.Stream {
		var stop context.CancelFunc
		ctx, stop = whileRead(ctx, out)
		defer stop()
	}
	var said api.Conversation
	if call.Converses {
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		switch {
		case in != nil:
			said = piped(ctx, in)
		case isTerminal(os.Stdin) && isTerminal(out):
			return conversation(ctx, client, call, errs)
		}
	}
	return finished(ctx, client, call, said, out, words, errs)
}

// menuLine explains that a line names a menu and not a command.
func menuLine(ctx context.Context, client *api.Client, path []string, errs io.Writer) int {
	if _, err := client.Menu(ctx, path); err != nil {
		return fail(errs, err)
	}
	text, err := client.Help(ctx, path)
	if err != nil {
		return fail(errs, err)
	}
	fmt.Fprint(errs, "This is a menu; add one of its commands:\n", fitted(client, text))
	return int(menu.Usage)
}

// finished runs a command to its end and returns its exit status. Bytes go to out, and text to
// words. If out is a pipe that is not read any more, the command ends without a failure.
func finished(ctx context.Context, client *api.Client, call menu.Call, said api.Conversation, out, words,
	errs io.Writer) int {
	form := menu.TextForm
	if call.JSON {
		form = menu.JSONForm
	}
	failure, err := client.Converse(ctx, context.Background(), call.Path, call.Arguments, form, said,
		func(f api.Frame) error {
			if len(f.Data) > 0 {
				if _, err := out.Write(f.Data); err != nil {
					return errReaderGone
				}
			}
			if len(f.Text) > 0 {
				if _, err := words.Write(f.Text); err != nil {
					return errReaderGone
				}
			}
			return nil
		})
	ended := failure != nil && failure.Code == menu.Interrupted && errors.Is(context.Cause(ctx), errReaderGone)
	if ended || errors.Is(err, errReaderGone) {
		return exitOK // the reader has had enough
	}
	if failure != nil {
		err = failure
	}
	if err != nil {
		return fail(errs, err)
	}
	return 0
}

// Script runs lines read from a session without a terminal (`ssh -T`), one after the other, as
// OneLine does. Their commands have nothing to read: what follows a line is the next one.
func Script(ctx context.Context, client *api.Client, in io.Reader, out, errs io.Writer) int {
	status := exitOK
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() && ctx.Err() == nil {
		s, left := oneLine(ctx, client, lines.Text(), nil, out, errs)
		if status == exitOK {
			status = s
		}
		if left || readerGone(out) {
			return status
		}
	}
	if lines.Err() != nil {
		fmt.Fprintln(errs, "The input could not be read to its end.")
		return exitFail
	}
	return status
}

// fail writes a failure: what is wrong, then what to do. It returns the exit status.
func fail(errs io.Writer, err error) int {
	var known *menu.Error
	if errors.As(err, &known) {
		fmt.Fprintf(errs, "diagsh: %s\n", known.Error())
		return int(known.Code)
	}
	fmt.Fprintln(errs, "diagsh: The connection to the appliance is gone.")
	return exitFail
}

// complain is fail for a session that could not begin.
func complain(err error) int { return fail(os.Stderr, err) }
