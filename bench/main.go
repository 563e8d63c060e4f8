// Command bench measures what diagsh promises in figures, each beside a peer where there is one,
// and prints a table.
//
//	go run ./bench                every figure (about twenty-five minutes)
//	go run ./bench login idle     these
//	go run ./bench -page docs/performance.md login
//	                              and puts their rows into the page
//
// bench/README.md says what each figure means and how it is taken.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
)

// A figure is one line of the table.
type figure struct {
	what string
	ours string
	peer string // "-" where there is none
	goal string // "" for a figure that is shown for information
	met  bool   // with a goal only

	command string // that takes the figure again
}

func (f figure) verdict() string {
	switch {
	case f.goal == "":
		return ""
	case f.met:
		return "met"
	}
	return "MISSED"
}

// A measurement takes figures that belong together.
type measurement struct {
	name string
	take func(context.Context, *bed) ([]figure, error)
}

// command returns the command that takes m again, with -rounds unless rounds is 0.
func (m measurement) command(rounds int) string {
	if rounds > 0 {
		return fmt.Sprintf("go run ./bench -rounds %d %s", rounds, m.name)
	}
	return "go run ./bench " + m.name
}

var measurements = []measurement{
	{"login", login},
	{"echo", echo},
	{"download", download},
	{"idle", idle},
	{"sockets", sockets},
	{"ports", portLog},
	{"web", web},
	{"memory", memory},
	{"large", captureLarge},
	{"all", captureAll},
	{"beside", captureBeside},
	{"small", captureSmall},
	{"four", captureFour},
	{"long", captureLong},
}

func main() {
	binary := flag.String("binary", "",
		"the program that is measured; the one of this tree, built now, if none is given")
	dir := flag.String("dir", os.TempDir(), "where the appliance keeps its data, 1 GiB for the download")
	rounds := flag.Int("rounds", 0, "how often each thing is done (0: as the figure needs it)")
	page := flag.String("page", "",
		"the page whose rows of these measurements are replaced, such as docs/performance.md")
	flag.Parse()
	if flag.Arg(0) == holdWord {
		if err := holdSockets(flag.Arg(1)); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	figures, err := run(*binary, *dir, *rounds, flag.Args())
	if err == nil {
		fmt.Printf("$ %s\n\n", strings.Join(append([]string{"go run ./bench"}, os.Args[1:]...), " "))
		err = printTable(figures)
	}
	if err == nil && *page != "" {
		err = writePage(*page, figures)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run takes the figures of the named measurements, or of all if names is empty.
func run(binary, dir string, rounds int, names []string) ([]figure, error) {
	for _, name := range names {
		if !slices.ContainsFunc(measurements, func(m measurement) bool { return m.name == name }) {
			return nil, fmt.Errorf("there is no measurement %q", name)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if binary == "" {
		binary = "bin/diagsh"
		if err := silent(exec.CommandContext(ctx, "make", "build")); err != nil {
			return nil, err
		}
	}
	b, err := newBed(ctx, binary, dir, rounds)
	if err != nil {
		return nil, err
	}
	defer b.close()

	var all []figure
	for _, m := range measurements {
		if len(names) > 0 && !slices.Contains(names, m.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s ...\n", m.name)
		figures, err := m.take(ctx, b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		for _, f := range figures {
			f.command = m.command(rounds)
			all = append(all, f)
		}
	}
	return all, nil
}

func printTable(figures []figure) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "figure\tdiagsh\tpeer\tgoal\t")
	for _, f := range figures {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.what, f.ours, f.peer, f.goal, f.verdict())
	}
	return w.Flush()
}
