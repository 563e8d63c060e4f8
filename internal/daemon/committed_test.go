package daemon

import (
	"strings"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/config"
	"diagsh/internal/menu"
	"diagsh/internal/test/netconftest"
	"diagsh/internal/test/roomtest"
)

// What is committed holds in the other rooms, and at the next start; what a deleted user has
// pending goes with the account.
func TestCommitsReachTheOtherRooms(t *testing.T) {
	o := Options{Dir: roomtest.DataDir(t), network: netconftest.NewFake()}
	d := start(t, o)
	if err := d.LoadConfiguration(roomtest.Admin, "hostname: one\n"); err != nil {
		t.Fatal(err)
	}
	if text := d.Leaving(roomtest.Admin); text != "You have 1 change that is not committed." {
		t.Errorf("who leaves is told %q", text)
	}
	if _, err := d.CommitConfiguration(roomtest.Admin, config.Request{}); err != nil {
		t.Fatal(err)
	}
	if key, err := d.ExportKey(); err != nil || !strings.HasSuffix(key, " diagsh@one") {
		t.Errorf("the key for targets is %q, %v", key, err)
	}
	ops := menu.Caller{User: "visitor", Role: menu.Administrator}
	if err := d.CreateAccount(access.Account{User: "visitor", Role: menu.Administrator}, "a secret of visitors"); err != nil {
		t.Fatal(err)
	}
	if err := d.LoadConfiguration(ops, "hostname: theirs\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.DeleteAccount("visitor"); err != nil {
		t.Fatal(err)
	}
	if v := d.Configuration(ops); len(v.Changes) != 0 {
		t.Errorf("left behind are %v", v.Changes)
	}
	if text := d.Leaving(roomtest.Admin); text != "" {
		t.Errorf("who leaves is told %q", text)
	}
	d.Close(t.Context())
	if again := start(t, o); again.Hostname() != "one" {
		t.Errorf("after a restart the host is %s", again.Hostname())
	}
}
