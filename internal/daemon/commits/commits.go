package daemon

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"diagsh/internal/config"
	"diagsh/internal/menu"
	"diagsh/internal/netconf"
)

// A configuration is what people change by commits. A commit is a transaction: what is to be done is in the ledger on the disk before
// the first step, and the new configuration is there when the last one is done. So after a crash at any moment the next start knows
// which configuration holds, and what of another one may be left on the machine.
type configuration struct {
	network netconf.Network
	folder  string // of saved documents

	// transaction is held by whoever changes the machine and the ledger. Neither is waited for under mu.
	transaction sync.Mutex
	// timer rolls back the last commit unless it is confirmed. Guarded by transaction.
	timer  *time.Timer
	closed bool // the appliance stops. Guarded by transaction

	mu         sync.Mutex
	ledger     ledger
	candidates map[string]candidate // by user
}

// A candidate is what a user changed and did not commit yet. It lives until it is committed or cleared, whichever sessions come and
// go, and ends with the process.
type candidate struct {
	base   config.Document // what held when the user began
	number int             // of its commit
	mine   config.Document
	seen   map[string]config.Document // what mine was when a session of the user changed it last, by session
}

// openConfiguration reads the ledger. The machine is not touched yet.
func openConfiguration(dir string, n netconf.Network) (*configuration, error) {
	l, err := readLedger(filepath.Join(dir, "commits.json"))
	if err != nil {
		return nil, err
	}
	c := &configuration{network: n, folder: filepath.Join(dir, "configuration"), ledger: l, candidates: map[string]candidate{}}
	return c, makeFolder(c.folder)
}

// recoverConfiguration brings the machine to what was committed: after a restart of the machine, of the appliance, and after the
// appliance was killed during a commit or before one was confirmed. What cannot be done is logged and does not keep the appliance from
// starting: an interface may be missing for good reason.
func (d *Daemon) recoverConfiguration() {
	c := d.configuration
	c.transaction.Lock()
	defer c.transaction.Unlock()
	next, stale := c.ledger.clone(), config.Document{}
	if next.Applying != nil {
		maps.Copy(stale, next.Applying.document())
		d.System("", "A commit was interrupted by the end of the appliance; it is undone", nil)
	}
	if last := next.last(); last.Until != nil {
		maps.Copy(stale, last.document())
		next.rollBack("Commit %d was not confirmed before the appliance ended")
		d.System("", fmt.Sprintf("Commit %d was not confirmed before the appliance ended; it is rolled back", last.Number), nil)
	}
	if len(stale) == 0 && len(next.running()) == 0 && len(next.Lost) == 0 {
		return
	}
	d.force(next, stale)
}

// force makes a ledger hold whose running configuration may not stand for what the machine has: each step is tried, whatever became of
// the others. Called with transaction held.
func (d *Daemon) force(next ledger, stale config.Document) {
	c := d.configuration
	state, err := c.network.Read()
	if err != nil {
		d.log.Error("the network could not be read", "error", err)
	}
	steps := plan(c.network, stale, next.running(), state, next.Baseline)
	if err := next.rememberLosses(c.network, steps, c.ledger.Applying != nil); err != nil {
		d.log.Error("what the kernel forgets could not be read", "error", err)
	}
	text := textOf(stale)
	next.Applying = &text
	d.keepAnyway(next)
	for _, s := range steps {
		if err := s.do(); err != nil {
			d.log.Error("a step of the configuration failed", "step", s.what, "error", err)
			d.SystemFailed("", "The configuration could not be applied: "+s.what+": "+reason(err))
		}
	}
	next = next.clone()
	for _, f := range next.restoreLosses(c.network) {
		d.notRestored(f)
	}
	next.Applying = nil
	d.keepAnyway(next)
	d.Apply(d.configuration.view("").Running)
}

// keepAnyway makes a ledger hold, also while the disk cannot take it: then the next start does this once more.
func (d *Daemon) keepAnyway(next ledger) {
	c := d.configuration
	if err := next.write(); err != nil {
		d.log.Error("the ledger of commits could not be written", "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger = next
}

// keep writes a ledger and makes it the one that holds. On failure the old one holds.
func (c *configuration) keep(next ledger) error {
	if err := next.write(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger = next
	return nil
}

// Configuration is the configuration as a user sees it.
func (d *Daemon) Configuration(caller menu.Caller) config.View {
	c := d.configuration
	v := c.viewFrom(caller)
	v.Warnings = c.warnings(v)
	return v
}

// viewFrom is view as one session of the user sees it.
func (c *configuration) viewFrom(caller menu.Caller) config.View {
	v := c.view(caller.User)
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := c.candidates[caller.User]
	if seen, ok := mine.seen[caller.Session]; ok {
		v.Elsewhere = config.Changes(seen, mine.mine)
	}
	return v
}

func (c *configuration) view(user string) config.View {
	c.mu.Lock()
	defer c.mu.Unlock()
	running, last := c.ledger.running(), c.ledger.last().Commit
	v := config.View{Running: running, Candidate: running.Clone(), Last: last}
	if last.Until != nil {
		v.Waiting = &last
	}
	mine, ok := c.candidates[user]
	if !ok {
		return v
	}
	v.Candidate = running.With(config.Changes(mine.base, mine.mine))
	v.Changes = config.Changes(running, v.Candidate)
	for _, k := range c.ledger.Commits {
		if k.Number > mine.number {
			v.Underneath = append(v.Underneath, k.Commit)
		}
	}
	return v
}

// EditConfiguration changes the caller's candidate by edit. The whole is checked: against the schema, against the machine, against
// itself. A fault is an error that names the parameter to ask again, and changes nothing.
func (d *Daemon) EditConfiguration(caller menu.Caller, edit func(config.Document) error) error {
	c := d.configuration
	view := c.view(caller.User)
	changed := view.Candidate.Clone()
	if err := edit(changed); err != nil {
		return err
	}
	for _, change := range config.Changes(view.Candidate, changed) {
		if change.After == "" {
			continue
		}
		value, err := config.Read(change.Path, change.After)
		if err != nil {
			return menu.BadArgument(change.Path.Argument(), "%s is not right", menu.Quoted(change.After)).WithHint("%s", menu.Sentence(err.Error()))
		}
		changed[change.Path] = value
	}
	state, err := c.network.Read()
	if err != nil {
		return menu.Failing("read the network", err)
	}
	if faults := check(changed, view.Running, state); len(faults) > 0 {
		f := faults[0]
		return &menu.Error{Code: menu.Usage, Argument: f.Path.Argument(), Message: menu.Sentence(f.Setting + ": " + f.Message)}
	}
	d.setCandidate(caller, changed)
	return nil
}

// setCandidate keeps what a user wants to have, and that the caller's session has seen it.
func (d *Daemon) setCandidate(caller menu.Caller, wanted config.Document) {
	c := d.configuration
	c.mu.Lock()
	before := c.candidates[caller.User].seen
	c.mu.Unlock()
	c.setCandidate(caller.User, wanted)
	c.mu.Lock()
	defer c.mu.Unlock()
	mine, ok := c.candidates[caller.User]
	if !ok {
		return
	}
	mine.seen = map[string]config.Document{caller.Session: mine.mine}
	for session, document := range before {
		if d.SessionOpen(session) && session != caller.Session {
			mine.seen[session] = document
		}
	}
	c.candidates[caller.User] = mine
}

// setCandidate keeps what a user wants to have. What others committed since the user's first change stays underneath it.
func (c *configuration) setCandidate(user string, wanted config.Document) {
	c.mu.Lock()
	defer c.mu.Unlock()
	running := c.ledger.running()
	if wanted.Equal(running) {
		delete(c.candidates, user)
		return
	}
	mine, ok := c.candidates[user]
	if !ok {
		mine = candidate{base: running, number: c.ledger.last().Number}
	}
	// The user edited the candidate on top of what holds now; kept is the same on top of what held at the beginning.
	mine.mine = mine.base.With(config.Changes(running, wanted))
	c.candidates[user] = mine
}

func (c *configuration) dropCandidate(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.candidates, user)
}

// ClearChanges drops the caller's candidate, or what in it is about one setting or one object, and returns what was dropped.
func (d *Daemon) ClearChanges(caller menu.Caller, setting string) ([]config.Change, error) {
	view := d.configuration.view(caller.User)
	if len(view.Changes) == 0 {
		return nil, menu.Errorf(menu.State, "There are no changes to clear")
	}
	var dropped, kept []config.Change
	for _, c := range view.Changes {
		if c.Is(setting) {
			dropped = append(dropped, c)
		} else {
			kept = append(kept, c)
		}
	}
	if len(dropped) == 0 {
		return nil, &menu.Error{Code: menu.NotFound, Argument: "setting", Message: fmt.Sprintf("No change of %s is pending", menu.Quoted(setting)),
			Hint: "showchanges lists what is"}
	}
	if len(kept) == 0 {
		d.configuration.dropCandidate(caller.User)
		return dropped, nil
	}
	left := view.Running.With(kept)
	state, err := d.configuration.network.Read()
	if err != nil {
		return nil, menu.Failing("read the network", err)
	}
	if faults := check(left, view.Running, state); len(faults) > 0 {
		return nil, menu.Errorf(menu.State, "What is left would not fit: %s", faults[0]).WithHint("Drop that too, or all with clearchanges")
	}
	d.setCandidate(caller, left)
	return dropped, nil
}

// CommitConfiguration makes the caller's candidate hold, or confirms the last commit.
func (d *Daemon) CommitConfiguration(caller menu.Caller, r config.Request) (config.Commit, error) {
	c := d.configuration
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
			return d.confirm()
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
	return d.transact(caller, view, r)
}

// transact does a commit, which also confirms one of the same user that waits for it: neither of the two if a step fails. Called with
// transaction held.
func (d *Daemon) transact(caller menu.Caller, view config.View, r config.Request) (config.Commit, error) {
	c := d.configuration
	state, err := c.network.Read()
	if err != nil {
		return config.Commit{}, menu.Failing("read the network", err)
	}
	if faults := check(view.Candidate, view.Running, state); len(faults) > 0 {
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
	steps := plan(c.network, stale, view.Candidate, state, begun.Baseline)
	if err := reachable(c.network, caller, steps); err != nil && r.Confirm == 0 {
		return config.Commit{}, err
	}
	if err := begun.rememberLosses(c.network, steps, before.Applying != nil); err != nil {
		return config.Commit{}, menu.Failing("read what the kernel forgets with the changes", err)
	}
	text := textOf(view.Candidate)
	begun.Applying = &text
	if err := c.keep(begun); err != nil {
		return config.Commit{}, menu.Failing("commit", err)
	}
	if failure := apply(steps); failure != nil {
		return config.Commit{}, d.undone(before, view.Changes, failure)
	}
	commit := config.Commit{Number: view.Last.Number + 1, Time: time.Now().UTC().Truncate(time.Second), User: caller.User,
		Comment: r.Comment, Changes: view.Changes, Kept: true}
	if r.Confirm > 0 {
		until := time.Now().UTC().Add(r.Confirm).Truncate(time.Second)
		commit.Until = &until
	}
	done := begun.clone()
	for _, f := range done.restoreLosses(c.network) {
		d.notRestored(f) // The commit holds all the same, and the next start tries again.
	}
	done.Applying = nil
	done.last().Kept, done.last().Until = !r.Forget, nil
	done.append(commit, view.Candidate)
	if err := c.keep(done); err != nil {
		return config.Commit{}, d.undone(before, view.Changes, undo(steps, &stepError{what: "keep the configuration on the disk", err: err}))
	}
	c.dropCandidate(caller.User)
	d.Apply(d.configuration.view("").Running)
	if c.timer != nil {
		c.timer.Stop()
	}
	if r.Confirm > 0 {
		c.timer = time.AfterFunc(r.Confirm, func() { d.notConfirmed(commit.Number) })
	}
	return commit, nil
}

// undone ends a commit whose steps are undone.
func (d *Daemon) undone(before ledger, pending []config.Change, failure *stepError) error {
	begun := d.configuration.ledger.clone()
	for _, f := range begun.restoreLosses(d.configuration.network) {
		failure.undo = append(failure.undo, f.what+" ("+reason(f.err)+")")
	}
	d.log.Error("a commit failed", "step", failure.what, "error", failure.err, "undo", failure.undo)
	if len(failure.undo) > 0 {
		// The ledger still says what was being applied, so the next start puts right what could not be put back now.
		return menu.Errorf(menu.Failed, "%s, and not everything could be put back: %s", failure.sentence(), strings.Join(failure.undo, "; ")).
			WithHint("The appliance tries again when it starts")
	}
	if err := d.configuration.keep(before); err != nil {
		d.log.Error("the ledger of commits could not be written", "error", err)
	}
	hint := "Everything is as it was before the commit; your changes are still pending"
	if slices.ContainsFunc(pending, func(c config.Change) bool { return !c.Is(failure.setting) }) && failure.setting != "" {
		hint += fmt.Sprintf(". To commit the others without it: clearchanges %s confirm yes, then commit", failure.setting)
	}
	return menu.Errorf(failure.kind(), "%s", failure.sentence()).WithHint("%s", hint)
}

// confirm makes the last commit stay. Called with transaction held.
func (d *Daemon) confirm() (config.Commit, error) {
	c := d.configuration
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
func (d *Daemon) notConfirmed(number int) {
	c := d.configuration
	c.transaction.Lock()
	defer c.transaction.Unlock()
	last := c.ledger.last()
	if c.closed || last.Number != number || last.Until == nil {
		return // It was confirmed at the last moment.
	}
	next := c.ledger.clone()
	next.rollBack("Commit %d was not confirmed in time")
	d.force(next, last.document())
	d.System("", fmt.Sprintf("Commit %d was not confirmed in time; it is rolled back", number), nil)
}

// close waits for a transaction to end and lets none begin any more. A commit that is not confirmed is rolled back by the next start.
func (c *configuration) close() {
	c.transaction.Lock()
	defer c.transaction.Unlock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
}

// Commits lists the last commits, the newest first.
func (d *Daemon) Commits() []config.Commit {
	c := d.configuration
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []config.Commit
	for _, k := range slices.Backward(c.ledger.Commits) {
		list = append(list, k.Commit)
	}
	return list
}

// RestoreCommit makes the configuration of an earlier commit the caller's candidate.
func (d *Daemon) RestoreCommit(caller menu.Caller, number int) error {
	c := d.configuration
	c.mu.Lock()
	i := slices.IndexFunc(c.ledger.Commits, func(k keptCommit) bool { return k.Number == number && k.Kept })
	last := len(c.ledger.Commits) - 1
	var earlier config.Document
	if i >= 0 && i < last {
		earlier = c.ledger.Commits[i].document()
	}
	c.mu.Unlock()
	if earlier == nil {
		return &menu.Error{Code: menu.NotFound, Argument: "commit", Message: fmt.Sprintf("There is no earlier configuration of commit %d", number), Hint: "commitdetail and rollbackconfig list those that are kept"}
	}
	return d.replaceCandidate(caller, earlier, nil)
}

// ResetConfiguration makes the factory's configuration the caller's candidate.
func (d *Daemon) ResetConfiguration(caller menu.Caller) error {
	return d.replaceCandidate(caller, config.Document{}, nil)
}

// replaceCandidate makes a whole document the caller's candidate, on top of what holds now.
func (d *Daemon) replaceCandidate(caller menu.Caller, wanted config.Document, lines config.Lines) error {
	c := d.configuration
	state, err := c.network.Read()
	if err != nil {
		return menu.Failing("read the network", err)
	}
	faults := check(wanted, c.view(caller.User).Running, state)
	for i := range faults {
		faults[i].Line = lines[faults[i].Path]
	}
	slices.SortStableFunc(faults, func(a, b config.Fault) int { return a.Line - b.Line })
	if len(faults) > 0 {
		return faulty(faults)
	}
	c.mu.Lock()
	fresh := candidate{base: c.ledger.running(), number: c.ledger.last().Number, seen: c.candidates[caller.User].seen}
	c.candidates[caller.User] = fresh
	c.mu.Unlock()
	d.setCandidate(caller, wanted)
	return nil
}

// mostFaults are shown at once.
const mostFaults = 20

// faulty lists what is wrong with a document.
func faulty(faults []config.Fault) *menu.Error {
	var b strings.Builder
	for i, f := range faults {
		if i == mostFaults {
			fmt.Fprintf(&b, "\n  and %d more", len(faults)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s", f)
	}
	return menu.Errorf(menu.Usage, "The configuration was not loaded:%s", menu.Text(b.String())).WithHint("Nothing was changed")
}
