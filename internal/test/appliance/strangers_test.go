package appliance_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"diagsh/internal/test/appliance"
)

// secretMark stands in a file beside the diagnostic directory; no answer may hold it.
const secretMark = "no request may read this line"

// brokenRequests is how many of them the API has to stand.
const brokenRequests = 2_000

// TestBrokenRequests sends what no client sends, each on a connection of its own: framing that
// lies, headers without sense, ranges beyond ranges, paths that climb in every encoding, bodies
// nested without end, bytes that are no HTTP. (Requests that are whole and mean nonsense are the
// matter of package e2e.) The appliance must go on answering, must not panic, and must give away
// and remove nothing outside the diagnostic directory.
func TestBrokenRequests(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{Config: "limits:\n  sessionsPerUser: 100\n"})
	outside := plant(t, a)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)

	const workers = 4
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			m := mutator{rand.New(rand.NewPCG(seed, uint64(w)))}
			for range brokenRequests / workers {
				request := m.request()
				answer, err := exchange(a, m.user(), request)
				if err != nil {
					t.Errorf("%q: %v", request, err)
					return
				}
				if bytes.Contains(answer, []byte(secretMark)) {
					t.Errorf("%q reads a file outside the diagnostic directory", request)
				}
				if bytes.HasPrefix(answer, []byte("HTTP/1.1 500")) {
					t.Errorf("%q is answered by a failure of the appliance:\n%s", request, answer)
				}
			}
		})
	}
	all.Wait()

	if !a.Alive() {
		t.Fatalf("the appliance has ended:\n%s", a.Log())
	}
	if strings.Contains(a.Log(), "panic") {
		t.Errorf("something panicked:\n%s", a.Log())
	}
	for path, content := range outside {
		if got, err := os.ReadFile(path); err != nil || !bytes.Contains(got, content) {
			t.Errorf("%s was changed or removed (%v)", path, err)
		}
	}
	if r := a.Local("whoami"); r.Status != 0 {
		t.Errorf("the appliance does not answer any more: %+v", r)
	}
	if r := a.SSH("admin", "whoami"); r.Status != 0 {
		t.Errorf("nobody can log in any more: %+v", r)
	}
}

// plant puts files where a climbing name would find them, and one that may be read. It returns what
// must still be there at the end.
func plant(t *testing.T, a *appliance.Appliance) map[string][]byte {
	t.Helper()
	outside := map[string][]byte{}
	for _, name := range []string{"secret", "../secret", "hostkeys/secret", "audit/secret"} {
		path := filepath.Join(a.Data, name)
		if err := os.WriteFile(path, []byte(secretMark), 0o600); err != nil {
			t.Fatal(err)
		}
		outside[path] = []byte(secretMark)
	}
	users := filepath.Join(a.Data, "users.json")
	outside[users] = []byte(`"admin"`)
	inside := filepath.Join(a.Data, "diagnostic")
	for _, link := range []struct{ to, name string }{{"../secret", "link.pcap"}, {"..", "up"}, {"/", "root"}, {users, "absolute.pcap"}} {
		if err := os.Symlink(link.to, filepath.Join(inside, link.name)); err != nil {
			t.Fatal(err)
		}
	}
	return outside
}

// exchange sends bytes on a connection of its own and reads what comes, for a bounded time: a
// request whose end never comes is answered by nothing.
func exchange(a *appliance.Appliance, user string, request []byte) ([]byte, error) {
	c, err := a.DialSocket(user)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(appliance.Patience))
	if _, err := c.Write(request); err != nil {
		return nil, nil // refused before it was read
	}
	c.(*net.UnixConn).CloseWrite()
	answer, err := io.ReadAll(io.LimitReader(bufio.NewReader(c), 1<<20))
	if err != nil && os.IsTimeout(err) {
		return nil, fmt.Errorf("no answer and no end in %s", appliance.Patience)
	}
	return answer, nil
}

// A mutator makes requests, most of them nearly right.
type mutator struct{ *rand.Rand }

func (m mutator) pick(of ...string) string { return of[m.IntN(len(of))] }

func (m mutator) user() string { return m.pick("", "admin", "op", "ro", "sup") }

// request is one whose path and body are wrong in some way; every other is wrong as HTTP, too.
func (m mutator) request() []byte {
	body, path := m.body(), m.path()
	length, version, host := fmt.Sprintf("Content-Length: %d\r\n", len(body)), "HTTP/1.1", "Host: appliance\r\n"
	bad := m.IntN(2) == 0
	if bad {
		length = m.pick(length, length, "Content-Length: -1\r\n", "Content-Length: 99999999999999999999\r\n", "Transfer-Encoding: chunked\r\n",
			"Content-Length: 1\r\nContent-Length: 2\r\n", fmt.Sprintf("Content-Length: %d\r\n", len(body)+m.IntN(100)), "")
		version = m.pick(version, version, "HTTP/1.0", "HTTP/2.0", "HTTP/9", "ICAP/1.0", "")
		host = m.pick(host, host, "Host: a b\r\n", "")
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\n%s%s", m.method(path), path, version, host, length)
	for range m.IntN(3) {
		b.WriteString(m.header(bad))
	}
	b.WriteString("Connection: close\r\n\r\n" + body)
	if bad {
		return m.scratch(b.Bytes())
	}
	return b.Bytes()
}

// method is the one for a path, mostly.
func (m mutator) method(path string) string {
	if m.IntN(8) == 0 {
		return m.pick(http.MethodPut, http.MethodHead, http.MethodOptions, "PATCH", "TRACE", "CONNECT", "PRI", "get", "P\x00ST", "")
	}
	for _, word := range []string{"/run", "/ask", "/parse", "/complete", "/history", "/interrupt"} {
		if strings.HasPrefix(path, "/v1"+word) {
			return http.MethodPost
		}
	}
	if strings.HasPrefix(path, "/v1/files/") {
		return m.pick(http.MethodGet, http.MethodDelete)
	}
	return http.MethodGet
}

func (m mutator) path() string {
	switch m.IntN(6) {
	case 0:
		return "/v1/" + m.pick("session", "tree", "menu", "help", "parse", "complete", "parse", "complete", "history", "files") + m.pick("", "", "", "?", "?form=json&form=text", "/"+m.name())
	case 1, 2:
		return "/v1/files/" + m.name()
	case 3:
		return "/v1/" + m.pick("menu", "help", "ask", "run") + "/" + m.command()
	case 4:
		return "/v1/interrupt/" + m.name()
	}
	return m.pick("/", "//", "/v1", "/v2/files", "/v1/../v1/files", "*", "http://elsewhere/v1/files", "v1/files", "/\x00", "/%", "/%zz") + m.name()
}

// name is that of a file, if it were one.
func (m mutator) name() string {
	return m.pick("../secret", "..%2fsecret", "%2e%2e/secret", "%2e%2e%2fsecret", "..%2f..%2fsecret", "../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd",
		"..%252fsecret", "..%5csecret", "....//secret", "./../secret", "%00", "secret%00.pcap", "link.pcap", "up/secret", "up%2fsecret", "root/etc/passwd",
		"root%2fetc%2fpasswd", "absolute.pcap", "/etc/passwd", "%2fetc%2fpasswd", "..", ".", "%2e", "", "~root", "-", "..;/secret", "%c0%ae%c0%ae/secret",
		"%ff", strings.Repeat("a", 300), strings.Repeat("%2e%2e%2f", 40)+"etc/passwd", "users.json", "..%2fusers.json", "a\rb", "日本.pcap")
}

func (m mutator) command() string {
	words := []string{m.pick("packetcapture", "diagnostic", "userconfig", "whoami", "who", "last", "version", "auditlog", "nosuch", m.name())}
	for range m.IntN(3) {
		words = append(words, m.pick("start", "stop", "status", "list", "delete", "setup", "network", "tcpdump", "new", "role", "%20", m.name()))
	}
	return strings.Join(words, m.pick("/", "/", "/", "//", "%2f"))
}

func (m mutator) header(bad bool) string {
	if bad {
		return m.pick("Accept: \x00\r\n", "Bad Header: x\r\n", ": nothing\r\n", " folded\r\n", "Expect: 100-continue\r\n", "Upgrade: h2c\r\nConnection: Upgrade\r\n")
	}
	return m.pick(
		"Accept: application/vnd.diagsh.frames\r\n", "Accept: text/plain\r\n", "Accept: "+strings.Repeat("a/b,", 2000)+"\r\n",
		"Range: bytes=0-0\r\n", "Range: bytes=5-1\r\n", "Range: bytes=-99999999999\r\n", "Range: bytes="+strings.Repeat("0-0,", 500)+"1-1\r\n", "Range: lines=1\r\n",
		"Content-Encoding: gzip\r\n", "Content-Type: text/xml\r\n", "If-None-Match: *\r\n", "X-"+strings.Repeat("y", 5000)+": z\r\n")
}

func (m mutator) body() string {
	switch m.IntN(7) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf(`{"at":%s,"line":%s,"abbreviate":%s}`, m.value(), m.value(), m.value())
	case 2:
		return fmt.Sprintf(`{"arguments":{"name":%s,"interface":%s},"mode":%s}`, m.value(), m.value(), m.value())
	case 3:
		return fmt.Sprintf(`{%q:%s,%q:%s}`, m.argument(), m.value(), m.argument(), m.value())
	case 4:
		return m.value()
	case 5:
		return strings.Repeat(m.pick("[", `{"a":`, "9", `"`), m.IntN(20_000))
	}
	return m.pick("\x00\x01\x02", "<xml/>", `{"name":`, "null", `{"line":"\ud800"}`, `{"name":"x"}{"name":"y"}`, "\xff\xfe{}")
}

func (m mutator) argument() string {
	return m.pick("name", "interface", "filter", "size", "duration", "packets", "snaplen", "format", "confirm", "user", "role", "count", "from", "", "nosuch", "NAME")
}

func (m mutator) value() string {
	return m.pick(`""`, `"x"`, `"../secret"`, `"ALL"`, `"\u0000"`, `"tcp port 25"`, `"((((("`, `"lo"`, `["lo","nosuch"]`, `[1,[2]]`, `[]`, `{}`, `{"a":{"b":{}}}`, "null", "true",
		"-1", "1e999", "9223372036854775808", "0.5", `"`+strings.Repeat("a ", 5000)+`"`, `"packetcapture; ; 'x"`, `"userconfig list --json"`, `["diagnostic","network"]`, "0", "2", "7", "NaN", `"no"`)
}

// scratch changes a few bytes of some requests.
func (m mutator) scratch(request []byte) []byte {
	if m.IntN(3) > 0 {
		return request
	}
	for range 1 + m.IntN(4) {
		i := m.IntN(len(request))
		switch m.IntN(4) {
		case 0:
			request[i] = byte(m.IntN(256))
		case 1:
			request = append(request[:i:i], request[min(len(request), i+1+m.IntN(8)):]...)
		case 2:
			request = append(request[:i:i], append([]byte(m.name()), request[i:]...)...)
		case 3:
			request = request[:i+1]
		}
		if len(request) == 0 {
			return []byte{'\n'}
		}
	}
	return request
}
