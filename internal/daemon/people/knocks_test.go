package people

import (
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/loglimit"
	"diagsh/internal/test/roomtest"
)

// What strangers tried is in the audit log, and a flood of them pushes nothing out of it.
func TestKnocks(t *testing.T) {
	d := start(t, Options{Dir: roomtest.DataDir(t)})
	d.Knocked(access.Knock{User: "ops", Source: "192.0.2.9", Keys: 6})
	d.Knocked(access.Knock{User: "hunter2 hunter3", Source: "192.0.2.9", Keys: 1, Other: 2})
	list := roomtest.Events(t, d, access.EventFilter{Act: access.ActRefused})
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	for _, e := range list {
		want := "Connection ended without a login: 6 keys that are not the user's"
		user := "ops"
		if e.User != "ops" {
			user, want = "(not a user name)", "Connection ended without a login: 1 key that is not the user's, 2 attempts that could not be looked at"
		}
		if e.User != user || e.Source != "192.0.2.9" || e.Exit != 3 || e.Message != want {
			t.Errorf("%+v", e)
		}
	}
	for range 10_000 {
		d.Knocked(access.Knock{User: "ops", Source: "192.0.2.9", Keys: 6})
	}
	if n := len(roomtest.Events(t, d, access.EventFilter{Act: access.ActRefused})); n < knockBurst || n > knockBurst+20 {
		t.Errorf("%d lines", n)
	}
	k := loglimit.New(knockBurst, knockEvery)
	now := time.Now()
	for range 3 * knockBurst {
		k.Due(now)
	}
	if leftOut, ok := k.Due(now.Add(knockEvery)); !ok || leftOut != 2*knockBurst {
		t.Errorf("then %v, with %d left out", ok, leftOut)
	}
}

// The addresses of logins are known after a restart, those of the machine's own users are not among
// them.
func TestVisitors(t *testing.T) {
	dir := roomtest.DataDir(t)
	d := start(t, Options{Dir: dir})
	roomtest.LogIn(t, d, "ops", "192.0.2.1")
	roomtest.LogIn(t, d, "view", "2001:db8::1")
	roomtest.LogIn(t, d, "ops", "192.0.2.1")
	if got := strings.Join(d.Visitors(), " "); got != "192.0.2.1 2001:db8::1" {
		t.Errorf("visitors: %s", got)
	}
}
