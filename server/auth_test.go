package server

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"diagsh/access"
	"diagsh/menu"
)

// Offering somebody's public key is not enough: the login is for the key that signed (CVE-2024-45337).
func TestOfferedKeyIsNotProven(t *testing.T) {
	r := newRig(t, Limits{})
	_, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	stranger, err := ssh.NewSignerFromKey(private)
	check(t, err)
	config := r.config()
	config.Auth = []ssh.AuthMethod{ssh.PublicKeys(pretender{r.key.PublicKey(), stranger})}
	if _, err := ssh.Dial("tcp", r.address, config); err == nil {
		t.Error("logged in by a key that was only shown")
	}
	config.Auth = []ssh.AuthMethod{ssh.PublicKeys(stranger)}
	if _, err := ssh.Dial("tcp", r.address, config); err == nil {
		t.Error("logged in by a stranger's key")
	}
	config = r.config()
	config.User = "somebody"
	if _, err := ssh.Dial("tcp", r.address, config); err == nil {
		t.Error("logged in as somebody else")
	}
	if n := r.appliance.count; n != 0 {
		t.Errorf("%d logins were asked for and granted", n)
	}
	if n := len(r.appliance.refused); n != 0 {
		t.Errorf("%d logins were asked for without a signature by a known key", n)
	}
}

// A pretender shows one key and signs with another.
type pretender struct {
	shown ssh.PublicKey
	ssh.Signer
}

func (p pretender) PublicKey() ssh.PublicKey { return p.shown }

func TestAuthTries(t *testing.T) {
	r := newRig(t, Limits{})
	tries := 0
	config := r.config()
	config.Auth = []ssh.AuthMethod{ssh.RetryableAuthMethod(ssh.PasswordCallback(func() (string, error) {
		tries++
		return "guess", nil
	}), 100)}
	if _, err := ssh.Dial("tcp", r.address, config); err == nil {
		t.Error("logged in")
	}
	if n := len(r.appliance.refused); n != maxAuthTries {
		t.Errorf("%d of %d guesses were looked at", n, tries)
	}
	for _, c := range r.appliance.refused {
		if c.Source != "127.0.0.1" || c.User != testUser || c.Password != "guess" {
			t.Errorf("credentials: %+v", c)
		}
	}
	config.Auth = []ssh.AuthMethod{ssh.Password(strings.Repeat("x", maxPassword+1))}
	ssh.Dial("tcp", r.address, config)
	config.User = strings.Repeat("x", maxUserName+1)
	config.Auth = []ssh.AuthMethod{ssh.Password("guess"), ssh.PublicKeys(r.key)}
	ssh.Dial("tcp", r.address, config)
	if n := len(r.appliance.refused); n != maxAuthTries {
		t.Error("the appliance was asked about credentials of any size")
	}
}

// Why credentials were refused stays secret; anything else is said.
func TestRefusal(t *testing.T) {
	a := &authenticator{ctx: context.Background(), log: discard()}
	var banner *ssh.BannerError
	if err := a.refusal(menu.Errorf(menu.Denied, "No such user")); errors.As(err, &banner) || strings.Contains(err.Error(), "user") {
		t.Errorf("denied: %v", err)
	}
	err := a.refusal(menu.Errorf(menu.State, "Too many sessions").WithHint("Close one"))
	if !errors.As(err, &banner) || banner.Message != "Too many sessions. Close one.\r\n" {
		t.Errorf("state: %v", err)
	}
	err = a.refusal(errors.New("dial unix /var/lib/diagsh/api.sock: refused"))
	if !errors.As(err, &banner) || strings.Contains(banner.Message, "/var") {
		t.Errorf("fault: %q", banner.Message)
	}
}

func TestNetworkText(t *testing.T) {
	if got, want := networkText("a\x1b[2Jb\r\n\tc\x00ü\u202e\n"), "a[2Jb\r\n\tcü\r\n"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

// A client that vanishes after its login has succeeded leaves no login behind; the rig looks for it at the end.
func TestLoginOfVanishedClient(t *testing.T) {
	r := newRig(t, Limits{})
	raw := rawDial(t, r, "127.0.0.1")
	r.appliance.delay = func(context.Context, access.Credentials) { raw.Close() }
	ssh.NewClientConn(raw, r.address, r.config())
	awaitTrue(t, "an answer to the login", func() bool {
		r.appliance.mu.Lock()
		defer r.appliance.mu.Unlock()
		return r.appliance.asked > 0
	})
}
