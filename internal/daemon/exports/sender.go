package exports

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/diag/dns"
)

// A sender copies files by one protocol, to a target whose URL has the sender's scheme.
type sender interface {
	scheme() string

	// form returns what a URL looks like, for people.
	form() string

	// check returns what is wrong with a URL of the scheme. What all URLs have in common is checked
	// already.
	check(u *url.URL) error

	// login returns how the appliance proves who it is, given a secret or "": one of the words of
	// capture.Target.Login.
	login(u *url.URL, secret string) string

	// send copies f, and tells sent how many bytes are safe at the target. Bytes of an earlier try
	// are not sent again if they are proven to be the beginning of f. If send returns nil, the
	// target has the whole of f. Any other error than that of ctx is a *sendError or a
	// *hostKeyError.
	send(ctx context.Context, to destination, f file, sent progress) error
}

// A keyAsker is a sender that trusts only hosts whose key the target names. hostKey returns the
// fingerprint of the key that the host has, without a login.
type keyAsker interface {
	hostKey(ctx context.Context, u *url.URL) (string, error)
}

// senders are the ways to copy a file.
var senders = []sender{sftpSender{silence}, httpsSender{silence}}

// How the appliance proves who it is at a target, in capture.Target.Login.
const (
	loginNone     = "none"
	loginKey      = "key" // the appliance's own
	loginPassword = "password"
	loginToken    = "token"
)

// A destination is where a file is copied to.
type destination struct {
	url     *url.URL
	hostKey string     // SHA256:... of the SSH host key or of the certificate, as capture.Target.HostKey
	secret  string     // password or token; may be empty
	key     ssh.Signer // the appliance's own; nil: it is not offered
}

// A file is what is copied.
type file struct {
	name    string
	content io.ReaderAt
	bytes   int64
	sum     string // SHA-256, hexadecimal
}

// A progress is told how many bytes are safe at the target.
type progress func(bytes int64)

// A sendError is a failed copy, for users. Its text holds nothing that the other host said, except
// numbers.
type sendError struct {
	text        string
	unreachable bool  // the fault is the target's, so that the next file fares no better
	cause       error // for the log
}

func (e *sendError) Error() string { return e.text }
func (e *sendError) Unwrap() error { return e.cause }

func failed(cause error, format string, args ...any) error {
	return &sendError{text: fmt.Sprintf(format, args...), cause: cause}
}

func unreachable(cause error, format string, args ...any) error {
	return &sendError{text: fmt.Sprintf(format, args...), unreachable: true, cause: cause}
}

// A hostKeyError says that the host has another key than the target names.
type hostKeyError struct{ hostKey string }

func (e *hostKeyError) Error() string { return "the host has the key " + e.hostKey }

// isUnreachable reports whether a copy failed for a reason that is the target's: no other file
// would fare better now.
func isUnreachable(err error) bool {
	var known *sendError
	var key *hostKeyError
	return errors.As(err, &key) || errors.As(err, &known) && known.unreachable
}

// parseURL reads the URL of a target and returns the sender of its scheme. Its error is for users.
func parseURL(text string) (*url.URL, sender, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return nil, nil, errors.New("a target is " + oneOf(sender.form))
	}
	i := slices.IndexFunc(senders, func(s sender) bool { return s.scheme() == u.Scheme })
	if i < 0 {
		return nil, nil, errors.New("a target begins with " + oneOf(func(s sender) string { return s.scheme() + "://" }))
	}
	s := senders[i]
	if err := s.check(u); err != nil {
		return nil, nil, err
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, nil, errors.New("a target ends with its folder; a token is given by itself, as the secret")
	}
	if _, has := u.User.Password(); has {
		return nil, nil, errors.New("a password is given by itself, and not in the URL")
	}
	if _, err := dns.ASCII(u.Hostname()); err != nil {
		return nil, nil, errors.New("the host has a name that the DNS cannot have: it is in other letters, and not as IDNA 2008 allows")
	}
	return u, s, nil
}

// oneOf joins what the senders are called.
func oneOf(of func(sender) string) string {
	var words []string
	for _, s := range senders {
		words = append(words, of(s))
	}
	return strings.Join(words, " or ")
}

// sumOf returns the SHA-256 of the first bytes of a file, in hexadecimal.
func sumOf(ctx context.Context, content io.ReaderAt, bytes int64) (string, error) {
	hash := sha256.New()
	if _, err := io.Copy(hash, &stoppable{ctx, io.NewSectionReader(content, 0, bytes)}); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// A stoppable reader ends with its context.
type stoppable struct {
	ctx context.Context
	io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(p)
}

// address returns the host and the port of a target; port is the one that its scheme has.
func address(u *url.URL, port string) string {
	if p := u.Port(); p != "" {
		port = p
	}
	host, err := dns.ASCII(u.Hostname())
	if err != nil {
		host = u.Hostname() // parseURL accepts no such host
	}
	return net.JoinHostPort(host, port)
}

const (
	// dialTime bounds connecting, with the login.
	dialTime = 20 * time.Second

	// silence is how long nothing may pass on a connection before it ends.
	silence = time.Minute
)

// A quietConn ends when nothing passes for too long.
type quietConn struct {
	net.Conn
	silence time.Duration
}

func (c quietConn) Read(p []byte) (int, error) {
	c.Conn.SetReadDeadline(time.Now().Add(c.silence))
	return c.Conn.Read(p)
}

func (c quietConn) Write(p []byte) (int, error) {
	c.Conn.SetWriteDeadline(time.Now().Add(c.silence))
	return c.Conn.Write(p)
}
