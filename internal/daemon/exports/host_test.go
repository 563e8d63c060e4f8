package exports

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/daemon/exports/sending"
)

const secret = "correct horse"

// A webHost is an HTTPS server that keeps what is put, for who knows the secret.
type webHost struct {
	mu    sync.Mutex
	files map[string][]byte
}

// listen begins to serve handler, and returns a folder of the host as a destination.
func (s *webHost) listen(t *testing.T, handler http.Handler) sending.Destination {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL + "/captures")
	if err != nil {
		t.Fatal(err)
	}
	return sending.Destination{URL: u, HostKey: sending.Fingerprint(server.Certificate().Raw), Secret: secret}
}

func (s *webHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+secret {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	content, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch there, is := s.files[r.URL.Path]; {
	case r.Method == http.MethodPut && err == nil:
		s.files[r.URL.Path] = content
		w.WriteHeader(http.StatusCreated)
	case !is:
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Write(there)
	}
}

// newSSHHost returns the URL of an SSH server that lets nobody in, and the fingerprint of its key.
// It fails the test if a password is tried.
func newSSHHost(t *testing.T) (target, fingerprint string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) {
		t.Error("a password was tried")
		return nil, io.EOF
	}}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			ssh.NewServerConn(conn, config)
			conn.Close()
		}
	})
	t.Cleanup(func() {
		listener.Close()
		served.Wait()
	})
	return "sftp://somebody@" + listener.Addr().String() + "/", ssh.FingerprintSHA256(signer.PublicKey())
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, _, err := parseURL(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func sumOfText(t *testing.T, text string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
