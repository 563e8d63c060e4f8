package portload

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/test/netnstest"
)

// Test32Bit: of programs of 32 bits the end of accept(2) is not seen, as the kernel does not trace
// their system calls. Who accepts is known by the first use, where that process had the listener;
// else nobody is named. All else is as for other programs.
func Test32Bit(t *testing.T) {
	netnstest.NeedsRoot(t, "network namespaces")
	if runtime.GOARCH != "amd64" {
		t.Skip("programs of 32 bits are tried on amd64")
	}
	program, err := buildFor(t.TempDir(), "386")
	if err != nil {
		t.Fatal(err)
	}
	var said *exec.ExitError
	if err := exec.CommandContext(t.Context(), program).Run(); !errors.As(err, &said) { // which wants arguments
		netnstest.Missing(t, "this kernel runs no programs of 32 bits: "+fmt.Sprint(err))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	load := small
	load.Classes = "loopback|without address|UDP connected|passed|forked|image serves|below 1 ms|refused|exit"
	trial, err := load.Watch(ctx, program, ports.New(ports.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if trial.Status.Tier != ports.Full {
		netnstest.Missing(t, "this kernel does not take the programs of tier A")
	}
	unknown := []string{"accept without address, closed at once", "lifetime below 1 ms", "forked child serves",
		"child of another image serves", "connection passed by its server", "connection passed by its server, accept without address"}
	JudgeFlows(trial.Truths, trial.Flows, Lateness).hold(t, func(*Tally) float64 { return 99.5 })
	score := Judge(trial.Truths, trial.Records)
	score.hold(t, func(y *Tally) float64 {
		if y.Event == string(ports.Accepted) && slices.Contains(unknown, y.Class) {
			return 0
		}
		return 99.5
	})
}
