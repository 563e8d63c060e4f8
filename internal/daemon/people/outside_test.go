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
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

// A fakeDirectory knows jane and others by the password "right".
type fakeDirectory struct {
	mu    sync.Mutex
	roles map[string]menu.Role // "": the user has none
	away  bool
	asked []string
	until time.Time

	silent chan struct{} // if it is set, passwords are looked at when it is closed
}

func (d *fakeDirectory) AsksPasswords() bool { return true }

func (d *fakeDirectory) AskPerson(_ context.Context, user string, password menu.Secret, _ string) (access.Person, error) {
	if d.silent != nil {
		<-d.silent
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, user)
	if !d.away && password != "right" {
		return access.Person{}, &access.SignInError{Reason: "ldap: the password is wrong"}
	}
	return d.person(user)
}

func (d *fakeDirectory) person(user string) (access.Person, error) {
	role, known := d.roles[user]
	switch {
	case d.away:
		return access.Person{}, &access.SignInError{Reason: "ldap: away", Unanswered: true}
	case !known:
		return access.Person{}, &access.SignInError{Reason: "ldap: there is no such user"}
	case role == "":
		return access.Person{}, &access.SignInError{Reason: "ldap: none of the groups has a role: cooks", NoRole: true}
	}
	return access.Person{User: user, Role: role, Method: access.LDAP, ID: "uid=" + user, Until: d.until}, nil
}

func (d *fakeDirectory) RenewPerson(_ context.Context, p access.Person) (access.Person, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.person(p.User)
}

func (d *fakeDirectory) EndSignIn(_ context.Context, c access.Callback) (access.Person, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.person(c.Code)
	p.Method = access.OIDC
	return p, err
}

func (d *fakeDirectory) set(user string, role menu.Role) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.roles[user] = role
}

func newDirectory() *fakeDirectory {
	return &fakeDirectory{roles: map[string]menu.Role{"jane": menu.Operator, "help2": menu.Support, "otto": "", "admin": menu.Administrator,
		"root": menu.Administrator, "boss": menu.Administrator}}
}

func byPassword(t *testing.T, d *bed, user, password string) (access.Login, error) {
	t.Helper()
	return d.Login(t.Context(), access.Credentials{User: user, Password: menu.Secret(password), Source: "192.0.2.1"})
}

// Who has no account here comes in as a server says, and an account waits for no server.
func TestLoginOutside(t *testing.T) {
	dir := roomtest.DataDir(t)
	synctest.Test(t, func(t *testing.T) { loginOutside(t, start(t, Options{Dir: dir, Directory: newDirectory()})) })
}

func loginOutside(t *testing.T, d *bed) {
	directory := d.directory.(*fakeDirectory)
	for _, c := range []struct {
		user, password string
		code           menu.Code
		reason         string
	}{
		{"jane", "right", 0, ""},
		{"Jane", "right", 0, ""},
		{"jane", "wrong", menu.Denied, "ldap: the password is wrong"},
		{"otto", "right", menu.Denied, "ldap: none of the groups has a role: cooks"},
		{"nobody2", "right", menu.Denied, "ldap: there is no such user"},
		{"admin", "right", menu.Denied, "the password is not the user's"}, // the account's counts
		{"ADMIN", "right", menu.Denied, "there is no such user"},
		{"root", "right", menu.Denied, "there is no such user"},
		{"no name", "right", menu.Denied, "there is no such user"},
		{"admin", "admin-secret", 0, ""},
	} {
		l, err := byPassword(t, d, c.user, c.password)
		if roomtest.CodeOf(t, err) != c.code {
			t.Errorf("%s with %q: %v", c.user, c.password, err)
		}
		if c.code == 0 {
			d.Logout(l.ID)
			continue
		}
		lines := roomtest.Events(t, d, access.EventFilter{Act: access.ActRefused, Newest: 1})
		if len(lines) != 1 || lines[0].Message != "Login refused: "+c.reason {
			t.Errorf("%s with %q is audited as %+v", c.user, c.password, lines)
		}
	}
	if got := strings.Join(directory.asked, " "); got != "jane jane jane otto nobody2" {
		t.Errorf("servers were asked about %s", got)
	}
	l, err := byPassword(t, d, "jane", "right")
	roomtest.WantCode(t, err, 0)
	caller, _, _, err := d.Attach(l.ID, "shell")
	roomtest.WantCode(t, err, 0)
	if caller.User != "jane" || caller.Role != menu.Operator || !caller.Payload || l.Method != access.LDAP {
		t.Errorf("jane is %+v by %s", caller, l.Method)
	}
	if past := d.PastLogins(1); past[0].User != "jane" || past[0].Method != access.LDAP {
		t.Errorf("last lists %+v", past)
	}
	if s := d.Sessions(); len(s) != 1 || s[0].Role != menu.Operator {
		t.Errorf("who lists %+v", s)
	}
	if help, _ := byPassword(t, d, "help2", "right"); help.Caller.Payload || help.Caller.Role != menu.Support {
		t.Errorf("help2 is %+v", help.Caller)
	}
	// What only accounts have.
	_, _, err = d.CreateToken(caller, access.Token{Name: "x", Expires: time.Now().Add(time.Hour)})
	roomtest.WantCode(t, err, menu.State)
	roomtest.WantCode(t, d.CheckPassword(t.Context(), "jane", "right"), menu.State)
}

// Wrong passwords for people outside are slowed down and locked as all others are, also after a right
// one of somebody without a role; what no server has looked at counts for nothing.
func TestGuessingOutside(t *testing.T) {
	dir := roomtest.Configure(t, roomtest.DataDir(t), "login:\n  lockAfter: 3\n")
	synctest.Test(t, func(t *testing.T) {
		directory := newDirectory()
		directory.away = true
		d := start(t, Options{Dir: dir, Directory: directory})
		for range 10 {
			began := time.Now()
			_, err := byPassword(t, d, "jane", "wrong")
			roomtest.WantCode(t, err, menu.State)
			if took := time.Since(began); took != 0 {
				t.Errorf("a password that nobody looked at delays the next by %v", took)
			}
		}
		// An account waits for no server.
		began := time.Now()
		_, err := byPassword(t, d, "ops", "ops-secret")
		roomtest.WantCode(t, err, 0)
		if took := time.Since(began); took != 0 {
			t.Errorf("an account waits %v while the servers are away", took)
		}
		directory.away = false
		began = time.Now()
		for range 3 {
			_, err := byPassword(t, d, "jane", "wrong")
			roomtest.WantCode(t, err, menu.Denied)
		}
		if took := time.Since(began); took != time.Second { // 0, 0, 1 s
			t.Errorf("three wrong passwords took %v", took)
		}
		n := len(directory.asked)
		_, err = byPassword(t, d, "jane", "right")
		roomtest.WantCode(t, err, menu.State)
		if len(directory.asked) != n {
			t.Error("a server is asked about a name that is locked")
		}
		for _, e := range roomtest.Events(t, d, access.EventFilter{Act: access.ActSystem, User: "jane"}) {
			if e.Result == "locked" {
				return
			}
		}
		t.Error("the lock is not in the audit log")
	})
}

// An account waits for no server, also behind one address with those who do.
func TestAccountsWaitForNoServer(t *testing.T) {
	dir := roomtest.DataDir(t)
	synctest.Test(t, func(t *testing.T) {
		directory := newDirectory()
		d := start(t, Options{Dir: dir, Directory: directory})
		directory.silent = make(chan struct{})
		var asking sync.WaitGroup
		asking.Go(func() {
			if _, err := byPassword(t, d, "jane", "right"); err != nil {
				t.Errorf("jane: %v", err)
			}
		})
		synctest.Wait()
		began := time.Now()
		_, err := byPassword(t, d, "ops", "ops-secret")
		roomtest.WantCode(t, err, 0)
		if took := time.Since(began); took != 0 {
			t.Errorf("an account waits %v", took)
		}
		close(directory.silent)
		asking.Wait()
	})
}

// Roles that a server takes away are gone at the next look, and who has none is out. What was said
// last holds while servers are away; a login has its longest time.
func TestOutsiderIsRenewed(t *testing.T) {
	dir := roomtest.Configure(t, roomtest.DataDir(t), "signIn:\n  longestSession: 1h\n  ldap: {recheck: 1m}\n")
	synctest.Test(t, func(t *testing.T) {
		directory := newDirectory()
		d := start(t, Options{Dir: dir, Directory: directory})
		attach := func(user string) (menu.Caller, <-chan struct{}) {
			l, err := byPassword(t, d, user, "right")
			roomtest.WantCode(t, err, 0)
			caller, ended, _, err := d.Attach(l.ID, "exec")
			roomtest.WantCode(t, err, 0)
			return caller, ended
		}
		over := func(ended <-chan struct{}) bool {
			synctest.Wait()
			select {
			case <-ended:
				return true
			default:
				return false
			}
		}
		jane, janeEnded := attach("jane")
		boss, bossEnded := attach("boss")
		help, helpEnded := attach("help2")
		done := d.Running(boss.Session, "packetcapture watch", false)
		defer done()
		directory.set("jane", menu.ReadOnly)
		directory.set("boss", menu.Operator)
		time.Sleep(time.Minute + sweepEvery)
		synctest.Wait()
		now, err := d.Current(jane.Session)
		if err != nil || now.Role != menu.ReadOnly || over(janeEnded) {
			t.Errorf("jane is now %+v, %v", now, err)
		}
		if !over(bossEnded) {
			t.Error("what boss runs goes on with rights that were taken away")
		}
		directory.mu.Lock()
		directory.away = true
		directory.mu.Unlock()
		time.Sleep(5 * time.Minute)
		if over(janeEnded) || over(helpEnded) {
			t.Error("people are thrown out because servers are away")
		}
		directory.mu.Lock()
		directory.away = false
		directory.mu.Unlock()
		directory.set("jane", "")
		time.Sleep(time.Minute + 2*sweepEvery)
		if !over(janeEnded) || over(helpEnded) {
			t.Error("who has no role any more stays, or another goes")
		}
		reason := d.PastLogins(0)
		if got := fmt.Sprint(reason[2].User, ": ", reason[2].Reason); got != "jane: ldap: none of the groups has a role: cooks" {
			t.Errorf("it is over for %s", got)
		}
		_, runEnded, _, err := d.Detached(help.Session)
		roomtest.WantCode(t, err, 0)
		time.Sleep(55 * time.Minute)
		if !over(helpEnded) || !over(runEnded) {
			t.Errorf("a login outlives its longest time, or what it runs in the background does: %+v", help)
		}
		directory.until = time.Now().Add(10 * time.Second)
		short, shortEnded := attach("help2")
		if end := d.Ending(short.Session); !end.Absolute.Equal(directory.until) {
			t.Errorf("it is told that it ends at %v; want %v", end.Absolute, directory.until)
		}
		if time.Sleep(10*time.Second + sweepEvery); !over(shortEnded) {
			t.Error("a login outlives the time that the server gave")
		}
		directory.until = time.Time{}
		_, ended := attach("help2")
		if err := d.CreateAccount(access.Account{User: "help2", Role: menu.ReadOnly}, "battery staple 9"); err != nil {
			t.Fatal(err)
		}
		if time.Sleep(sweepEvery); !over(ended) {
			t.Error("an account was made, and somebody else is logged in by its name")
		}
	})
}

// Who comes back from a provider has the rights that it says, and no account's name.
func TestLoginByCallback(t *testing.T) {
	directory := newDirectory()
	d := start(t, Options{Dir: roomtest.Configure(t, roomtest.DataDir(t), "limits:\n  sessionsPerUser: 1\n"), Directory: directory})
	for user, want := range map[string]string{
		"jane": "", "otto": "ldap: none of the groups has a role: cooks", "admin": "oidc: an account of the appliance has this name",
		"root": "oidc: the name is reserved",
	} {
		l, err := d.Login(t.Context(), access.Credentials{Source: "192.0.2.1", Callback: &access.Callback{Code: user}})
		if want == "" {
			if err != nil || l.Caller.User != user || l.Method != access.OIDC || l.LongestWeb == 0 {
				t.Errorf("%s: %+v, %v", user, l, err)
			}
			continue
		}
		roomtest.WantCode(t, err, menu.Denied)
		lines := roomtest.Events(t, d, access.EventFilter{Act: access.ActRefused, Newest: 1})
		if len(lines) != 1 || lines[0].Message != "Login refused: "+want || lines[0].Arguments["method"] != access.OIDC {
			t.Errorf("%s is audited as %+v", user, lines)
		}
	}
	_, err := d.Login(t.Context(), access.Credentials{Source: "192.0.2.1", Callback: &access.Callback{Code: "jane"}})
	roomtest.WantCode(t, err, menu.State) // the second session
	directory.away = true
	_, err = d.Login(t.Context(), access.Credentials{Source: "192.0.2.1", Callback: &access.Callback{Code: "boss"}})
	roomtest.WantCode(t, err, menu.State)
}
