package people

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

// callerOf logs a user in and returns the caller of a session.
func callerOf(t *testing.T, d *bed, user string) menu.Caller {
	t.Helper()
	caller, _, _, err := d.Attach(roomtest.LogIn(t, d, user, "192.0.2.1").ID, "shell")
	roomtest.WantCode(t, err, 0)
	return caller
}

// tokenOf makes a token of a user that lasts a day.
func tokenOf(t *testing.T, d *bed, user string, wanted access.Token) (access.Token, menu.Secret) {
	t.Helper()
	if wanted.Expires.IsZero() {
		wanted.Expires = time.Now().Add(24 * time.Hour)
	}
	made, text, err := d.CreateToken(callerOf(t, d, user), wanted)
	roomtest.WantCode(t, err, 0)
	return made, text
}

func byToken(t *testing.T, d *bed, text menu.Secret, source string) (access.Login, error) {
	t.Helper()
	return d.Login(t.Context(), access.Credentials{Token: text, Source: source})
}

// Every role of an account, every role of a token: who comes by the token has the lesser one, with
// payload only if both see it.
func TestRoleOfToken(t *testing.T) {
	d := start(t, Options{Dir: roomtest.DataDir(t)})
	users := map[menu.Role]string{menu.Administrator: "admin", menu.Operator: "ops", menu.ReadOnly: "view", menu.Support: "help"}
	less := map[menu.Role]map[menu.Role]menu.Role{
		menu.Administrator: {menu.Administrator: menu.Administrator, menu.Operator: menu.Operator, menu.ReadOnly: menu.ReadOnly, menu.Support: menu.Support},
		menu.Operator:      {menu.Administrator: menu.Operator, menu.Operator: menu.Operator, menu.ReadOnly: menu.ReadOnly, menu.Support: menu.Support},
		menu.ReadOnly:      {menu.Administrator: menu.ReadOnly, menu.Operator: menu.ReadOnly, menu.ReadOnly: menu.ReadOnly, menu.Support: menu.ReadOnly},
		menu.Support:       {menu.Administrator: menu.Support, menu.Operator: menu.Support, menu.ReadOnly: menu.ReadOnly, menu.Support: menu.Support},
	}
	for account, user := range users {
		for _, ceiling := range menu.Roles() {
			name := string(account) + " " + string(ceiling)
			caller := callerOf(t, d, user)
			_, text, err := d.CreateToken(caller, access.Token{Name: name, Role: ceiling, Expires: time.Now().Add(time.Hour)})
			d.Logout(strings.Split(caller.Session, "-")[0])
			want := less[account][ceiling]
			if want != ceiling {
				roomtest.WantCode(t, err, menu.Usage)
				continue
			}
			roomtest.WantCode(t, err, 0)
			l, err := byToken(t, d, text, "192.0.2.1")
			roomtest.WantCode(t, err, 0)
			payload := want != menu.Support && account != menu.Support
			if l.Caller.Role != want || l.Caller.User != user || l.Caller.Payload != payload || l.Caller.Token == "" {
				t.Errorf("an account %s by a token %s is %+v", account, ceiling, l.Caller)
			}
			d.Logout(l.ID)
		}
	}
}

// A token of an account whose role shrinks shrinks with it, at once, and grows no further than its
// own.
func TestTokenFollowsItsAccount(t *testing.T) {
	d := start(t, Options{Dir: roomtest.DataDir(t)})
	_, text := tokenOf(t, d, "ops", access.Token{Name: "ci", Role: menu.Operator})
	l, err := byToken(t, d, text, "192.0.2.1")
	roomtest.WantCode(t, err, 0)
	caller, ended, _, err := d.Attach(l.ID, "api")
	roomtest.WantCode(t, err, 0)
	end := time.Now().Add(time.Hour)
	for _, c := range []struct{ account, want menu.Role }{
		{menu.ReadOnly, menu.ReadOnly}, {menu.Administrator, menu.Operator}, {menu.Support, menu.Support},
	} {
		if _, err := d.UpdateAccount(access.Account{User: "ops", Role: c.account, Expires: &end}, ""); err != nil {
			t.Fatal(err)
		}
		now, err := d.Current(caller.Session)
		roomtest.WantCode(t, err, 0)
		if now.Role != c.want || now.Payload != (c.want != menu.Support) {
			t.Errorf("with an account %s the token is %+v", c.account, now)
		}
		for _, s := range d.Sessions() {
			if s.Token != "" && s.Role != c.want {
				t.Errorf("who lists %+v", s)
			}
		}
	}
	if _, err := d.SetPassword("ops", "battery staple 9", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Current(caller.Session); err != nil {
		t.Errorf("a new password of the account ended the token: %v", err)
	}
	if _, err := d.DeleteAccount("ops"); err != nil {
		t.Fatal(err)
	}
	<-ended
	_, err = byToken(t, d, text, "192.0.2.1")
	roomtest.WantCode(t, err, menu.Denied)
	// The name may be used again, and the token is not the new account's.
	if err := d.CreateAccount(access.Account{User: "ops", Role: menu.Operator}, "battery staple 9"); err != nil {
		t.Fatal(err)
	}
	_, err = byToken(t, d, text, "192.0.2.1")
	roomtest.WantCode(t, err, menu.Denied)
}

// A token can take nothing from its account that it does not have: it deletes no other token.
func TestTokenDeletesNoOther(t *testing.T) {
	d := start(t, Options{Dir: roomtest.DataDir(t)})
	other, _ := tokenOf(t, d, "admin", access.Token{Name: "other", Role: menu.Administrator})
	by := func(role menu.Role) menu.Caller {
		_, text := tokenOf(t, d, "admin", access.Token{Name: string(role), Role: role})
		l, err := byToken(t, d, text, "192.0.2.1")
		roomtest.WantCode(t, err, 0)
		caller, _, _, err := d.Attach(l.ID, "api")
		roomtest.WantCode(t, err, 0)
		return caller
	}
	for _, role := range []menu.Role{menu.ReadOnly, menu.Operator, menu.Support} {
		caller := by(role)
		for _, which := range []string{other.ID, other.Name} {
			_, _, err := d.DeleteToken(caller, which)
			roomtest.WantCode(t, err, menu.Denied)
		}
		_, _, err := d.DeleteToken(caller, caller.Token)
		roomtest.WantCode(t, err, 0)
	}
	_, _, err := d.DeleteToken(by(menu.Administrator), other.ID)
	roomtest.WantCode(t, err, 0)
}

// Deletion and expiry end the connections of a token and of no other, and it opens nothing more.
func TestEndOfToken(t *testing.T) {
	dir := roomtest.DataDir(t)
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{Dir: dir})
		type open struct {
			token access.Token
			text  menu.Secret
			ended <-chan struct{}
			id    string
		}
		begin := func(name string, lasts time.Duration) open {
			made, text := tokenOf(t, d, "ops", access.Token{Name: name, Expires: time.Now().Add(lasts)})
			l, err := byToken(t, d, text, "192.0.2.1")
			roomtest.WantCode(t, err, 0)
			caller, ended, _, err := d.Attach(l.ID, "api")
			roomtest.WantCode(t, err, 0)
			return open{made, text, ended, caller.Session}
		}
		over := func(o open, want bool) {
			t.Helper()
			synctest.Wait()
			got := false
			select {
			case <-o.ended:
				got = true
			default:
			}
			if got != want {
				t.Errorf("the session of %s has ended: %v; want %v", o.token.Name, got, want)
			}
			l, err := byToken(t, d, o.text, "192.0.2.1")
			d.Logout(l.ID)
			_, now := d.Current(o.id)
			if (err != nil) != want || (now != nil) != want {
				t.Errorf("%s: a login gives %v, its session %v", o.token.Name, err, now)
			}
		}
		short, first, second := begin("short", time.Minute), begin("first", time.Hour), begin("second", time.Hour)
		time.Sleep(time.Minute)
		if _, err := d.Current(short.id); err == nil {
			t.Error("an expired token acts until it is swept")
		}
		time.Sleep(sweepEvery)
		over(short, true)
		over(first, false)
		_, _, err := d.DeleteToken(callerOf(t, d, "view"), first.token.ID)
		roomtest.WantCode(t, err, menu.NotFound)
		_, ended, err := d.DeleteToken(callerOf(t, d, "admin"), first.token.ID)
		if err != nil || ended != 1 {
			t.Errorf("an administrator ended %d, %v", ended, err)
		}
		over(first, true)
		over(second, false)
		if _, _, err = d.DeleteToken(callerOf(t, d, "ops"), "second"); err != nil {
			t.Error(err)
		}
		over(second, true)
		for _, e := range roomtest.Events(t, d, access.EventFilter{Token: short.token.ID}) {
			if e.Act == access.ActRefused && strings.Contains(e.Message, "the token has expired") && e.User == "ops" {
				return
			}
		}
		t.Error("the audit log does not say that the token has expired")
	})
}

// What a token may be asked for, and by whom.
func TestTokensThatAreNotMade(t *testing.T) {
	d := start(t, Options{Dir: roomtest.DataDir(t)})
	end := time.Now().Add(time.Hour)
	ops := callerOf(t, d, "ops")
	_, text := tokenOf(t, d, "ops", access.Token{Name: "ci"})
	l, err := byToken(t, d, text, "192.0.2.1")
	roomtest.WantCode(t, err, 0)
	root, _, _, err := d.Local(0)
	roomtest.WantCode(t, err, 0)
	for what, c := range map[string]struct {
		caller menu.Caller
		wanted access.Token
		code   menu.Code
	}{
		"by a token":         {l.Caller, access.Token{Name: "b", Expires: end}, menu.Denied},
		"by root":            {root, access.Token{Name: "b", Expires: end}, menu.State},
		"without a name":     {ops, access.Token{Expires: end}, menu.Usage},
		"with a bad name":    {ops, access.Token{Name: "a\nb", Expires: end}, menu.Usage},
		"of an unknown role": {ops, access.Token{Name: "b", Role: "king", Expires: end}, menu.Usage},
		"of a higher role":   {ops, access.Token{Name: "b", Role: menu.Administrator, Expires: end}, menu.Usage},
		"without an end":     {ops, access.Token{Name: "b"}, menu.Usage},
		"in the past":        {ops, access.Token{Name: "b", Expires: time.Now()}, menu.Usage},
		"for ever":           {ops, access.Token{Name: "b", Expires: end.AddDate(1, 1, 0)}, menu.Usage},
		"from nowhere":       {ops, access.Token{Name: "b", Expires: end, Sources: []string{"here"}}, menu.Usage},
		"of the same name":   {ops, access.Token{Name: "ci", Expires: end}, menu.State},
	} {
		if _, _, err := d.CreateToken(c.caller, c.wanted); roomtest.CodeOf(t, err) != c.code {
			t.Errorf("a token %s: %v", what, err)
		}
	}
	made, _, err := d.CreateToken(ops, access.Token{Name: "b", Expires: end, Sources: []string{"192.0.2.7/24", "2001:db8::1"}})
	if got := fmt.Sprintf("%s %s", made.Sources, made.Role); err != nil || got != "[192.0.2.0/24 2001:db8::1/128] operator" {
		t.Errorf("made %s, %v", got, err)
	}
	if n := len(d.Tokens(callerOf(t, d, "view"))); n != 0 {
		t.Errorf("view sees %d tokens of others", n)
	}
	if n := len(d.Tokens(root)); n != 2 {
		t.Errorf("root sees %d tokens", n)
	}
}

// Programs are in no list of past logins, keep no person out, and are told from persons in who.
func TestProgramsKeepNobodyOut(t *testing.T) {
	dir := roomtest.Configure(t, roomtest.DataDir(t), "limits:\n  sessionsPerUser: 2\n")
	d := start(t, Options{Dir: dir})
	made, text := tokenOf(t, d, "ops", access.Token{Name: "ci"})
	past := len(d.PastLogins(0))
	for range 2 {
		l, err := byToken(t, d, text, "192.0.2.1")
		roomtest.WantCode(t, err, 0)
		_, _, _, err = d.Attach(l.ID, "api")
		roomtest.WantCode(t, err, 0)
	}
	_, err := byToken(t, d, text, "192.0.2.1")
	roomtest.WantCode(t, err, menu.State)
	callerOf(t, d, "ops") // the second of a person
	if n := len(d.PastLogins(0)); n != past+1 {
		t.Errorf("%d logins were added to those of the past; want 1", n-past)
	}
	by := map[string]int{}
	for _, s := range d.Sessions() {
		by[s.Token]++
	}
	if by[made.ID] != 2 || by[""] != 2 {
		t.Errorf("who lists %v", by)
	}
}

// What a token's holder gets is the same whatever is wrong; the audit log has the reason, once for
// many.
func TestWrongTokens(t *testing.T) {
	dir := roomtest.DataDir(t)
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{Dir: dir})
		made, text := tokenOf(t, d, "ops", access.Token{Name: "ci", Sources: []string{"192.0.2.0/24"}})
		said := map[string]bool{}
		for range 100 {
			for _, c := range []access.Credentials{{Token: text, Source: "198.51.100.1"}, {Token: text + "x", Source: "192.0.2.1"},
				{User: "admin", Token: text, Source: "198.51.100.1"}} {
				_, err := d.Login(t.Context(), c)
				roomtest.WantCode(t, err, menu.Denied)
				said[err.Error()] = true
			}
			time.Sleep(10 * time.Millisecond)
		}
		if len(said) != 1 {
			t.Errorf("clients are told %v", said)
		}
		lines := roomtest.Events(t, d, access.EventFilter{Act: access.ActRefused})
		sources := 0
		for _, e := range lines {
			if e.Token == made.ID && e.User == "ops" && strings.Contains(e.Message, "may not be used from there") {
				sources++
			}
			if strings.Contains(fmt.Sprint(e), string(text)) {
				t.Errorf("the audit log has the token: %+v", e)
			}
		}
		if sources == 0 || len(lines) > knockBurst+3 {
			t.Errorf("of 300 refusals there are %d lines, %d of which name the token", len(lines), sources)
		}
	})
}
