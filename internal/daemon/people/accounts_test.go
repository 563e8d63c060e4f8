package people

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

// publicKey makes a key and its line.
func publicKey(t testing.TB, private any) (ssh.PublicKey, string) {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer.PublicKey(), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

func ed25519Key(t testing.TB) (ssh.PublicKey, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return publicKey(t, private)
}

func TestFirstStart(t *testing.T) {
	key, line := ed25519Key(t)
	dir := t.TempDir()
	keyFile := filepath.Join(dir, "keys")
	if err := os.WriteFile(keyFile, []byte("# mine\n\n"+line+" me@desk\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Dir: filepath.Join(dir, "data"), AdminKeyFile: keyFile}
	d := start(t, o)
	password := d.FirstPassword()
	if len(password) != 19 || strings.Count(password, "-") != 3 {
		t.Errorf("the first password is %q; want four groups of four", password)
	}
	l, err := d.Login(t.Context(), access.Credentials{User: "admin", Source: "192.0.2.1", Password: menu.Secret(password)})
	if err != nil {
		t.Fatal(err)
	}
	if l.Caller.Role != menu.Administrator || !l.Caller.Payload || !l.MayFiles {
		t.Errorf("admin is %+v", l)
	}
	caller, _, detach, err := d.Attach(l.ID, "shell")
	if err != nil {
		t.Fatal(err)
	}
	defer detach()
	if g := d.Greeting(caller); !strings.Contains(g.Notice, "passwd") {
		t.Errorf("the notice of the first login is %q", g.Notice)
	}
	if !d.KeyKnown(t.Context(), "admin", "192.0.2.1", key.Marshal()) {
		t.Error("the installed key is not known")
	}
	if _, err := d.SetPassword("admin", "another password", ""); err != nil {
		t.Fatal(err)
	}
	if g := d.Greeting(caller); g.Notice != "" {
		t.Errorf("the notice after the change is %q", g.Notice)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	again := start(t, o)
	if p := again.FirstPassword(); p != "" {
		t.Errorf("the second start made the password %q", p)
	}
	a, err := again.Account("admin")
	if err != nil || len(a.Keys) != 1 || a.Keys[0].Comment != "me@desk" {
		t.Errorf("after a second start admin is %+v, %v", a, err)
	}
	if _, err := again.Login(t.Context(), access.Credentials{User: "admin", Source: "192.0.2.1", Password: "another password"}); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(o.Dir, "users.json"))
	if err != nil || !bytes.Contains(text, []byte("$argon2id$v=19$m=65536,t=3,p=4$")) || bytes.Contains(text, []byte("another password")) {
		t.Errorf("users.json is %s, %v", text, err)
	}
	if info, err := os.Stat(filepath.Join(o.Dir, "users.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("users.json: %v %v", info.Mode(), err)
	}
}

func TestAdminKeyFileThatCannotBeRead(t *testing.T) {
	dir := roomtest.DataDir(t)
	keyFile := filepath.Join(dir, "keys")
	os.WriteFile(keyFile, []byte("\nssh-ed25519 nonsense\n"), 0o600)
	if _, err := open(Options{Dir: dir, AdminKeyFile: keyFile}); err == nil || !strings.Contains(err.Error(), "keys line 2") {
		t.Errorf("error %v names no line", err)
	}
	os.Remove(keyFile)
	if _, err := open(Options{Dir: dir, AdminKeyFile: keyFile}); err == nil {
		t.Error("a missing file is no error")
	}
	start(t, Options{Dir: dir}) // What failed must not hold the directory.
}

func TestUserNames(t *testing.T) {
	for name, want := range map[string]menu.Code{
		"alice": 0, "a": 0, "a.b-c_d9": 0, strings.Repeat("a", 32): 0,
		"": menu.Usage, "Alice": menu.Usage, "1st": menu.Usage, "-x": menu.Usage, "a b": menu.Usage, "a/b": menu.Usage, "..": menu.Usage, "a.": menu.Usage,
		"\x1b[2J": menu.Usage, "root": menu.Usage, "operator": menu.Usage, "system": menu.Usage, "ä": menu.Usage, strings.Repeat("a", 33): menu.Usage,
	} {
		roomtest.WantCode(t, checkUserName(name), want)
	}
}

func TestPasswordRules(t *testing.T) {
	for password, ok := range map[menu.Secret]bool{
		"correct horse": true, "Grüße, 8!": true, menu.Secret(strings.Repeat("xy z", 256)): false, "k3-Ü9": false, "k8#z": false, "ÄÖÜäöüß8": true,
		"alice123": false, "alicealice": false, "aaaaaaaa": false, "password1": false, "Passwort!": false, "12345678": false, "qwertyui": false,
		"tab\tinside it": false, menu.Secret([]byte{0xff, 'a', 'b', 'c', 'd', 'e', 'f', 'g'}): false, menu.Secret(strings.Repeat("xyzuvw1", 200)): false,
	} {
		if err := checkPassword("alice", password); (err == nil) != ok {
			t.Errorf("%q: %v", password, err)
		} else if err != nil {
			roomtest.WantCode(t, err, menu.Usage)
			if strings.Contains(err.Error(), string(password)) {
				t.Errorf("the error repeats the password: %v", err)
			}
		}
	}
}

func TestKeys(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	large, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, good := ed25519Key(t)
	_, weak := publicKey(t, small)
	_, strong := publicKey(t, large)
	_, ec := publicKey(t, curve)
	for _, c := range []struct {
		name, line string
		ok         bool
	}{
		{"ed25519", good, true},
		{"with a comment", good + " me@desk", true},
		{"with an escape in the comment", good + " \x1b[31mred", true},
		{"ecdsa", ec, true},
		{"rsa 2048", strong, true},
		{"rsa 1024", weak, false},
		{"options", `command="sh" ` + good, false},
		{"two lines", good + "\n" + good, false},
		{"private", "-----BEGIN OPENSSH PRIVATE KEY-----", false},
		{"dsa", "ssh-dss AAAAB3NzaC1kc3MAAAAB", false},
		{"empty", "", false},
		{"cut", good[:40], false},
	} {
		k, _, err := parseKey(c.line)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if strings.ContainsRune(k.Text+k.Comment, 0x1b) {
			t.Errorf("%s: %q", c.name, k)
		}
	}
}

func TestAccountLife(t *testing.T) {
	d := start(t, Options{Dir: roomtest.DataDir(t)})
	week := time.Now().Add(7 * 24 * time.Hour)
	roomtest.WantCode(t, d.CreateAccount(access.Account{User: "sue", Role: menu.Support}, "long enough!"), menu.Usage)
	roomtest.WantCode(t, d.CreateAccount(access.Account{User: "sue", Role: "boss"}, "long enough!"), menu.Usage)
	roomtest.WantCode(t, d.CreateAccount(access.Account{User: "ops", Role: menu.Operator}, "long enough!"), menu.State)
	roomtest.WantCode(t, d.CreateAccount(access.Account{User: "sue", Role: menu.Support, Expires: &week}, "short"), menu.Usage)
	roomtest.WantCode(t, d.CreateAccount(access.Account{User: "sue", FullName: "Sue", Role: menu.Support, Expires: &week}, ""), 0)
	a, err := d.Account("sue")
	if err != nil || a.Payload || a.Password || a.FullName != "Sue" {
		t.Errorf("sue is %+v, %v", a, err)
	}
	_, err = d.Login(t.Context(), access.Credentials{User: "sue", Source: "192.0.2.1", Password: ""})
	roomtest.WantCode(t, err, menu.Denied)

	signer, line := userKey(t)
	key := signer.PublicKey()
	k, err := d.AddKey("sue", line)
	roomtest.WantCode(t, err, 0)
	_, err = d.AddKey("sue", line)
	roomtest.WantCode(t, err, menu.State)
	_, err = d.AddKey("nobody.here", line)
	roomtest.WantCode(t, err, menu.NotFound)
	l, err := d.Login(t.Context(), proof(t, "sue", "192.0.2.1", signer))
	roomtest.WantCode(t, err, 0)
	caller, ended, detach, err := d.Attach(l.ID, "shell")
	roomtest.WantCode(t, err, 0)
	defer detach()
	if caller.Payload || caller.Role != menu.Support {
		t.Errorf("the caller is %+v", caller)
	}

	// A new role counts in the session that is open.
	a.Role, a.Expires = menu.Operator, nil
	roomtest.WantCode(t, roomtest.ErrorOf(d.UpdateAccount(a, "")), 0)
	if now, err := d.Current(caller.Session); err != nil || now.Role != menu.Operator || !now.Payload {
		t.Errorf("after the change the caller is %+v, %v", now, err)
	}
	roomtest.WantCode(t, roomtest.ErrorOf(d.RemoveKey("sue", "SHA256:none", "")), menu.NotFound)
	roomtest.WantCode(t, roomtest.ErrorOf(d.RemoveKey("sue", k.Fingerprint, caller.Session)), 0)
	if d.KeyKnown(t.Context(), "sue", "192.0.2.1", key.Marshal()) {
		t.Error("a removed key is known")
	}

	roomtest.WantCode(t, roomtest.ErrorOf(d.DeleteAccount("sue")), 0)
	select {
	case <-ended:
	default:
		t.Error("the session of a deleted account goes on")
	}
	_, err = d.Current(caller.Session)
	roomtest.WantCode(t, err, menu.Denied)
	_, err = d.Account("sue")
	roomtest.WantCode(t, err, menu.NotFound)
	if v := d.PastLogins(1); v[0].Reason != "account deleted" {
		t.Errorf("the login ended as %+v", v[0])
	}
}

func TestLastAdministratorStays(t *testing.T) {
	d := start(t, Options{Dir: roomtest.DataDir(t)})
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	admin, _ := d.Account("admin")
	demoted, expired, expiring := admin, admin, admin
	demoted.Role, expired.Expires, expiring.Expires = menu.Operator, &past, &future
	for _, err := range []error{roomtest.ErrorOf(d.DeleteAccount("admin")), roomtest.ErrorOf(d.UpdateAccount(demoted, "")), roomtest.ErrorOf(d.UpdateAccount(expired, "")), roomtest.ErrorOf(d.UpdateAccount(expiring, ""))} {
		roomtest.WantCode(t, err, menu.State)
	}
	// One that cannot log in does not help, nor does one that will end.
	roomtest.WantCode(t, d.CreateAccount(access.Account{User: "second", Role: menu.Administrator}, ""), 0)
	roomtest.WantCode(t, d.CreateAccount(access.Account{User: "third", Role: menu.Administrator, Expires: &future}, "long enough!"), 0)
	roomtest.WantCode(t, roomtest.ErrorOf(d.DeleteAccount("admin")), menu.State)
	_, line := ed25519Key(t)
	k, err := d.AddKey("second", line)
	roomtest.WantCode(t, err, 0)
	roomtest.WantCode(t, roomtest.ErrorOf(d.DeleteAccount("admin")), 0)
	roomtest.WantCode(t, roomtest.ErrorOf(d.RemoveKey("second", k.Fingerprint, "")), menu.State)
}

func TestAccountsSurviveAFullDisk(t *testing.T) {
	dir := roomtest.DataDir(t)
	d := start(t, Options{Dir: dir})
	before, _ := os.ReadFile(filepath.Join(dir, "users.json"))
	// What the next content is written to cannot be made.
	if err := os.Mkdir(filepath.Join(dir, ".users.json.new"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := d.CreateAccount(access.Account{User: "bob", Role: menu.Operator}, "long enough!")
	roomtest.WantCode(t, err, menu.Failed)
	if strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "directory:") {
		t.Errorf("the error tells a path: %v", err)
	}
	_, err = d.Account("bob")
	roomtest.WantCode(t, err, menu.NotFound)
	if after, _ := os.ReadFile(filepath.Join(dir, "users.json")); !bytes.Equal(before, after) {
		t.Error("a change that failed is in the file")
	}
}

func TestCheckPassword(t *testing.T) {
	d := start(t, Options{Dir: roomtest.DataDir(t)})
	roomtest.WantCode(t, d.CheckPassword(t.Context(), "ops", "ops-secret"), 0)
	roomtest.WantCode(t, d.CheckPassword(t.Context(), "ops", "wrong"), menu.Denied)
	roomtest.WantCode(t, d.CheckPassword(t.Context(), "root", "wrong"), menu.State)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	roomtest.WantCode(t, d.CheckPassword(ctx, "ops", "ops-secret"), menu.Interrupted)
}

func TestPHC(t *testing.T) {
	good := roomtest.CheapHash("x")
	if _, err := parsePHC(good); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "x", "$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA", strings.Replace(good, "m=8,", "m=99999999,", 1),
		strings.Replace(good, "t=1", "t=999", 1), strings.Replace(good, "p=1", "p=0", 1), good + "$x", good[:len(good)-20]} {
		if _, err := parsePHC(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

// What a deleted account leaves elsewhere is told once it is gone, and not when nothing was
// deleted.
func TestOnDeleted(t *testing.T) {
	var b *bed
	var told []string
	b = start(t, Options{Dir: roomtest.DataDir(t), OnDeleted: func(user string) {
		if _, err := b.Account(user); err == nil {
			t.Errorf("%s is told as deleted and is there", user)
		}
		told = append(told, user)
	}})
	roomtest.WantCode(t, roomtest.ErrorOf(b.DeleteAccount("nosuch")), menu.NotFound)
	roomtest.WantCode(t, roomtest.ErrorOf(b.DeleteAccount("admin")), menu.State) // the last administrator
	roomtest.WantCode(t, roomtest.ErrorOf(b.DeleteAccount("ops")), 0)
	if !slices.Equal(told, []string{"ops"}) {
		t.Errorf("deleted are %v", told)
	}
}
