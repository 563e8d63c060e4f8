package commits

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"diagsh/internal/config"
	"diagsh/internal/menu"
)

// CommitConfiguration makes the caller's candidate hold, or confirms the last commit.
func (c *Commits) CommitConfiguration(caller menu.Caller, r config.Request) (config.Commit, error) {
	c.transaction.Lock()
	defer c.transaction.Unlock()
	if c.closed {
		return config.Commit{}, menu.Errorf(menu.State, "The appliance is stopping")
	}
	view := c.viewFrom(caller)
	if w := view.Waiting; w != nil {
		switch {
		case len(view.Changes) == 0 && r.Confirm > 0:
			return config.Commit{}, menu.Errorf(menu.State, "Commit %d waits for its confirmation and you have nothing else to commit", w.Number).
				WithHint("commit alone confirms it")
		case len(view.Changes) == 0:
			return c.confirm()
		case w.User != caller.User:
			return config.Commit{}, menu.Errorf(menu.State, "Commit %d of %s waits for its confirmation until %s", w.Number, w.User, menu.UTC(*w.Until)).
				WithHint("Commit when it is confirmed or rolled back")
		}
	}
	if len(view.Changes) == 0 {
		return config.Commit{}, menu.Errorf(menu.State, "There is nothing to commit")
	}
	if len(view.Underneath) > 0 && !r.Merge {
		return config.Commit{}, menu.Errorf(menu.State, "The configuration has changed since you began:\n%s", menu.Text(config.Underneath(view.Underneath))).
			WithHint("Look at it with showchanges, then commit on top of it with: commit merge yes; or drop yours with clearchanges")
	}
	if len(view.Elsewhere) > 0 && !r.Merge {
		return config.Commit{}, menu.Errorf(menu.State, "Another session of yours has changed what you began:\n%s", config.ChangeLines(view.Elsewhere)).
			WithHint("Look at it with showchanges, then commit it too with: commit merge yes; or drop all with clearchanges")
	}
	return c.transact(caller, view, r)
}

// transact does a commit, which also confirms one of the same user that waits for it: neither of
// the two if a step fails. Called with transaction held.
func (c *Commits) transact(caller menu.Caller, view config.View, r config.Request) (config.Commit, error) {
	state, err := c.o.Network.Read()
	if err != nil {
		return config.Commit{}, menu.Failing("read the network", err)
	}
	if faults := c.check(view.Candidate, view.Running, state); len(faults) > 0 {
		return config.Commit{}, menu.Errorf(menu.State, "The changes do not fit this machine any more: %s", faults[0]).
			WithHint("Nothing was changed. Mend it, or drop your changes with clearchanges")
	}
	before := c.ledger
	begun := before.clone()
	begun.remember(view.Changes, state)
	stale := view.Running.Clone()
	if before.Applying != nil {
		maps.Copy(stale, before.Applying.document()) // what an earlier commit could not undo
	}
	steps := plan(c.o.Network, stale, view.Candidate, state, begun.Baseline)
	if err := reachable(c.o.Network, caller, steps); err != nil && r.Confirm == 0 {
		return config.Commit{}, err
	}
	if err := begun.rememberLosses(c.o.Network, steps, before.Applying != nil); err != nil {
		return config.Commit{}, menu.Failing("read what the kernel forgets with the changes", err)
	}
	text := textOf(view.Candidate)
	begun.Applying = &text
	if err := c.keep(begun); err != nil {
		return config.Commit{}, menu.Failing("commit", err)
	}
	if failure := apply(steps); failure != nil {
		return config.Commit{}, c.undone(before, view.Changes, failure)
	}
	commit := config.Commit{Number: view.Last.Number + 1, Time: time.Now().UTC().Truncate(time.Second), User: caller.User,
		Comment: r.Comment, Changes: view.Changes, Kept: true}
	if r.Confirm > 0 {
		until := time.Now().UTC().Add(r.Confirm).Truncate(time.Second)
		commit.Until = &until
	}
	done := begun.clone()
	for _, f := range done.restoreLosses(c.o.Network) {
		c.notRestored(f) // The commit holds all the same, and the next start tries again.
	}
	done.Applying = nil
	done.last().Kept, done.last().Until = !r.Forget, nil
	done.append(commit, view.Candidate)
	if err := c.keep(done); err != nil {
		return config.Commit{}, c.undone(before, view.Changes, undo(steps, &stepError{what: "keep the configuration on the disk", err: err}))
	}
	c.committed(caller, view)
	c.o.OnApplied(c.view("").Running)
	if c.timer != nil {
		c.timer.Stop()
	}
	if r.Confirm > 0 {
		c.timer = time.AfterFunc(r.Confirm, func() { c.notConfirmed(commit.Number) })
	}
	return commit, nil
}

// undone ends a commit whose steps are undone.
func (c *Commits) undone(before ledger, pending []config.Change, failure *stepError) error {
	begun := c.ledger.clone()
	for _, f := range begun.restoreLosses(c.o.Network) {
		failure.undo = append(failure.undo, f.what+" ("+reason(f.err)+")")
	}
	c.o.Log.Error("a commit failed", "step", failure.what, "error", failure.err, "undo", failure.undo)
	if len(failure.undo) > 0 {
		// The ledger still says what was being applied, so the next start puts right what could not
		// be put back now.
		return menu.Errorf(menu.Failed, "%s, and not everything could be put back: %s", failure.sentence(), strings.Join(failure.undo, "; ")).
			WithHint("The appliance tries again when it starts")
	}
	if err := c.keep(before); err != nil {
		c.o.Log.Error("the ledger of commits could not be written", "error", err)
	}
	hint := "Everything is as it was before the commit; your changes are still pending"
	if slices.ContainsFunc(pending, func(c config.Change) bool { return !c.Is(failure.setting) }) && failure.setting != "" {
		hint += fmt.Sprintf(". To commit the others without it: clearchanges %s confirm yes, then commit", failure.setting)
	}
	return menu.Errorf(failure.kind(), "%s", failure.sentence()).WithHint("%s", hint)
}

// confirm makes the last commit stay. Called with transaction held.
func (c *Commits) confirm() (config.Commit, error) {
	next := c.ledger.clone()
	next.last().Until = nil
	if err := c.keep(next); err != nil {
		return config.Commit{}, menu.Failing("confirm the commit", err)
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	return next.last().Commit, nil
}

// notConfirmed rolls a commit back whose time is over.
func (c *Commits) notConfirmed(number int) {
	c.transaction.Lock()
	defer c.transaction.Unlock()
	last := c.ledger.last()
	if c.closed || last.Number != number || last.Until == nil {
		return // It was confirmed at the last moment.
	}
	next := c.ledger.clone()
	next.rollBack("Commit %d was not confirmed in time")
	c.force(next, last.document())
	c.o.System("", fmt.Sprintf("Commit %d was not confirmed in time; it is rolled back", number), nil)
}
