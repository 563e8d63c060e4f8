package commits

import (
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
