package commits

import (
	"fmt"
	"slices"
	"strings"

	"diagsh/internal/config"
	"diagsh/internal/menu"
)

// A candidate is what a user changed and did not commit yet. It lives until it is committed or
// cleared, whichever sessions come and go, and ends with the process.
type candidate struct {
	base   config.Document // what held when the user began
	number int             // of its commit
	mine   config.Document
	seen   map[string]config.Document // what mine was when a session of the user changed it last, by session
}

// EditConfiguration changes the caller's candidate by edit. The whole is checked: against the
// schema, against the machine, against itself. A fault is an error that names the parameter to ask
// again, and changes nothing.
func (c *Commits) EditConfiguration(caller menu.Caller, edit func(config.Document) error) error {
	c.editing.Lock()
	defer c.editing.Unlock()
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
	state, err := c.o.Network.Read()
	if err != nil {
		return menu.Failing("read the network", err)
	}
	if faults := c.check(changed, view.Running, state); len(faults) > 0 {
		f := faults[0]
		return &menu.Error{Code: menu.Usage, Argument: f.Path.Argument(), Message: menu.Sentence(f.Setting + ": " + f.Message)}
	}
	c.setCandidate(caller, changed)
	return nil
}

// setCandidate keeps what a user wants to have, and that the caller's session has seen it. Called with
// editing held.
func (c *Commits) setCandidate(caller menu.Caller, wanted config.Document) {
	c.mu.Lock()
	before := c.candidates[caller.User].seen
	c.mu.Unlock()
	c.keepCandidate(caller.User, wanted)
	c.mu.Lock()
	defer c.mu.Unlock()
	mine, ok := c.candidates[caller.User]
	if !ok {
		return
	}
	mine.seen = map[string]config.Document{caller.Session: mine.mine}
	for session, document := range before {
		if c.o.SessionOpen(session) && session != caller.Session {
			mine.seen[session] = document
		}
	}
	c.candidates[caller.User] = mine
}

// setCandidate keeps what a user wants to have. What others committed since the user's first change
// stays underneath it.
func (c *Commits) keepCandidate(user string, wanted config.Document) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.o.TellUser.Changed(user)
	running := c.ledger.running()
	if wanted.Equal(running) {
		delete(c.candidates, user)
		return
	}
	mine, ok := c.candidates[user]
	if !ok {
		mine = candidate{base: running, number: c.ledger.last().Number}
	}
	// The user edited the candidate on top of what holds now; kept is the same on top of what held
	// at the beginning.
	mine.mine = mine.base.With(config.Changes(running, wanted))
	c.candidates[user] = mine
}

// committed drops what of the caller's candidate a commit has made hold. What another session of the
// user changed while it was done stays pending, on top of it.
func (c *Commits) committed(caller menu.Caller, view config.View) {
	c.editing.Lock()
	defer c.editing.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.o.TellUser.Changed(caller.User)
	mine := c.candidates[caller.User]
	since := config.Changes(view.Candidate, view.Running.With(config.Changes(mine.base, mine.mine)))
	if mine.mine == nil || len(since) == 0 {
		delete(c.candidates, caller.User)
		return
	}
	next := candidate{base: view.Candidate, number: c.ledger.last().Number, mine: view.Candidate.With(since),
		seen: map[string]config.Document{caller.Session: view.Candidate}}
	for session, document := range mine.seen {
		if session != caller.Session && document.Equal(mine.mine) {
			next.seen[session] = next.mine
		}
	}
	c.candidates[caller.User] = next
}

// Drop forgets what a user has pending.
func (c *Commits) Drop(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.candidates, user)
	c.o.TellUser.Changed(user)
}

// ClearChanges drops the caller's candidate, or what in it is about one setting or one object, and
// returns what was dropped.
func (c *Commits) ClearChanges(caller menu.Caller, setting string) ([]config.Change, error) {
	c.editing.Lock()
	defer c.editing.Unlock()
	if err := caller.CheckCondition(); err != nil {
		return nil, err
	}
	view := c.view(caller.User)
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
		c.Drop(caller.User)
		return dropped, nil
	}
	left := view.Running.With(kept)
	state, err := c.o.Network.Read()
	if err != nil {
		return nil, menu.Failing("read the network", err)
	}
	if faults := c.check(left, view.Running, state); len(faults) > 0 {
		return nil, menu.Errorf(menu.State, "What is left would not fit: %s", faults[0]).WithHint("Drop that too, or all with clearchanges")
	}
	c.setCandidate(caller, left)
	return dropped, nil
}

// RestoreCommit makes the configuration of an earlier commit the caller's candidate.
func (c *Commits) RestoreCommit(caller menu.Caller, number int) error {
	c.mu.Lock()
	i := slices.IndexFunc(c.ledger.Commits, func(k keptCommit) bool { return k.Number == number && k.Kept })
	last := len(c.ledger.Commits) - 1
	var earlier config.Document
	if i >= 0 && i < last {
		earlier = c.ledger.Commits[i].document()
	}
	c.mu.Unlock()
	if earlier == nil {
		return &menu.Error{Code: menu.NotFound, Argument: "number",
			Message: fmt.Sprintf("There is no earlier configuration of commit %d", number),
			Hint:    "commitdetail and rollbackconfig list those that are kept"}
	}
	return c.replaceCandidate(caller, earlier, nil)
}

// ResetConfiguration makes the factory's configuration the caller's candidate.
func (c *Commits) ResetConfiguration(caller menu.Caller) error {
	return c.replaceCandidate(caller, config.Document{}, nil)
}

// replaceCandidate makes a whole document the caller's candidate, on top of what holds now.
func (c *Commits) replaceCandidate(caller menu.Caller, wanted config.Document, lines config.Lines) error {
	c.editing.Lock()
	defer c.editing.Unlock()
	if err := caller.CheckCondition(); err != nil {
		return err
	}
	state, err := c.o.Network.Read()
	if err != nil {
		return menu.Failing("read the network", err)
	}
	faults := c.check(wanted, c.view(caller.User).Running, state)
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
	c.setCandidate(caller, wanted)
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
