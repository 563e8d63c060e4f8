package people

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestSessions(t *testing.T) {
	dir := roomtest.DataDir(t)
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{Dir: dir})
		l := roomtest.LogIn(t, d, "ops", "192.0.2.1")
		time.Sleep(time.Second)
		caller, ended, detach, err := d.Attach(l.ID, "shell")
		roomtest.WantCode(t, err, 0)
		if want := (menu.Caller{User: "ops", Role: menu.Operator, Source: "192.0.2.1", Session: l.ID + "-1", Payload: true}); !reflect.DeepEqual(caller, want) {
			t.Errorf("the caller is %+v; want %+v", caller, want)
		}
		done := d.Running(caller.Session, "packetcapture/start", false)
		again := d.Running(caller.Session, "packetcapture/start", false)
		time.Sleep(time.Second)
		d.Alive(caller.Session)
		time.Sleep(time.Second)
		list := d.Sessions()
		if len(list) != 1 || list[0].User != "ops" || list[0].Role != menu.Operator || list[0].Type != "shell" || len(list[0].Running) != 2 ||
			time.Since(list[0].IdleFrom) != time.Second || time.Since(list[0].Began) != 2*time.Second {
			t.Errorf("the sessions are %+v", list)
		}
		done()
		done()
		if list := d.Sessions(); len(list[0].Running) != 1 {
			t.Errorf("a command that ended twice left %q", list[0].Running)
		}
		again()
		detach()
		detach()
		if !isClosed(ended) || len(d.Sessions()) != 0 {
			t.Error("a session that was detached is still there")
		}
		_, err = d.Current(caller.Session)
		roomtest.WantCode(t, err, menu.Denied)
		d.Alive(caller.Session)
		d.Running(caller.Session, "x", false)()

		_, ended, _, err = d.Attach(l.ID, "sftp")
		roomtest.WantCode(t, err, 0)
		d.Logout(l.ID)
		if !isClosed(ended) {
			t.Error("a session goes on behind its login's end")
		}
		_, _, _, err = d.Attach(l.ID, "shell")
		roomtest.WantCode(t, err, menu.Denied)
		if v := d.PastLogins(0); len(v) != 1 || v[0].Reason != "logged out" || v[0].Ended.Sub(v[0].Began) != 3*time.Second {
			t.Errorf("the logins are %+v", v)
		}
	})
}

func TestLimits(t *testing.T) {
	d := start(t, Options{Dir: roomtest.Configure(t, roomtest.DataDir(t), "limits: {sessionsPerUser: 3, logins: 4}")})
	for range 3 {
		l := roomtest.LogIn(t, d, "ops", "192.0.2.1")
		_, _, _, err := d.Attach(l.ID, "shell")
		roomtest.WantCode(t, err, 0)
	}
	_, err := d.Login(t.Context(), access.Credentials{User: "ops", Source: "192.0.2.1", Password: "ops-secret"})
	roomtest.WantCode(t, err, menu.State)
	l := roomtest.LogIn(t, d, "view", "192.0.2.1")
	for range 3 {
		_, _, _, err := d.Attach(l.ID, "shell")
		roomtest.WantCode(t, err, 0)
	}
	_, _, _, err = d.Attach(l.ID, "shell")
	roomtest.WantCode(t, err, menu.State)
	_, err = d.Login(t.Context(), access.Credentials{User: "help", Source: "192.0.2.1", Password: "help-secret"})
	roomtest.WantCode(t, err, menu.State)
	roomtest.LogIn(t, d, "admin", "192.0.2.1") // The full house keeps no administrator out.
	for range 20 {
		_, _, detach, err := d.Local(0) // Nor root on the machine.
		roomtest.WantCode(t, err, 0)
		defer detach()
	}
}

func TestExpiry(t *testing.T) {
	dir := roomtest.DataDir(t)
	signer, line := userKey(t)
	key := signer.PublicKey()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, Options{Dir: dir})
		a, _ := d.Account("help")
		soon := time.Now().Add(time.Hour)
		a.Expires = &soon
		roomtest.WantCode(t, roomtest.ErrorOf(d.UpdateAccount(a, "")), 0)
		_, err := d.AddKey("help", line)
		roomtest.WantCode(t, err, 0)
		l := roomtest.LogIn(t, d, "help", "192.0.2.1")
		caller, ended, _, err := d.Attach(l.ID, "shell")
		roomtest.WantCode(t, err, 0)
		if g := d.Greeting(caller); !strings.Contains(g.Notice, "expires") {
			t.Errorf("the notice is %q", g.Notice)
		}
		done := d.Running(caller.Session, "ping", false) // A command that runs is no reason to stay.
		defer done()
		time.Sleep(time.Hour)
		_, err = d.Current(caller.Session)
		roomtest.WantCode(t, err, menu.Denied)
		time.Sleep(sweepEvery)
		synctest.Wait()
		if !isClosed(ended) {
			t.Error("the session of an account that expired goes on")
		}
		_, err = d.Login(t.Context(), access.Credentials{User: "help", Source: "192.0.2.1", Password: "help-secret"})
		roomtest.WantCode(t, err, menu.Denied)
		_, err = d.Login(t.Context(), proof(t, "help", "192.0.2.1", signer))
		roomtest.WantCode(t, err, menu.Denied)
		if d.KeyKnown(t.Context(), "help", "192.0.2.1", key.Marshal()) {
			t.Error("the key of an account that expired is known")
		}
	})
}

func TestLocal(t *testing.T) {
	dir := roomtest.Configure(t, roomtest.DataDir(t), "localUsers: {4711: ops, 4712: deleted}")
	d := start(t, Options{Dir: dir})
	caller, _, detach, err := d.Local(0)
	roomtest.WantCode(t, err, 0)
	if caller.User != "root" || caller.Role != menu.Administrator || caller.Source != "local" || !caller.Payload {
		t.Errorf("root is %+v", caller)
	}
	if now, err := d.Current(caller.Session); err != nil || !reflect.DeepEqual(now, caller) {
		t.Errorf("root is now %+v, %v", now, err)
	}
	if v := d.PastLogins(0); len(v) != 0 {
		t.Errorf("a program that asks is recorded: %+v", v)
	}
	d.Alive(caller.Session)
	if v := d.PastLogins(0); len(v) != 0 {
		t.Errorf("a program that goes on asking is recorded: %+v", v)
	}
	d.Greeting(caller)
	if v := d.PastLogins(0); len(v) != 1 || v[0].User != "root" || v[0].Method != access.Socket {
		t.Errorf("a person is not recorded: %+v", v)
	}
	detach()
	detach()
	if v := d.PastLogins(0); v[0].Ended == nil || len(d.Sessions()) != 0 {
		t.Errorf("after the end there is %+v", v)
	}
	caller, _, detach, err = d.Local(4711)
	roomtest.WantCode(t, err, 0)
	defer detach()
	if caller.User != "ops" || caller.Role != menu.Operator {
		t.Errorf("4711 is %+v", caller)
	}
	// Who asks again and again does not fill the log.
	for _, uid := range []uint32{4712, 4713, 4713, 4713} {
		_, _, _, err = d.Local(uid)
		roomtest.WantCode(t, err, menu.Denied)
	}
	if n := len(roomtest.Events(t, d, access.EventFilter{Act: access.ActRefused})); n != 2 {
		t.Errorf("%d refusals are in the audit log", n)
	}
}

// Another password ends what was begun with the old one, but not the session in which somebody
// changes their own; a deletion or the end of the account ends all.
func TestAccountChangesEndSessions(t *testing.T) {
	t.Parallel()
	d := start(t, Options{Dir: roomtest.DataDir(t)})
	begin := func(user string) (string, <-chan struct{}) {
		caller, ended, _, err := d.Attach(roomtest.LogIn(t, d, user, "192.0.2.1").ID, "shell")
		if err != nil {
			t.Fatal(err)
		}
		return caller.Session, ended
	}
	own, ownEnded := begin("ops")
	_, otherEnded := begin("ops")
	root, rootEnded, _, err := d.Local(0)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := d.SetPassword("ops", "a new secret", own); n != 1 || err != nil || isClosed(ownEnded) || !isClosed(otherEnded) {
		t.Errorf("an own change ends %d logins, %v; own %v, other %v", n, err, isClosed(ownEnded), isClosed(otherEnded))
	}
	if e := roomtest.Events(t, d, access.EventFilter{Act: access.ActLogout, User: "ops"}); len(e) != 1 || e[0].Message != "password changed" {
		t.Errorf("the audit log says %+v", e)
	}
	if _, err := d.SetPassword("ops", "short", root.Session); err == nil || isClosed(ownEnded) {
		t.Error("a change that is refused ends sessions")
	}
	if n, err := d.SetPassword("ops", "ops-secret", root.Session); n != 1 || err != nil || !isClosed(ownEnded) || isClosed(rootEnded) {
		t.Errorf("a change by an administrator ends %d logins, %v", n, err)
	}
	_, ended := begin("ops")
	a, _ := d.Account("ops")
	past := time.Now().Add(-time.Second)
	a.Expires = &past
	if roomtest.WantCode(t, roomtest.ErrorOf(d.UpdateAccount(a, "")), 0); !isClosed(ended) {
		t.Error("an account that is ended has a session")
	}
	a.Expires = nil
	roomtest.WantCode(t, roomtest.ErrorOf(d.UpdateAccount(a, "")), 0)
	_, ended = begin("ops")
	if roomtest.WantCode(t, roomtest.ErrorOf(d.DeleteAccount("ops")), 0); !isClosed(ended) {
		t.Error("an account that is deleted has a session")
	}
}

// A key that is removed ends what was begun with it, and nothing else; fewer rights end what is
// being done with the greater ones.
func TestTakenKeysAndRightsEndLogins(t *testing.T) {
	d := start(t, Options{Dir: roomtest.DataDir(t)})
	stolen, line := userKey(t)
	k, err := d.AddKey("ops", line)
	roomtest.WantCode(t, err, 0)
	kept, line := userKey(t)
	_, err = d.AddKey("ops", line)
	roomtest.WantCode(t, err, 0)
	begin := func(kind string, key ssh.Signer) (string, <-chan struct{}) {
		t.Helper()
		c := access.Credentials{User: "ops", Source: "192.0.2.1", Password: "ops-secret"}
		if key != nil {
			c = proof(t, "ops", "192.0.2.1", key)
		}
		l, err := d.Login(t.Context(), c)
		roomtest.WantCode(t, err, 0)
		caller, ended, _, err := d.Attach(l.ID, kind)
		roomtest.WantCode(t, err, 0)
		return caller.Session, ended
	}
	_, thief := begin("shell", stolen)
	_, copying := begin("sftp", stolen)
	own, ownEnded := begin("shell", stolen)
	_, other := begin("sftp", kept)
	_, typed := begin("shell", nil)
	if n, err := d.RemoveKey("ops", k.Fingerprint, own); n != 2 || err != nil || !isClosed(thief) || !isClosed(copying) {
		t.Errorf("%d logins were ended, %v", n, err)
	}
	if isClosed(ownEnded) || isClosed(other) || isClosed(typed) {
		t.Error("a login ended that began otherwise, or in which the key was removed")
	}

	running, runningEnded := begin("shell", kept)
	defer d.Running(running, "packetcapture watch", false)()
	ops, _ := d.Account("ops")
	ops.Role = menu.Administrator
	if n, err := d.UpdateAccount(ops, ""); n != 0 || err != nil {
		t.Errorf("a greater role ends %d logins, %v", n, err)
	}
	ops.Role = menu.ReadOnly
	if n, err := d.UpdateAccount(ops, ""); n != 2 || err != nil || !isClosed(runningEnded) || !isClosed(other) || isClosed(typed) {
		t.Errorf("a lesser role ends %d logins, %v", n, err)
	}
	if n, err := d.DeleteAccount("ops"); n != 2 || err != nil || !isClosed(typed) || !isClosed(ownEnded) {
		t.Errorf("the deletion ends %d logins, %v", n, err)
	}
}

func TestCloseEndsSessions(t *testing.T) {
	dir := roomtest.DataDir(t)
	d := start(t, Options{Dir: dir})
	l := roomtest.LogIn(t, d, "ops", "192.0.2.1")
	_, ended, _, _ := d.Attach(l.ID, "shell")
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !isClosed(ended) {
		t.Error("a session goes on")
	}
	_, err := d.Login(t.Context(), access.Credentials{User: "ops", Source: "192.0.2.1", Password: "ops-secret"})
	roomtest.WantCode(t, err, menu.State)
	again := start(t, Options{Dir: dir})
	if v := again.PastLogins(0); len(v) != 1 || v[0].Reason != "appliance stopped" {
		t.Errorf("the logins are %+v", v)
	}
}

func TestHistory(t *testing.T) {
	dir := roomtest.DataDir(t)
	d := start(t, Options{Dir: dir})
	caller := menu.Caller{User: "ops"}
	for n := range 2*keptLines + 10 {
		d.Remember("ops", fmt.Sprint("line ", n))
	}
	for _, line := range []string{"last", "last", "", "  ", "two\nlines", "\x1b[2J", strings.Repeat("x", maxHistoryLine+1)} {
		d.Remember("ops", line)
	}
	h := d.Greeting(caller).History
	if len(h) != keptLines || h[len(h)-1] != "last" || h[len(h)-2] != fmt.Sprint("line ", 2*keptLines+9) {
		t.Errorf("%d lines, the last %q", len(h), h[len(h)-2:])
	}
	path := filepath.Join(dir, "history", "ops")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || info.Size() > 20*2*keptLines {
		t.Errorf("the file is %v, %v", info, err)
	}
	f, _ := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	f.WriteString("torn by a cra")
	f.Close()
	d.Remember("ops", "after")
	if h := d.Greeting(caller).History; !slices.Equal(h[len(h)-2:], []string{"last", "after"}) {
		t.Errorf("after a torn line the history ends in %q", h[len(h)-2:])
	}
	d.Remember("../users.json", "x")
	d.Remember("root", "from the machine")
	if h := d.Greeting(menu.Caller{User: "root"}).History; len(h) != 1 {
		t.Errorf("root's history is %q", h)
	}
	if h := d.Greeting(menu.Caller{User: "../users.json"}).History; h != nil {
		t.Errorf("a file outside is read as a history: %q", h)
	}
	roomtest.WantCode(t, roomtest.ErrorOf(d.DeleteAccount("ops")), 0)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("the history of a deleted account is there")
	}
}

func TestManyAtOnce(t *testing.T) {
	d := start(t, Options{Dir: roomtest.Configure(t, roomtest.DataDir(t), "limits: {sessionsPerUser: 1000, logins: 1000}")})
	var all sync.WaitGroup
	for n := range 40 {
		all.Go(func() {
			l, err := d.Login(t.Context(), access.Credentials{User: "ops", Source: fmt.Sprintf("192.0.2.%d", n%4), Password: "ops-secret"})
			if err != nil {
				t.Error(err)
				return
			}
			caller, _, detach, err := d.Attach(l.ID, "shell")
			if err != nil {
				t.Error(err)
				return
			}
			done := d.Running(caller.Session, "who", false)
			d.Greeting(caller)
			d.Remember("ops", fmt.Sprint("line ", n))
			d.Sessions()
			d.PastLogins(5)
			d.Accounts()
			d.UnlockAccount("view")
			d.Record(access.Event{Act: access.ActCommand, User: "ops", Session: caller.Session})
			done()
			detach()
			d.Logout(l.ID)
		})
	}
	all.Go(func() {
		for n := range 10 {
			name := fmt.Sprintf("new%d", n)
			roomtest.WantCode(t, d.CreateAccount(access.Account{User: name, Role: menu.ReadOnly}, ""), 0)
			roomtest.WantCode(t, roomtest.ErrorOf(d.DeleteAccount(name)), 0)
		}
	})
	all.Wait()
	if n := len(d.Sessions()); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	if r, err := d.VerifyAudit(t.Context()); err != nil || len(r.Faults) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
