package exports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

const (
	// piece is how much is sent before it is known to be there. Many requests of a piece are on
	// their way at a time, so that a long way is no slow way.
	piece    = 8 << 20
	requests = 32
)

// A sftpSender copies by SFTP. A file has a hidden name at the target until all of it is there.
// Beside it goes NAME.sha256, in the form of sha256sum(1).
type sftpSender struct{ silence time.Duration }

func (sftpSender) scheme() string { return "sftp" }

func (sftpSender) form() string { return "sftp://USER@HOST/FOLDER" }

func (s sftpSender) check(u *url.URL) error {
	if u.User.Username() == "" {
		return errors.New("the user is missing: " + s.form())
	}
	return nil
}

func (sftpSender) login(_ *url.URL, secret string) string {
	if secret == "" {
		return loginKey
	}
	return loginPassword
}

// hostKey implements keyAsker.
func (s sftpSender) hostKey(ctx context.Context, u *url.URL) (string, error) {
	client, err := s.dial(ctx, destination{url: u})
	var key *hostKeyError
	if errors.As(err, &key) {
		return key.hostKey, nil
	}
	if client != nil {
		client.Close()
	}
	return "", err
}

func (s sftpSender) dial(ctx context.Context, to destination) (*ssh.Client, error) {
	dialer := net.Dialer{Timeout: dialTime}
	conn, err := dialer.DialContext(ctx, "tcp", address(to.url, "22"))
	if err != nil {
		return nil, unreachable(err, "the host %s does not answer", to.url.Hostname())
	}
	supported := ssh.SupportedAlgorithms()
	var other *hostKeyError
	config := &ssh.ClientConfig{
		Config: ssh.Config{KeyExchanges: supported.KeyExchanges, Ciphers: supported.Ciphers, MACs: supported.MACs},
		User:   to.url.User.Username(),
		Auth:   to.proofs(),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if found := ssh.FingerprintSHA256(key); found != to.hostKey {
				other = &hostKeyError{found}
				return other
			}
			return nil
		},
		HostKeyAlgorithms: supported.HostKeys,
	}
	late := time.AfterFunc(dialTime, func() { conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(quietConn{conn, s.silence}, to.url.Host, config)
	late.Stop()
	switch {
	case other != nil:
		conn.Close()
		return nil, other
	case err != nil:
		conn.Close()
		return nil, unreachable(err, "the login at %s failed", to.url.Hostname())
	}
	return ssh.NewClient(c, channels, requests), nil
}

// proofs returns what the appliance logs in by.
func (to destination) proofs() (proofs []ssh.AuthMethod) {
	if to.secret != "" {
		proofs = append(proofs, ssh.Password(to.secret),
			ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
				answers := make([]string, len(questions))
				for i := range answers {
					answers[i] = to.secret
				}
				return answers, nil
			}))
	}
	if to.key != nil {
		proofs = append(proofs, ssh.PublicKeys(to.key))
	}
	return proofs
}

// send implements sender.
func (s sftpSender) send(ctx context.Context, to destination, f file, sent progress) error {
	connection, err := s.dial(ctx, to)
	if err != nil {
		return err
	}
	defer connection.Close()
	defer context.AfterFunc(ctx, func() { connection.Close() })()
	client, err := sftp.NewClient(connection, sftp.UseConcurrentWrites(true), sftp.MaxConcurrentRequestsPerFile(requests))
	if err != nil {
		return unreachable(err, "the host %s offers no SFTP", to.url.Hostname())
	}
	defer client.Close()

	// sftp://host/~/folder is below the user's own folder, as with curl.
	final := path.Join(strings.TrimPrefix(to.url.Path, "/~/"), f.name)
	hidden := path.Join(path.Dir(final), "."+path.Base(final)+".part")
	if done, err := copied(ctx, client, final, f); err != nil || done {
		if done {
			sent(f.bytes)
		}
		return err
	}
	if err := write(ctx, client, hidden, f, sent); err != nil {
		return err
	}
	if err := note(client, final+".sha256", f); err != nil {
		return err
	}
	if err := client.PosixRename(hidden, final); err != nil {
		if err := client.Rename(hidden, final); err != nil { // a server without that extension
			return failed(err, "the file cannot get its name at the target")
		}
	}
	return nil
}

// write sends what is missing of a file under its hidden name.
func write(ctx context.Context, client *sftp.Client, hidden string, f file, sent progress) error {
	at, err := resumeAt(ctx, client, hidden, f)
	if err != nil {
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE
	if at == 0 {
		flags |= os.O_TRUNC
	}
	to, err := client.OpenFile(hidden, flags)
	if err != nil {
		return failed(err, "a file cannot be made in the folder of the target")
	}
	defer to.Close()
	for sent(at); at < f.bytes; sent(at) {
		if _, err := to.Seek(at, io.SeekStart); err != nil {
			return failed(err, "the file cannot be written at the target")
		}
		next := &stoppable{ctx, io.NewSectionReader(f.content, at, min(piece, f.bytes-at))}
		n, err := to.ReadFromWithConcurrency(next, requests)
		if err != nil || n == 0 {
			return failed(err, "the connection to the target broke off, or its disk is full")
		}
		at += n
	}
	if err := to.Close(); err != nil {
		return failed(err, "the file cannot be finished at the target")
	}
	if info, err := client.Stat(hidden); err != nil || info.Size() != f.bytes {
		return failed(err, "the file at the target has not the length that was sent")
	}
	return nil
}

// copied reports whether the target has the file already: the sum of what is there is read back.
func copied(ctx context.Context, client *sftp.Client, final string, f file) (bool, error) {
	info, err := client.Stat(final)
	if err != nil || info.Size() != f.bytes {
		return false, nil
	}
	there, err := client.Open(final)
	if err != nil {
		return false, nil
	}
	defer there.Close()
	sum, err := sumOf(ctx, there, f.bytes)
	return err == nil && sum == f.sum, ctx.Err()
}

// resumeAt returns up to where the target has the file, in whole pieces. What is there is read
// back, because the end of a broken copy can have holes. The two are read in turn, so that the
// connection is not idle while a large file is read here.
func resumeAt(ctx context.Context, client *sftp.Client, hidden string, f file) (at int64, err error) {
	info, err := client.Stat(hidden)
	if err != nil {
		return 0, nil
	}
	there, err := client.Open(hidden)
	if err != nil {
		return 0, nil
	}
	defer there.Close()
	for ; at+piece <= min(info.Size(), f.bytes); at += piece {
		theirs, err := sumOf(ctx, io.NewSectionReader(there, at, piece), piece)
		if err != nil {
			return 0, ctx.Err()
		}
		ours, err := sumOf(ctx, io.NewSectionReader(f.content, at, piece), piece)
		if err != nil {
			return 0, err
		}
		if theirs != ours {
			break
		}
	}
	return at, nil
}

func note(client *sftp.Client, name string, f file) error {
	w, err := client.Create(name)
	if err == nil {
		_, err = fmt.Fprintf(w, "%s  %s\n", f.sum, f.name)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return failed(err, "the checksum cannot be written at the target")
	}
	return nil
}
