package objects

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/daemon/exports/sending"
	"diagsh/internal/test/storage"
)

const (
	name   = "mx1-a-20260301-101500.pcap"
	folder = "lab/mx1"
	object = folder + "/" + name
)

// A bed is a storage that a sender copies to, over a front.
type bed struct {
	sender sending.Sender
	peer   *storage.Peer
	front  *storage.Front
	to     sending.Destination
	upload string // what the last try began
}

func newBed(t *testing.T, scheme string, o storage.Options) *bed {
	t.Helper()
	b := &bed{}
	switch scheme {
	case "azblob":
		b.sender, b.peer = Azblob{}, storage.Azblob(t, o)
	case "s3":
		b.sender, b.peer = S3{}, storage.S3(t, o)
	}
	b.front = b.peer.NewFront(t, nil)
	b.to = sending.Destination{URL: parsed(t, b.peer.URL(b.front.Address, folder, "")), HostKey: b.front.HostKey, Secret: b.peer.Secret}
	return b
}

func parsed(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// both runs a test with both kinds of storage.
func both(t *testing.T, test func(*testing.T, *bed)) {
	for _, scheme := range []string{"azblob", "s3"} {
		t.Run(scheme, func(t *testing.T) { test(t, newBed(t, scheme, storage.Options{})) })
	}
}

func randomFile(seed uint64, size int) (sending.File, []byte) {
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(content)
	sum := sha256.Sum256(content)
	return sending.File{Name: name, Content: bytes.NewReader(content), Bytes: int64(size), Sum: hex.EncodeToString(sum[:]),
		Metadata: map[string]string{"host": "mx1", "case": "4711 Zürich\r\nx"}}, content
}

// send copies a file and returns how much is said to be safe at first and in the end.
func (b *bed) send(ctx context.Context, f sending.File) (first, last int64, err error) {
	first = -1
	f.Upload, f.Begun = b.upload, func(upload string) { b.upload = upload }
	err = b.sender.Send(ctx, b.to, f, func(n int64) {
		if last = n; first < 0 && n > 0 {
			first = n
		}
	})
	return first, last, err
}

// check makes sure that the storage has the file.
func (b *bed) check(t *testing.T, f sending.File, object string) {
	t.Helper()
	if sum, bytes := b.peer.Sum(t, object); sum != f.Sum || bytes != f.Bytes {
		t.Errorf("the storage has %d bytes with the sum %q; sent were %d with %s", bytes, sum, f.Bytes, f.Sum)
	}
}

func (b *bed) fails(t *testing.T, what string, f sending.File, unreachable bool, words ...string) *sending.Error {
	t.Helper()
	_, _, err := b.send(t.Context(), f)
	var known *sending.Error
	if !errors.As(err, &known) || known.Unreachable != unreachable {
		t.Errorf("%s: %v (%v), want an error that is the target's: %t", what, err, errors.Unwrap(err), unreachable)
		return &sending.Error{}
	}
	for _, word := range words {
		if !strings.Contains(known.Text, word) {
			t.Errorf("%s: it says %q, and not %q", what, known.Text, word)
		}
	}
	return known
}

func TestCopies(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		for i, size := range []int{0, 1, piece, piece + 1, 2*piece + 12345} {
			f, _ := randomFile(uint64(i), size)
			f.Path = "2026/03/" + strings.Repeat("x", i) + " ü+%?&.cap"
			for range 2 { // the second time it is there already
				if _, last, err := b.send(t.Context(), f); err != nil || last != f.Bytes {
					t.Fatalf("%d bytes: %d are said to be safe, %v", size, last, err)
				}
			}
			b.check(t, f, folder+"/"+f.Path)
			contentType, metadata := b.peer.Metadata(t, folder+"/"+f.Path)
			if contentType != sending.PacketsType || metadata["sha256"] != f.Sum || metadata["host"] != "mx1" || metadata["case"] != "4711 Z%C3%BCrich%0D%0Ax" {
				t.Errorf("beside it stand %q, %q", contentType, metadata)
			}
		}
	})
}

func TestResumes(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		f, _ := randomFile(1, 5*piece+12345)
		b.front.BreakAfter(3*piece + piece/2)
		b.fails(t, "a copy that broke off", f, false, "broke off")
		if sum, _ := b.peer.Sum(t, object); sum != "" {
			t.Error("half a file has a name")
		}
		b.front.BreakAfter(-1)
		first, _, err := b.send(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		if taken := b.front.Taken(); first != piece || taken > f.Bytes-3*piece+1<<20 {
			t.Errorf("the first part that is safe ends at %d, and %d of %d bytes were sent again", first, taken, f.Bytes)
		}
		b.check(t, f, object)
		b.front.BreakAfter(-1)
		if _, _, err := b.send(t.Context(), f); err != nil || b.front.Taken() > 1<<20 {
			t.Errorf("of a file that is there %d bytes were sent again: %v", b.front.Taken(), err)
		}
	})
}

// Parts of another file of the same name and length are no beginning of this one.
func TestTrustsNoOtherParts(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		other, _ := randomFile(1, 3*piece)
		b.front.BreakAfter(2*piece + piece/2)
		b.fails(t, "a copy that broke off", other, false)
		b.front.BreakAfter(-1)
		f, _ := randomFile(2, 3*piece)
		if _, _, err := b.send(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		b.check(t, f, object)
		if _, metadata := b.peer.Metadata(t, object); metadata["sha256"] != f.Sum {
			t.Errorf("beside it stands the sum %q", metadata["sha256"])
		}
	})
}

// Another file of the name stays what it is; the same one is done, whoever put it there.
func TestOverwritesNothing(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		f, content := randomFile(1, 100_000)
		other := bytes.Clone(content)
		other[50_000] ^= 1
		for _, there := range [][]byte{other, other[:10]} {
			b.peer.Put(t, object, there)
			b.fails(t, "another file", f, false, "another file")
			sum := sha256.Sum256(there)
			if got, _ := b.peer.Sum(t, object); got != hex.EncodeToString(sum[:]) {
				t.Error("it is not what it was")
			}
		}
		b.peer.Put(t, object, content)
		if _, last, err := b.send(t.Context(), f); err != nil || last != f.Bytes {
			t.Errorf("the same file: %d are safe, %v", last, err)
		}
	})
}

// What comes there while a file is on its way is not overwritten either.
func TestOverwritesNothingThatComesMeanwhile(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		f, content := randomFile(1, 2*piece)
		for what, there := range map[string][]byte{"same": content, "other": content[:10]} {
			f.Path = what
			err := b.sender.Send(t.Context(), b.to, f, func(n int64) {
				if n == f.Bytes && there != nil {
					b.peer.Put(t, folder+"/"+what, there)
					there = nil
				}
			})
			if (err == nil) != (what == "same") {
				t.Errorf("%s: %v", what, err)
			}
			if _, bytes := b.peer.Sum(t, folder+"/"+what); what == "other" && bytes != 10 {
				t.Errorf("another file that came meanwhile has %d bytes now", bytes)
			}
		}
	})
}

// A part that changes on its way does not count, and neither does a whole that the storage has
// otherwise.
func TestBelievesNoStorageThatErrs(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		f, content := randomFile(1, 2*piece)
		changed := bytes.Clone(content)
		changed[piece+5] ^= 1
		f.Content = &turns{content, changed, map[int64]int{}}
		b.fails(t, "a file that changes between its sum and its sending", f, false)
		if sum, _ := b.peer.Sum(t, object); sum != "" {
			t.Error("it has a name")
		}
		f.Content = bytes.NewReader(changed)
		b.fails(t, "a file that is not that of its sum", f, false, "not what it was")
		f.Content = bytes.NewReader(content[:piece])
		b.fails(t, "a file that became shorter", f, false, "to its end")
	})
}

// turns gives one content when a byte is read for the first time, and another then.
type turns struct {
	first, then []byte
	read        map[int64]int
}

func (s *turns) ReadAt(p []byte, at int64) (int, error) {
	s.read[at]++
	if s.read[at] > 1 {
		return bytes.NewReader(s.then).ReadAt(p, at)
	}
	return bytes.NewReader(s.first).ReadAt(p, at)
}

func TestWaitsAsLongAsTheStorageAsks(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		f, _ := randomFile(1, 3*piece)
		for _, status := range []int{429, 503} {
			for _, method := range []string{http.MethodHead, http.MethodPut} {
				b.front.Answer(func(w http.ResponseWriter, r *http.Request) bool {
					if r.Method == method {
						w.Header().Set("Retry-After", "17")
						w.WriteHeader(status)
					}
					return r.Method == method
				})
				if e := b.fails(t, "a storage that asks to wait", f, true, "now"); e.RetryAfter != 17*time.Second {
					t.Errorf("HTTP status %d of %s: it waits %v", status, method, e.RetryAfter)
				}
			}
		}
		b.front.Answer(nil)
		if _, _, err := b.send(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		b.check(t, f, object)
	})
}

func TestTellsAStrangerNothing(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		f, _ := randomFile(1, 10)
		asked := false
		b.front.Answer(func(http.ResponseWriter, *http.Request) bool { asked = true; return false })
		right := b.to.HostKey
		b.to.HostKey = "SHA256:" + strings.Repeat("A", 43)
		var key *sending.HostKeyError
		if _, _, err := b.send(t.Context(), f); !errors.As(err, &key) || key.HostKey != right || asked {
			t.Errorf("another key: %v; it was asked: %t", err, asked)
		}
		b.to.HostKey = ""
		if _, _, err := b.send(t.Context(), f); !sending.IsUnreachable(err) || asked {
			t.Errorf("a certificate of nobody: %v; it was asked: %t", err, asked)
		}
	})
}

func TestRefusedSecrets(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		f, _ := randomFile(1, 3*piece)
		right := b.to.Secret
		b.to.Secret = "d3Jvbmc="
		b.fails(t, "a wrong key", f, true, "refuses the key")
		b.to.Secret = right
		b.to.URL = parsed(t, strings.Replace(b.to.URL.String(), storage.Bucket, "nowhere", 1))
		b.fails(t, "no bucket", f, true, "no bucket or container")
	})
}

func TestSAS(t *testing.T) {
	b := newBed(t, "azblob", storage.Options{})
	f, _ := randomFile(1, piece+1)
	b.to.Secret = b.peer.SAS(t, "rcw", -time.Hour)
	b.fails(t, "an expired SAS", f, true, "SAS", "expired")
	b.to.Secret = b.peer.SAS(t, "cw", time.Hour)
	b.fails(t, "a SAS that allows no reading", f, true, "SAS")
	b.to.Secret = "?" + b.peer.SAS(t, "rcw", time.Hour)
	if _, _, err := b.send(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	b.check(t, f, object)
}

// A clock that is wrong is told, with the difference. The storage's own is 40 minutes ahead here.
func TestWrongClock(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		f, _ := randomFile(1, 10)
		b.front.Answer(func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Date", time.Now().Add(40*time.Minute+30*time.Second).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusForbidden)
			return true
		})
		b.fails(t, "a wrong clock", f, true, "the clock of the appliance is", "behind", "40m")
	})
}

// What a storage says never comes to a user but for numbers, however much it is.
func TestStrangeAnswers(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		f, _ := randomFile(1, 2*piece)
		for _, text := range []string{"\x1b[2Jevil", "<Error><Code>\x1b[2Jevil</Code></Error>", strings.Repeat("<a>evil", 1<<20), "{evil", "<?xml version=\"1.0\"?><BlockList><UncommittedBlocks><Block/></UncommittedBlocks>evil"} {
			for _, status := range []int{200, 204, 206, 301, 302, 400, 404, 409, 412, 418, 500, 501, 507} {
				b.front.Answer(func(w http.ResponseWriter, r *http.Request) bool {
					w.WriteHeader(status)
					w.Write([]byte(text))
					return true
				})
				if _, _, err := b.send(t.Context(), f); err == nil || strings.Contains(err.Error(), "evil") || strings.Contains(err.Error(), "\x1b") {
					t.Errorf("HTTP status %d: %q", status, err)
				}
			}
		}
	})
}

func TestNoHost(t *testing.T) {
	for _, s := range []sending.Sender{Azblob{}, S3{}} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
		f, _ := randomFile(1, 10)
		to := sending.Destination{URL: parsed(t, s.Scheme()+"://account@"+listener.Addr().String()+"/captures/"), Secret: "a2V5"}
		if err := s.Send(t.Context(), to, f, func(int64) {}); !sending.IsUnreachable(err) || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("a host that is not there: %v", err)
		}
	}
}

func TestSilentStorage(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		switch b.sender.(type) {
		case Azblob:
			b.sender = Azblob{300 * time.Millisecond}
		case S3:
			b.sender = S3{300 * time.Millisecond}
		}
		f, _ := randomFile(1, 3*piece)
		b.front.StallAfter(piece + piece/2)
		b.fails(t, "a storage that falls silent", f, false, "broke off")
	})
}

func TestEndsWithItsContext(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stalled := b.front.StallAfter(piece + piece/2)
		go func() {
			<-stalled
			cancel()
		}()
		f, _ := randomFile(1, 3*piece)
		if _, _, err := b.send(ctx, f); !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	})
}

// A storage whose disk is full has no file of the name, and says that it has none; with room again
// the copy is made good.
func TestFullStorage(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("it needs a file system of its own")
	}
	for _, scheme := range []string{"azblob", "s3"} {
		t.Run(scheme, func(t *testing.T) {
			dir := t.TempDir()
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
				t.Skip("tmpfs: ", err)
			}
			t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
			b := newBed(t, scheme, storage.Options{Dir: dir})
			filler := filepath.Join(dir, "filler")
			if err := os.WriteFile(filler, make([]byte, 48<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			f, _ := randomFile(1, 3*piece)
			_, _, err := b.send(t.Context(), f)
			var known *sending.Error
			if !errors.As(err, &known) {
				t.Errorf("a full storage: %v", err)
			}
			t.Logf("it says: %v", err)
			if sum, _ := b.peer.Sum(t, object); sum != "" {
				t.Error("half a file has a name")
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			small, _ := randomFile(2, piece/2)
			small.Path = "small"
			if _, _, err := b.send(t.Context(), small); err != nil {
				t.Fatal(err)
			}
			b.check(t, small, folder+"/small")
		})
	}
}

func TestProxyAndLimit(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
		f, _ := randomFile(1, 10)
		b.to.Proxy = parsed(t, "http://"+listener.Addr().String())
		b.fails(t, "a proxy that is not there", f, true, "through the proxy")
	})
}

func TestURLs(t *testing.T) {
	for text, want := range map[string]place{
		"azblob://lab@lab.blob.core.windows.net/captures/a/b/": {account: "lab", service: *parsed(t, "https://lab.blob.core.windows.net"), bucket: "captures", prefix: "a/b", region: "us-east-1"},
		"azblob://lab@127.0.0.1:10000/captures?tls=no":         {account: "lab", service: *parsed(t, "http://127.0.0.1:10000"), bucket: "captures", region: "us-east-1", path: true},
		"azblob://lab@store.lab.example/c01?style=path":        {account: "lab", service: *parsed(t, "https://store.lab.example"), bucket: "c01", region: "us-east-1", path: true},
		"s3://AKIA@s3.eu-central-1.amazonaws.com/captures/mx1?region=eu-central-1&style=virtual": {account: "AKIA",
			service: *parsed(t, "https://s3.eu-central-1.amazonaws.com"), bucket: "captures", prefix: "mx1", region: "eu-central-1"},
		"s3://AKIA@[2001:db8::1]:9000/captures/../../etc": {account: "AKIA", service: *parsed(t, "https://[2001:db8::1]:9000"), bucket: "captures", prefix: "etc", region: "us-east-1", path: true},
	} {
		u := parsed(t, text)
		options := []string{"style", "tls"}
		if u.Scheme == "s3" {
			options = append(options, "region")
		}
		if got, err := parse(u, "", options...); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, wrong := range []string{"azblob://host/captures", "azblob://a@host/", "azblob://a@host", "azblob://a@host/Captures", "azblob://a@host/c01?sig=x",
		"azblob://a@host/c01?region=x", "azblob://a@host/c01?tls=maybe", "azblob://a@host/c01?style=x", "azblob://a@host/c01?tls=no&tls=no",
		"s3://host/captures", "s3://a@host/%2e%2e/x", "s3://a@host/c01?region=x%0d%0a", "s3://a%0d@host/c01", "s3://a@host/c01?x", "s3://a@host/c01?style="} {
		u := parsed(t, wrong)
		s := sending.Sender(Azblob{})
		if u.Scheme == "s3" {
			s = S3{}
		}
		if s.Check(u) == nil {
			t.Errorf("%s is accepted", wrong)
		}
	}
}

func TestSecrets(t *testing.T) {
	for secret, login := range map[string]string{"": sending.LoginNone, "a2V5": sending.LoginPassword, "?sv=2021&sig=x%3D": sending.LoginToken, "sig=x": sending.LoginToken} {
		if got := (Azblob{}).Login(nil, secret); got != login {
			t.Errorf("%q logs in by %s", secret, got)
		}
		if err := (Azblob{}).CheckSecret(secret); (err == nil) != (secret != "") {
			t.Errorf("%q: %v", secret, err)
		}
	}
	if (Azblob{}).CheckSecret("not base64") == nil || (S3{}).CheckSecret("") == nil || (S3{}).CheckSecret("x") != nil {
		t.Error("secrets are not told apart")
	}
}
