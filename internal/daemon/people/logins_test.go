package people

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

// guess tries a password and returns how long the answer took.
func guess(t *testing.T, d *bed, name, source, password string) (time.Duration, error) {
	t.Helper()
	began := time.Now()
	_, err := d.Login(t.Context(), access.Credentials{User: name, Source: source, Password: menu.Secret(password)})
	return time.Since(began), err
}

func TestDelayGrows(t *testing.T) {
	dir := roomtest.DataDir(t)
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{Dir: dir})
		for i, want := range []time.Duration{0, 0, 1, 2, 4, 8, 16, 30, 30} {
			took, err := guess(t, d, "admin", "192.0.2.1", "wrong")
			roomtest.WantCode(t, err, menu.Denied)
			if took != want*time.Second {
				t.Errorf("guess %d took %v; want %v", i+1, took, want*time.Second)
			}
		}
		// Another source, and the same one with a right password after its delay, are let in.
		if took, err := guess(t, d, "admin", "192.0.2.2", "admin-secret"); err != nil || took != 0 {
			t.Errorf("another source: %v after %v", err, took)
		}
		if took, err := guess(t, d, "admin", "192.0.2.1", "admin-secret"); err != nil || took != 30*time.Second {
			t.Errorf("the same source: %v after %v", err, took)
		}
		// Being right once forgives the failures with that name.
		if took, _ := guess(t, d, "admin", "192.0.2.1", "wrong"); took != 0 {
			t.Errorf("after a right password the next one took %v", took)
		}
	})
}

func TestLockBindsSourceAndName(t *testing.T) {
	dir := roomtest.DataDir(t)
	signer, line := userKey(t)
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{Dir: dir})
		if _, err := d.AddKey("admin", line); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			guess(t, d, "admin", "192.0.2.1", "wrong")
		}
		a, _ := d.Account("admin")
		if a.Locked == nil || time.Until(*a.Locked) != 5*time.Minute {
			t.Errorf("after ten failures the lock is until %v", a.Locked)
		}
		_, err := guess(t, d, "admin", "192.0.2.1", "admin-secret")
		roomtest.WantCode(t, err, menu.State) // it may be told: a name that no account has is locked, too
		_, err = guess(t, d, "ops", "192.0.2.1", "ops-secret")
		roomtest.WantCode(t, err, 0)
		if took, err := guess(t, d, "admin", "192.0.2.2", "admin-secret"); err != nil || took > 2*time.Second {
			t.Errorf("another source: %v after %v", err, took)
		}
		_, err = d.Login(t.Context(), proof(t, "admin", "192.0.2.1", signer))
		roomtest.WantCode(t, err, 0)

		time.Sleep(5 * time.Minute)
		_, err = guess(t, d, "admin", "192.0.2.1", "wrong")
		roomtest.WantCode(t, err, menu.Denied)
		for range 9 {
			guess(t, d, "admin", "192.0.2.1", "wrong")
		}
		a, _ = d.Account("admin")
		if a.Locked == nil || time.Until(*a.Locked) != 10*time.Minute {
			t.Errorf("the second lock is until %v, now %v", a.Locked, time.Now())
		}
		roomtest.WantCode(t, d.UnlockAccount("admin"), 0)
		if a, _ := d.Account("admin"); a.Locked != nil {
			t.Error("an unlocked account is locked")
		}
		_, err = guess(t, d, "admin", "192.0.2.1", "admin-secret")
		roomtest.WantCode(t, err, 0)

		locked := 0
		for _, e := range roomtest.Events(t, d, access.EventFilter{Act: access.ActSystem}) {
			if e.Result == "locked" {
				locked++
			}
		}
		if locked != 2 {
			t.Errorf("the audit log has %d locks; want 2", locked)
		}
	})
}

func TestNamesThatDoNotExistAreTreatedTheSame(t *testing.T) {
	dir := roomtest.DataDir(t)
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{Dir: dir})
		for i := range 13 {
			tookReal, errReal := guess(t, d, "admin", "192.0.2.1", "wrong")
			tookNone, errNone := guess(t, d, "adnim", "192.0.2.2", "wrong")
			if tookReal != tookNone || errReal.Error() != errNone.Error() {
				t.Errorf("guess %d: %v after %v, and for no user %v after %v", i+1, errReal, tookReal, errNone, tookNone)
			}
		}
	})
}

func TestFloodDelaysNoOtherSource(t *testing.T) {
	dir := roomtest.DataDir(t)
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{Dir: dir})
		ctx, cancel := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		for i := range 200 {
			flood.Go(func() {
				for ctx.Err() == nil {
					d.Login(ctx, access.Credentials{User: fmt.Sprintf("user%d", i%50), Source: "2001:db8::" + fmt.Sprint(i+1), Password: "wrong"})
					select {
					case <-ctx.Done():
					case <-time.After(100 * time.Millisecond):
					}
				}
			})
		}
		time.Sleep(time.Minute)
		for _, name := range []string{"admin", "ops", "view"} {
			if took, err := guess(t, d, name, "2001:db8:0:1::1", name+"-secret"); err != nil || took > 2*time.Second {
				t.Errorf("%s from another network: %v after %v", name, err, took)
			}
		}
		cancel()
		flood.Wait()
		if n := len(roomtest.Events(t, d, access.EventFilter{Act: access.ActRefused})); n > 100 {
			t.Errorf("a minute of flood made %d lines of audit log", n)
		}
	})
}

func TestBotnet(t *testing.T) {
	dir := roomtest.DataDir(t)
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{Dir: dir})
		roomtest.LogIn(t, d, "admin", "198.51.100.7")
		checked := 0
		began := time.Now()
		for i := range 200 {
			if _, err := guess(t, d, "admin", fmt.Sprintf("203.0.113.%d", i), "wrong"); err == nil {
				t.Fatal("a wrong password was right")
			}
			checked++
		}
		if rate := float64(checked) / time.Since(began).Seconds(); rate > 1 {
			t.Errorf("a botnet checked %.1f passwords per second", rate)
		}
		// The user's own source does not stand in the line; one that was never seen does.
		if took, err := guess(t, d, "admin", "198.51.100.7", "admin-secret"); err != nil || took > 0 {
			t.Errorf("the user's own source: %v after %v", err, took)
		}
		if took, err := guess(t, d, "ops", "198.51.100.8", "ops-secret"); err != nil || took > 0 {
			t.Errorf("another user: %v after %v", err, took)
		}
		if took, err := guess(t, d, "admin", "198.51.100.9", "admin-secret"); err != nil || took > longestLine {
			t.Errorf("a new source: %v after %v", err, took)
		}
	})
}

func TestGuardForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(settings.LoginRules{LongestDelay: 30 * time.Second, LockAfter: 10, Lock: 5 * time.Minute, LongestLock: time.Hour})
		for i := range maxSources + 100 {
			a, err := g.admit(t.Context(), fmt.Sprintf("u%d", i), fmt.Sprintf("10.%d.%d.1", i>>8, i&255), false)
			if err != nil {
				t.Fatal(err)
			}
			a.done(false)
		}
		if len(g.sources) > maxSources || g.order.Len() != len(g.sources) || len(g.names.byKey) > maxNames || g.names.order.Len() != len(g.names.byKey) {
			t.Errorf("%d sources and %d names are kept", len(g.sources), len(g.names.byKey))
		}
		for i := range 2 * maxNamesASource {
			ctx, cancel := context.WithCancel(t.Context())
			a, err := g.admit(ctx, fmt.Sprintf("u%d", i), "192.0.2.1", false)
			if err != nil {
				t.Fatal(err)
			}
			a.done(false)
			cancel()
		}
		if s := g.sources["192.0.2.1"].Value.(*source); len(s.pairs) > maxNamesASource {
			t.Errorf("%d names of one source are kept", len(s.pairs))
		}
		time.Sleep(forgetFailures + time.Second)
		began := time.Now()
		a, err := g.admit(t.Context(), "u", "192.0.2.1", false)
		if err != nil || time.Since(began) > 0 {
			t.Errorf("after a quiet time: %v after %v", err, time.Since(began))
		}
		a.done(true)
	})
}

func TestWaitingForThePasswordEndsWithItsClient(t *testing.T) {
	dir := roomtest.DataDir(t)
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{Dir: dir})
		for range 8 {
			guess(t, d, "admin", "192.0.2.1", "wrong")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		_, err := d.Login(ctx, access.Credentials{User: "admin", Source: "192.0.2.1", Password: "admin-secret"})
		roomtest.WantCode(t, err, menu.Interrupted)
		if time.Since(began) != 5*time.Second {
			t.Errorf("it waited for %v", time.Since(began))
		}
	})
}

func TestLoginIsAudited(t *testing.T) {
	d := start(t, Options{Dir: roomtest.DataDir(t)})
	l := roomtest.LogIn(t, d, "ops", "192.0.2.1")
	guess(t, d, "ops", "192.0.2.1", "wrong")
	guess(t, d, "my password, typed too early", "192.0.2.1", "wrong")
	d.Logout(l.ID)
	d.Logout(l.ID)
	var got []string
	for _, e := range roomtest.Events(t, d, access.EventFilter{}) {
		got = append(got, e.Act+" "+e.User+" "+e.Result)
	}
	want := "system system ok, login ops ok, refused ops denied, refused (not a user name) denied, logout ops ok"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("the audit log has %s; want %s", s, want)
	}
}

func TestHashingIsBounded(t *testing.T) {
	h := newHasher()
	for range hashingSlots { // as if two passwords were being checked
		if err := h.strangers.enter(t.Context(), "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	refused := make(chan error, hashingQueue+10)
	for range hashingQueue + 10 {
		waiting.Go(func() {
			_, err := h.verify(ctx, "x", roomtest.CheapHash("x"), "192.0.2.7", false)
			refused <- err
		})
	}
	for range 10 {
		if err := <-refused; err != errBusy {
			t.Errorf("beyond the queue: %v", err)
		}
	}
	cancel()
	waiting.Wait()
	for range hashingQueue {
		if err := <-refused; err != context.Canceled {
			t.Errorf("in the queue: %v", err)
		}
	}
}
