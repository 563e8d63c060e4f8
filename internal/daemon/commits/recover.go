package commits

import (
	"fmt"
	"maps"

	"diagsh/internal/config"
)

// Recover brings the machine to what was committed: after a restart of the machine, of the
// appliance, and after the appliance was killed during a commit or before one was confirmed. What
// cannot be done is logged and does not keep the appliance from starting: an interface may be
// missing for good reason.
func (c *Commits) Recover() {
	c.transaction.Lock()
	defer c.transaction.Unlock()
	next, stale := c.ledger.clone(), config.Document{}
	if next.Applying != nil {
		maps.Copy(stale, next.Applying.document())
		c.o.System("", "A commit was interrupted by the end of the appliance; it is undone", nil)
	}
	if last := next.last(); last.Until != nil {
		maps.Copy(stale, last.document())
		next.rollBack("Commit %d was not confirmed before the appliance ended")
		c.o.System("", fmt.Sprintf("Commit %d was not confirmed before the appliance ended; it is rolled back", last.Number), nil)
	}
	if len(stale) == 0 && len(next.running()) == 0 && len(next.Lost) == 0 {
		return
	}
	c.force(next, stale)
}

// force makes a ledger hold whose running configuration may not stand for what the machine has:
// each step is tried, whatever became of the others. Called with transaction held.
func (c *Commits) force(next ledger, stale config.Document) {
	state, err := c.o.Network.Read()
	if err != nil {
		c.o.Log.Error("the network could not be read", "error", err)
	}
	steps := plan(c.o.Network, stale, next.running(), state, next.Baseline)
	if err := next.rememberLosses(c.o.Network, steps, c.ledger.Applying != nil); err != nil {
		c.o.Log.Error("what the kernel forgets could not be read", "error", err)
	}
	text := textOf(stale)
	next.Applying = &text
	c.keepAnyway(next)
	for _, s := range steps {
		if err := s.do(); err != nil {
			c.o.Log.Error("a step of the configuration failed", "step", s.what, "error", err)
			c.o.SystemFailed("", "The configuration could not be applied: "+s.what+": "+reason(err))
		}
	}
	next = next.clone()
	for _, f := range next.restoreLosses(c.o.Network) {
		c.notRestored(f)
	}
	next.Applying = nil
	c.keepAnyway(next)
	c.o.OnApplied(c.view("").Running)
}

// keepAnyway makes a ledger hold, also while the disk cannot take it: then the next start does this
// once more.
func (c *Commits) keepAnyway(next ledger) {
	if err := next.write(); err != nil {
		c.o.Log.Error("the ledger of commits could not be written", "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger = next
	c.tell()
}
