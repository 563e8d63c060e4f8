package people

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"diagsh/internal/access"
	"diagsh/internal/daemon/audit"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/menu"
)

// cheapHash is a password hash that costs a test nothing.
func cheapHash(password string) string {
	salt := []byte("salt of tests")
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=19$m=8,t=1,p=1$%s$%s", b64(salt), b64(argon2.IDKey([]byte(password), salt, 1, 8, 1, 16)))
}

// prepare makes a data directory with the users admin, ops, view and help, whose passwords are
// their names and "-secret".
func prepare(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "users.json"), seedAccounts(t), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func seedAccounts(t testing.TB) []byte {
	t.Helper()
	var users []map[string]any
	for name, role := range map[string]menu.Role{"admin": menu.Administrator, "ops": menu.Operator, "view": menu.ReadOnly, "help": menu.Support} {
		users = append(users, map[string]any{"user": name, "role": role, "password": cheapHash(name + "-secret"), "payload": role != menu.Support})
	}
	data, err := json.Marshal(map[string]any{"users": users})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A bed is people with what they need of an appliance.
type bed struct {
	*settings.Settings
	*audit.Log
	*People
	stop     context.CancelFunc
	sweeping sync.WaitGroup
	closed   bool
}

// sweepEvery is how often a bed sweeps, as the appliance does.
const sweepEvery = 5 * time.Second

// open opens people and what they need. Their settings are those of config.yaml in the data
// directory.
func open(o Options) (*bed, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var b bed
	var err error
	if b.Settings, err = settings.Open(settings.Options{Dir: o.Dir, Log: o.Log}); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	folder := filepath.Join(o.Dir, "audit")
	for _, sign := range []string{filepath.Join(folder, audit.FileName), filepath.Join(o.Dir, VisitsFile)} {
		if info, err := os.Stat(sign); err == nil && info.ModTime().After(o.LastSign) {
			o.LastSign = info.ModTime()
		}
	}
	if b.Log, err = audit.Open(audit.Options{Dir: folder, Log: o.Log}); err != nil {
		return nil, err
	}
	o.Settings, o.Audit = b.Settings, b.Log
	if b.People, err = Open(o); err != nil {
		b.Log.Close(context.Background())
		return nil, err
	}
	b.Begin(audit.Said{})
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	b.sweeping.Go(func() {
		ticks := time.NewTicker(sweepEvery)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				b.People.Sweep(time.Now())
			case <-ctx.Done():
				return
			}
		}
	})
	return &b, nil
}

// Greeting returns the part of the greeting that is about the person.
func (b *bed) Greeting(caller menu.Caller) access.Greeting {
	g := b.Greet(caller)
	g.Notice = b.People.Notice(caller)
	return g
}

// Close ends all as an appliance does that is told to stop.
func (b *bed) Close(ctx context.Context) error {
	if b.closed {
		return nil
	}
	b.closed = true
	b.Stop()
	b.stop()
	b.sweeping.Wait()
	return errors.Join(b.People.Close(ctx), b.Log.Close(ctx))
}

// start opens people and closes them when the test ends.
func start(t testing.TB, o Options) *bed {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	b, err := open(o)
	if err != nil {
		t.Fatal(err)
	}
	// A password for nobody costs a test as little as a password for somebody.
	b.hasher.decoy = cheapHash("nobody's")
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// configured writes a configuration into the data directory.
func configured(t testing.TB, dir, text string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// logIn logs in with the password that prepare gave.
func logIn(t testing.TB, d *bed, name, source string) access.Login {
	t.Helper()
	l, err := d.Login(t.Context(), access.Credentials{User: name, Source: source, Password: menu.Secret(name + "-secret")})
	if err != nil {
		t.Fatalf("login of %s from %s: %v", name, source, err)
	}
	return l
}

// errorOf is the error of a call that returns something beside it.
func errorOf[T any](_ T, err error) error { return err }

// kindOf is the kind of an error that is for users; 0 for none.
func kindOf(t testing.TB, err error) menu.Code {
	t.Helper()
	if err == nil {
		return 0
	}
	var e *menu.Error
	if !errors.As(err, &e) {
		t.Errorf("an error reached a user that is not for users: %v", err)
		return menu.Failed
	}
	return e.Code
}

func wantKind(t testing.TB, err error, want menu.Code) {
	t.Helper()
	if got := kindOf(t, err); got != want {
		t.Errorf("error %v is of kind %v; want %v", err, got, want)
	}
}

// events reads the audit log.
func events(t testing.TB, d *bed, f access.EventFilter) []access.Event {
	t.Helper()
	var list []access.Event
	if err := d.Events(t.Context(), f, func(e access.Event) error { list = append(list, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}
