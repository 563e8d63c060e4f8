package passes

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

func open(t testing.TB, dir string) *Passes {
	t.Helper()
	p, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func made(t testing.TB, p *Passes, of Pass, last time.Time) (Pass, menu.Secret) {
	t.Helper()
	pass, text, err := p.Make(of, noon, last)
	if err != nil {
		t.Fatal(err)
	}
	return pass, text
}

// A pass is read as it was made, also by the appliance that starts again, for an hour and no longer.
func TestPass(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir)
	wanted, text := made(t, p, Pass{User: "ops", Tenant: "t", Client: "ops", Account: noon.Add(-time.Hour), Proof: p.Proof("hash")}, time.Time{})
	if info, err := os.Stat(filepath.Join(dir, FileName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}
	again := open(t, dir)
	for at, want := range map[time.Duration]error{
		0: nil, time.Hour - time.Second: nil, time.Hour: ErrExpired, 48 * time.Hour: ErrExpired, -30 * time.Second: nil, -2 * time.Minute: ErrEarly,
	} {
		got, err := again.Check(text, noon.Add(at))
		if !errors.Is(err, want) {
			t.Errorf("after %s: %v; want %v", at, err, want)
		}
		if got != wanted {
			t.Errorf("after %s: %+v; want %+v", at, got, wanted)
		}
	}
	if again.Proof("hash") != wanted.Proof || again.Proof("other") == wanted.Proof {
		t.Error("the proof of a password is not that of its hash")
	}
	if err := again.Renew(); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Check(text, noon); !errors.Is(err, ErrUnknown) {
		t.Errorf("after a new key: %v", err)
	}
	// What it is made for may end before the hour.
	if short, _ := made(t, p, Pass{User: "ops"}, noon.Add(time.Minute)); !short.Ends().Equal(noon.Add(time.Minute)) {
		t.Errorf("a pass of a minute ends at %s", short.Ends())
	}
}

// A damaged key opens nothing, and is kept aside.
func TestDamagedKey(t *testing.T) {
	dir := t.TempDir()
	_, text := made(t, open(t, dir), Pass{User: "ops"}, time.Time{})
	path := filepath.Join(dir, FileName)
	if err := os.WriteFile(path, []byte(`{"version":1,"key":"c2hvcnQ="}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, nil); err == nil {
		t.Error("a short key is taken")
	}
	aside := 0
	p, err := Open(dir, func(store.Damage) { aside++ })
	if err != nil || aside != 1 {
		t.Fatalf("%v, set aside %d times", err, aside)
	}
	if _, err := p.Check(text, noon); !errors.Is(err, ErrUnknown) {
		t.Errorf("a pass of the former key: %v", err)
	}
}

func part(v any) string {
	text, _ := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(text)
}

// signed returns a text that is signed by HMAC with a key, whatever its header says.
func signed(header, said string, key []byte) menu.Secret {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(header + "." + said))
	return menu.Secret(header + "." + said + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}

// What others sign, or nobody, is no pass.
func TestForgeries(t *testing.T) {
	p := open(t, t.TempDir())
	pass, text := made(t, p, Pass{User: "ops"}, time.Time{})
	words := strings.Split(string(text), ".")
	key, name := p.signingKey()
	header := part(map[string]string{"alg": "HS256", "kid": name, "typ": "JWT"})
	if _, err := p.Check(signed(header, part(pass), key), noon); err != nil {
		t.Fatalf("the test signs otherwise than the appliance: %v", err)
	}
	admin := pass
	admin.User = "admin"
	long := pass
	long.Expires += 3600
	for what, forged := range map[string]menu.Secret{
		"nothing":             "",
		"two dots":            "..",
		"no signature":        menu.Secret(words[0] + "." + words[1] + "."),
		"alg none":            menu.Secret(part(map[string]string{"alg": "none", "typ": "JWT"}) + "." + part(admin) + "."),
		"alg None, signed":    signed(part(map[string]string{"alg": "None", "kid": name}), part(admin), key),
		"another algorithm":   signed(part(map[string]string{"alg": "HS512", "kid": name}), part(admin), key),
		"a public key's":      signed(part(map[string]string{"alg": "RS256", "kid": name}), part(admin), key),
		"another key":         signed(header, part(admin), make([]byte, keyBytes)),
		"an empty key":        signed(header, part(admin), nil),
		"a key in the header": signed(part(map[string]any{"alg": "HS256", "kid": name, "jwk": map[string]string{"kty": "oct", "k": "AA"}}), part(admin), []byte{0}),
		"another key's name":  signed(part(map[string]string{"alg": "HS256", "kid": "0000000000000000"}), part(pass), key),
		"no key's name":       signed(part(map[string]string{"alg": "HS256"}), part(pass), key),
		"other words":         menu.Secret(words[0] + "." + part(admin) + "." + words[2]),
		"another issuer":      signed(header, part(map[string]any{"iss": "else", "sub": "ops", "exp": pass.Expires}), key),
		"an unknown member":   signed(header, part(map[string]any{"iss": "diagsh", "sub": "ops", "exp": pass.Expires, "only": "status"}), key),
		"more than an hour":   signed(header, part(long), key),
		"no JSON":             signed(header, base64.RawURLEncoding.EncodeToString([]byte("ops")), key),
		"too long":            text + menu.Secret(strings.Repeat("A", MaxText)),
		"a line break":        text[:20] + "\n" + text[20:],
	} {
		if got, err := p.Check(forged, noon); err == nil {
			t.Errorf("%s: taken as %+v", what, got)
		}
	}
}

// FuzzCheck reads any text as a pass: it never crashes, and takes none but what was signed here.
func FuzzCheck(f *testing.F) {
	p := open(f, f.TempDir())
	_, text := made(f, p, Pass{User: "ops"}, time.Time{})
	f.Add(string(text))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("{\"payload\":\"e30\",\"signatures\":[]}..")
	f.Fuzz(func(t *testing.T, any string) {
		pass, err := p.Check(menu.Secret(any), noon)
		if err == nil && pass.User != "ops" {
			t.Errorf("%q is a pass of %q", any, pass.User)
		}
	})
}
