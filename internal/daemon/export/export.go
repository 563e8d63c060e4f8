// Package export copies files of the appliance to other hosts: by SFTP, or by HTTPS PUT. It goes on where a copy before broke off,
// and knows that what is there is what was here: by SHA-256.
package export

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/diag/dns"
)

// A Target is where to, and how the appliance proves who it is.
type Target struct {
	URL     string
	HostKey string // SHA256:... of the SSH host key, or of the certificate
	Secret  string // password or token; may be empty
	Key     ssh.Signer
}

// A File is what to copy.
type File struct {
	Name    string
	Content io.ReaderAt
	Bytes   int64
	SHA256  string // hexadecimal
}

// Sent is told how many bytes are safe at the target.
type Sent func(bytes int64)

// An Error is a failure for users. Its text holds nothing that the other host said, except numbers.
type Error struct {
	Text        string
	Unreachable bool  // it is the target's, and no file's: the next file fares no better
	cause       error // for the log
}

func (e *Error) Error() string { return e.Text }
func (e *Error) Unwrap() error { return e.cause }

func failed(cause error, format string, args ...any) error {
	return &Error{Text: fmt.Sprintf(format, args...), cause: cause}
}

func unreachable(cause error, format string, args ...any) error {
	return &Error{Text: fmt.Sprintf(format, args...), Unreachable: true, cause: cause}
}

// A HostKeyError says that the host has another key than the target says, or that the target does not say which.
type HostKeyError struct{ HostKey string }

func (e *HostKeyError) Error() string { return "the host has the key " + e.HostKey }

// Unreachable says that a copy failed for a reason that is the target's: no other file would fare better now.
func Unreachable(err error) bool {
	var known *Error
	var key *HostKeyError
	return errors.As(err, &key) || errors.As(err, &known) && known.Unreachable
}

// dialTime bounds connecting and every silence after that.
const dialTime = 20 * time.Second

// CheckURL says what is wrong with a target's URL.
func CheckURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return nil, errors.New("a target is sftp://USER@HOST/FOLDER or https://HOST/FOLDER")
	case u.Scheme != "sftp" && u.Scheme != "https":
		return nil, errors.New("a target begins with sftp:// or https://")
	case u.Scheme == "sftp" && u.User.Username() == "":
		return nil, errors.New("the user is missing: sftp://USER@HOST/FOLDER")
	case u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return nil, errors.New("a target ends with its folder; a token is given by itself, as the secret")
	}
	if _, has := u.User.Password(); has {
		return nil, errors.New("a password is given by itself, and not in the URL")
	}
	if _, err := dns.ASCII(u.Hostname()); err != nil {
		return nil, errors.New("the host has a name that the DNS cannot have: it is in other letters, and not as IDNA 2008 allows")
	}
	return u, nil
}

// Copy copies a file. Bytes that were copied before are not sent again. The error is an *Error, a *HostKeyError or the context's.
func (t Target) Copy(ctx context.Context, f File, sent Sent) error {
	u, err := CheckURL(t.URL)
	if err != nil {
		return &Error{Text: err.Error()}
	}
	if u.Scheme == "https" {
		err = t.put(ctx, u, f, sent)
	} else {
		err = t.sftp(ctx, u, f, sent)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Sum is the SHA-256 of the first bytes of a file.
func Sum(ctx context.Context, content io.ReaderAt, bytes int64) (string, error) {
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

// address of a target with the port that its scheme has.
func address(u *url.URL, port string) string {
	if p := u.Port(); p != "" {
		port = p
	}
	host, err := dns.ASCII(u.Hostname())
	if err != nil {
		host = u.Hostname() // which CheckURL lets no target have
	}
	return net.JoinHostPort(host, port)
}

// place is where a file goes.
func place(u *url.URL, name string) string {
	folder := u.Path
	// sftp://host/~/folder is below the user's own folder, as with curl.
	if rest, home := strings.CutPrefix(folder, "/~/"); home {
		folder = rest
	}
	return path.Join(folder, name)
}

// A quiet connection ends when nothing passes for too long.
type quietConn struct{ net.Conn }

const silence = time.Minute

func (c quietConn) Read(p []byte) (int, error) {
	c.Conn.SetReadDeadline(time.Now().Add(silence))
	return c.Conn.Read(p)
}

func (c quietConn) Write(p []byte) (int, error) {
	c.Conn.SetWriteDeadline(time.Now().Add(silence))
	return c.Conn.Write(p)
}
