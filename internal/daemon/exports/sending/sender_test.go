package sending

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const secret = "correct horse"

// A bed is a host that a sender copies to.
type bed struct {
	sender  Sender
	to      Destination
	line    *line
	content func(name string) []byte // what the host has under a file's own name
	spoil   func(name string)        // changes what the host has of a file that is not whole
	put     func(name string, content []byte)
	secrets func() int // how many secrets the host was told
}

// beds has one for each sender, which TestSenders holds to what all promise.
var beds = map[string]func(*testing.T) *bed{
	"sftp": func(t *testing.T) *bed {
		h := newHost(t)
		return &bed{sender: SFTP{Silence}, to: h.destination(t), line: h.line, content: h.content, spoil: func(name string) { h.spoil(name, piece/2) }, put: h.put,
			secrets: func() int { return int(h.passwords.Load()) }}
	},
	"https": func(t *testing.T) *bed {
		s := &webHost{files: map[string][]byte{}, digest: true, partial: true, keeps: true}
		return &bed{sender: HTTPS{Silence}, to: s.listen(t, s), line: s.line, content: s.content, spoil: s.spoil, put: s.place,
			secrets: func() int { return int(s.told.Load()) }}
	},
}

func TestSenders(t *testing.T) {
	for scheme, newBed := range beds {
		for name, check := range map[string]func(*testing.T, *bed){
			"copies":                      copies,
			"resumes":                     resumes,
			"trusts no beginning":         trustsNoBeginning,
			"sends nothing twice":         sendsNothingTwice,
			"tells a stranger nothing":    tellsAStrangerNothing,
			"wrong secret":                wrongSecret,
			"no host":                     noHost,
			"a host that falls silent":    silentHost,
			"ends with its context":       endsWithItsContext,
			"a file that becomes shorter": shorterFile,
			"replaces no other file":      replacesNoOtherFile,
			"no file that comes":          replacesNoFileThatComes,
			"replaces an earlier copy":    replacesAnEarlierCopy,
		} {
			t.Run(scheme+" "+name, func(t *testing.T) {
				t.Parallel()
				check(t, newBed(t))
			})
		}
	}
}

func copies(t *testing.T, b *bed) {
	for _, size := range []int{0, 1, piece, 2*piece + 12345} {
		f, content := randomFile(size)
		f.Name = fmt.Sprint(size)
		last := int64(-1)
		if err := b.sender.Send(t.Context(), b.to, f, func(n int64) { last = n }); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if last != f.Bytes {
			t.Errorf("of %d bytes %d are said to be safe", f.Bytes, last)
		}
		b.check(t, f, content)
	}
}

func resumes(t *testing.T, b *bed) {
	f, content := randomFile(5*piece + 12345)
	b.line.breakAfter(3*piece + piece/2)
	var known *Error
	if err := b.sender.Send(t.Context(), b.to, f, func(int64) {}); !errors.As(err, &known) {
		t.Fatalf("a copy that broke off: %v", err)
	}
	b.line.breakAfter(0)
	var first int64 = -1
	if err := b.sender.Send(t.Context(), b.to, f, func(n int64) {
		if first < 0 {
			first = n
		}
	}); err != nil {
		t.Fatal(err)
	}
	if taken := b.line.taken.Load(); first < 2*piece || taken > f.Bytes-2*piece+1<<20 {
		t.Errorf("it went on from %d, and %d of %d bytes were sent again", first, taken, f.Bytes)
	}
	b.check(t, f, content)
}

// What a broken copy left may have holes. Where that has the file's own name, it is another file.
func trustsNoBeginning(t *testing.T, b *bed) {
	f, content := randomFile(3 * piece)
	b.line.breakAfter(2*piece + piece/2)
	if err := b.sender.Send(t.Context(), b.to, f, func(int64) {}); err == nil {
		t.Fatal("a copy that broke off succeeded")
	}
	b.line.breakAfter(0)
	b.spoil(f.Name)
	err := b.sender.Send(t.Context(), b.to, f, func(int64) {})
	if b.sender.Scheme() == "https" {
		if err == nil || !strings.Contains(err.Error(), "another file") {
			t.Errorf("a file that begins otherwise: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	b.check(t, f, content)
}

func sendsNothingTwice(t *testing.T, b *bed) {
	f, content := randomFile(2 * piece)
	for range 2 {
		b.line.breakAfter(0)
		safe := int64(0)
		if err := b.sender.Send(t.Context(), b.to, f, func(n int64) { safe = n }); err != nil || safe != f.Bytes {
			t.Fatalf("%d bytes are safe, %v", safe, err)
		}
	}
	if taken := b.line.taken.Load(); taken > 1<<20 {
		t.Errorf("%d bytes were sent of a file that is there", taken)
	}
	b.check(t, f, content)
}

func tellsAStrangerNothing(t *testing.T, b *bed) {
	f, _ := randomFile(10)
	right := b.to.HostKey
	b.to.HostKey = "SHA256:" + strings.Repeat("A", 43)
	var key *HostKeyError
	err := b.sender.Send(t.Context(), b.to, f, func(int64) {})
	if !errors.As(err, &key) || key.HostKey != right || !IsUnreachable(err) {
		t.Errorf("another key: %v", err)
	}
	if b.secrets() != 0 || b.content(f.Name) != nil {
		t.Errorf("a host with another key was told %d secrets, and has %d bytes", b.secrets(), len(b.content(f.Name)))
	}
}

func wrongSecret(t *testing.T, b *bed) {
	f, _ := randomFile(10)
	b.to.Secret = "wrong"
	if err := b.sender.Send(t.Context(), b.to, f, func(int64) {}); err == nil || !IsUnreachable(err) {
		t.Errorf("a wrong secret: %v", err)
	}
	if b.content(f.Name) != nil {
		t.Error("the file was taken")
	}
}

func noHost(t *testing.T, b *bed) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	there := *b.to.URL
	there.Host = listener.Addr().String()
	b.to.URL = &there
	f, _ := randomFile(10)
	if err := b.sender.Send(t.Context(), b.to, f, func(int64) {}); err == nil || !IsUnreachable(err) {
		t.Errorf("a host that is not there: %v", err)
	}
}

// A host that says nothing more must not hold up the copies to other targets for ever.
func silentHost(t *testing.T, b *bed) {
	const short = 200 * time.Millisecond
	switch b.sender.(type) {
	case SFTP:
		b.sender = SFTP{short}
	case HTTPS:
		b.sender = HTTPS{short}
	}
	f, _ := randomFile(3 * piece)
	b.line.stallAfter(piece + piece/2)
	var known *Error
	if err := b.sender.Send(t.Context(), b.to, f, func(int64) {}); !errors.As(err, &known) {
		t.Errorf("a host that falls silent: %v", err)
	}
}

func endsWithItsContext(t *testing.T, b *bed) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f, _ := randomFile(3 * piece)
	b.line.stallAfter(piece + piece/2)
	go func() {
		<-b.line.stalled
		cancel()
	}()
	b.sender.Send(ctx, b.to, f, func(int64) {}) // would wait for a minute
	if ctx.Err() == nil {
		t.Error("it ended before its context")
	}
}

// What is read is not what the sum is of, and that is no success.
func shorterFile(t *testing.T, b *bed) {
	f, content := randomFile(piece)
	f.Content = bytes.NewReader(content[:piece/2])
	if err := b.sender.Send(t.Context(), b.to, f, func(int64) {}); err == nil {
		t.Error("half a file is a copy")
	}
}

// Another file of the place stays what it is, whether it is shorter, as long or longer.
func replacesNoOtherFile(t *testing.T, b *bed) {
	f, content := randomFile(2*piece + 10)
	other := bytes.Clone(content)
	other[piece+5] ^= 1
	for _, there := range [][]byte{other, other[:piece+6], []byte("x"), append(bytes.Clone(content), 'x')} {
		b.put(f.Name, there)
		var known *Error
		if err := b.sender.Send(t.Context(), b.to, f, func(int64) {}); !errors.As(err, &known) || known.Unreachable || !strings.Contains(known.Text, "another file") {
			t.Errorf("another file of %d bytes: %v", len(there), err)
		}
		b.check(t, f, there)
	}
}

// A file that comes to the place while this one is on its way stays too, unless it is the same.
func replacesNoFileThatComes(t *testing.T, b *bed) {
	for what, want := range map[string]bool{"same": true, "other": false} {
		f, content := randomFile(2 * piece)
		f.Name = what
		there := content
		if !want {
			there = []byte("another one")
		}
		comes := sync.OnceFunc(func() { b.put(f.Name, there) })
		err := b.sender.Send(t.Context(), b.to, f, func(n int64) {
			if n > piece {
				comes()
			}
		})
		if (err == nil) != want {
			t.Errorf("the %s file came: %v", what, err)
		}
		b.check(t, f, there)
	}
}

// A file that was appended to takes the place of its earlier copy.
func replacesAnEarlierCopy(t *testing.T, b *bed) {
	f, content := randomFile(2*piece + 12345)
	for _, earlier := range []int{0, 1, piece, piece + 100} {
		b.put(f.Name, content[:earlier])
		safe := int64(0)
		if err := b.sender.Send(t.Context(), b.to, f, func(n int64) { safe = n }); err != nil || safe != f.Bytes {
			t.Errorf("after an earlier copy of %d bytes: %d are safe, %v", earlier, safe, err)
		}
		b.check(t, f, content)
	}
}

func (b *bed) check(t *testing.T, f File, content []byte) {
	t.Helper()
	if got := b.content(f.Name); !bytes.Equal(got, content) {
		t.Errorf("the host has %d bytes, and not the %d that were sent", len(got), len(content))
	}
}

var seed = rand.NewChaCha8([32]byte{})

var seeding sync.Mutex

func randomFile(size int) (File, []byte) {
	seeding.Lock()
	defer seeding.Unlock()
	content := make([]byte, size)
	seed.Read(content)
	sum := sha256.Sum256(content)
	return File{Name: "mx1-a-20260301-101500.pcap", Content: bytes.NewReader(content), Bytes: int64(size), Sum: hex.EncodeToString(sum[:])}, content
}

// A line is what all connections of a host go over. It counts what comes, and may break or fall
// silent after so many bytes.
type line struct {
	net.Listener
	mu      sync.Mutex
	taken   atomic.Int64
	breaks  int64 // 0: never
	stalls  int64 // 0: never
	stalled chan struct{}
	closing chan struct{}
}

func newLine(t *testing.T) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{Listener: listener, stalled: make(chan struct{}), closing: make(chan struct{})}
	t.Cleanup(func() { close(l.closing) })
	return l
}

// breakAfter breaks connections when so many bytes came from now on; 0: never.
func (l *line) breakAfter(bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.breaks = bytes
	l.taken.Store(0)
}

// stallAfter takes nothing more after so many bytes from now on, and closes stalled then.
func (l *line) stallAfter(bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stalls = bytes
	l.taken.Store(0)
}

func (l *line) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lineConn{Conn: c, line: l}, nil
}

type lineConn struct {
	net.Conn
	line *line
}

func (c *lineConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	l := c.line
	taken := l.taken.Add(int64(n))
	l.mu.Lock()
	broken, stalled := l.breaks > 0 && taken > l.breaks, l.stalls > 0 && taken > l.stalls
	if stalled && taken-int64(n) <= l.stalls {
		close(l.stalled)
	}
	l.mu.Unlock()
	switch {
	case stalled:
		<-l.closing
		return 0, io.ErrUnexpectedEOF
	case broken:
		c.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// A host may have a name in the letters of any language: what is connected to is what the DNS has.
func TestHostsOfOtherLanguages(t *testing.T) {
	for text, want := range map[string]string{
		"sftp://backup@münchen.example/folder":             "xn--mnchen-3ya.example:22",
		"sftp://backup@m%C3%BCnchen.example:2222/~/folder": "xn--mnchen-3ya.example:2222",
		"sftp://backup@[2001:db8::1]/folder":               "[2001:db8::1]:22",
	} {
		if got := address(mustParse(t, text), "22"); got != want {
			t.Errorf("%s connects to %s, not to %s", text, got, want)
		}
	}
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
