package owned

import (
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/owners"
)

// A live is a service whose table nobody tells anything.
type live struct{ table *owners.Table }

func (l live) Owners(string) (*owners.Table, error) { return nil, nil }

func (l live) LiveOwners() (*owners.Table, func(), error) { return l.table, func() {}, nil }

// TestEarlyPackets: what waited in a capture's ring when its processes were first looked for is not
// shown without them, and a step of the clock hides nothing later.
func TestEarlyPackets(t *testing.T) {
	j, stop, err := Args{}.JoinLive(live{owners.NewTable()}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	now := time.Now()
	for _, p := range []struct {
		at     time.Time
		wanted bool
	}{{now.Add(-time.Second), false}, {now.Add(time.Second), true}, {now.Add(-time.Hour), true}} {
		if _, wanted := j.Of(&capture.Packet{Time: p.at.UnixNano()}, capture.Interface{LinkType: capture.Raw}); wanted != p.wanted {
			t.Errorf("a packet %s from the beginning: shown %v, want %v", p.at.Sub(now), wanted, p.wanted)
		}
	}
}

// TestWaitUntilKnown: packets wait until their time is known.
func TestWaitUntilKnown(t *testing.T) {
	table := owners.NewTable()
	table.Begin(time.Now(), 1)
	j, stop, err := Args{}.JoinLive(live{table}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	packet := time.Now()
	over := make(chan struct{})
	go func() {
		defer close(over)
		j.Wait(t.Context(), []capture.Packet{{Time: packet.UnixNano()}})
	}()
	select {
	case <-over:
		t.Fatal("it does not wait")
	case <-time.After(3 * settleEvery):
	}
	table.Known(packet.Add(settle))
	<-over
	if took := time.Since(packet); took >= mostSettling {
		t.Errorf("it waited %s", took)
	}
}
