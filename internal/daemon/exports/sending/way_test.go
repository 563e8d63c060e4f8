package sending

import (
	"bufio"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// newProxy listens and has talk bring each connection to where its client wants to go.
func newProxy(t *testing.T, talk func(c net.Conn, in *bufio.Reader) (to string, ok bool)) *url.URL {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				to, ok := talk(c, in)
				if !ok {
					return
				}
				there, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer there.Close()
				go func() {
					io.Copy(c, there)
					c.Close()
				}()
				io.Copy(there, in)
			}()
		}
	}()
	return &url.URL{Host: listener.Addr().String()}
}

// newHTTPProxy is a proxy by CONNECT, for who knows the secret.
func newHTTPProxy(t *testing.T, ways *atomic.Int64) *url.URL {
	t.Helper()
	u := newProxy(t, func(c net.Conn, in *bufio.Reader) (string, bool) {
		r, err := http.ReadRequest(in)
		if err != nil || r.Method != http.MethodConnect {
			return "", false
		}
		if r.Header.Get("Proxy-Authorization") != "Basic bWU6Y29ycmVjdCBob3JzZQ==" { // me:correct horse
			io.WriteString(c, "HTTP/1.1 407 evil\r\nContent-Length: 0\r\n\r\n")
			return "", false
		}
		ways.Add(1)
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		return r.Host, true
	})
	u.Scheme, u.User = "http", url.UserPassword("me", secret)
	return u
}

// newSOCKS is a proxy by SOCKS5 (RFC 1928) without a login.
func newSOCKS(t *testing.T, ways *atomic.Int64) *url.URL {
	t.Helper()
	u := newProxy(t, func(c net.Conn, in *bufio.Reader) (string, bool) {
		begin := make([]byte, 3)
		io.ReadFull(in, begin)
		c.Write([]byte{5, 0})
		request := make([]byte, 10) // of an address of IPv4
		if _, err := io.ReadFull(in, request); err != nil || request[3] != 1 {
			return "", false
		}
		ways.Add(1)
		c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		return (&net.TCPAddr{IP: request[4:8], Port: int(request[8])<<8 | int(request[9])}).String(), true
	})
	u.Scheme = "socks5"
	return u
}

func TestProxies(t *testing.T) {
	for scheme, newBed := range beds {
		for kind, newProxy := range map[string]func(*testing.T, *atomic.Int64) *url.URL{"http": newHTTPProxy, "socks5": newSOCKS} {
			t.Run(scheme+" by "+kind, func(t *testing.T) {
				t.Parallel()
				b := newBed(t)
				var ways atomic.Int64
				b.to.Proxy = newProxy(t, &ways)
				if err := CheckProxy(b.to.Proxy); err != nil {
					t.Fatal(err)
				}
				f, content := randomFile(2*piece + 5)
				if err := b.sender.Send(t.Context(), b.to, f, func(int64) {}); err != nil {
					t.Fatal(err)
				}
				b.check(t, f, content)
				if ways.Load() == 0 {
					t.Error("it went straight to the host")
				}
			})
		}
	}
}

// A proxy that refuses, or is not there, is named as what it is, and nothing goes past it.
func TestProxiesThatAreNone(t *testing.T) {
	for scheme, newBed := range beds {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			var ways atomic.Int64
			refuses := newHTTPProxy(t, &ways)
			refuses.User = nil
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			listener.Close()
			f, _ := randomFile(10)
			for _, u := range []*url.URL{refuses, {Scheme: "http", Host: listener.Addr().String()}, {Scheme: "socks5", Host: listener.Addr().String()}} {
				b.to.Proxy = u
				err := b.sender.Send(t.Context(), b.to, f, func(int64) {})
				if !IsUnreachable(err) || !strings.Contains(err.Error(), "proxy") || strings.Contains(err.Error(), "evil") {
					t.Errorf("%s: %v", u, err)
				}
			}
			if b.content(f.Name) != nil || b.line.taken.Load() > 0 {
				t.Error("it went past the proxy")
			}
		})
	}
}

func TestCheckProxy(t *testing.T) {
	for _, wrong := range []string{"", "proxy:80", "https://proxy:80", "http://", "http://proxy/x", "http://proxy?x", "ftp://proxy"} {
		if u, err := url.Parse(wrong); err == nil && CheckProxy(u) == nil {
			t.Errorf("%q is a proxy", wrong)
		}
	}
}

// All of a file goes through the reader that limits it, and so does what is read back of it.
func TestLimit(t *testing.T) {
	for scheme, newBed := range beds {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			f, content := randomFile(2*piece + 5)
			var passed atomic.Int64
			b.to.Limit = func(r io.Reader) io.Reader { return &counted{r, &passed} }
			checked := int64(0)
			b.to.Checked = func(n int64) { checked = n }
			if err := b.sender.Send(t.Context(), b.to, f, func(int64) {}); err != nil {
				t.Fatal(err)
			}
			b.check(t, f, content)
			if want := f.Bytes + checked; passed.Load() != want || scheme == "sftp" && checked != f.Bytes {
				t.Errorf("of %d bytes, and %d that were read back, %d passed the limit", f.Bytes, checked, passed.Load())
			}
		})
	}
}

type counted struct {
	io.Reader
	n *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// A file goes where its path says, and never out of the folder of the target.
func TestPlaces(t *testing.T) {
	for place, want := range map[string]string{"": "mx1-a-20260301-101500.pcap", "2026/03/web.cap": "2026/03/web.cap", "../../up/x.cap": "up/x.cap"} {
		for scheme, newBed := range beds {
			b := newBed(t)
			f, content := randomFile(100)
			f.Path = place
			if err := b.sender.Send(t.Context(), b.to, f, func(int64) {}); err != nil {
				t.Fatalf("%s: %q: %v", scheme, place, err)
			}
			if got := b.content(want); string(got) != string(content) {
				t.Errorf("%s: %q: at %s are %d bytes", scheme, place, want, len(got))
			}
			if scheme == "sftp" && !strings.HasSuffix(string(b.content(want+".sha256")), "  "+want[strings.LastIndex(want, "/")+1:]+"\n") {
				t.Errorf("the note says %q", b.content(want+".sha256"))
			}
		}
	}
}

func TestAuthorities(t *testing.T) {
	s := &webHost{files: map[string][]byte{}}
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	f, content := randomFile(10)
	to := Destination{URL: mustParse(t, server.URL+"/captures"), Secret: secret, Roots: roots}
	if err := https.Send(t.Context(), to, f, func(int64) {}); err != nil {
		t.Fatal(err)
	}
	if string(s.content(f.Name)) != string(content) {
		t.Error("it is not there")
	}
}

func TestHostsThatAskToWait(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "90")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	f, _ := randomFile(10)
	to := Destination{URL: mustParse(t, server.URL), HostKey: Fingerprint(server.Certificate().Raw)}
	var known *Error
	if err := https.Send(t.Context(), to, f, func(int64) {}); !errors.As(err, &known) || !known.Unreachable || known.RetryAfter != 90*time.Second {
		t.Errorf("it says %+v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		text, date string
		want       time.Duration
	}{
		{"", "", 0}, {"0", "", 0}, {"17", "", 17 * time.Second}, {"-5", "", 0}, {"4294967295", "", 24 * time.Hour}, {"99999999999999999999", "", 0},
		{"soon", "", 0}, {"Sun, 01 Mar 2026 10:01:00 GMT", "", time.Minute}, {"Sun, 01 Mar 2026 09:00:00 GMT", "", 0},
		{"Sun, 01 Mar 2026 12:01:00 GMT", "Sun, 01 Mar 2026 12:00:00 GMT", time.Minute}, // by their clock
	} {
		h := http.Header{"Retry-After": {c.text}, "Date": {c.date}}
		if got := RetryAfter(h, now); got != c.want {
			t.Errorf("%q at %q: %v, want %v", c.text, c.date, got, c.want)
		}
	}
}
