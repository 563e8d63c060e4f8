package sending

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// A host is an SFTP server.
type host struct {
	line      *line
	url, key  string
	folder    string
	passwords atomic.Int64 // that were tried
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{folder: t.TempDir(), line: newLine(t)}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	h.key = ssh.FingerprintSHA256(signer.PublicKey())
	config := &ssh.ServerConfig{PasswordCallback: func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
		h.passwords.Add(1)
		if string(password) != secret {
			return nil, errors.New("wrong")
		}
		return nil, nil
	}}
	config.AddHostKey(signer)
	var served sync.WaitGroup
	t.Cleanup(func() { h.line.Close() })
	h.url = "sftp://somebody@" + h.line.Addr().String() + h.folder
	served.Go(func() {
		for {
			conn, err := h.line.Accept()
			if err != nil {
				return
			}
			served.Go(func() { serve(conn, config) })
		}
	})
	return h
}

func serve(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	c, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	defer c.Close()
	go ssh.DiscardRequests(requests)
	for n := range channels {
		channel, requests, err := n.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				r.Reply(r.Type == "subsystem", nil)
			}
		}()
		server, err := sftp.NewServer(channel)
		if err != nil {
			return
		}
		server.Serve()
		channel.Close()
	}
}

func (h *host) destination(t *testing.T) Destination {
	return Destination{URL: mustParse(t, h.url), HostKey: h.key, Secret: secret}
}

func (h *host) content(name string) []byte {
	content, _ := os.ReadFile(filepath.Join(h.folder, name))
	return content
}

func (h *host) put(name string, content []byte) {
	os.WriteFile(filepath.Join(h.folder, name), content, 0o600)
}

// spoil changes a byte of a file that is not whole.
func (h *host) spoil(name string, at int) {
	found, _ := filepath.Glob(filepath.Join(h.folder, "."+name+".*.part"))
	hidden := found[0]
	content, _ := os.ReadFile(hidden)
	content[at] ^= 1
	os.WriteFile(hidden, content, 0o600)
}

// A file has no name before it is whole, and a note of its sum then.
func TestSFTPHidesWhatIsNotWhole(t *testing.T) {
	h := newHost(t)
	f, _ := randomFile(3 * piece)
	names := func() (list []string) {
		entries, _ := os.ReadDir(h.folder)
		for _, e := range entries {
			list = append(list, e.Name())
		}
		return list
	}
	h.line.breakAfter(2 * piece)
	if err := (SFTP{Silence}).Send(t.Context(), h.destination(t), f, func(int64) {}); err == nil {
		t.Fatal("a copy that broke off succeeded")
	}
	if got := names(); !slices.Equal(got, []string{"." + f.Name + "." + f.Sum[:16] + ".part"}) {
		t.Errorf("while it is not whole there is %q", got)
	}
	h.line.breakAfter(0)
	if err := (SFTP{Silence}).Send(t.Context(), h.destination(t), f, func(int64) {}); err != nil {
		t.Fatal(err)
	}
	if got := names(); !slices.Equal(got, []string{f.Name, f.Name + ".sha256"}) {
		t.Errorf("in the end there is %q", got)
	}
	if note := h.content(f.Name + ".sha256"); string(note) != f.Sum+"  "+f.Name+"\n" {
		t.Errorf("the note is %q", note)
	}
}

func TestSFTPHostKey(t *testing.T) {
	h := newHost(t)
	if found, err := (SFTP{Silence}).HostKey(t.Context(), h.destination(t)); err != nil || found != h.key || h.passwords.Load() != 0 {
		t.Errorf("the key is %q, %v; %d passwords were tried", found, err, h.passwords.Load())
	}
}

func TestSFTPTellsWhatFailed(t *testing.T) {
	h := newHost(t)
	f, _ := randomFile(10)
	to := h.destination(t)
	to.Secret = "wrong"
	var known *Error
	if err := (SFTP{Silence}).Send(t.Context(), to, f, func(int64) {}); !errors.As(err, &known) || !strings.Contains(known.Text, "login") {
		t.Errorf("a wrong password: %v", err)
	}
}

// A byte that the host has otherwise than it was sent is found, and the file has no name then. What is
// read for that is told. The next try goes on before that byte.
func TestSFTPReadsBackWhatItSent(t *testing.T) {
	h := newHost(t)
	f, content := randomFile(3*piece + 10)
	to := h.destination(t)
	checked := int64(0)
	to.Checked = func(n int64) { checked = n }
	spoil := sync.OnceFunc(func() { h.spoil(f.Name, 2*piece+5) })
	var known *Error
	if err := (SFTP{Silence}).Send(t.Context(), to, f, func(n int64) {
		if n == f.Bytes {
			spoil()
		}
	}); !errors.As(err, &known) || !strings.Contains(known.Text, "is not the one that was sent") || checked != f.Bytes {
		t.Errorf("a wrong byte, of which %d bytes were read back: %v", checked, err)
	}
	if h.content(f.Name) != nil || h.content(f.Name+".sha256") != nil {
		t.Error("a file with a wrong byte has its name")
	}
	first := int64(-1)
	if err := (SFTP{Silence}).Send(t.Context(), to, f, func(n int64) {
		if first < 0 {
			first = n
		}
	}); err != nil || first != 2*piece || !bytes.Equal(h.content(f.Name), content) {
		t.Errorf("the next try went on at %d: %v", first, err)
	}
}

// Two files that are on their way to one place do not mix: the one that is read back first has the name, whole,
// and its note. It is so too if both are the same file, and one try of it breaks off.
func TestSFTPKeepsFilesApartThatHaveOnePlace(t *testing.T) {
	for _, same := range []bool{false, true} {
		h := newHost(t)
		first, content := randomFile(1000)
		second := first
		if !same {
			second, _ = randomFile(1000)
		}
		to := h.destination(t)
		disturb := sync.OnceFunc(func() {
			ctx, stop := context.WithCancel(t.Context())
			(SFTP{Silence}).Send(ctx, h.destination(t), second, func(int64) { stop() }) // its file is open
		})
		to.Checked = func(n int64) {
			if n == first.Bytes {
				disturb()
			}
		}
		if err := (SFTP{Silence}).Send(t.Context(), to, first, func(int64) {}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(h.content(first.Name), content) {
			t.Errorf("the same file %v: the copy is done, and the host has %d bytes of the name", same, len(h.content(first.Name)))
		}
		if err := (SFTP{Silence}).Send(t.Context(), h.destination(t), second, func(int64) {}); (err == nil) != same {
			t.Errorf("the same file %v: the second copy: %v", same, err)
		}
		if note := string(h.content(first.Name + ".sha256")); note != first.Sum+"  "+first.Name+"\n" {
			t.Errorf("the same file %v: the note is %q", same, note)
		}
	}
}

// An earlier copy is replaced only while it is there: what took its place since stays.
func TestSFTPReplacesOnlyWhatItFound(t *testing.T) {
	h := newHost(t)
	f, content := randomFile(1000)
	h.put(f.Name, content[:24])
	to, reads := h.destination(t), 0
	to.Checked = func(n int64) {
		if reads++; n == f.Bytes {
			h.put(f.Name, []byte("another file that begins otherwise"))
		}
	}
	var known *Error
	if err := (SFTP{Silence}).Send(t.Context(), to, f, func(int64) {}); !errors.As(err, &known) || !strings.Contains(known.Text, "another file") || reads < 2 {
		t.Errorf("after %d reads: %v", reads, err)
	}
	if got := h.content(f.Name); string(got) != "another file that begins otherwise" || h.content(f.Name+".sha256") != nil {
		t.Errorf("the host has %d bytes, and the note %q", len(got), h.content(f.Name+".sha256"))
	}
}

// What has the name of the note and is none of a file of this name stays.
func TestSFTPReplacesNoOtherNote(t *testing.T) {
	for there, want := range map[string]bool{"": true, "mine": false, strings.Repeat("a", 64) + "  other\n": false,
		strings.Repeat("a", 64) + "  mx1-a-20260301-101500.pcap\n": true} {
		h := newHost(t)
		f, _ := randomFile(10)
		h.put(f.Name+".sha256", []byte(there))
		err := (SFTP{Silence}).Send(t.Context(), h.destination(t), f, func(int64) {})
		if (err == nil) != want || !want && string(h.content(f.Name+".sha256")) != there {
			t.Errorf("where the note was %q: %v, and it is %q", there, err, h.content(f.Name+".sha256"))
		}
	}
}
