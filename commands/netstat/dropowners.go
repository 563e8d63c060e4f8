package netstat

import (
	"context"
	"slices"
	"sync"
	"time"

	"diagsh/capture"
	"diagsh/capture/drops"
	"diagsh/capture/owners"
)

// ownersLate is how long after a packet it is known whose conversation it was of.
const ownersLate = 300 * time.Millisecond

// mostTold is how many flows wait until their owners are looked up.
const mostTold = 8192

// A dropsTold has the last packet of each flow whose owners were not looked up yet.
type dropsTold struct {
	mu      sync.Mutex
	packets map[flowKey]drops.Drop
}

// take is told by the engine.
func (t *dropsTold) take(d *drops.Drop) {
	if d.Noise || !d.Source.IsValid() {
		return
	}
	kept := *d
	kept.Data = slices.Clone(d.Data)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.packets == nil {
		t.packets = map[flowKey]drops.Drop{}
	}
	if key := (flowKey{d.Where, d.Flow}); len(t.packets) < mostTold {
		t.packets[key] = kept
	}
}

// due takes out the packets that were dropped before a time.
func (t *dropsTold) due(before time.Time) map[flowKey]drops.Drop {
	t.mu.Lock()
	defer t.mu.Unlock()
	due := map[flowKey]drops.Drop{}
	for key, d := range t.packets {
		if d.Time.Before(before) {
			due[key] = d
			delete(t.packets, key)
		}
	}
	return due
}

// join looks up the owners of the packets that came. A flow that several processes had, one after the
// other, has none.
func (v *dropsView) join() {
	if v.owners == nil {
		return
	}
	for key, d := range v.told.due(time.Now().Add(-ownersLate)) {
		o := v.owners(&capture.Packet{Time: d.Time.UnixNano(), Data: d.Data, Length: uint32(d.Length)})
		p := o.Receiver
		if p == nil {
			p = o.Sender
		}
		if was := v.known[key]; p != nil && was != nil && *was != *p {
			p = &owners.Process{}
		}
		if p != nil {
			v.known[key] = p
		}
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
