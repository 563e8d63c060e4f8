package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/term"

	"diagsh/assets"
	"diagsh/capture/decode"
	"diagsh/diag/raid"
	"diagsh/internal/api"
	"diagsh/shell"
)

// local runs the shell of this machine's appliance and returns the exit status. It opens the menus,
// or runs one line with -c, as login shells are called.
func local(args []string) int {
	flags := newFlags("diagsh")
	socket := flags.String("socket", "", "")
	line := flags.String("c", "", "")
	licenses := flags.Bool("licenses", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		io.WriteString(os.Stdout, assets.Help)
		return 0
	case err != nil:
		return wrongFlags(flags, err)
	case *licenses:
		io.WriteString(os.Stdout, assets.Licenses)
		return 0
	case flags.NArg() > 0:
		fmt.Fprintf(os.Stderr, "diagsh: unexpected argument %q. To run one line, write: diagsh -c 'LINE'.\n",
			flags.Arg(0))
		return exitUsage
	}
	path := cmp.Or(*socket, os.Getenv("DIAGSH_SOCKET"), "/var/lib/diagsh/api.sock")
	client, err := api.Dial(context.Background(), path)
	if err != nil {
		fmt.Fprintf(os.Stderr, "diagsh: No appliance answers at %s. Start one with diagsh serve, or name its socket "+
			"with --socket.\n", path)
		return exitFailed
	}
	given := false
	flags.Visit(func(f *flag.Flag) { given = given || f.Name == "c" })
	return run(client, *line, given)
}

// raidOrder carries out one order for an md array, ACTION:ARRAY, and returns the exit status. The
// unit diagsh-raid@.service starts it with the right to do so, which the appliance lacks.
func raidOrder(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "diagsh: raid takes one order, and is started by the unit diagsh-raid@.service.")
		return exitUsage
	}
	if err := raid.Carry(args[0]); err != nil {
		fmt.Fprintf(os.Stderr, "diagsh raid %s: %v\n", args[0], err)
		return exitFailed
	}
	return 0
}

// run serves a user at a terminal, the given line, or lines from standard input, and returns the
// exit status.
func run(client *api.Client, line string, given bool) int {
	// A write to a pipe without a reader fails with EPIPE instead of ending the process, so
	// commands later in the line still run.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	client.ASCII = shell.ASCIIOnly(os.Getenv)
	switch {
	case given:
		var in io.Reader
		if !term.IsTerminal(0) { // at a terminal the user would not know that the line waits for input
			in = os.Stdin
		}
		return shell.OneLine(ctx, client, line, in, os.Stdout, os.Stderr)
	case term.IsTerminal(0) && term.IsTerminal(1):
		// Sessions are many and mostly idle, so little memory is worth more than speed.
		debug.SetGCPercent(40)
		decode.Trim()
		return shell.Interactive(context.Background(), client)
	}
	return shell.Script(ctx, client, os.Stdin, os.Stdout, os.Stderr)
}
