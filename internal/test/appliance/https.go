package appliance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"strings"
)

var pageSaid = regexp.MustCompile(`https://\S+/`)
var fingerprintSaid = regexp.MustCompile(`fingerprint is SHA256 (\S+)`)

// URL is the address of the appliance's page, without a slash at its end.
func (a *Appliance) URL() string {
	a.t.Helper()
	address := pageSaid.FindString(a.Said)
	if address == "" {
		a.t.Fatalf("the appliance did not say where its page is: %q", a.Said)
	}
	return strings.TrimSuffix(address, "/")
}

// Outside is the URL of the page for a browser that runs where the test does, which may not be where
// the appliance is.
func (a *Appliance) Outside() string {
	a.t.Helper()
	if a.options.Network == nil {
		return a.URL()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { l.Close() })
	a.URL() // or there is none
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go a.forward(c)
		}
	}()
	return "https://" + l.Addr().String()
}

// forward joins a connection with one to the page where the appliance runs, on the port that it has
// since its last start.
func (a *Appliance) forward(c net.Conn) {
	defer c.Close()
	a.mu.Lock()
	address := strings.Trim(strings.TrimPrefix(pageSaid.FindString(a.Said), "https:"), "/")
	a.outside = append(a.outside, c)
	a.mu.Unlock()
	to, err := a.dialContext(context.Background(), "tcp", address)
	if err != nil {
		return // it has ended
	}
	go func() { defer to.Close(); io.Copy(to, c) }()
	io.Copy(c, to)
}

// Cut ends the connections from outside, as a network that fails for a moment does.
func (a *Appliance) Cut() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.outside {
		c.Close()
	}
	a.outside = nil
}

// Fingerprint is the SHA-256 of the certificate that the appliance said it has, as in AB:CD.
func (a *Appliance) Fingerprint() string {
	a.t.Helper()
	m := fingerprintSaid.FindStringSubmatch(a.Said)
	if m == nil {
		a.t.Fatalf("the appliance did not say its fingerprint: %q", a.Said)
	}
	return m[1]
}

// A Web is a browser without a page, or a program: what speaks HTTPS to the appliance.
type Web struct {
	a      *Appliance
	Client *http.Client
	// Header is added to each request.
	Header http.Header
}

// An Answer is what came for a request.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// HTTPS is a client that has not logged in, with a memory for cookies.
func (a *Appliance) HTTPS() *Web {
	a.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		a.t.Fatal(err)
	}
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: a.TLS(), DialContext: a.dialContext}
	a.t.Cleanup(transport.CloseIdleConnections)
	return &Web{a: a, Client: &http.Client{Transport: transport, Jar: jar}, Header: http.Header{}}
}

// dialContext connects from where the appliance runs.
func (a *Appliance) dialContext(ctx context.Context, network, address string) (c net.Conn, err error) {
	var d net.Dialer
	a.enter(func() { c, err = d.DialContext(ctx, network, address) })
	return c, err
}

// DialFrom connects from where the appliance runs, with a dialer of the caller's.
func (a *Appliance) DialFrom(ctx context.Context, d net.Dialer, network, address string) (c net.Conn, err error) {
	a.enter(func() { c, err = d.DialContext(ctx, network, address) })
	return c, err
}

// TLS is how a client recognises the appliance: by the fingerprint that it said.
func (a *Appliance) TLS() *tls.Config {
	want := a.Fingerprint()
	return &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || fingerprintOf(s.PeerCertificates[0].Raw) != want {
				return errors.New("this is not the certificate that the appliance said it has")
			}
			return nil
		},
	}
}

func fingerprintOf(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return strings.ReplaceAll(strings.ToUpper(fmt.Sprintf("% x", sum[:])), " ", ":")
}

// Web is a client that a user has logged in to by password.
func (a *Appliance) Web(user string) *Web {
	a.t.Helper()
	w := a.HTTPS()
	if r := w.Login(user, Password(user)); r.Status != http.StatusOK {
		a.t.Fatalf("log in as %s: %d %s", user, r.Status, r.Body)
	}
	return w
}

// Login logs in by password.
func (w *Web) Login(user, password string) Answer {
	w.a.t.Helper()
	return w.Do("POST", "/v1/login", map[string]string{"user": user, "password": password})
}

// Do sends a request with a body of JSON, or none if body is nil, and reads the whole answer.
func (w *Web) Do(method, path string, body any) Answer {
	w.a.t.Helper()
	r, err := w.Open(context.Background(), method, path, body)
	if err != nil {
		w.a.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		w.a.t.Fatalf("%s %s: %v", method, path, err)
	}
	return Answer{r.StatusCode, r.Header, text}
}

// Get reads a resource.
func (w *Web) Get(path string) Answer {
	w.a.t.Helper()
	return w.Do("GET", path, nil)
}

// Run runs a command: its path in words, and its arguments.
func (w *Web) Run(path string, arguments any) Answer {
	w.a.t.Helper()
	if arguments == nil {
		arguments = struct{}{}
	}
	return w.Do("POST", "/v1/run/"+strings.ReplaceAll(path, " ", "/"), arguments)
}

// Open sends a request and returns the answer as it begins, whose body the caller reads and closes.
func (w *Web) Open(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	q, err := http.NewRequestWithContext(ctx, method, w.a.URL()+path, content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	for name, values := range w.Header {
		q.Header[name] = values
	}
	return w.Client.Do(q)
}

// JSON reads the body into v.
func (r Answer) JSON(v any) error { return json.Unmarshal(r.Body, v) }
