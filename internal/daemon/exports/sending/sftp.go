package sending

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/url"
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

	// reading is how much is read back at a time, for the same reason in many requests.
	reading = 1 << 20
)

// SFTP copies by SFTP. A file has a hidden name at the target until all of it is there, and was read
// back. It gets its name only if no other file has it. Beside it goes NAME.sha256, in the form of
// sha256sum(1).
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

// hiddenName returns the name that a file has until it is whole. It has the beginning of its sum: another
// file that is on its way to the same place, of another appliance too, has another name.
func hiddenName(name, sum string) string { return "." + name + "." + sum[:min(16, len(sum))] + ".part" }

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
	t := &sftpCopy{Client: client, to: to, f: f, final: final, hidden: path.Join(path.Dir(final), hiddenName(path.Base(final), f.Sum))}
	return t.copy(ctx, sent)
}
