package ports_test

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/portload"
)

// TestLossNamesNobodyWrongly: with a ring buffer that holds too little for the load most is lost. The
// log says where, and no process that it names is a wrong one.
func TestLossNamesNobodyWrongly(t *testing.T) {
	netnstest.NeedsRoot(t, "network namespaces")
	program, err := portload.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	load := portload.Load{N: 20, Rate: 4000, Seconds: 3,
		Classes: "2,000|older|MPTCP|image|fork|passed|inherited|REUSEPORT|UDP|exit|threads|below 1 ms"}
	trial, err := load.Watch(ctx, program, ports.NewSmall(ports.Options{Tier: ports.Full}, uint32(os.Getpagesize())))
	if err != nil {
		t.Fatal(err)
	}
	var lost uint64
	gaps := 0
	for _, r := range trial.Records {
		if r.Event == ports.Gap {
			gaps++
			lost += r.Lost
		}
	}
	score := portload.Judge(trial.Truths, trial.Records)
	sum := score.Sum()
	t.Logf("%d events lost in %d gaps; of %d truths %d are right", lost, gaps, sum.Truths, sum.Right)
	if gaps == 0 || lost < 1000 || lost < trial.Status.Lost || sum.Right == sum.Truths {
		t.Errorf("%d events were lost in %d gaps, %+v", lost, gaps, trial.Status)
	}
	if i := slices.IndexFunc(score.Tallies, func(y *portload.Tally) bool { return y.Wrong > 0 }); i >= 0 {
		score.Text(t.Output())
		t.Errorf("%d processes are wrong", sum.Wrong)
	}
}
