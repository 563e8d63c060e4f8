// Package commits makes the configuration hold that people commit. A commit is a transaction: what
// is to be done is in the ledger on the disk before the first step, and the new configuration is
// there when the last one is done. So after a crash at any moment the next start knows which
// configuration holds, and what of another one may be left on the machine.
package commits

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/config"
	"diagsh/internal/menu"
	"diagsh/internal/netconf"
)

// Options are what Commits need of the machine and of the rooms around them.
type Options struct {
	Dir     string          // the data directory
	Network netconf.Network // what commits change
	Log     *slog.Logger

	// Hostname names saved configurations.
	Hostname func() string
	// SessionOpen reports whether a session has not ended.
	SessionOpen func(session string) bool
	// System and SystemFailed write into the audit log.
	System       func(path, message string, arguments map[string]string)
	SystemFailed func(path, message string)
	// Fits lists what other rooms hold against a document, and Warns what they have to say about
	// it. Either may be nil.
	Fits  func(wanted, running config.Document) []config.Fault
	Warns func(wanted, running config.Document) []config.Warning
	// OnApplied is told what holds from now on, at the end of Recover too. It is called while a
	// transaction is held.
	OnApplied func(config.Document)

	// Tell tells that another commit holds or waits, and TellUser, by the name of a user, that
	// something else is pending for that user.
	Tell, TellUser access.Teller
}

// Commits are the candidates, the ledger and the machine. Their methods may be called from any
// goroutine.
type Commits struct {
	o      Options
	folder string // of saved documents

	// transaction is held by whoever changes the machine and the ledger. Neither is waited for
	// under mu.
	transaction sync.Mutex
	// timer rolls back the last commit unless it is confirmed. Guarded by transaction.
	timer  *time.Timer
	closed bool // the appliance stops. Guarded by transaction

	// editing is held while a candidate is read, changed and kept, so that no other session changes
	// it meanwhile. Taken before mu.
	editing sync.Mutex

	mu         sync.Mutex
	ledger     ledger
	candidates map[string]candidate // by user
}

// Open reads the ledger. The machine is not touched before Recover.
func Open(o Options) (*Commits, error) {
	l, err := readLedger(filepath.Join(o.Dir, "commits.json"))
	if err != nil {
		return nil, err
	}
	c := &Commits{o: o, folder: filepath.Join(o.Dir, "configuration"), ledger: l, candidates: map[string]candidate{}}
	return c, makeFolder(c.folder)
}

// Stop waits for a transaction to end and lets none begin any more. A commit that is not confirmed
// is rolled back by the next start.
func (c *Commits) Stop() {
	c.transaction.Lock()
	defer c.transaction.Unlock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
}

// Close has nothing to do after Stop: the ledger is on the disk whenever a transaction ends.
func (c *Commits) Close(context.Context) error { return nil }

// RunningDocument returns what is committed.
func (c *Commits) RunningDocument() config.Document { return c.view("").Running }

// keep writes a ledger and makes it the one that holds. On failure the old one holds.
func (c *Commits) keep(next ledger) error {
	if err := next.write(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger = next
	c.tell()
	return nil
}

// tell tells that the ledger is another one: what it has is below each candidate. Called with mu
// held.
func (c *Commits) tell() {
	c.o.Tell.Changed(runningName)
	for user := range c.candidates {
		c.o.TellUser.Changed(user)
	}
}

// runningName names what Tell tells of, of which there is one.
const runningName = "running"

// Configuration is the configuration as a user sees it.
func (c *Commits) Configuration(caller menu.Caller) config.View {
	v := c.viewFrom(caller)
	v.Warnings = c.warnings(v)
	return v
}

// viewFrom is view as one session of the user sees it.
func (c *Commits) viewFrom(caller menu.Caller) config.View {
	v := c.view(caller.User)
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := c.candidates[caller.User]
	if seen, ok := mine.seen[caller.Session]; ok {
		v.Elsewhere = config.Changes(seen, mine.mine)
	}
	return v
}

// Values returns what a setting is in the configurations that are kept, and in those that are
// pending.
func (c *Commits) Values(p config.Path) (values []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.ledger.Commits {
		values = append(values, k.document()[p])
	}
	for _, mine := range c.candidates {
		values = append(values, mine.base[p], mine.mine[p])
	}
	return values
}

func (c *Commits) view(user string) config.View {
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

// Commits lists the last commits, the newest first.
func (c *Commits) Commits() []config.Commit {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []config.Commit
	for _, k := range slices.Backward(c.ledger.Commits) {
		list = append(list, k.Commit)
	}
	return list
}

// Leaving returns what a user should know who is about to leave, in full sentences; "" if nothing.
func (c *Commits) Leaving(caller menu.Caller) string {
	view := c.view(caller.User)
	var sentences []string
	switch n := len(view.Changes); {
	case n == 1:
		sentences = append(sentences, "You have 1 change that is not committed.")
	case n > 1:
		sentences = append(sentences, fmt.Sprintf("You have %d changes that are not committed.", n))
	}
	if w := view.Waiting; w != nil && w.User == caller.User {
		sentences = append(sentences, fmt.Sprintf("Commit %d is not confirmed and will be rolled back at %s.", w.Number, menu.UTC(*w.Until)))
	}
	return strings.Join(sentences, " ")
}

// Losses lists what Reset takes away.
func (c *Commits) Losses() ([]access.Loss, error) {
	var list []access.Loss
	add := func(what string, names []string) {
		if len(names) > 0 {
			list = append(list, access.Loss{What: what, Count: len(names), Detail: strings.Join(names, ", ")})
		}
	}
	var settings []string
	for _, p := range c.RunningDocument().Paths() {
		settings = append(settings, p.String())
	}
	add("settings of the configuration", settings)
	saved, err := c.SavedConfigurations()
	var names []string
	for _, s := range saved {
		names = append(names, s.Name)
	}
	add("saved configurations", names)
	return list, err
}

// Reset commits the empty document and drops what any user has pending.
func (c *Commits) Reset(caller menu.Caller) error {
	if len(c.RunningDocument()) > 0 {
		if err := c.ResetConfiguration(caller); err != nil {
			return err
		}
		if _, err := c.CommitConfiguration(caller, config.Request{Comment: "Factory values", Merge: true}); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for user := range c.candidates {
		c.o.TellUser.Changed(user)
	}
	clear(c.candidates)
	return nil
}

// DeleteSaved deletes the saved configurations.
func (c *Commits) DeleteSaved() error {
	saved, err := c.SavedConfigurations()
	for _, s := range saved {
		err = errors.Join(err, os.Remove(filepath.Join(c.folder, s.Name)))
	}
	return err
}

// LastCommit returns the commit that holds.
func (c *Commits) LastCommit() config.Commit { return c.view("").Last }

// Pending returns how many changes a user has not committed, and how many commits of others there
// are since the first of them.
func (c *Commits) Pending(user string) (changes, underneath int) {
	v := c.view(user)
	return len(v.Changes), len(v.Underneath)
}
