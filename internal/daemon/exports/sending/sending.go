// Package sending copies one file to another host, by a sender for each protocol. A sender knows no
// queue: it is handed a place, a file and what it may use, and returns when the place has the file
// or with the reason why not. What it promises, TestSenders holds it to.
package sending

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// A Sender copies files by one protocol, to a target whose URL has the sender's scheme.
type Sender interface {
	Scheme() string

	// Form returns what a URL looks like, for people.
	Form() string

	// Check returns what is wrong with a URL of the scheme, for users. The caller has checked what
	// all URLs have in common: a host, no password and no fragment.
	Check(u *url.URL) error

	// Login returns how the appliance proves who it is, given a secret or "": one of the words of
	// capture.Target.Login.
	Login(u *url.URL, secret string) string

	// Send copies f, and tells sent how many bytes are safe at the target. Bytes of an earlier try
	// are not sent again if they are proven to be the beginning of f. If Send returns nil, the
	// target is known to have the whole of f. Another file of its place stays, which is an error; one
	// whose content is the beginning of f is an earlier copy of it, which f takes the place of where the
	// protocol allows. Any other error than that of ctx is an *Error or a *HostKeyError.
	Send(ctx context.Context, to Destination, f File, sent Progress) error
}

// A KeyAsker is a sender that trusts only hosts whose key the target names. HostKey returns the
// fingerprint of the key that the host has, without a login.
type KeyAsker interface {
	HostKey(ctx context.Context, to Destination) (string, error)
}

// A SecretChecker is a sender that sees from a secret alone whether it can be one. CheckSecret
// returns what is wrong with it, for users.
type SecretChecker interface {
	CheckSecret(secret string) error
}

// How the appliance proves who it is at a target, in capture.Target.Login.
const (
	LoginNone     = "none"
	LoginKey      = "key" // the appliance's own
	LoginPassword = "password"
	LoginToken    = "token"
)

// A Destination is where a file is copied to, and what the way there may use.
type Destination struct {
	URL     *url.URL
	HostKey string     // SHA256:... of the SSH host key or of the certificate, as capture.Target.HostKey
	Secret  string     // password, token or key; may be empty
	Key     ssh.Signer // the appliance's own; nil: it is not offered

	Proxy *url.URL       // as CheckProxy accepts it; nil: straight to the host
	Roots *x509.CertPool // authorities of certificates; nil: those of the machine
	// Limit returns a reader that gives what r has no faster than the target may be sent it. It ends
	// with the context of the copy. nil: as fast as it goes.
	Limit func(r io.Reader) io.Reader
	// Checked is told how many bytes of the file were read back from the target. nil: nobody asks.
	Checked Progress
}

// Limited returns r at the speed of the destination.
func (to Destination) Limited(r io.Reader) io.Reader {
	if to.Limit == nil {
		return r
	}
	return to.Limit(r)
}

// A File is what is copied.
type File struct {
	Name    string
	Content io.ReaderAt
	Bytes   int64
	Sum     string // SHA-256, hexadecimal

	// Upload is what Begun was last told of the file: how a protocol calls what it keeps of a broken copy.
	Upload string
	Begun  func(upload string) // nil: nobody asks

	// Path is its place at the target, below the folder of the URL, with slashes; empty: Name.
	Path        string
	ContentType string            // of RFC 9110; empty: that of packets
	Metadata    map[string]string // stays beside the file where the protocol has a place for it; names are lower-case letters and digits
}

// PacketsType is the content type of files of packets, pcapng included (RFC 9512 draws no line).
const PacketsType = "application/vnd.tcpdump.pcap"

// Place returns where the file is at the target, below the folder of the URL. It never leads out of
// that folder.
func (f File) Place() string {
	return strings.TrimPrefix(path.Clean("/"+cmp.Or(f.Path, f.Name)), "/")
}

// A Progress is told how many bytes are safe at the target.
type Progress func(bytes int64)

// An Error is a failed copy, for users. Its text holds nothing that the other host said, except
// numbers.
type Error struct {
	Text        string
	Unreachable bool          // the fault is the target's, so that the next file fares no better
	RetryAfter  time.Duration // how long the host asks to wait; 0: it does not ask
	Cause       error         // for the log
}

func (e *Error) Error() string { return e.Text }
func (e *Error) Unwrap() error { return e.Cause }

// Failed returns an *Error of which another file may fare better.
func Failed(cause error, format string, args ...any) error {
	return &Error{Text: fmt.Sprintf(format, args...), Cause: cause}
}

// Unreachable returns an *Error that is the target's.
func Unreachable(cause error, format string, args ...any) error {
	return &Error{Text: fmt.Sprintf(format, args...), Unreachable: true, Cause: cause}
}

// A HostKeyError says that the host has another key than the target names.
type HostKeyError struct{ HostKey string }

func (e *HostKeyError) Error() string { return "the host has the key " + e.HostKey }

// IsUnreachable reports whether a copy failed for a reason that is the target's: no other file
// would fare better now.
func IsUnreachable(err error) bool {
	var known *Error
	var key *HostKeyError
	return errors.As(err, &key) || errors.As(err, &known) && known.Unreachable
}

// SumOf returns the SHA-256 of the first bytes of a file, in hexadecimal.
func SumOf(ctx context.Context, content io.ReaderAt, bytes int64) (string, error) {
	hash := sha256.New()
	if _, err := io.Copy(hash, Stoppable{Context: ctx, Reader: io.NewSectionReader(content, 0, bytes)}); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// A Stoppable reader ends with its context.
type Stoppable struct {
	Context context.Context
	io.Reader
}

// Read implements io.Reader.
func (s Stoppable) Read(p []byte) (int, error) {
	if err := s.Context.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(p)
}

// noQuery returns what is wrong with a URL of a scheme that knows no options.
func noQuery(u *url.URL) error {
	if u.RawQuery != "" || u.ForceQuery {
		return errors.New("a target ends with its folder; a token is given by itself, as the secret")
	}
	return nil
}
