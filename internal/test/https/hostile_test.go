package https_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/slowness"
)

// loginGoal is how long a login by SSH may take whatever comes by HTTPS.
const loginGoal = 2 * time.Second

// An attacked is an appliance that something is done to.
type attacked struct {
	*appliance.Appliance
	t     *testing.T
	front int
}

func newAttacked(t *testing.T) *attacked {
	a := appliance.Start(t, appliance.Options{})
	return &attacked{a, t, a.Front()}
}

// dial opens a TLS connection from an address of this machine.
func (a *attacked) dial(from string, protocols ...string) (*tls.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: appliance.Patience}
	raw, err := d.Dial("tcp", strings.TrimPrefix(a.URL(), "https://"))
	if err != nil {
		return nil, err
	}
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
	c.SetDeadline(time.Now().Add(appliance.Patience))
	if err := c.Handshake(); err != nil {
		raw.Close()
		return nil, err
	}
	return c, nil
}

// during does something from several goroutines until what a login by SSH and one by HTTPS take from
// elsewhere was measured meanwhile, and expects that the front is the one that it was.
func (a *attacked) during(what string, workers int, act func(ctx context.Context, worker int)) {
	a.t.Helper()
	ctx, stop := context.WithCancel(a.t.Context())
	var acting sync.WaitGroup
	var acts atomic.Int64
	for n := range workers {
		acting.Go(func() {
			for ctx.Err() == nil {
				act(ctx, n)
				acts.Add(1)
			}
		})
	}
	await.Until(a.t, what, func() bool { return acts.Load() >= int64(workers) })
	a.logsIn(what)
	stop()
	acting.Wait()
	a.stands(what)
	a.t.Logf("%s: %d times", what, acts.Load())
}

// logsIn expects logins from elsewhere to be quick: the median of five by SSH, and one by HTTPS at all.
func (a *attacked) logsIn(what string) {
	a.t.Helper()
	watch := slowness.Start(a.t)
	var took []time.Duration
	for range 5 {
		began := time.Now()
		c, err := a.LoginBy("op", ssh.PublicKeys(appliance.Key("op")))
		if err != nil {
			a.t.Fatalf("%s: a login by SSH: %v", what, err)
		}
		took = append(took, time.Since(began))
		c.Close()
	}
	slices.Sort(took)
	if limit := watch.Limit(loginGoal); took[2] > limit {
		a.t.Errorf("%s: logins by SSH take %v, more than %v", what, took, limit)
	}
	w := a.HTTPS()
	if r := w.Login("op", appliance.Password("op")); r.Status != 200 {
		a.t.Errorf("%s: a login by HTTPS: %d %s", what, r.Status, r.Body)
	}
	w.Do("DELETE", "/v1/login", nil)
	a.t.Logf("%s: logins by SSH took %v", what, took)
}

// stands expects the appliance to be what it was: the same front, with little memory.
func (a *attacked) stands(what string) {
	a.t.Helper()
	if !appliance.IsFront(a.front) {
		a.t.Errorf("%s: the front has ended, another one has its place\n%s", what, a.Log())
		a.front = a.Front()
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.front))
	if err != nil {
		a.t.Fatal(err)
	}
	var resident int
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	fmt.Sscan(rest, &resident)
	a.t.Logf("%s: the front has %d kB", what, resident)
	if resident > 300<<10 {
		a.t.Errorf("%s: the front has %d kB", what, resident)
	}
}

// requests are well-formed ones, of which the hostile ones are made.
func requests(cookie string) []string {
	head := "Host: appliance\r\nCookie: " + cookie + "\r\n"
	body := func(text string) string {
		return fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	}
	return []string{
		"GET / HTTP/1.1\r\n" + head + "\r\n",
		"GET /app.js HTTP/1.1\r\n" + head + "Range: bytes=0-10\r\nAccept-Encoding: gzip\r\n\r\n",
		"GET /v1/login HTTP/1.1\r\n" + head + "\r\n",
		"GET /v1/login/methods HTTP/1.1\r\n" + head + "\r\n",
		"POST /v1/login HTTP/1.1\r\n" + head + body(`{"user":"nobody","password":"guess"}`),
		"POST /v1/run/whoami HTTP/1.1\r\n" + head + body(`{}`),
		"POST /v1/parse HTTP/1.1\r\n" + head + body(`{"line":"packetcapture start filter 'port 25'","path":[]}`),
		"POST /v1/complete HTTP/1.1\r\n" + head + body(`{"line":"packetc","path":[]}`),
		"GET /v1/tree HTTP/1.1\r\n" + head + "Diagsh-Background: true\r\n\r\n",
		"GET /v1/files/none.pcap HTTP/1.1\r\n" + head + "Range: bytes=1-\r\n\r\n",
		"POST /v1/run/filter/explain HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n5\r\n{\"exp\r\n17\r\nression\":\"tcp port 25\"}\r\n0\r\n\r\n",
		"GET /v1/tree HTTP/1.1\r\nHost: appliance\r\nAuthorization: Bearer dsh_abc_def\r\n\r\n",
	}
}

// mutate changes some bytes of a text: others in their place, pieces doubled, removed or strange.
func mutate(r *rand.Rand, text string) string {
	strange := []string{"\x00", "\r\n", "\n", "\xff\xfe", "%00", "../", "Transfer-Encoding: chunked\r\n", "Content-Length: 99999999999\r\n",
		strings.Repeat("A", 9000), "Expect: 100-continue\r\n", "Connection: Upgrade\r\nUpgrade: h2c\r\n", " ", ":", "{", "\"", "Host: x\r\n"}
	b := []byte(text)
	for range 1 + r.IntN(4) {
		at := r.IntN(len(b))
		switch r.IntN(5) {
		case 0:
			b[at] = byte(r.IntN(256))
		case 1:
			b = slices.Delete(b, at, min(len(b), at+1+r.IntN(12)))
		case 2:
			piece := slices.Clone(b[at:min(len(b), at+r.IntN(40))])
			b = slices.Insert(b, at, piece...)
		default:
			b = slices.Insert(b, at, []byte(strange[r.IntN(len(strange))])...)
		}
		if len(b) == 0 {
			b = []byte{0}
		}
	}
	return string(b)
}

// Ten thousand requests that are none, each sent by somebody who is logged in, change nothing and end
// nothing.
func TestMutatedRequests(t *testing.T) {
	t.Parallel()
	a := newAttacked(t)
	op := a.HTTPS()
	login := op.Login("op", appliance.Password("op"))
	cookie, _, _ := strings.Cut(login.Header.Get("Set-Cookie"), ";")
	all := requests(cookie)
	accounts := a.Local("userconfig list").Out
	var sent atomic.Int64
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	const most = 10_000
	a.during("mutated requests", 8, func(ctx context.Context, worker int) {
		r := rand.New(rand.NewPCG(seed, uint64(sent.Load())<<8|uint64(worker)))
		from := fmt.Sprintf("127.0.7.%d", 1+worker+8*r.IntN(20))
		c, err := a.dial(from, "http/1.1")
		if err != nil {
			return // too many connections of this address
		}
		defer c.Close()
		context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })
		go io.Copy(io.Discard, c)
		for range 60 {
			c.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := io.WriteString(c, mutate(r, all[r.IntN(len(all))])); err != nil {
				return
			}
			sent.Add(1)
		}
	})
	r := rand.New(rand.NewPCG(seed, 1))
	for n := 0; sent.Load() < most; n++ {
		c, err := a.dial(fmt.Sprintf("127.0.8.%d", 1+n%250), "http/1.1")
		if err != nil {
			continue
		}
		go io.Copy(io.Discard, c)
		for range 100 {
			c.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := io.WriteString(c, mutate(r, all[r.IntN(len(all))])); err != nil {
				break
			}
			sent.Add(1)
		}
		c.Close()
	}
	a.stands("after all")
	a.logsIn("after all")
	if now := a.Local("userconfig list").Out; strings.Count(now, "\n") != strings.Count(accounts, "\n") {
		t.Errorf("the accounts are\n%s\nthey were\n%s", now, accounts)
	}
	t.Logf("%d requests", sent.Load())
}

// A flood is what one connection of HTTP/2 does until it is hung up on.
var floods = map[string]func(f *http2.Framer, w io.Writer, n uint32) error{
	"rapid reset": func(f *http2.Framer, _ io.Writer, n uint32) error {
		if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*n + 1, BlockFragment: get("/v1/tree"), EndHeaders: true, EndStream: true}); err != nil {
			return err
		}
		return f.WriteRSTStream(2*n+1, http2.ErrCodeCancel)
	},
	"settings": func(f *http2.Framer, _ io.Writer, n uint32) error {
		return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65535 + n%2})
	},
	"ping": func(f *http2.Framer, _ io.Writer, n uint32) error { return f.WritePing(false, [8]byte{byte(n)}) },
	"continuation": func(f *http2.Framer, _ io.Writer, n uint32) error {
		if n == 0 {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: get("/")})
		}
		return f.WriteContinuation(1, false, bytes.Repeat([]byte{0x00, 0x01, 'a', 0x01, 'b'}, 3000))
	},
	"empty data": func(f *http2.Framer, _ io.Writer, n uint32) error {
		if n == 0 {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: post("/v1/login"), EndHeaders: true})
		}
		return f.WriteData(1, false, nil)
	},
	"priority": func(f *http2.Framer, _ io.Writer, n uint32) error {
		return f.WritePriority(2*n+1, http2.PriorityParam{StreamDep: 2*n + 3})
	},
	"window updates": func(f *http2.Framer, _ io.Writer, _ uint32) error { return f.WriteWindowUpdate(0, 1) },
	"garbage": func(_ *http2.Framer, w io.Writer, n uint32) error {
		_, err := w.Write(bytes.Repeat([]byte{byte(n), 0x00, 0x04, byte(n * 7), 0xff, 0, 0, 0, 1}, 20))
		return err
	},
}

// get returns the header of a request.
func get(path string) []byte { return header("GET", path) }

func post(path string) []byte { return header("POST", path) }

func header(method, path string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range [][2]string{{":method", method}, {":scheme", "https"}, {":authority", "appliance"}, {":path", path}} {
		e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	return b.Bytes()
}

// Whatever frames of HTTP/2 come, and however many: others are served.
func TestHTTP2Floods(t *testing.T) {
	t.Parallel()
	a := newAttacked(t)
	for name, flood := range floods {
		a.during(name, 4, func(ctx context.Context, worker int) {
			c, err := a.dial(fmt.Sprintf("127.0.9.%d", 1+worker), "h2")
			if err != nil {
				return
			}
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })()
			go io.Copy(io.Discard, c)
			io.WriteString(c, http2.ClientPreface)
			f := http2.NewFramer(c, nil)
			f.WriteSettings()
			for n := range uint32(20_000) {
				if flood(f, c, n) != nil {
					return
				}
			}
		})
	}
}

// Clients that send nothing, send slowly, or do not read what they asked for take nothing from others.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	a := newAttacked(t)
	op := a.Web("op")
	// Forty readers ask for a large file and read nothing, by both versions of HTTP.
	const large = "mx1-large-20260101-000000.pcap"
	f, err := os.Create(filepath.Join(a.Data, "diagnostic", large))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(256<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
	old := a.HTTPS()
	old.Client.Jar = op.Client.Jar
	old.Client.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	for n := range 40 {
		w := op
		if n%2 == 0 {
			w = old
		}
		r, err := w.Open(t.Context(), "GET", "/v1/files/"+large, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if r.StatusCode != 200 || (r.ProtoMajor == 2) != (w == op) {
			t.Fatalf("the large file: %s by %s", r.Status, r.Proto)
		}
	}
	if r := op.Run("whoami", nil); r.Status != 200 {
		t.Errorf("beside readers that do not read: %d %s", r.Status, r.Body)
	}
	// A thousand connections that say nothing, of which four hundred have begun a request.
	var idle []net.Conn
	defer func() {
		for _, c := range idle {
			c.Close()
		}
	}()
	for n := range 1000 {
		c, err := a.dial(fmt.Sprintf("127.0.10.%d", 1+n%5), "http/1.1")
		if err != nil {
			continue // no room for more of this address
		}
		idle = append(idle, c)
		switch n % 5 {
		case 0:
			io.WriteString(c, "GET /v1/tree HTTP/1.1\r\nHo")
		case 1:
			io.WriteString(c, "POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{")
		}
	}
	t.Logf("%d idle connections", len(idle))
	if len(idle) < 900 {
		t.Errorf("only %d of 1,000 connections were accepted", len(idle))
	}
	a.logsIn("idle connections")
	if r := op.Run("whoami", nil); r.Status != 200 {
		t.Errorf("the session of before: %d %s", r.Status, r.Body)
	}
	a.stands("idle connections")
}

// A form of another site, sent by the browser of somebody who is logged in, does nothing.
func TestForeignForms(t *testing.T) {
	t.Parallel()
	a := newAttacked(t)
	op := a.Web("op")
	for _, h := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}, "Content-Type": {"text/plain"}},
		{"Sec-Fetch-Site": {"same-site"}, "Content-Type": {"application/x-www-form-urlencoded"}},
		{"Origin": {"null"}, "Content-Type": {"multipart/form-data; boundary=x"}},
		{"Origin": {"https://evil.example"}},
		{"Content-Type": {"text/plain"}}, // a browser of before 2020 that tells nothing
	} {
		op.Header = h
		r := op.Run("packetcapture start", map[string]any{"name": "foreign", "interfaces": []string{"lo"}, "packets": 1})
		if r.Status != 403 && r.Status != 415 {
			t.Errorf("with %v: %d %s", h, r.Status, r.Body)
		}
	}
	op.Header = http.Header{}
	if out := string(op.Run("packetcapture status", nil).Body); strings.Contains(out, "foreign") {
		t.Errorf("a capture began: %s", out)
	}
}
