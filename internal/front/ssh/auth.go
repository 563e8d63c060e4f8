package ssh

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// maxAuthTries is how many credentials a connection may try, keys that the appliance does not know
// included, as with sshd.
const maxAuthTries = 6

// Longer ones are refused unseen, so that nobody can make the appliance hash or log megabytes.
const (
	maxUserName = 256
	maxPassword = 1024
)

var (
	errDenied     = errors.New("permission denied") // by the appliance, which has recorded it
	errUnknownKey = errors.New("the key does not open this account")
	errTooLong    = errors.New("too long to be looked at")
	errNoAnswer   = errors.New("no password was given")
)

// An authenticator asks the appliance about one connection's credentials (RFC 4252).
type authenticator struct {
	ctx      context.Context // done when the client is gone
	frontEnd FrontEnd
	source   string
	slot     *slot
	log      *slog.Logger
	client   Client // signs for the connection and logs it in; nil before its keys are exchanged
	begun    func() // called once, when keys are exchanged

	// What was tried, for the logs:
	user  string       // the latest
	tries int          // attempts that failed
	knock access.Knock // those of them that the appliance has not recorded
}

type loginKey struct{}

// loginOf is the login that an authenticated connection carries.
func loginOf(p *ssh.Permissions) access.Login { return p.ExtraData[loginKey{}].(access.Login) }

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

// banner is the text before the login (RFC 4252 section 5.4).
func (a *authenticator) banner(ssh.ConnMetadata) string {
	text, err := a.frontEnd.Banner(a.ctx)
	if err != nil {
		a.log.Warn("ssh: no banner", "error", err)
		return ""
	}
	return networkText(text)
}

// keyOffered answers whether a signature by this key would help. It proves nothing: anybody can
// offer anybody's public key.
func (a *authenticator) keyOffered(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	if len(c.User()) > maxUserName {
		return nil, errTooLong
	}
	known, err := a.frontEnd.KeyKnown(a.ctx, c.User(), a.source, key.Marshal())
	if err != nil {
		return nil, a.refusal(err)
	}
	if !known {
		return nil, errUnknownKey
	}
	return nil, nil
}

// attempted is told of every attempt by the library, those included that it does not ask about,
// such as signatures by SHA-1.
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

// keyProved is called once the signature has been checked. The appliance checks it again: it does
// not believe this process.
func (a *authenticator) keyProved(c ssh.ConnMetadata, key ssh.PublicKey, _ *ssh.Permissions, proof ssh.PublicKeyProof) (*ssh.Permissions, error) {
	return a.login(access.Credentials{
		User: c.User(), Source: a.source, Key: key.Marshal(), Algorithm: proof.Algorithm, Signature: ssh.Marshal(proof.Signature),
	})
}

func (a *authenticator) password(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
	if len(c.User()) > maxUserName || len(password) > maxPassword {
		return nil, errTooLong
	}
	return a.login(access.Credentials{User: c.User(), Source: a.source, Password: menu.Secret(password)})
}

// keyboardInteractive asks for the password in the way that some clients prefer (RFC 4256).
func (a *authenticator) keyboardInteractive(c ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	answers, err := ask("", "", []string{"Password: "}, []bool{false})
	if err != nil {
		return nil, errors.Join(errNoAnswer, err)
	}
	return a.password(c, []byte(answers[0]))
}

// leave ends what the appliance does for the connection, and with it the login, whether or not the
// client learned of that.
func (a *authenticator) leave() {
	if a.client == nil {
		return
	}
	if err := a.client.Close(); err != nil {
		a.log.Warn("ssh: logout failed", "error", err)
	}
}

func (a *authenticator) login(c access.Credentials) (*ssh.Permissions, error) {
	var login access.Login
	var err error
	if turn := a.slot.check(a.ctx, func() { login, err = a.client.Login(c) }); turn != nil {
		return nil, turn
	}
	if err != nil {
		return nil, a.refusal(err)
	}
	return &ssh.Permissions{ExtraData: map[any]any{loginKey{}: login}}, nil
}

// refusal keeps quiet about why credentials were refused, and says so when it is not about the
// credentials at all.
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

// networkText makes a configured text fit for a stranger's terminal, with lines that end as RFC
// 4252 section 5.4 wants.
func networkText(text string) string { return strings.ReplaceAll(menu.CleanLines(text), "\n", "\r\n") }
