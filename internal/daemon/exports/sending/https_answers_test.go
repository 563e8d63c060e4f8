package sending

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// An answer that does not say that the file is there is no success, whatever else it says.
func TestPutBelievesNoOtherSuccess(t *testing.T) {
	for status, want := range map[int]bool{200: true, 201: true, 204: true, 202: false, 203: false, 205: false, 206: false, 207: false, 226: false, 302: false, 304: false, 404: false} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPut {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
		}))
		f, _ := randomFile(10)
		to := Destination{URL: mustParse(t, server.URL), HostKey: Fingerprint(server.Certificate().Raw)}
		err := https.Send(t.Context(), to, f, func(int64) {})
		var known *Error
		if (err == nil) != want || err != nil && (!errors.As(err, &known) || !strings.Contains(known.Text, fmt.Sprint(status))) {
			t.Errorf("status %d: %v", status, err)
		}
		server.Close()
	}
}

// Who refuses and has another time is told with the difference: a token may have an end by another
// clock. Who refuses at our time is not.
func TestWrongClockIsTold(t *testing.T) {
	for date, want := range map[time.Duration]string{0: "HTTP status 401", -2 * time.Hour: "ahead of that of the target", 2 * time.Hour: "behind that of the target"} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(date).UTC().Format(http.TimeFormat))
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusUnauthorized)
		}))
		f, _ := randomFile(10)
		to := Destination{URL: mustParse(t, server.URL), HostKey: Fingerprint(server.Certificate().Raw)}
		err := https.Send(t.Context(), to, f, func(int64) {})
		if err == nil || !IsUnreachable(err) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v: %v", date, err)
		}
		server.Close()
	}
}

// A certificate that nobody vouches for, or that is not valid now, is told as that.
func TestCertificatesThatAreNotTrusted(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	f, _ := randomFile(10)
	to := Destination{URL: mustParse(t, server.URL)}
	if err := https.Send(t.Context(), to, f, func(int64) {}); err == nil || !strings.Contains(err.Error(), "no authority that is trusted") {
		t.Errorf("an authority that is not known: %v", err)
	}
	client := NewClient(to, Silence)
	if err := client.Lost(x509.CertificateInvalidError{Reason: x509.Expired}); !strings.Contains(err.Error(), "not valid by the clock of the appliance") {
		t.Errorf("a certificate of another time: %v", err)
	}
}

// newStrange is a server whose connections a test has in its hands: talk is told the method of each
// request whose headers have come.
func newStrange(t *testing.T, talk func(c net.Conn, method string)) Destination {
	t.Helper()
	s := httptest.NewTLSServer(nil) // for its certificate
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: s.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		listener.Close()
		s.Close()
	})
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewReader(c); ; {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					talk(c, r.Method)
				}
			}()
		}
	}()
	return Destination{URL: mustParse(t, "https://"+listener.Addr().String()), HostKey: Fingerprint(s.Certificate().Raw)}
}

// What a server says beside the answer to one request is no answer to the next: here its HEAD is
// answered twice, the second time as if by a PUT that has not come.
func TestPutTakesNoAnswerTwice(t *testing.T) {
	to := newStrange(t, func(c net.Conn, method string) {
		if method == http.MethodHead {
			io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
			return
		}
		io.WriteString(c, "HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 0\r\n\r\n")
	})
	for range 20 {
		f, _ := randomFile(10)
		var known *Error
		if err := https.Send(t.Context(), to, f, func(int64) {}); !errors.As(err, &known) || !strings.Contains(known.Text, "507") {
			t.Fatalf("a file that was refused: %v", err)
		}
	}
}

// Half an answer is none, and an answer that comes before the file is none to it.
func TestPutTakesNoPartOfAnAnswer(t *testing.T) {
	f, _ := randomFile(16 << 20) // more than what the network takes before anybody reads it
	for name, answer := range map[string]string{
		"half a status line": "HTTP/1.1 201 Crea",
		"half a header":      "HTTP/1.1 201 Created\r\nContent-Len",
		"no end of headers":  "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n",
		"no HTTP":            "250 ok\r\n",
		"too early":          "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
	} {
		to := newStrange(t, func(c net.Conn, method string) {
			if method == http.MethodHead {
				io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
				return
			}
			io.WriteString(c, answer)
			c.Close()
		})
		if err := https.Send(t.Context(), to, f, func(int64) {}); err == nil {
			t.Errorf("%s counts as a copy", name)
		}
	}
}

// A server that says when to come again is not sent the file before, and is asked then.
func TestServerThatIsBusy(t *testing.T) {
	f, _ := randomFile(10)
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodHead {
				t.Errorf("it is asked to %s", r.Method)
			}
			w.Header().Set("Retry-After", "17")
			w.WriteHeader(status)
		}))
		t.Cleanup(server.Close)
		to := Destination{URL: mustParse(t, server.URL+"/captures"), HostKey: Fingerprint(server.Certificate().Raw)}
		var known *Error
		if err := https.Send(t.Context(), to, f, func(int64) {}); !errors.As(err, &known) || !known.Unreachable || known.RetryAfter != 17*time.Second {
			t.Errorf("HTTP status %d: %v", status, err)
		}
	}
}
