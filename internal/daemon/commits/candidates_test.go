package commits

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"diagsh/internal/config"
	"diagsh/internal/menu"
	"diagsh/internal/test/netconftest"
)

// The changes that wait for one that fails can be committed without it, and the failure says how.
func TestCommitWithoutWhatFails(t *testing.T) {
	n := netconftest.NewFake()
	d := start(t, t.TempDir(), n)
	loads(t, d, anna, "hostname: one\ninterfaces: {eth0: {mtu: 3000}}\nvlans: {eth0.34: {parent: eth0, id: 34}}\n")
	n.Around = func(change string, done bool) error {
		if strings.Contains(change, "34") && !done {
			return unix.EOPNOTSUPP
		}
		return nil
	}
	_, err := d.CommitConfiguration(anna, config.Request{})
	if err == nil || !strings.Contains(err.Error(), "clearchanges vlans.eth0.34 confirm yes, then commit") {
		t.Fatalf("a commit of which one step fails: %v", err)
	}
	if _, err := d.ClearChanges(anna, "vlans.eth0.35"); menu.AsError(err).Code != menu.NotFound {
		t.Errorf("a setting that is not pending: %v", err)
	}
	if _, err := d.ClearChanges(anna, "vlans.eth0.34.parent"); menu.AsError(err).Code != menu.State || len(d.Configuration(anna).Changes) != 4 {
		t.Errorf("half a VLAN: %v", err)
	}
	dropped, err := d.ClearChanges(anna, "vlans.eth0.34")
	if err != nil || len(dropped) != 2 || len(d.Configuration(anna).Changes) != 2 {
		t.Fatalf("dropped is %v (%v), left %v", dropped, err, d.Configuration(anna).Changes)
	}
	if c := commits(t, d, anna, config.Request{}); len(c.Changes) != 2 || d.Hostname() != "one" {
		t.Errorf("committed is %+v", c)
	}

	// Where it is the only one, there is nothing to commit without it.
	n.Around = func(string, bool) error { return unix.EBUSY }
	loads(t, d, anna, "hostname: one\ninterfaces: {eth0: {mtu: 2000}}\n")
	if _, err := d.CommitConfiguration(anna, config.Request{}); err == nil || strings.Contains(err.Error(), "clearchanges") {
		t.Errorf("a commit whose one step fails: %v", err)
	}
}

// What another session of the same user changes is told to the one that began, and not committed
// unseen.
func TestChangesFromAnotherSession(t *testing.T) {
	d := start(t, t.TempDir(), netconftest.NewFake())
	attach := func(session string) menu.Caller {
		d.open = append(d.open, session)
		return menu.Caller{User: "admin", Session: session, Role: menu.Administrator}
	}
	set := func(caller menu.Caller, mtu string) {
		t.Helper()
		if err := d.EditConfiguration(caller, func(c config.Document) error {
			c.Set(config.Path{Section: "interfaces", Name: "eth0", Field: "mtu"}, mtu)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	one, other, third := attach("one"), attach("other"), attach("third")
	set(one, "1450")
	if e := d.Configuration(one).Elsewhere; len(e) != 0 {
		t.Errorf("its own change comes from elsewhere: %v", e)
	}
	set(other, "1300")
	if e := d.Configuration(one).Elsewhere; len(e) != 1 || e[0].String() != "interfaces.eth0.mtu: 1450 -> 1300" {
		t.Errorf("the change of another session is %v", e)
	}
	for _, caller := range []menu.Caller{other, third} {
		if e := d.Configuration(caller).Elsewhere; len(e) != 0 {
			t.Errorf("a session that knows it, or began nothing, is told %v", e)
		}
	}
	if _, err := d.CommitConfiguration(one, config.Request{}); menu.AsError(err).Code != menu.State || !strings.Contains(err.Error(), "interfaces.eth0.mtu: 1450 -> 1300") {
		t.Errorf("a commit of what another session changed: %v", err)
	}
	if err := d.LoadConfiguration(other, "interfaces: {eth0: {mtu: 1400}}\n"); err != nil {
		t.Fatal(err)
	}
	if e := d.Configuration(one).Elsewhere; len(e) != 1 || e[0].After != "1400" {
		t.Errorf("what another session loads is %v", e)
	}
	if c, err := d.CommitConfiguration(one, config.Request{Merge: true}); err != nil || len(c.Changes) != 1 || c.Changes[0].After != "1400" {
		t.Errorf("committed is %+v (%v)", c, err)
	}
	set(third, "1500") // by whoever begins anew there is nothing to tell
	if e := d.Configuration(one).Elsewhere; len(e) != 0 {
		t.Errorf("after its commit a session is told %v", e)
	}
}

// What another session of the user changes while a commit is done is neither committed unseen nor
// lost.
func TestChangeDuringACommit(t *testing.T) {
	d := start(t, t.TempDir(), netconftest.NewFake())
	one := menu.Caller{User: "admin", Session: "one", Role: menu.Administrator}
	other := menu.Caller{User: "admin", Session: "other", Role: menu.Administrator}
	d.open = []string{"one", "other"}
	loads(t, d, one, "hostname: mx2\n")
	meanwhile := func() {
		if err := d.EditConfiguration(other, func(c config.Document) error {
			c.Set(config.Path{Section: "interfaces", Name: "eth0", Field: "mtu"}, "1300")
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	d.room.o.Fits = func(wanted, running config.Document) []config.Fault { // asked when the commit has begun
		if now := meanwhile; now != nil {
			meanwhile = nil
			now()
		}
		return nil
	}
	if c, err := d.CommitConfiguration(one, config.Request{}); err != nil || len(c.Changes) != 1 || c.Changes[0].Setting != "hostname" {
		t.Fatalf("committed is %+v, %v", c, err)
	}
	for caller, elsewhere := range map[string]int{"one": 1, "other": 0} {
		v := d.Configuration(menu.Caller{User: "admin", Session: caller, Role: menu.Administrator})
		if len(v.Changes) != 1 || v.Changes[0].Setting != "interfaces.eth0.mtu" || len(v.Underneath) != 0 || len(v.Elsewhere) != elsewhere {
			t.Errorf("pending for %s is %v, underneath %v, from elsewhere %v", caller, v.Changes, v.Underneath, v.Elsewhere)
		}
	}
	if c := commits(t, d, other, config.Request{}); len(c.Changes) != 1 || len(d.Configuration(one).Changes) != 0 {
		t.Errorf("committed is then %+v", c)
	}
}

// A change on a condition compares with the lock held under which it is made, and changes nothing
// if the condition does not hold.
func TestConditionOfACandidate(t *testing.T) {
	d := start(t, t.TempDir(), netconftest.NewFake())
	loads(t, d, anna, "hostname: mx2\n")
	changed := errors.New("it was changed")
	asked := 0
	caller := anna
	caller.Condition = func() error {
		asked++
		if d.editing.TryLock() {
			d.editing.Unlock()
			t.Error("another session could change it between the comparison and the change")
		}
		d.Configuration(anna) // what compares reads it
		return changed
	}
	if err := d.LoadConfiguration(caller, "hostname: mx3\n"); !errors.Is(err, changed) {
		t.Error(err)
	}
	if _, err := d.ClearChanges(caller, ""); !errors.Is(err, changed) {
		t.Error(err)
	}
	if v := d.Configuration(anna); asked != 2 || len(v.Changes) != 1 || v.Changes[0].After != "mx2" {
		t.Errorf("after %d comparisons %v is pending", asked, v.Changes)
	}
}
