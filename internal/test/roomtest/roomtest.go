// Package roomtest has what the tests of the appliance's rooms share: data directories whose
// passwords cost nothing to check, kinds of errors, and the audit log as a list.
package roomtest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/argon2"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// Callers who may do everything, and who sees the headers of packets only.
var (
	Admin   = menu.Caller{User: "admin", Role: menu.Administrator, Payload: true}
	Support = menu.Caller{User: "help", Role: menu.Support}
)

// CheapHash returns a password hash that costs a test nothing.
func CheapHash(password string) string {
	salt := []byte("salt of tests")
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=19$m=8,t=1,p=1$%s$%s", b64(salt), b64(argon2.IDKey([]byte(password), salt, 1, 8, 1, 16)))
}

// DataDir makes a data directory with the accounts of SeedAccounts.
func DataDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "users.json"), SeedAccounts(t), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// SeedAccounts returns the content of users.json with the users admin, ops, view and help. Their
// passwords are those of Password.
func SeedAccounts(t testing.TB) []byte {
	t.Helper()
	var users []map[string]any
	for name, role := range map[string]menu.Role{"admin": menu.Administrator, "ops": menu.Operator, "view": menu.ReadOnly, "help": menu.Support} {
		users = append(users, map[string]any{
			"user": name, "role": role, "password": CheapHash(string(Password(name))), "payload": role != menu.Support,
		})
	}
	data, err := json.Marshal(map[string]any{"users": users})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Password returns the password of an account of SeedAccounts.
func Password(user string) menu.Secret { return menu.Secret(user + "-secret") }

// LogIn logs an account of SeedAccounts in, by its password.
func LogIn(t testing.TB, people People, name, source string) access.Login {
	t.Helper()
	l, err := people.Login(t.Context(), access.Credentials{User: name, Source: source, Password: Password(name)})
	if err != nil {
		t.Fatalf("login of %s from %s: %v", name, source, err)
	}
	return l
}

// People are accounts that can log in.
type People interface {
	Login(ctx context.Context, c access.Credentials) (access.Login, error)
}

// Configure writes the host configuration of a data directory, and returns the directory.
func Configure(t testing.TB, dir, text string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Files are finished files that can be read.
type Files interface {
	OpenFile(name string) (*os.File, error)
}

// PacketsOf counts the packets of a finished file and the bytes of the largest.
func PacketsOf(t testing.TB, files Files, name string) (count, largest int) {
	t.Helper()
	f, err := files.OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapfile.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var p capture.Packet
	for {
		if err := r.Next(&p); err == io.EOF {
			return count, largest
		} else if err != nil {
			t.Fatal(err)
		}
		count++
		largest = max(largest, len(p.Data))
	}
}

// ErrorOf returns the error of a call that returns something beside it.
func ErrorOf[T any](_ T, err error) error { return err }

// CodeOf returns the code of an error that is for users; 0 for no error. Any other error fails the
// test.
func CodeOf(t testing.TB, err error) menu.Code {
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

// WantCode fails the test unless an error has a code; 0 is for no error.
func WantCode(t testing.TB, err error, want menu.Code) {
	t.Helper()
	if got := CodeOf(t, err); got != want {
		t.Errorf("error %v has the code %v; want %v", err, got, want)
	}
}

// A Log is an audit log that can be read.
type Log interface {
	Events(ctx context.Context, f access.EventFilter, yield func(access.Event) error) error
}

// Events returns the events of an audit log that a filter chooses.
func Events(t testing.TB, log Log, f access.EventFilter) []access.Event {
	t.Helper()
	var list []access.Event
	if err := log.Events(t.Context(), f, func(e access.Event) error { list = append(list, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}
