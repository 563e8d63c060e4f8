package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

// start opens an appliance and closes it when the test ends.
func start(t testing.TB, o Options) *Daemon {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	d, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestGreeting(t *testing.T) {
	texts := t.TempDir()
	for name, text := range map[string]string{"banner": "Authorised use only.\n", "welcome": "Welcome.\n"} {
		if err := os.WriteFile(filepath.Join(texts, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir := roomtest.Configure(t, roomtest.DataDir(t), fmt.Sprintf("hostname: mx1\nbannerFile: %s/banner\nwelcomeFile: %s/welcome\nidleTimeout: 45m\n", texts, texts))
	d := start(t, Options{Dir: dir, Product: "diagsh 1.0"})
	if b := d.Banner(); !strings.HasPrefix(b, "Authorised") {
		t.Errorf("the banner is %q", b)
	}
	first := roomtest.LogIn(t, d, "ops", "192.0.2.1")
	caller, _, _, _ := d.Attach(first.ID, "shell")
	if g := d.Greeting(caller); g.LastLogin != nil || g.Host != "mx1" || g.Product != "diagsh 1.0" || g.Welcome != "Welcome.\n" || g.Idle != 45*60 {
		t.Errorf("the first greeting is %+v", g)
	}
	second := roomtest.LogIn(t, d, "ops", "192.0.2.2")
	caller, _, _, _ = d.Attach(second.ID, "shell")
	if g := d.Greeting(caller); g.LastFrom != "192.0.2.1" || !g.LastLogin.Equal(first.Began) {
		t.Errorf("the second greeting is %+v", g)
	}
	if a, _ := d.Account("ops"); a.LastFrom != "192.0.2.2" {
		t.Errorf("the account is %+v", a)
	}
	// Whoever gets the name later has not logged in yet.
	roomtest.WantCode(t, roomtest.ErrorOf(d.DeleteAccount("ops")), 0)
	roomtest.WantCode(t, d.CreateAccount(access.Account{User: "ops", Role: menu.ReadOnly}, "long enough!"), 0)
	if a, _ := d.Account("ops"); a.LastLogin != nil {
		t.Errorf("a new account has logged in: %+v", a)
	}
}

func TestOneApplianceADirectory(t *testing.T) {
	dir := roomtest.DataDir(t)
	start(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "another appliance") {
		t.Errorf("error %v", err)
	}
}

// A start that fails does not hold the directory.
func TestFailedStartLetsTheDirectoryGo(t *testing.T) {
	dir := roomtest.DataDir(t)
	if _, err := Open(Options{Dir: dir, AdminKeyFile: filepath.Join(dir, "missing")}); err == nil {
		t.Fatal("a missing file is no error")
	}
	start(t, Options{Dir: dir})
}
