package shell

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"diagsh/api"
	"diagsh/menu"
)

// OneLine runs a line of commands without a question and without a pager: output to out, failures to errs. The commands run in
// their order, each whatever became of those before; the exit status is that of the first that failed. Wrong words anywhere in
// the line are found before anything runs.
func OneLine(ctx context.Context, client *api.Client, line string, out, errs io.Writer) int {
	if words := strings.Fields(line); len(words) > 0 && strings.EqualFold(words[0], "help") {
		return helpLine(ctx, client, words[1:], out, errs)
	}
	line, err := remoteCapture(line)
	if err != nil {
		return fail(errs, err)
	}
	calls, err := client.Parse(ctx, api.LineRequest{Line: line})
	if err != nil {
		return fail(errs, err)
	}
	status := 0
	for _, call := range calls {
		if s := runOne(ctx, client, call, out, errs); s != 0 && status == 0 {
			status = s
		}
		if ctx.Err() != nil {
			break
		}
	}
	return status
}

// helpLine is `help [COMMAND]`.
func helpLine(ctx context.Context, client *api.Client, path []string, out, errs io.Writer) int {
	text, err := client.Help(ctx, path)
	if err != nil {
		return fail(errs, err)
	}
	io.WriteString(out, text)
	return exitOK
}

// errReaderGone ends a run whose output nobody takes any more.
var errReaderGone = errors.New("nobody reads the output any more")

func runOne(ctx context.Context, client *api.Client, call menu.Call, out, errs io.Writer) int {
	if call.Menu {
		text, err := client.Help(ctx, call.Path)
		if err != nil {
			return fail(errs, err)
		}
		fmt.Fprint(errs, "This is a menu; add one of its commands:\n", text)
		return int(menu.Usage)
	}
	form := menu.TextForm
	if call.JSON {
		form = menu.JSONForm
	}
	words := out
	if call.Bytes {
		if isTerminal(out) {
			return fail(errs, errBytesOnTerminal())
		}
		words = errs
	}
	if call.Bytes || call.Stream {
		var stop context.CancelFunc
		ctx, stop = whileRead(ctx, out)
		defer stop()
	}
	failure, err := client.Run(ctx, context.Background(), call.Path, call.Arguments, form, func(f api.Frame) error {
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
	ended := failure != nil && failure.Kind == menu.Interrupted && errors.Is(context.Cause(ctx), errReaderGone)
	if ended || errors.Is(err, errReaderGone) {
		return exitOK // whoever read has had enough
	}
	if failure != nil {
		err = failure
	}
	if err != nil {
		return fail(errs, err)
	}
	return 0
}

// Script runs lines read from a session without a terminal (`ssh -T`), one after the other, as OneLine does.
func Script(ctx context.Context, client *api.Client, in io.Reader, out, errs io.Writer) int {
	status := 0
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() && ctx.Err() == nil {
		if word := lines.Text(); word == "exit" || word == "quit" {
			break
		}
		if s := OneLine(ctx, client, lines.Text(), out, errs); s != 0 && status == 0 {
			status = s
		}
		if readerGone(out) {
			return status
		}
	}
	if lines.Err() != nil {
		fmt.Fprintln(errs, "The input could not be read to its end.")
		return exitFail
	}
	return status
}

// fail writes a failure: what is wrong, then what to do. The result is its exit status.
func fail(errs io.Writer, err error) int {
	var known *menu.Error
	if errors.As(err, &known) {
		fmt.Fprintf(errs, "diagsh: %s\n", known.Error())
		return int(known.Kind)
	}
	fmt.Fprintln(errs, "diagsh: The connection to the appliance is gone.")
	return exitFail
}

// complain is fail for a session that could not begin.
func complain(err error) int { return fail(os.Stderr, err) }
