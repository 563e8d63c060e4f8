package ssh

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/access"
	"diagsh/internal/front/gate"
	"diagsh/internal/menu"
)

// maxAuthTries is how many credentials a connection may try, as with sshd. Keys that the appliance
// does not know count.
const maxAuthTries = 6

// Bounds in bytes. The appliance does not see longer credentials, so no client can have it hash or
// log megabytes.
const (
	maxUserName = 256
	maxPassword = 1024
)

var (
	errDenied     = errors.New("permission denied") // by the appliance, which has audited it
	errUnknownKey = errors.New("the key does not open this account")
	errTooLong    = errors.New("too long to be looked at")
	errNoAnswer   = errors.New("no password was given")
)

// An authenticator asks the appliance about one connection's credentials (RFC 4252).
type authenticator struct {
	ctx       context.Context // done when the client is gone
	appliance Appliance
	source    string
	slot      *gate.Slot
	log       *slog.Logger
	client    Client // signs for the connection and logs it in; nil before the key exchange
	begun     func() // is called once, after the key exchange

	// The attempts, for the logs:
	user  string       // the latest
	tries int          // attempts that failed
	knock access.Knock // the attempts that the appliance has not audited
}

type loginKey struct{}

// loginOf returns the login of an authenticated connection.
func loginOf(p *ssh.Permissions) access.Login { return p.ExtraData[loginKey{}].(access.Login) }

// config returns the configuration of the library for the connection.
func (a *authenticator) config() *ssh.ServerConfig {
	return &ssh.ServerConfig{
		ServerVersion:               versionLine,
		MaxAuthTries:                maxAuthTries,
		PreAuthConnCallback:         func(ssh.ServerPreAuthConn) { a.begun() },
		AuthLogCallback:             a.attempted,
		BannerCallback:              a.banner,
		PublicKeyCallback:           a.keyOffered,
		PublicKeyProofCallback:      a.keyProved,
		PasswordCallback:            a.password,
		KeyboardInteractiveCallback: a.keyboardInteractive,
	}
}

// banner returns the text before the login (RFC 4252 section 5.4).
func (a *authenticator) banner(ssh.ConnMetadata) string {
	text, err := a.appliance.Banner(a.ctx)
	if err != nil {
		a.log.Warn("ssh: no banner", "error", err)
		return ""
	}
	return networkText(text)
}

// keyOffered returns nil if a signature by this key would help. The key proves nothing: anybody can
// offer the public key of anybody.
func (a *authenticator) keyOffered(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	if len(c.User()) > maxUserName {
		return nil, errTooLong
	}
	known, err := a.appliance.KeyKnown(a.ctx, c.User(), a.source, key.Marshal())
	if err != nil {
		return nil, a.refusal(err)
	}
	if !known {
		return nil, errUnknownKey
	}
	return nil, nil
}

// attempted notes an attempt. The library calls it for every one, and also for those that it
// refuses itself, such as signatures by SHA-1.
func (a *authenticator) attempted(c ssh.ConnMetadata, method string, err error) {
	a.user = c.User()
	if err == nil || method == "none" || errors.Is(err, errNoAnswer) {
		return
	}
	a.tries++
	switch {
	case errors.Is(err, errDenied):
	case errors.Is(err, errUnknownKey):
		a.knock.Keys++
	default:
		a.knock.Other++
	}
}

// keyProved logs in by a signature that the library has verified. The appliance verifies it again,
// since it does not believe this process.
func (a *authenticator) keyProved(c ssh.ConnMetadata, key ssh.PublicKey, _ *ssh.Permissions,
	proof ssh.PublicKeyProof) (*ssh.Permissions, error) {
	return a.login(access.Credentials{
		User:      c.User(),
		Source:    a.source,
		Key:       key.Marshal(),
		Algorithm: proof.Algorithm,
		Signature: ssh.Marshal(proof.Signature),
	})
}

// password logs in by a password.
func (a *authenticator) password(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
	if len(c.User()) > maxUserName || len(password) > maxPassword {
		return nil, errTooLong
	}
	return a.login(access.Credentials{User: c.User(), Source: a.source, Password: menu.Secret(password)})
}

// keyboardInteractive asks for the password in the way that some clients prefer (RFC 4256).
func (a *authenticator) keyboardInteractive(c ssh.ConnMetadata,
	ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	answers, err := ask("", "", []string{"Password: "}, []bool{false})
	if err != nil {
		return nil, errors.Join(errNoAnswer, err)
	}
	return a.password(c, []byte(answers[0]))
}

// leave ends what the appliance does for the connection, and with it the login. It does so even if
// the client never learned of the login.
func (a *authenticator) leave() {
	if a.client == nil {
		return
	}
	if err := a.client.Close(); err != nil {
		a.log.Warn("ssh: logout failed", "error", err)
	}
}

// login checks credentials when it is their turn.
func (a *authenticator) login(c access.Credentials) (*ssh.Permissions, error) {
	var login access.Login
	var err error
	if turn := a.slot.Check(a.ctx, func() { login, err = a.client.Login(c) }); turn != nil {
		return nil, turn
	}
	if err != nil {
		return nil, a.refusal(err)
	}
	return &ssh.Permissions{ExtraData: map[any]any{loginKey{}: login}}, nil
}

// refusal returns what the client is told. It hides why credentials were refused, and passes on a
// refusal for another reason.
func (a *authenticator) refusal(err error) error {
	var e *menu.Error
	if !errors.As(err, &e) {
		if a.ctx.Err() == nil {
			a.log.Error("ssh: login failed for a fault of the appliance", "error", err)
		}
		e = menu.AsError(err)
	}
	if e.Code == menu.Denied {
		return errDenied
	}
	return &ssh.BannerError{Err: errDenied, Message: networkText(e.Error() + "\n")}
}

// networkText returns a configured text that is safe for the terminal of a stranger. Its lines end
// as RFC 4252 section 5.4 requires.
func networkText(text string) string { return strings.ReplaceAll(menu.CleanLines(text), "\n", "\r\n") }
