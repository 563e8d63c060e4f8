package https

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newCertificate makes a certificate that signs itself.
func newCertificate(t testing.TB, name string) ([][]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)
	return [][]byte{der}, key
}

// A fakeAppliance has users whose password is "right" and tokens that begin with "good", and what a
// session asks is answered by its boundary.
type fakeAppliance struct {
	boundary http.Handler

	mu         sync.Mutex
	chain      [][]byte
	key        *ecdsa.PrivateKey
	fromCA     bool
	challenged string // the name that a CA was asked for
	provider   string // of logins; empty: it does not answer
	asked      int    // for certificates with their chain
	logins     []access.Credentials
	kinds      []string
	open       map[string]net.Conn // the appliance's ends of sessions, by login
	closed     chan string         // logins that ended
	waiting    chan struct{}       // a login of the user "slow" or by the token waits
	gaveUp     chan struct{}       // and does not any more
}

func (a *fakeAppliance) Banner(context.Context) (string, error) {
	return "authorised\x1b[2J people\n", nil
}

func (a *fakeAppliance) SignInWays(context.Context) ([]access.SignInWay, error) {
	return []access.SignInWay{{Kind: access.OIDC, Name: "Staff", Address: "/v1/login/oidc"}}, nil
}

func (a *fakeAppliance) BeginSignIn(_ context.Context, source string) (access.Redirect, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.provider == "" {
		return access.Redirect{}, menu.Errorf(menu.State, "The provider of logins does not answer")
	}
	return access.Redirect{URL: a.provider + "?for=" + source, Binding: "bound"}, nil
}

func (a *fakeAppliance) Certificate(_ context.Context, known []byte) ([][]byte, bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	sum := sha256.Sum256(bytes.Join(a.chain, nil))
	if bytes.Equal(known, sum[:]) {
		return nil, false, nil
	}
	a.asked++
	return a.chain, a.fromCA, nil
}

func (a *fakeAppliance) Challenge(_ context.Context, name string) ([][]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if name != a.challenged {
		return nil, menu.Errorf(menu.State, "No CA was asked for a certificate for this name")
	}
	return a.chain, nil
}

func (a *fakeAppliance) SignHandshake(_ context.Context, leaf []byte, scheme uint16, message []byte) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if own := sha256.Sum256(a.chain[0]); !bytes.Equal(leaf, own[:]) {
		return nil, menu.Errorf(menu.State, "The certificate has changed meanwhile")
	}
	var digest []byte
	var opts crypto.SignerOpts
	switch tls.SignatureScheme(scheme) {
	case tls.ECDSAWithP256AndSHA256:
		sum := sha256.Sum256(message)
		digest, opts = sum[:], crypto.SHA256
	case tls.ECDSAWithP384AndSHA384:
		sum := sha512.Sum384(message)
		digest, opts = sum[:], crypto.SHA384
	}
	return a.key.Sign(rand.Reader, digest, opts)
}

func (a *fakeAppliance) Client(ctx context.Context) (Client, error) {
	c := &fakeClient{a: a, ended: make(chan struct{})}
	context.AfterFunc(ctx, func() { c.Close() })
	return c, nil
}

type fakeClient struct {
	a     *fakeAppliance
	login string
	once  sync.Once
	ended chan struct{}
}

func (c *fakeClient) Login(o access.Credentials) (access.Login, error) {
	c.a.mu.Lock()
	defer c.a.mu.Unlock()
	c.a.logins = append(c.a.logins, o)
	user := o.User
	switch {
	case user == "slow", o.Token == "slow":
		c.a.mu.Unlock()
		close(c.a.waiting)
		<-c.ended
		close(c.a.gaveUp)
		c.a.mu.Lock()
		return access.Login{}, menu.Errorf(menu.Interrupted, "It was interrupted")
	case user == "locked":
		return access.Login{}, menu.Errorf(menu.State, "Too many failed").WithHint("Try again later")
	case strings.HasPrefix(string(o.Token), "good"):
		user = "program"
	case o.Callback != nil:
		var err error
		if user, err = c.callback(*o.Callback); err != nil {
			return access.Login{}, err
		}
	case o.Password != "right":
		return access.Login{}, menu.Errorf(menu.Denied, "User name or password is wrong")
	}
	c.login = user + rand.Text()
	return access.Login{ID: c.login, Caller: menu.Caller{User: user}, Method: "password", LongestWeb: 3600}, nil
}

func (c *fakeClient) Grant(client string) (access.Pass, error) {
	return access.Pass{Text: menu.Secret("good.pass." + client), Client: client, Expires: time.Now().Add(time.Hour)}, nil
}

func (c *fakeClient) Close() error {
	c.once.Do(func() {
		close(c.ended)
		if c.login != "" {
			c.a.endLogin(c.login)
			c.a.closed <- c.login
		}
	})
	return nil
}

// endLogin ends the session of a login from the side of the appliance.
func (a *fakeAppliance) endLogin(login string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.open[login]; c != nil {
		c.Close()
	}
}

// endAll is what the appliance does when it ends all sessions.
func (a *fakeAppliance) endAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.open {
		c.Close()
	}
}

func (a *fakeAppliance) Attach(_ context.Context, login, kind string) (*os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	end := os.NewFile(uintptr(fds[0]), "ours")
	defer end.Close()
	ours, err := net.FileConn(end)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.open[login] = ours
	a.kinds = append(a.kinds, kind)
	a.mu.Unlock()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: a.boundary, Protocols: protocols, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 96}}
	go server.Serve(&oneConn{conn: ours, done: make(chan struct{})})
	return os.NewFile(uintptr(fds[1]), "theirs"), nil
}

// oneConn is a listener of one connection.
type oneConn struct {
	conn net.Conn
	once sync.Once
	done chan struct{}
}

func (l *oneConn) Accept() (c net.Conn, err error) {
	l.once.Do(func() { c = l.conn })
	if c == nil {
		<-l.done
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{} }

// echo is a boundary that tells what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/v1/session":
		json.NewEncoder(w).Encode(access.Greeting{Caller: menu.Caller{User: "op", Role: menu.Operator}, Idle: 1800})
		return
	case "/v1/stream":
		for {
			if _, err := w.Write(make([]byte, 16<<10)); err != nil || r.Context().Err() != nil {
				return
			}
			http.NewResponseController(w).Flush()
		}
	case "/v1/wait":
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	case "/v1/break":
		panic(http.ErrAbortHandler)
	}
	body, _ := io.ReadAll(r.Body)
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src *")
	header.Set("Set-Cookie", "evil=1")
	header.Set("Cache-Control", "public")
	header.Set("ETag", `"kept"`)
	json.NewEncoder(w).Encode(map[string]any{"method": r.Method, "path": r.URL.Path, "query": r.URL.RawQuery,
		"header": r.Header, "body": string(body)})
}

// A rig is a server around a fake appliance.
type rig struct {
	testing.TB
	appliance *fakeAppliance
	server    *Server
	address   string
	stop      func() // ends the server
}

func newRig(t testing.TB) *rig {
	t.Helper()
	a := &fakeAppliance{boundary: http.HandlerFunc(echo), open: map[string]net.Conn{}, closed: make(chan string, 1000),
		waiting: make(chan struct{}), gaveUp: make(chan struct{})}
	a.chain, a.key = newCertificate(t, "first")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	page := fstest.MapFS{
		"index.html": {Data: []byte("<!doctype html>" + strings.Repeat("<p>page</p>", 100))},
		"app.js":     {Data: []byte("1")},
		"v/lib.css":  {Data: []byte("p{}")},
	}
	s, err := New(Options{Listener: l, Appliance: a, Page: page, Probes: []string{"ping", "diagnostic network smtpping"},
		Azure: azureSettings, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	check(t, err)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	end := sync.OnceFunc(func() {
		stop()
		select {
		case err := <-served:
			check(t, err)
		case <-time.After(await.Patience):
			t.Error("the server does not end")
		}
	})
	t.Cleanup(end)
	return &rig{t, a, s, l.Addr().String(), end}
}

// client returns a client with a memory for cookies.
func (r *rig) client() *http.Client {
	jar, err := cookiejar.New(nil)
	check(r, err)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	r.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Jar: jar}
}

// An answer is what came for a request.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request; header is pairs of name and value.
func (r *rig) ask(c *http.Client, method, path, body string, header ...string) answer {
	r.Helper()
	q, err := http.NewRequest(method, "https://"+r.address+path, strings.NewReader(body))
	check(r, err)
	if body == "" {
		q.Body, q.GetBody, q.ContentLength = nil, nil, 0
	} else {
		q.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			q.Host = header[i+1]
		}
	}
	a, err := c.Do(q)
	check(r, err)
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	check(r, err)
	return answer{a.StatusCode, a.Header, string(text)}
}

// login logs op in.
func (r *rig) login() *http.Client {
	r.Helper()
	c := r.client()
	if a := r.ask(c, "POST", "/v1/login", `{"user":"op","password":"right"}`); a.status != 200 {
		r.Fatalf("the login: %+v", a)
	}
	return c
}
