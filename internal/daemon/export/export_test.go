package export

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// A host is an SFTP server whose connections break after so many bytes.
type host struct {
	url, key  string
	folder    string
	breaks    atomic.Int64 // bytes to come until the connection breaks; 0: it does not
	taken     atomic.Int64 // bytes that have come
	passwords atomic.Int64 // that were tried
}

const secret = "correct horse"

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{folder: t.TempDir()}
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
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	t.Cleanup(func() { listener.Close(); served.Wait() })
	h.url = "sftp://somebody@" + listener.Addr().String() + h.folder
	served.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			served.Go(func() { serve(&breaking{conn, h}, config) })
		}
	})
	return h
}

// breaking is a connection over a bad line.
type breaking struct {
	net.Conn
	host *host
}

func (b *breaking) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	taken := b.host.taken.Add(int64(n))
	if limit := b.host.breaks.Load(); limit > 0 && taken > limit {
		b.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
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

func randomFile(size int) (File, []byte) {
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	sum := sha256.Sum256(content)
	return File{Name: "mx1-a-20260301-101500.pcap", Content: bytes.NewReader(content), Bytes: int64(size), SHA256: hex.EncodeToString(sum[:])}, content
}

func (h *host) check(t *testing.T, f File, content []byte) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(h.folder, f.Name))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("the target has %d bytes, and not the %d that were sent: %v", len(got), len(content), err)
	}
	if note, _ := os.ReadFile(filepath.Join(h.folder, f.Name+".sha256")); string(note) != f.SHA256+"  "+f.Name+"\n" {
		t.Errorf("the note is %q", note)
	}
	if entries, _ := os.ReadDir(h.folder); len(entries) != 2 {
		t.Errorf("the folder has %v", entries)
	}
}

func TestCopyGoesOnWhereItBroke(t *testing.T) {
	h := newHost(t)
	f, content := randomFile(5*piece + 12345)
	target := Target{URL: h.url, HostKey: h.key, Secret: secret}
	h.breaks.Store(3*piece + piece/2)
	var safe int64
	err := target.Copy(t.Context(), f, func(n int64) { safe = n })
	var known *Error
	if !errors.As(err, &known) || safe < 2*piece || safe > 3*piece {
		t.Fatalf("%d bytes are safe; %v", safe, err)
	}
	if _, err := os.Stat(filepath.Join(h.folder, f.Name)); err == nil {
		t.Error("half a file has the file's name")
	}
	h.breaks.Store(0)
	h.taken.Store(0)
	if err := target.Copy(t.Context(), f, func(n int64) { safe = n }); err != nil {
		t.Fatal(err)
	}
	if taken := h.taken.Load(); safe != f.Bytes || taken > f.Bytes-2*piece+1<<20 {
		t.Errorf("%d bytes were sent again of %d; %d are safe", taken, f.Bytes, safe)
	}
	h.check(t, f, content)

	h.taken.Store(0)
	if err := target.Copy(t.Context(), f, func(int64) {}); err != nil || h.taken.Load() > 1<<20 {
		t.Errorf("what is there was sent again: %d bytes, %v", h.taken.Load(), err)
	}
}

// What a broken copy left may have holes.
func TestCopyDoesNotBelieveWhatIsThere(t *testing.T) {
	h := newHost(t)
	f, content := randomFile(2*piece + 1)
	wrong := bytes.Clone(content)
	wrong[piece/2] ^= 1
	if err := os.WriteFile(filepath.Join(h.folder, "."+f.Name+".part"), wrong, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (Target{URL: h.url, HostKey: h.key, Secret: secret}).Copy(t.Context(), f, func(int64) {}); err != nil {
		t.Fatal(err)
	}
	h.check(t, f, content)
}

func TestCopyGivesNothingToAStranger(t *testing.T) {
	h := newHost(t)
	f, _ := randomFile(10)
	var key *HostKeyError
	err := (Target{URL: h.url, HostKey: "SHA256:" + strings.Repeat("A", 43), Secret: secret}).Copy(t.Context(), f, func(int64) {})
	if !errors.As(err, &key) || key.HostKey != h.key || h.passwords.Load() != 0 {
		t.Errorf("%v; %d passwords were tried", err, h.passwords.Load())
	}
	if found, err := HostKeyOf(t.Context(), h.url); err != nil || found != h.key {
		t.Errorf("the key is %q, %v", found, err)
	}
	var known *Error
	if err := (Target{URL: h.url, HostKey: h.key, Secret: "wrong"}).Copy(t.Context(), f, func(int64) {}); !errors.As(err, &known) || !strings.Contains(known.Text, "login") {
		t.Errorf("a wrong password: %v", err)
	}
}

// A store is an HTTPS server that keeps what is put.
type store struct {
	mu      sync.Mutex
	files   map[string][]byte
	digest  bool // tells sums
	silent  bool // gives nothing back
	partial bool // knows Content-Range
	breaks  int  // the next PUT breaks after so many bytes, which are kept
	spoils  bool // the next PUT that is taken leaves another byte
	old     bool // knows no Expect
	digests []string
	ranges  []string
	read    int // bytes that were read back
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+secret {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	content, there := s.files[r.URL.Path]
	if r.Method != http.MethodPut {
		if !there {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if s.digest && r.Header.Get("Want-Repr-Digest") != "" {
			sum := sha256.Sum256(content)
			w.Header().Set("Repr-Digest", "md5=:AAAA:, sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
		}
		if r.Method == http.MethodGet && s.silent {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		if r.Method == http.MethodGet {
			n, _ := w.Write(content)
			s.read += n
		}
		return
	}
	if s.old && r.Header.Get("Expect") != "" {
		w.WriteHeader(http.StatusExpectationFailed)
		return
	}
	s.ranges = append(s.ranges, r.Header.Get("Content-Range"))
	s.digests = append(s.digests, r.Header.Get("Repr-Digest"))
	if n := s.breaks; n > 0 {
		s.breaks = 0
		s.files[r.URL.Path], _ = io.ReadAll(io.LimitReader(r.Body, int64(n)))
		panic(http.ErrAbortHandler)
	}
	begin := []byte(nil)
	if rang := r.Header.Get("Content-Range"); rang != "" {
		if !s.partial {
			w.WriteHeader(http.StatusBadRequest) // RFC 9110, section 14.5
			return
		}
		begin = content
	}
	rest, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	whole := append(begin, rest...)
	if s.spoils {
		s.spoils = false
		whole[len(whole)-1] ^= 1
	}
	s.files[r.URL.Path] = whole
	w.WriteHeader(http.StatusCreated)
}

// A server that refuses the rest of a file, and closes the connection before it has it, is understood: the file is sent anew. One that knows
// no Expect gets it too.
func TestPutThatIsRefused(t *testing.T) {
	for _, old := range []bool{false, true} {
		s := &store{digest: true, old: old, partial: old}
		server := httptest.NewTLSServer(s)
		t.Cleanup(server.Close)
		f, content := randomFile(5_000_000)
		at := "/captures/" + f.Name
		target := Target{URL: server.URL + "/captures", HostKey: Fingerprint(server.Certificate().Raw), Secret: secret}
		for range 20 {
			s.mu.Lock()
			s.files = map[string][]byte{at: content[:300_000]}
			s.mu.Unlock()
			if err := target.Copy(t.Context(), f, func(int64) {}); err != nil {
				t.Fatal(err)
			}
			s.mu.Lock()
			if !bytes.Equal(s.files[at], content) {
				t.Errorf("the server has %d bytes, which are not those that were sent", len(s.files[at]))
			}
			s.mu.Unlock()
		}
	}
}

// A copy over HTTPS goes on where it broke off, if the server is proven to have the beginning; and what counts as copied is the file,
// whatever the server did.
func TestPut(t *testing.T) {
	const half = "bytes 300000-999999/1000000"
	for name, c := range map[string]struct {
		store  *store
		before func(content []byte) []byte // what is there of a copy before; nil: it breaks here
		ranges []string                    // of the requests, the one that breaks first
		read   int
		fails  bool // the copy after the one that broke, of which the next makes it good
	}{
		"goes on by the server's sum":       {store: &store{partial: true, digest: true, silent: true}, ranges: []string{"", half}},
		"goes on by what is read back":      {store: &store{partial: true}, ranges: []string{"", half}, read: 1_300_000},
		"from zero when nothing is told":    {store: &store{partial: true, silent: true}, ranges: []string{"", ""}},
		"from zero without partial PUT":     {store: &store{digest: true}, ranges: []string{"", half, ""}},
		"from zero when the rest is spoilt": {store: &store{partial: true, digest: true, spoils: true}, ranges: []string{"", half, ""}},
		"spoilt unseen but read back":       {store: &store{partial: true, spoils: true}, ranges: []string{"", half, ""}, read: 1_300_000},
		"from zero when the beginning is not the file's": {store: &store{partial: true, digest: true}, ranges: []string{""},
			before: func(content []byte) []byte { return append([]byte("x"), content[1:300_000]...) }},
		"from zero when it is another file of its length": {store: &store{partial: true}, ranges: []string{""}, read: 1_000_000,
			before: func(content []byte) []byte { return append([]byte("x"), content[1:]...) }},
		"from zero when it is longer": {store: &store{partial: true, digest: true}, ranges: []string{""},
			before: func(content []byte) []byte { return append(bytes.Clone(content), 'x') }},
		"nothing when it is there": {store: &store{digest: true}, before: bytes.Clone},
		"again when the whole is spoilt": {store: &store{digest: true, spoils: true}, ranges: []string{"", ""}, fails: true,
			before: func([]byte) []byte { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.store
			s.files = map[string][]byte{}
			server := httptest.NewTLSServer(s)
			t.Cleanup(server.Close)
			f, content := randomFile(1_000_000)
			at := "/captures/" + f.Name
			target := Target{URL: server.URL + "/captures", HostKey: Fingerprint(server.Certificate().Raw), Secret: secret}
			if c.before != nil {
				s.files[at] = c.before(content)
			} else {
				s.breaks = 300_000
				if err := target.Copy(t.Context(), f, func(int64) {}); err == nil {
					t.Fatal("a copy that broke off succeeded")
				}
			}
			safe := int64(0)
			err := target.Copy(t.Context(), f, func(n int64) { safe = n })
			if c.fails {
				if err == nil {
					t.Fatal("a spoilt file counts as copied")
				}
				err = target.Copy(t.Context(), f, func(n int64) { safe = n })
			}
			if err != nil || safe != f.Bytes {
				t.Fatalf("%d bytes, %v", safe, err)
			}
			server.Close() // when it has counted what it sent
			if !bytes.Equal(s.files[at], content) {
				t.Errorf("the server has %d bytes, which are not those that were sent", len(s.files[at]))
			}
			if !slices.Equal(s.ranges, c.ranges) || s.read != c.read {
				t.Errorf("ranges %q, want %q; %d bytes were read back, want %d", s.ranges, c.ranges, s.read, c.read)
			}
			for _, d := range s.digests {
				if !strings.HasPrefix(d, "sha-256=:") {
					t.Errorf("digests %q", s.digests)
				}
			}
		})
	}
}

func TestPutTrustsThePinnedCertificateAlone(t *testing.T) {
	s := &store{files: map[string][]byte{}}
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	f, _ := randomFile(10)
	target := Target{URL: server.URL, Secret: secret, HostKey: "SHA256:" + strings.Repeat("A", 43)}
	var key *HostKeyError
	if err := target.Copy(t.Context(), f, func(int64) {}); !errors.As(err, &key) || !Unreachable(err) {
		t.Errorf("another certificate: %v", err)
	}
	target.HostKey = "" // of no authority that this machine trusts
	if err := target.Copy(t.Context(), f, func(int64) {}); err == nil || !Unreachable(err) {
		t.Errorf("a certificate of nobody was trusted: %v", err)
	}
	target.HostKey, target.Secret = Fingerprint(server.Certificate().Raw), "wrong"
	if err := target.Copy(t.Context(), f, func(int64) {}); err == nil || !Unreachable(err) {
		t.Errorf("a wrong token: %v", err)
	}
	if len(s.files) > 0 {
		t.Error("something was sent")
	}
}

// A host may have a name in the letters of any language: what is connected to is what the DNS has.
func TestHostsOfOtherLanguages(t *testing.T) {
	for text, want := range map[string]string{
		"sftp://backup@münchen.example/folder":             "xn--mnchen-3ya.example:22",
		"sftp://backup@m%C3%BCnchen.example:2222/~/folder": "xn--mnchen-3ya.example:2222",
		"sftp://backup@[2001:db8::1]/folder":               "[2001:db8::1]:22",
	} {
		u, err := CheckURL(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := address(u, "22"); got != want {
			t.Errorf("%s connects to %s, not to %s", text, got, want)
		}
	}
	if _, err := CheckURL("sftp://backup@aא.example/"); err == nil {
		t.Error("a part in two directions of writing is a host")
	}
}

func TestCheckURL(t *testing.T) {
	for _, wrong := range []string{"", "x", "ftp://a/b", "http://a/b", "sftp://host/folder", "sftp://user:secret@host/folder", "https://u:p@host/x", "https:///x", "sftp://a@/b", "https://h/x#y", "https://h/x?sig=y", "https://h\x00/"} {
		if _, err := CheckURL(wrong); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
	for _, right := range []string{"sftp://user@host/folder", "sftp://user@[2001:db8::1]:2222/", "https://host/folder", "https://user@host:8443/a/b"} {
		if _, err := CheckURL(right); err != nil {
			t.Errorf("%q: %v", right, err)
		}
	}
}
