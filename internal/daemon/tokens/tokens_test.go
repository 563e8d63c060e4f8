package tokens

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
	"diagsh/internal/test/roomtest"
)

func open(t *testing.T, dir string) *Tokens {
	t.Helper()
	all, err := Open(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func mustMake(t *testing.T, all *Tokens, wanted access.Token) (access.Token, menu.Secret) {
	t.Helper()
	made, text, err := all.Make(wanted)
	if err != nil {
		t.Fatal(err)
	}
	return made, text
}

// A token opens the appliance by its own text alone, until its end, from its networks; also after
// the file was read again, which holds no secret.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	all := open(t, dir)
	made, text := mustMake(t, all, access.Token{Name: "ci", User: "ops", Role: menu.Operator, Expires: now.Add(time.Hour),
		Sources: []string{"192.0.2.0/24", "2001:db8::/32"}})
	other, otherText := mustMake(t, all, access.Token{Name: "any", User: "ops", Role: menu.Operator, Expires: now.Add(time.Hour)})

	data, err := os.ReadFile(filepath.Join(dir, "tokens.json"))
	if err != nil {
		t.Fatal(err)
	}
	secret := string(text[strings.LastIndex(string(text), "_")+1:])
	if len(secret) < 52 || strings.Contains(string(data), secret) || !strings.Contains(string(data), `"version": 1`) {
		t.Errorf("the file holds the secret, or says no version:\n%s", data)
	}
	again := open(t, dir)
	for _, c := range []struct {
		text   menu.Secret
		source string
		at     time.Time
		want   error
		id     string
	}{
		{text, "192.0.2.77", now, nil, made.ID},
		{text, "::ffff:192.0.2.77", now, nil, made.ID},
		{text, "2001:db8:1::1", now, nil, made.ID},
		{otherText, "198.51.100.1", now, nil, other.ID},
		{text, "192.0.3.1", now, ErrSource, made.ID},
		{text, "", now, ErrSource, made.ID},
		{text, "local", now, ErrSource, made.ID},
		{text, "192.0.2.77", now.Add(time.Hour), ErrExpired, made.ID},
		{text + "a", "192.0.2.77", now, ErrUnknown, ""},
		{text[:len(text)-1], "192.0.2.77", now, ErrUnknown, ""},
		{menu.Secret("dsh_" + made.ID + "_"), "192.0.2.77", now, ErrUnknown, ""},
		{menu.Secret("dsh_" + made.ID), "192.0.2.77", now, ErrUnknown, ""},
		{menu.Secret("dsh_" + other.ID + "_" + secret), "192.0.2.77", now, ErrUnknown, ""},
		{menu.Secret(made.ID + "_" + secret), "192.0.2.77", now, ErrUnknown, ""},
		{"", "192.0.2.77", now, ErrUnknown, ""},
		{"dsh__", "192.0.2.77", now, ErrUnknown, ""},
	} {
		got, err := again.Check(c.text, c.source, c.at)
		if err != c.want || got.ID != c.id {
			t.Errorf("%s from %q: the token %q, %v; want %q, %v", c.text, c.source, got.ID, err, c.id, c.want)
		}
	}
}

// The bounds of an end hold as they are said: "1m from now" is a little less when it is looked at.
func TestBoundsOfTheEnd(t *testing.T) {
	all := open(t, t.TempDir())
	for name, c := range map[string]struct {
		end time.Duration
		ok  bool
	}{"least": {time.Minute, true}, "last": {366 * 24 * time.Hour, true}, "short": {30 * time.Second, false}, "past": {-time.Hour, false},
		"long": {367 * 24 * time.Hour, false}} {
		_, _, err := all.Make(access.Token{Name: name, User: "ops", Role: menu.Operator, Expires: time.Now().Add(c.end).Truncate(time.Second)})
		if (err == nil) != c.ok {
			t.Errorf("an end after %v: %v", c.end, err)
		}
	}
}

// What is deleted is gone, also for the next start; uses are written down in the end.
func TestDeleteAndUse(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	all := open(t, dir)
	ci, text := mustMake(t, all, access.Token{Name: "ci", User: "ops", Role: menu.Operator, Expires: now.Add(time.Hour)})
	other, _ := mustMake(t, all, access.Token{Name: "ci", User: "view", Role: menu.ReadOnly, Expires: now.Add(time.Hour)})
	_, _, err := all.Make(access.Token{Name: "ci", User: "ops", Role: menu.Operator, Expires: now.Add(time.Hour)})
	roomtest.WantCode(t, err, menu.State)

	all.Used(other.ID, "192.0.2.9", now)
	if err := all.Save(now); err != nil {
		t.Fatal(err)
	}
	deleted, err := all.Delete(func(one access.Token) bool { return one.User == "ops" })
	if err != nil || len(deleted) != 1 || deleted[0].ID != ci.ID {
		t.Fatalf("deleted %v, %v", deleted, err)
	}
	for _, all := range []*Tokens{all, open(t, dir)} {
		if _, err := all.Check(text, "192.0.2.9", now); err != ErrUnknown {
			t.Errorf("a deleted token: %v", err)
		}
		list := all.List("")
		if len(list) != 1 || list[0].LastUsed == nil || !list[0].LastUsed.Equal(now) || list[0].LastFrom != "192.0.2.9" {
			t.Errorf("there are %+v", list)
		}
	}
}

// Tokens that expired are listed for a while and then forgotten, and an account has so many of them.
func TestBounds(t *testing.T) {
	all := open(t, t.TempDir())
	end := time.Now().Add(time.Hour)
	for n := range maxOfUser {
		mustMake(t, all, access.Token{Name: strings.Repeat("x", n+1), User: "ops", Role: menu.Operator, Expires: end})
	}
	_, _, err := all.Make(access.Token{Name: "one more", User: "ops", Role: menu.Operator, Expires: end})
	roomtest.WantCode(t, err, menu.State)
	mustMake(t, all, access.Token{Name: "theirs", User: "view", Role: menu.ReadOnly, Expires: end})
	for _, c := range []struct {
		at   time.Time
		left int
	}{{end.Add(keepExpired), maxOfUser + 1}, {end.Add(keepExpired + time.Second), 0}} {
		if err := all.Sweep(c.at); err != nil {
			t.Fatal(err)
		}
		if n := len(all.List("")); n != c.left {
			t.Errorf("at %v there are %d tokens; want %d", c.at.Sub(end), n, c.left)
		}
	}
}

// A change that cannot be written did not happen, and a newer file is refused, as a damaged one is
// where it cannot be set aside.
func TestFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	os.Mkdir(dir, 0o700)
	all := open(t, dir)
	ci, text := mustMake(t, all, access.Token{Name: "ci", User: "ops", Role: menu.Operator, Expires: time.Now().Add(time.Hour)})
	moved := dir + ".moved"
	os.Rename(dir, moved)
	if _, _, err := all.Make(access.Token{Name: "b", User: "ops", Role: menu.Operator, Expires: time.Now().Add(time.Hour)}); err == nil {
		t.Error("a token was made that is not on the disk")
	}
	if _, err := all.Delete(func(access.Token) bool { return true }); err == nil {
		t.Error("a token was deleted that is on the disk")
	}
	os.Rename(moved, dir)
	if got, err := all.Check(text, "192.0.2.1", time.Now()); err != nil || got.ID != ci.ID {
		t.Errorf("after failures the token is %v, %v", got, err)
	}
	for text, want := range map[string]string{
		`{"version":2,"tokens":[]}`: "written by a newer diagsh", `{"version":1,"tokens":[{}]}`: "no identifier", `{`: "damaged",
	} {
		os.WriteFile(filepath.Join(dir, "tokens.json"), []byte(text), 0o600)
		if _, err := Open(dir, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Of a damaged file no token holds: a part of it might have lost what bounds it. The next token is
// kept as ever.
func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tokens.json")
	wanted := access.Token{Name: "ci", User: "ops", Role: menu.Operator, Expires: time.Now().Add(time.Hour), Sources: []string{"192.0.2.0/24"}, Paths: []string{"status"}}
	_, text := mustMake(t, open(t, dir), wanted)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range [][2]string{
		{`"sources"`, `"tources"`}, {`"paths"`, `"pathz"`}, {`"operator"`, `"oqerator"`}, {`"user": "ops"`, `"user": ""`}, {`"sha256": "`, `"sha256": "0`}, {"}", ""},
	} {
		damaged := strings.Replace(string(whole), damage[0], damage[1], 1)
		if damaged == string(whole) {
			t.Fatalf("%q is not in the file:\n%s", damage[0], whole)
		}
		os.WriteFile(path, []byte(damaged), 0o600)
		var told []store.Damage
		all, err := Open(dir, nil, func(d store.Damage) { told = append(told, d) })
		if err != nil || len(told) != 1 || len(all.List("")) != 0 {
			t.Errorf("%q: %v, told %+v", damage, err, told)
			continue
		}
		if _, err := all.Check(text, "192.0.2.1", time.Now()); err == nil {
			t.Errorf("%q: a token of the damaged file opens", damage)
		}
		if _, again := mustMake(t, all, wanted); len(open(t, dir).List("ops")) != 1 || again == text {
			t.Errorf("%q: the next token is not kept", damage)
		}
	}
}

// Who comes with a token does not wait for the disk while others are made or written down, and what the
// disk does not take was never there.
func TestStuckDisk(t *testing.T) {
	dir := t.TempDir()
	all := open(t, dir)
	end := time.Now().Add(time.Hour)
	made, text := mustMake(t, all, access.Token{Name: "ci", User: "ops", Role: menu.Operator, Expires: end})
	for what, write := range map[string]func() error{
		"make": func() error {
			_, _, err := all.Make(access.Token{Name: "other", User: "ops", Role: menu.Operator, Expires: end})
			return err
		},
		"save": func() error { return all.Save(time.Now()) },
	} {
		all.Used(made.ID, "192.0.2.1", time.Now())
		stuck := filepath.Join(dir, ".tokens.json.new") // which store.Replace writes first
		if err := syscall.Mkfifo(stuck, 0o600); err != nil {
			t.Fatal(err)
		}
		wrote := make(chan error, 1)
		go func() { wrote <- write() }()
		await.Until(t, "the disk is waited for", func() bool {
			free := all.storing.TryLock()
			if free {
				all.storing.Unlock()
			}
			return !free
		})
		checked := make(chan error, 1)
		go func() {
			_, err := all.Check(text, "192.0.2.2", time.Now())
			all.Used(made.ID, "192.0.2.2", time.Now())
			checked <- err
		}()
		select {
		case err := <-checked:
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(await.Patience):
			t.Fatalf("%s: a login waits for the disk", what)
		}
		disk, err := os.Open(stuck)
		if err != nil {
			t.Fatal(err)
		}
		if err := <-wrote; err == nil { // a pipe cannot be synced
			t.Errorf("%s: the disk took nothing, and that is no error", what)
		}
		disk.Close()
		if now := all.List(""); len(now) != 1 || now[0].LastFrom != "192.0.2.2" || !all.unsaved {
			t.Errorf("%s: %+v", what, now)
		}
	}
	if err := all.Save(time.Now()); err != nil {
		t.Fatal(err)
	}
	if now := open(t, dir).List(""); len(now) != 1 || now[0].LastFrom != "192.0.2.2" {
		t.Errorf("the file has %+v", now)
	}
}
