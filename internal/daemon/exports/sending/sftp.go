package sending

import (
	"cmp"
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

// SFTP copies by SFTP. A file has a hidden name at the target until all of it is there.
// Beside it goes NAME.sha256, in the form of sha256sum(1).
type SFTP struct{ silence time.Duration } // zero: Silence

func (SFTP) Scheme() string { return "sftp" }

func (SFTP) Form() string { return "sftp://USER@HOST/FOLDER" }

func (s SFTP) Check(u *url.URL) error {
	if u.User.Username() == "" {
		return errors.New("the user is missing: " + s.Form())
	}
	return noQuery(u)
}

func (SFTP) Login(_ *url.URL, secret string) string {
	if secret == "" {
		return LoginKey
	}
	return LoginPassword
}

// hostKey implements KeyAsker.
func (s SFTP) HostKey(ctx context.Context, to Destination) (string, error) {
	to.HostKey, to.Secret, to.Key = "", "", nil
	client, err := s.dial(ctx, to)
	var key *HostKeyError
	if errors.As(err, &key) {
		return key.HostKey, nil
	}
	if client != nil {
		client.Close()
	}
	return "", err
}

func (s SFTP) dial(ctx context.Context, to Destination) (*ssh.Client, error) {
	conn, err := to.dial(ctx, "22")
	if err != nil {
		return nil, err
	}
	supported := ssh.SupportedAlgorithms()
	var other *HostKeyError
	config := &ssh.ClientConfig{
		Config: ssh.Config{KeyExchanges: supported.KeyExchanges, Ciphers: supported.Ciphers, MACs: supported.MACs},
		User:   to.URL.User.Username(),
		Auth:   to.proofs(),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if found := ssh.FingerprintSHA256(key); found != to.HostKey {
				other = &HostKeyError{found}
				return other
			}
			return nil
		},
		HostKeyAlgorithms: supported.HostKeys,
	}
	late := time.AfterFunc(dialTime, func() { conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(quietConn{conn, cmp.Or(s.silence, Silence)}, to.URL.Host, config)
	late.Stop()
	switch {
	case other != nil:
		conn.Close()
		return nil, other
	case err != nil:
		conn.Close()
		return nil, Unreachable(err, "the login at %s failed", to.URL.Hostname())
	}
	return ssh.NewClient(c, channels, requests), nil
}

// proofs returns what the appliance logs in by.
func (to Destination) proofs() (proofs []ssh.AuthMethod) {
	if to.Secret != "" {
		proofs = append(proofs, ssh.Password(to.Secret),
			ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
				answers := make([]string, len(questions))
				for i := range answers {
					answers[i] = to.Secret
				}
				return answers, nil
			}))
	}
	if to.Key != nil {
		proofs = append(proofs, ssh.PublicKeys(to.Key))
	}
	return proofs
}

// Send implements Sender.
func (s SFTP) Send(ctx context.Context, to Destination, f File, sent Progress) error {
	connection, err := s.dial(ctx, to)
	if err != nil {
		return err
	}
	defer connection.Close()
	defer context.AfterFunc(ctx, func() { connection.Close() })()
	client, err := sftp.NewClient(connection, sftp.UseConcurrentWrites(true), sftp.MaxConcurrentRequestsPerFile(requests))
	if err != nil {
		return Unreachable(err, "the host %s offers no SFTP", to.URL.Hostname())
	}
	defer client.Close()

	// sftp://host/~/folder is below the user's own folder, as with curl.
	final := path.Join(strings.TrimPrefix(to.URL.Path, "/~/"), f.Place())
	hidden := path.Join(path.Dir(final), "."+path.Base(final)+".part")
	if done, err := copied(ctx, client, final, f); err != nil || done {
		if done {
			sent(f.Bytes)
		}
		return err
	}
	if f.Place() != path.Base(final) {
		if err := client.MkdirAll(path.Dir(final)); err != nil {
			return Failed(err, "the folder of the file cannot be made at the target")
		}
	}
	if err := write(ctx, client, hidden, to, f, sent); err != nil {
		return err
	}
	if err := note(client, final+".sha256", f); err != nil {
		return err
	}
	if err := client.PosixRename(hidden, final); err != nil {
		if err := client.Rename(hidden, final); err != nil { // a server without that extension
			return Failed(err, "the file cannot get its name at the target")
		}
	}
	return nil
}

// write sends what is missing of a file under its hidden name.
func write(ctx context.Context, client *sftp.Client, hidden string, there Destination, f File, sent Progress) error {
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
		return Failed(err, "a file cannot be made in the folder of the target")
	}
	defer to.Close()
	for sent(at); at < f.Bytes; sent(at) {
		if _, err := to.Seek(at, io.SeekStart); err != nil {
			return Failed(err, "the file cannot be written at the target")
		}
		next := there.Limited(&stoppable{ctx, io.NewSectionReader(f.Content, at, min(piece, f.Bytes-at))})
		n, err := to.ReadFromWithConcurrency(next, requests)
		if err != nil || n == 0 {
			return Failed(err, "the connection to the target broke off, or its disk is full")
		}
		at += n
	}
	if err := to.Close(); err != nil {
		return Failed(err, "the file cannot be finished at the target")
	}
	if info, err := client.Stat(hidden); err != nil || info.Size() != f.Bytes {
		return Failed(err, "the file at the target has not the length that was sent")
	}
	return nil
}

// copied reports whether the target has the file already: the sum of what is there is read back.
func copied(ctx context.Context, client *sftp.Client, final string, f File) (bool, error) {
	info, err := client.Stat(final)
	if err != nil || info.Size() != f.Bytes {
		return false, nil
	}
	there, err := client.Open(final)
	if err != nil {
		return false, nil
	}
	defer there.Close()
	sum, err := SumOf(ctx, there, f.Bytes)
	return err == nil && sum == f.Sum, ctx.Err()
}

// resumeAt returns up to where the target has the file, in whole pieces. What is there is read
// back, because the end of a broken copy can have holes. The two are read in turn, so that the
// connection is not idle while a large file is read here.
func resumeAt(ctx context.Context, client *sftp.Client, hidden string, f File) (at int64, err error) {
	info, err := client.Stat(hidden)
	if err != nil {
		return 0, nil
	}
	there, err := client.Open(hidden)
	if err != nil {
		return 0, nil
	}
	defer there.Close()
	for ; at+piece <= min(info.Size(), f.Bytes); at += piece {
		theirs, err := SumOf(ctx, io.NewSectionReader(there, at, piece), piece)
		if err != nil {
			return 0, ctx.Err()
		}
		ours, err := SumOf(ctx, io.NewSectionReader(f.Content, at, piece), piece)
		if err != nil {
			return 0, err
		}
		if theirs != ours {
			break
		}
	}
	return at, nil
}

func note(client *sftp.Client, name string, f File) error {
	w, err := client.Create(name)
	if err == nil {
		_, err = fmt.Fprintf(w, "%s  %s\n", f.Sum, path.Base(f.Place()))
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return Failed(err, "the checksum cannot be written at the target")
	}
	return nil
}
