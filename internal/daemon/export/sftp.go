package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

const (
	// piece is how much is sent before it is known to be there: many requests are on their way at a time, so that a long way is no
	// slow way, but none behind a piece that is not whole.
	piece    = 8 << 20
	requests = 32
)

// HostKeyOf asks a host for its SSH key, without logging in.
func HostKeyOf(ctx context.Context, text string) (string, error) {
	u, err := CheckURL(text)
	if err != nil {
		return "", &Error{Text: err.Error()}
	}
	client, err := Target{}.dial(ctx, u)
	var key *HostKeyError
	if errors.As(err, &key) {
		return key.HostKey, nil
	}
	if client != nil {
		client.Close()
	}
	return "", err
}

func (t Target) dial(ctx context.Context, u *url.URL) (*ssh.Client, error) {
	dialer := net.Dialer{Timeout: dialTime}
	conn, err := dialer.DialContext(ctx, "tcp", address(u, "22"))
	if err != nil {
		return nil, unreachable(err, "the host %s does not answer", u.Hostname())
	}
	supported := ssh.SupportedAlgorithms()
	var other *HostKeyError
	config := &ssh.ClientConfig{
		Config: ssh.Config{KeyExchanges: supported.KeyExchanges, Ciphers: supported.Ciphers, MACs: supported.MACs},
		User:   u.User.Username(),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if found := ssh.FingerprintSHA256(key); found != t.HostKey {
				other = &HostKeyError{found}
				return other
			}
			return nil
		},
		HostKeyAlgorithms: supported.HostKeys,
	}
	if t.Secret != "" {
		config.Auth = append(config.Auth, ssh.Password(t.Secret), ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
			answers := make([]string, len(questions))
			for i := range answers {
				answers[i] = t.Secret
			}
			return answers, nil
		}))
	}
	if t.Key != nil {
		config.Auth = append(config.Auth, ssh.PublicKeys(t.Key))
	}
	conn.SetDeadline(time.Now().Add(dialTime))
	c, channels, requests, err := ssh.NewClientConn(conn, u.Host, config)
	switch {
	case other != nil:
		conn.Close()
		return nil, other
	case err != nil:
		conn.Close()
		return nil, unreachable(err, "the login at %s failed", u.Hostname())
	}
	conn.SetDeadline(time.Time{})
	return ssh.NewClient(c, channels, requests), nil
}

// sftp copies under a hidden name that is given up for the file's own when all of it is there. Beside it goes NAME.sha256, in the
// form of sha256sum(1).
func (t Target) sftp(ctx context.Context, u *url.URL, f File, sent Sent) error {
	connection, err := t.dial(ctx, u)
	if err != nil {
		return err
	}
	defer connection.Close()
	defer context.AfterFunc(ctx, func() { connection.Close() })()
	client, err := sftp.NewClient(connection, sftp.UseConcurrentWrites(true), sftp.MaxConcurrentRequestsPerFile(requests))
	if err != nil {
		return unreachable(err, "the host %s offers no SFTP", u.Hostname())
	}
	defer client.Close()

	final := place(u, f.Name)
	part := path.Join(path.Dir(final), "."+path.Base(final)+".part")
	if done, err := copied(ctx, client, final, f); err != nil || done {
		if done {
			sent(f.Bytes)
		}
		return err
	}
	at, err := resume(ctx, client, part, f)
	if err != nil {
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE
	if at == 0 {
		flags |= os.O_TRUNC
	}
	to, err := client.OpenFile(part, flags)
	if err != nil {
		return failed(err, "a file cannot be made in the folder of the target")
	}
	defer to.Close()
	for sent(at); at < f.Bytes; sent(at) {
		if _, err := to.Seek(at, io.SeekStart); err != nil {
			return failed(err, "the file cannot be written at the target")
		}
		n, err := to.ReadFromWithConcurrency(&stoppable{ctx, io.NewSectionReader(f.Content, at, min(piece, f.Bytes-at))}, requests)
		if err != nil || n == 0 {
			return failed(err, "the connection to the target broke off, or its disk is full")
		}
		at += n
	}
	if err := to.Close(); err != nil {
		return failed(err, "the file cannot be finished at the target")
	}
	if info, err := client.Stat(part); err != nil || info.Size() != f.Bytes {
		return failed(err, "the file at the target has not the length that was sent")
	}
	if err := note(client, final+".sha256", f); err != nil {
		return err
	}
	if err := client.PosixRename(part, final); err != nil {
		if err := client.Rename(part, final); err != nil { // a server without that extension
			return failed(err, "the file cannot get its name at the target")
		}
	}
	return nil
}

// copied reports whether the file is at the target already: of its length, and with a note of its sum.
func copied(ctx context.Context, client *sftp.Client, final string, f File) (bool, error) {
	info, err := client.Stat(final)
	if err != nil || info.Size() != f.Bytes {
		return false, nil
	}
	sum, err := remoteSum(ctx, client, final, f.Bytes)
	return err == nil && sum == f.SHA256, ctx.Err()
}

// resume is up to where the file is at the target. What is there is read back: the end of a broken copy can have holes.
func resume(ctx context.Context, client *sftp.Client, part string, f File) (int64, error) {
	info, err := client.Stat(part)
	if err != nil || info.Size() == 0 {
		return 0, nil
	}
	at := min(info.Size(), f.Bytes) / piece * piece
	if at == 0 {
		return 0, nil
	}
	there, err := remoteSum(ctx, client, part, at)
	if err != nil {
		return 0, ctx.Err()
	}
	here, err := Sum(ctx, f.Content, at)
	if err != nil {
		return 0, err
	}
	if here != there {
		return 0, nil
	}
	return at, nil
}

func remoteSum(ctx context.Context, client *sftp.Client, name string, bytes int64) (string, error) {
	remote, err := client.Open(name)
	if err != nil {
		return "", err
	}
	defer remote.Close()
	return Sum(ctx, remote, bytes)
}

func note(client *sftp.Client, name string, f File) error {
	w, err := client.Create(name)
	if err == nil {
		_, err = fmt.Fprintf(w, "%s  %s\n", f.SHA256, f.Name)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return failed(err, "the checksum cannot be written at the target")
	}
	return nil
}
