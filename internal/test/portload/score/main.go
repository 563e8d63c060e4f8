// Command score runs the whole workload of the port log in each tier and prints how often the log
// named the right process, per class, as a table.
//
//	go run ./internal/test/portload/score [-n 30] [-seconds 2] [-page docs/measurements.md]
//
// With a page it replaces the table there, which stands between two comments. It needs root.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/test/portload"
)

func main() {
	load := portload.Load{}
	flag.IntVar(&load.N, "n", 30, "sockets of each class")
	flag.Float64Var(&load.Rate, "rate", 2000, "connections a second, of the class that is paced")
	flag.Float64Var(&load.Seconds, "seconds", 2, "how long it lasts")
	flag.StringVar(&load.Classes, "classes", "", "a pattern: only these")
	page := flag.String("page", "", "the page whose table is replaced")
	flag.Parse()
	if err := run(load, *page); err != nil {
		fmt.Fprintln(os.Stderr, "score:", err)
		os.Exit(1)
	}
}

func run(load portload.Load, page string) error {
	dir, err := os.MkdirTemp("", "diagsh-score-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program, err := portload.Build(dir)
	if err != nil {
		return err
	}
	var scores, packets []*portload.Score
	var control *portload.Score
	for _, tier := range []ports.Tier{ports.Full, ports.WithoutAccept, ports.Polling} {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		trial, err := load.Watch(ctx, program, ports.New(ports.Options{Tier: tier}))
		cancel()
		if err != nil {
			return err
		}
		if trial.Status.Tier != tier {
			return fmt.Errorf("this kernel does not take the programs of tier %s: %q", tier, trial.Status.Blind)
		}
		s := portload.Judge(trial.Truths, trial.Records)
		scores, packets = append(scores, s), append(packets, portload.JudgeFlows(trial.Truths, trial.Flows))
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
	if page == "" {
		return nil
	}
	return portload.Replace(page, "scores", "make ports-score", table)
}
