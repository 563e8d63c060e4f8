package people

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/people/loginlog"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
	"diagsh/internal/test/roomtest"
)

// queue puts waiters in a turnstile whose one turn is taken, in this order, and returns from where
// they were let through.
func queue(t *testing.T, places int, from ...string) (served, refused []string) {
	t.Helper()
	s := newTurnstile(1, places)
	if err := s.enter(t.Context(), "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	waits := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.waiting)
	}
	for n, source := range from {
		came := make(chan struct{})
		all.Go(func() {
			close(came)
			err := s.enter(t.Context(), source)
			mu.Lock()
			if err == nil {
				served = append(served, source)
			} else if errors.Is(err, errBusy) {
				refused = append(refused, source)
			}
			mu.Unlock()
			if err == nil {
				s.leave()
			}
		})
		<-came
		await.Until(t, "it waits or is refused", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return waits()+len(refused) == n+1
		})
	}
	s.leave()
	all.Wait()
	if !s.idle(1) || len(s.last) > 0 || len(s.waiting) > 0 {
		t.Errorf("at the end %d turns are free, %d wait, %d networks are remembered", s.free, len(s.waiting), len(s.last))
	}
	return served, refused
}

func TestTurnsAreByNetwork(t *testing.T) {
	t.Parallel()
	flood := func(n int, format string) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf(format, i+1))
		}
		return list
	}
	for name, c := range map[string]struct {
		from   []string
		who    string
		within int // turns
	}{
		"the /64s of one /48":     {append(flood(60, "2001:db8:1:%x::1"), "2001:db8:2::1"), "2001:db8:2::1", 2},
		"the /64s of one /56":     {append(flood(60, "2001:db8:1:%02x::1"), "2001:db8:1:ff00::1"), "2001:db8:1:ff00::1", 2},
		"one IPv4 /24":            {append(flood(60, "198.51.100.%d"), "203.0.113.7"), "203.0.113.7", 2},
		"several of one IPv4 /16": {append(flood(60, "10.1.%d.1"), "203.0.113.7"), "203.0.113.7", 2},
		"as many as networks":     {append(flood(20, "10.%d.0.1"), "203.0.113.7"), "203.0.113.7", 21},
	} {
		served, refused := queue(t, 256, c.from...)
		if at := slices.Index(served, c.who); at < 0 || at >= c.within || len(refused) > 0 || len(served) != len(c.from) {
			t.Errorf("%s: %s has turn %d of %d, %d are refused", name, c.who, at+1, len(served), len(refused))
		}
	}
	// Where there is no place, the latest of the network with most places makes room.
	served, refused := queue(t, 10, append(flood(10, "2001:db8:1:%x::1"), "203.0.113.7", "203.0.113.8", "2001:db8:1:99::1")...)
	if !slices.Contains(served, "203.0.113.7") || !slices.Contains(served, "203.0.113.8") || !slices.Contains(refused, "2001:db8:1:a::1") || !slices.Contains(refused, "2001:db8:1:99::1") {
		t.Errorf("served %q, refused %q", served, refused)
	}
}

// Guesses from more sources than there are places shut strangers out, and not who has logged in
// from where they are now. What becomes of the owner's login elsewhere is in the log, by name.
func TestFloodLeavesTrustedSourcesIn(t *testing.T) {
	t.Parallel()
	d := start(t, Options{Dir: roomtest.DataDir(t)})
	log := func(source string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		l, err := d.Login(ctx, access.Credentials{User: "ops", Source: source, Password: menu.Secret("ops-secret")})
		if err == nil {
			d.Logout(l.ID)
		}
		return err
	}
	if err := log("192.0.2.7"); err != nil {
		t.Fatal(err)
	}
	flood, stop := context.WithCancel(t.Context())
	defer stop()
	for range hashingSlots { // as if two passwords were being checked all the time
		if err := d.hasher.strangers.enter(flood, "198.51.100.1"); err != nil {
			t.Fatal(err)
		}
	}
	var waiting sync.WaitGroup
	for n := range hashingQueue {
		waiting.Go(func() { d.hasher.strangers.enter(flood, fmt.Sprintf("10.%d.0.1", n)) })
	}
	await.Until(t, "every place is taken", func() bool {
		d.hasher.strangers.mu.Lock()
		defer d.hasher.strangers.mu.Unlock()
		return len(d.hasher.strangers.waiting) == hashingQueue
	})
	if err := log("192.0.2.7"); err != nil {
		t.Errorf("from a trusted source: %v", err)
	}
	if err := log("203.0.113.9"); !errors.Is(err, errBusy) {
		t.Errorf("from elsewhere: %v", err)
	}
	d.hasher.hash("another") // and whoever is logged in can have another password
	stop()
	waiting.Wait()
	if list := roomtest.Events(t, d, access.EventFilter{User: "ops", Act: access.ActRefused}); len(list) != 1 || !strings.Contains(list[0].Message, "too many passwords wait") || list[0].Source != "203.0.113.9" {
		t.Errorf("the log says of the owner %+v", list)
	}
}

// A network of IPv6 whose /64s come one after the other, each without a failure of its own, has a
// line like a name that many guess at.
func TestFailuresOfLargerNetworksCount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format, same, other string
	}{
		{"2001:db8:1:%x::1", "2001:db8:1:ffff::1", "2001:db8:2::1"},
		{"2001:db8:1:7%02x::1", "2001:db8:1:7ff::1", "2001:db8:2::1"},
	} {
		g := newGuard(settings.LoginRules{LongestDelay: time.Second, LockAfter: 5, Lock: time.Minute, LongestLock: time.Hour})
		for n := range crowd {
			a, err := g.admit(t.Context(), fmt.Sprint("user", n), fmt.Sprintf(c.format, n), false)
			if err != nil {
				t.Fatal(err)
			}
			a.done(false)
		}
		sentence := func(from string, trusted bool) (wait time.Duration, refusal error) {
			s, _ := g.enter(loginlog.SourceKey(from))
			defer g.leave(s)
			return g.delay(s, "somebody", trusted)
		}
		var waits []time.Duration
		for {
			wait, err := sentence(c.same, false)
			if err != nil {
				break
			}
			if waits = append(waits, wait); len(waits) > 100 {
				t.Fatal("the line has no end")
			}
		}
		if len(waits) < 5 || waits[len(waits)-1] < longestLine/2 {
			t.Errorf("another /64 of the network waits %v", waits)
		}
		for from, trusted := range map[string]bool{c.other: false, c.same: true, "192.0.2.1": false} {
			if wait, err := sentence(from, trusted); wait > 0 || err != nil {
				t.Errorf("%s (trusted %v) waits %v, %v", from, trusted, wait, err)
			}
		}
	}
}

// However many guesses there are, they turn the log over no faster than one user may, and each is
// counted by the account that it was for.
func TestRefusalsBeforeALoginHaveABudget(t *testing.T) {
	t.Parallel()
	dir := roomtest.DataDir(t)
	d := start(t, Options{Dir: dir})
	const lines = 40_000 // about 10 MB, of which 4 may be written at once
	for n := range lines {
		user := "ops"
		if n%2 == 0 {
			user = fmt.Sprint("nobody", n)
		}
		d.recordRefusal(access.Credentials{User: user, Source: fmt.Sprintf("10.0.%d.%d", n>>8&0xff, n&0xff)}, access.Password, "the password is not the user's")
	}
	// What users do has a budget of its own.
	d.Record(access.Event{Act: access.ActCommand, User: "admin", Path: "x", Result: "ok"})
	if err := d.Close(t.Context()); err != nil { // the last lines that count are due
		t.Fatal(err)
	}
	bytes, written, counted := 0, 0, map[string]int{}
	for _, e := range roomtest.Events(t, start(t, Options{Dir: dir}), access.EventFilter{}) {
		text, _ := json.Marshal(e)
		bytes += len(text)
		switch {
		case e.Act == access.ActRefused:
			written++
		case e.Result == "left out":
			for act, n := range e.Arguments {
				var left int
				fmt.Sscan(n, &left)
				counted[act] += left
			}
		}
	}
	if most := 5 << 20; bytes > most {
		t.Errorf("%d bytes were written; want at most %d", bytes, most)
	}
	const ops, others = "refused, ops", "refused, names that no account has"
	if written+counted[ops]+counted[others] != lines || counted[ops] < lines/5 || counted[others] < lines/5 {
		t.Errorf("of %d refusals %d were written, and counted are %v", lines, written, counted)
	}
	if list := roomtest.Events(t, d, access.EventFilter{User: "admin"}); len(list) != 1 {
		t.Errorf("of the user are left: %+v", list)
	}
}
