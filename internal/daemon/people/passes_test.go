package people

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

// azureDir is a data directory of an appliance that answers clients of Azure.
func azureDir(t *testing.T) string {
	t.Helper()
	dir := roomtest.DataDir(t)
	roomtest.Configure(t, dir, "azure: {subscription: 7a1f0e2c-9f4b-4d3e-8a55-0c6f5d1b2e90}\n")
	return dir
}

// grant logs in, gets a pass and logs out, as the front does for a client.
func grant(t *testing.T, d *bed, c access.Credentials) menu.Secret {
	t.Helper()
	l, err := d.Login(t.Context(), c)
	roomtest.WantCode(t, err, 0)
	defer d.Logout(l.ID)
	pass, err := d.Grant(l.ID, c.User)
	roomtest.WantCode(t, err, 0)
	if pass.Tenant == "" || pass.Client != c.User || time.Until(pass.Expires) > time.Hour {
		t.Errorf("the pass is %+v", pass)
	}
	return pass.Text
}

func password(user string) access.Credentials {
	return access.Credentials{User: user, Password: roomtest.Password(user), Source: "192.0.2.1"}
}

// use begins a session by a pass, and returns what ends with it.
func use(t *testing.T, d *bed, text menu.Secret) (menu.Caller, <-chan struct{}) {
	t.Helper()
	l, err := byToken(t, d, text, "192.0.2.1")
	roomtest.WantCode(t, err, 0)
	caller, ended, _, err := d.Attach(l.ID, access.AzureSession)
	roomtest.WantCode(t, err, 0)
	return caller, ended
}

func wantEnded(t *testing.T, d *bed, what string, text menu.Secret, caller menu.Caller, ended <-chan struct{}) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(10 * time.Second): // of the bubble: longer than a sweep
		t.Errorf("%s: the session goes on", what)
	}
	if _, err := d.Current(caller.Session); err == nil {
		t.Errorf("%s: the session may act", what)
	}
	if _, err := byToken(t, d, text, "192.0.2.1"); roomtest.CodeOf(t, err) != menu.Denied {
		t.Errorf("%s: the pass lets in: %v", what, err)
	}
}

func inBubble(t *testing.T, test func(t *testing.T, d *bed)) {
	dir := azureDir(t)
	synctest.Test(t, func(t *testing.T) {
		test(t, start(t, Options{Dir: dir, Directory: newDirectory()}))
	})
}

// What a pass was made for ends, and the pass with it: what runs by it, and each later use.
func TestPassDies(t *testing.T) {
	for what, kill := range map[string]func(t *testing.T, d *bed, text menu.Secret){
		"another password": func(t *testing.T, d *bed, _ menu.Secret) {
			_, err := d.SetPassword("ops", "another-secret-1", "")
			roomtest.WantCode(t, err, 0)
		},
		"account deleted": func(t *testing.T, d *bed, _ menu.Secret) {
			_, err := d.DeleteAccount("ops")
			roomtest.WantCode(t, err, 0)
		},
		"account expired": func(t *testing.T, d *bed, _ menu.Secret) {
			a, err := d.Account("ops")
			roomtest.WantCode(t, err, 0)
			end := time.Now().Add(time.Minute)
			a.Expires = &end
			_, err = d.UpdateAccount(a, "")
			roomtest.WantCode(t, err, 0)
			time.Sleep(time.Minute)
		},
		"its hour": func(*testing.T, *bed, menu.Secret) { time.Sleep(time.Hour) },
		"the account is made anew": func(t *testing.T, d *bed, _ menu.Secret) {
			_, err := d.DeleteAccount("ops")
			roomtest.WantCode(t, err, 0)
			roomtest.WantCode(t, d.CreateAccount(access.Account{User: "ops", Role: menu.Operator}, roomtest.Password("ops")), 0)
		},
		"factory values": func(t *testing.T, d *bed, _ menu.Secret) {
			_, err := d.Reset(menu.Caller{User: "root"})
			roomtest.WantCode(t, err, 0)
		},
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, func(t *testing.T, d *bed) {
				text := grant(t, d, password("ops"))
				caller, ended := use(t, d, text)
				if caller.User != "ops" || caller.Role != menu.Operator {
					t.Errorf("the caller is %+v", caller)
				}
				kill(t, d, text)
				wantEnded(t, d, what, text, caller, ended)
			})
		})
	}
}

// A pass that a token got is bound as the token is, and ends with it.
func TestPassOfToken(t *testing.T) {
	inBubble(t, func(t *testing.T, d *bed) {
		made, secret := tokenOf(t, d, "ops", access.Token{Name: "ci", Role: menu.ReadOnly, Paths: []string{"packetcapture"},
			Sources: []string{"192.0.2.0/24"}})
		show := func(name string) access.Credentials {
			return access.Credentials{User: name, Token: secret, Source: "192.0.2.1"}
		}
		_, err := d.Login(t.Context(), show("other"))
		roomtest.WantCode(t, err, menu.Denied)
		grant(t, d, show(made.ID))
		text := grant(t, d, show("ci"))
		caller, ended := use(t, d, text)
		if caller.Role != menu.ReadOnly || caller.Token != made.ID || len(caller.Paths) != 1 {
			t.Errorf("the caller is %+v", caller)
		}
		if _, err := byToken(t, d, text, "198.51.100.1"); roomtest.CodeOf(t, err) != menu.Denied {
			t.Errorf("from elsewhere: %v", err)
		}
		_, err = d.SetPassword("ops", "another-secret-1", "") // which the token does not depend on
		roomtest.WantCode(t, err, 0)
		if _, err := d.Current(caller.Session); err != nil {
			t.Errorf("after another password: %v", err)
		}
		admin := callerOf(t, d, "admin")
		_, _, err = d.DeleteToken(admin, made.ID)
		roomtest.WantCode(t, err, 0)
		wantEnded(t, d, "token deleted", text, caller, ended)
	})
	inBubble(t, func(t *testing.T, d *bed) {
		_, secret := tokenOf(t, d, "ops", access.Token{Name: "short", Expires: time.Now().Add(10 * time.Minute)})
		text := grant(t, d, access.Credentials{User: "short", Token: secret, Source: "192.0.2.1"})
		caller, ended := use(t, d, text)
		time.Sleep(10 * time.Minute)
		wantEnded(t, d, "token expired", text, caller, ended)
	})
}

// A role that was lowered counts at once.
func TestRoleOfPass(t *testing.T) {
	inBubble(t, func(t *testing.T, d *bed) {
		text := grant(t, d, password("ops"))
		caller, _ := use(t, d, text)
		a, err := d.Account("ops")
		roomtest.WantCode(t, err, 0)
		a.Role = menu.ReadOnly
		_, err = d.UpdateAccount(a, "")
		roomtest.WantCode(t, err, 0)
		if now, err := d.Current(caller.Session); err != nil || now.Role != menu.ReadOnly {
			t.Errorf("the session is %+v, %v", now, err)
		}
		if again, _ := use(t, d, text); again.Role != menu.ReadOnly {
			t.Errorf("another session is %+v", again)
		}
	})
}

// Somebody without an account here has a pass as well; a server is asked again about the role.
func TestPassOutside(t *testing.T) {
	inBubble(t, func(t *testing.T, d *bed) {
		directory := d.directory.(*fakeDirectory)
		text := grant(t, d, access.Credentials{User: "jane", Password: "right", Source: "192.0.2.1"})
		caller, ended := use(t, d, text)
		if caller.User != "jane" || caller.Role != menu.Operator {
			t.Errorf("the caller is %+v", caller)
		}
		directory.set("jane", "")
		time.Sleep(d.settings.SignIn().LDAP.Recheck + 2*sweepEvery)
		select {
		case <-ended:
		default:
			t.Error("who has no role any more goes on")
		}
		directory.set("jane", menu.Operator)
		roomtest.WantCode(t, d.CreateAccount(access.Account{User: "jane", Role: menu.ReadOnly}, "secret-of-jane-1"), 0)
		if _, err := byToken(t, d, text, "192.0.2.1"); roomtest.CodeOf(t, err) != menu.Denied {
			t.Errorf("with an account of the name: %v", err)
		}
	})
}

// A pass holds after a restart, opens nothing but sessions of clients of Azure, and gets no pass.
func TestPassAndItsSessions(t *testing.T) {
	dir := azureDir(t)
	d := start(t, Options{Dir: dir})
	text := grant(t, d, password("ops"))
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	d = start(t, Options{Dir: dir})
	caller, _ := use(t, d, text)
	s, open := d.Session(caller.Session)
	if !open || s.Type != "azure" {
		t.Errorf("`who` has it as %+v", s)
	}
	l, err := byToken(t, d, text, "192.0.2.1")
	roomtest.WantCode(t, err, 0)
	if l.Method != access.ByPass {
		t.Errorf("the method is %s", l.Method)
	}
	_, err = d.Grant(l.ID, "again")
	roomtest.WantCode(t, err, menu.Denied)
	for _, kind := range []string{"shell", "exec", "sftp", "web", "api"} {
		if _, _, _, err := d.Attach(l.ID, kind); roomtest.CodeOf(t, err) != menu.Denied {
			t.Errorf("%s: %v", kind, err)
		}
	}
	person := roomtest.LogIn(t, d, "ops", "192.0.2.1")
	_, _, _, err = d.Attach(person.ID, access.AzureSession)
	roomtest.WantCode(t, err, menu.Denied)
	_, err = d.SetPassword("ops", "another-secret-1", "")
	roomtest.WantCode(t, err, 0)
	_, err = byToken(t, d, text, "192.0.2.1")
	roomtest.WantCode(t, err, menu.Denied)
	var said []string
	for _, e := range roomtest.Events(t, d, access.EventFilter{User: "ops"}) {
		said = append(said, e.Act+" "+e.Arguments["method"]+" "+e.Message)
	}
	all := strings.Join(said, "\n")
	for _, want := range []string{"login password ", "system  A pass for a client of Azure was made, until ", "logout  logged out", "login pass ",
		"refused pass Login refused: "} {
		if !strings.Contains(all, want) {
			t.Errorf("the audit log lacks %q: %s", want, all)
		}
	}
	if strings.Contains(all, string(text)) {
		t.Error("the audit log has a pass")
	}
}

// An appliance that does not answer clients of Azure makes no pass and takes none.
func TestNoPasses(t *testing.T) {
	d := start(t, Options{Dir: roomtest.DataDir(t)})
	l := roomtest.LogIn(t, d, "ops", "192.0.2.1")
	_, err := d.Grant(l.ID, "ops")
	roomtest.WantCode(t, err, menu.NotFound)
	_, err = byToken(t, d, "e30.e30.e30", "192.0.2.1")
	roomtest.WantCode(t, err, menu.Denied)
}

// Each run of a program may come with a pass of its own: those of before make room, and neither they nor
// a busy one keep anybody out.
func TestManyPasses(t *testing.T) {
	inBubble(t, func(t *testing.T, d *bed) {
		_, secret := tokenOf(t, d, "ops", access.Token{Name: "ci"})
		busy, ended := use(t, d, grant(t, d, password("ops")))
		defer d.Running(busy.Session, "packetcapture stream", false)()
		first := grant(t, d, password("ops"))
		_, gone := use(t, d, first)
		for n := range 3 * d.settings.SessionLimits().SessionsPerUser {
			c := password("ops")
			if n%2 == 0 {
				c = access.Credentials{User: "ci", Token: secret, Source: "192.0.2.1"}
			}
			use(t, d, grant(t, d, c))
			time.Sleep(time.Second)
		}
		select {
		case <-ended:
			t.Error("the busy one has ended")
		default:
		}
		select {
		case <-gone:
		default:
			t.Error("the first one is still there")
		}
		use(t, d, first) // brought again
	})
}
