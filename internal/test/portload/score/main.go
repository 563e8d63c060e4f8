// Command score runs the whole workload of the port log in each tier and prints how often the log
// named the right process, per class, as a table.
//
//	go run ./internal/test/portload/score [-n 30] [-seconds 2] [-page docs/measurements.md]
//	score -log FILE -truth FILE
//
// With a page it replaces the table there, which stands between two comments. It needs root. On a
// machine without Go, -load is the workload's program. With a log it scores what an appliance wrote
// while the workload ran beside it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/test/portload"
	"diagsh/internal/test/portload/truth"
)

// Options are what the command line says.
type options struct {
	load      portload.Load
	program   string // of the workload; empty: it is built
	late      time.Duration
	page      string
	log, said string // files of a run that is over
}

func main() {
	var o options
	load := &o.load
	flag.IntVar(&load.N, "n", 30, "sockets of each class")
	flag.Float64Var(&load.Rate, "rate", 2000, "connections a second, of the class that is paced")
	flag.Float64Var(&load.Seconds, "seconds", 2, "how long it lasts")
	flag.StringVar(&load.Classes, "classes", "", "a pattern: only these")
	flag.StringVar(&o.program, "load", "", "the workload's program; it is built if none is given")
	flag.DurationVar(&o.late, "late", portload.Lateness, "how long after an act its process may say it")
	flag.StringVar(&o.page, "page", "", "the page whose table is replaced")
	flag.StringVar(&o.log, "log", "", "a log of NDJSON that is scored")
	flag.StringVar(&o.said, "truth", "", "what the workload said while the log was written")
	flag.Parse()
	run := o.run
	if o.log != "" {
		run = o.judge
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "score:", err)
		os.Exit(1)
	}
}

// run plays the workload in each tier and compares them.
func (o options) run() error {
	dir, err := os.MkdirTemp("", "diagsh-score-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := o.program
	if program == "" {
		if program, err = portload.Build(dir); err != nil {
			return err
		}
	}
	var scores, packets []*portload.Score
	var control *portload.Score
	for _, tier := range []ports.Tier{ports.Full, ports.WithoutAccept, ports.Polling} {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		trial, err := o.load.Watch(ctx, program, ports.New(ports.Options{Tier: tier}))
		cancel()
		if err != nil {
			return err
		}
		for _, sentence := range trial.Status.Blind {
			fmt.Fprintf(os.Stderr, "tier %s: %s.\n", tier, sentence)
		}
		if trial.Status.Tier != tier {
			return fmt.Errorf("this kernel does not take the programs of tier %s", tier)
		}
		s := portload.Judge(trial.Truths, trial.Records)
		scores, packets = append(scores, s), append(packets, portload.JudgeFlows(trial.Truths, trial.Flows, o.late))
		fmt.Fprintf(os.Stderr, "tier %s: %d truths, %d records, %d events, %d lost, %d without a truth\n", tier, len(trial.Truths),
			len(trial.Records), trial.Status.Events, trial.Status.Lost, len(s.Surplus))
		if tier == ports.Full {
			control = trial.Blame()
		}
		if tier != ports.Polling {
			s.Faults(os.Stderr)
			packets[len(packets)-1].Faults(os.Stderr)
		}
	}
	table := portload.Compare(scores, packets, control)
	fmt.Print(table)
	if o.page != "" {
		if err := portload.Replace(o.page, "scores", "make ports-score", table); err != nil {
			return err
		}
	}
	for _, s := range append(scores, packets...) {
		if s.Sum().Wrong > 0 {
			return errors.New("there are wrong processes")
		}
	}
	return nil
}

// judge scores a log by what the workload said meanwhile.
func (o options) judge() error {
	said, err := os.Open(o.said)
	if err != nil {
		return err
	}
	defer said.Close()
	truths, err := truth.Read(said)
	if err != nil {
		return err
	}
	log, err := os.Open(o.log)
	if err != nil {
		return err
	}
	defer log.Close()
	var records []ports.Record
	for lines := json.NewDecoder(log); ; {
		var r ports.Record
		if err := lines.Decode(&r); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("record %d: %w", len(records)+1, err)
		}
		records = append(records, r)
	}
	score := portload.Judge(truths, records)
	score.Text(os.Stdout)
	if score.Sum().Wrong > 0 {
		return errors.New("the log names wrong processes")
	}
	return nil
}
