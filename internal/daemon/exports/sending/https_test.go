package sending

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var https = HTTPS{Silence}

// A webHost is an HTTPS server that keeps what is put.
type webHost struct {
	serving sync.Mutex // held for each request, until it has been answered
	mu      sync.Mutex
	files   map[string][]byte
	digest  bool // tells sums
	silent  bool // gives nothing back
	partial bool // knows Content-Range
	breaks  int  // the next PUT breaks after so many bytes, which are kept
	spoils  bool // the next PUT that is taken leaves another byte
	wrong   bool // so does each
	old     bool // knows no Expect
	digests []string
	ranges  []string
	read    int          // bytes that were read back
	keeps   bool         // a part of a file of which no more came
	told    atomic.Int64 // secrets
	line    *line
	server  *httptest.Server
}

// listen begins to serve over a line, and returns a folder of the host as a destination.
func (s *webHost) listen(t *testing.T, handler http.Handler) Destination {
	t.Helper()
	s.line = newLine(t)
	s.server = httptest.NewUnstartedServer(handler)
	s.server.Listener.Close()
	s.server.Listener = s.line
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.server.StartTLS()
	t.Cleanup(func() {
		s.server.CloseClientConnections()
		s.server.Listener.Close()
	})
	return Destination{URL: mustParse(t, s.server.URL+"/captures"), HostKey: Fingerprint(s.server.Certificate().Raw), Secret: secret}
}

func (s *webHost) content(name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files["/captures/"+name]
}

func (s *webHost) place(name string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files["/captures/"+name] = content
}

func (s *webHost) spoil(name string) {
	s.serving.Lock()
	defer s.serving.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files["/captures/"+name][piece/2] ^= 1
}

func (s *webHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		s.told.Add(1)
	}
	s.serving.Lock()
	defer s.serving.Unlock()
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
		w.Header().Set("ETag", entity(content))
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		if r.Method == http.MethodGet {
			n, _ := w.Write(content)
			s.read += n
		}
		return
	}
	s.put(w, r, content)
}

// entity is the strong entity tag of a file.
func entity(content []byte) string {
	sum := sha256.Sum256(content)
	return `"` + base64.StdEncoding.EncodeToString(sum[:]) + `"`
}

// may reports whether the conditions of a request hold (RFC 9110, section 13.1). Called with mu held.
func (s *webHost) may(r *http.Request) bool {
	content, there := s.files[r.URL.Path]
	match := r.Header.Get("If-Match")
	return (r.Header.Get("If-None-Match") != "*" || !there) && (match == "" || there && match == entity(content))
}

// put takes a file, or the rest of one. Called with mu held.
func (s *webHost) put(w http.ResponseWriter, r *http.Request, content []byte) {
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
	s.mu.Unlock()
	rest, err := io.ReadAll(r.Body)
	s.mu.Lock()
	if !s.may(r) {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	whole := slices.Concat(begin, rest)
	if err != nil {
		if s.keeps {
			s.files[r.URL.Path] = whole
		}
		return
	}
	if s.spoils || s.wrong {
		s.spoils = false
		whole[len(whole)-1] ^= 1
	}
	s.files[r.URL.Path] = whole
	w.WriteHeader(http.StatusCreated)
}

// A server that refuses the rest of a file, and closes the connection before it has it, is
// understood: the file is sent anew. One that knows no Expect gets it too.
func TestPutThatIsRefused(t *testing.T) {
	for _, old := range []bool{false, true} {
		s := &webHost{digest: true, old: old, partial: old}
		server := httptest.NewTLSServer(s)
		t.Cleanup(server.Close)
		f, content := randomFile(5_000_000)
		at := "/captures/" + f.Name
		to := Destination{URL: mustParse(t, server.URL+"/captures"), HostKey: Fingerprint(server.Certificate().Raw), Secret: secret}
		for range 20 {
			s.mu.Lock()
			s.files = map[string][]byte{at: content[:300_000]}
			s.mu.Unlock()
			if err := https.Send(t.Context(), to, f, func(int64) {}); err != nil {
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

// A copy over HTTPS goes on where it broke off, if the server is proven to have the beginning; and
// what counts as copied is the file, whatever the server did.
func TestPut(t *testing.T) {
	const half = "bytes 300000-999999/1000000"
	for name, c := range map[string]struct {
		store  *webHost
		before func(content []byte) []byte // what is there of a copy before; nil: it breaks here
		ranges []string                    // of the requests, the one that breaks first
		read   int
	}{
		"goes on by the server's sum":       {store: &webHost{partial: true, digest: true, silent: true}, ranges: []string{"", half}},
		"goes on by what is read back":      {store: &webHost{partial: true}, ranges: []string{"", half}, read: 1_300_000},
		"from zero without partial PUT":     {store: &webHost{digest: true}, ranges: []string{"", half, ""}},
		"from zero when the rest is spoilt": {store: &webHost{partial: true, digest: true, spoils: true}, ranges: []string{"", half, ""}},
		"spoilt unseen but read back":       {store: &webHost{partial: true, spoils: true}, ranges: []string{"", half, ""}, read: 2_300_000},
		"nothing when it is there":          {store: &webHost{digest: true}, before: bytes.Clone},
		"again when the whole is spoilt": {store: &webHost{digest: true, spoils: true}, ranges: []string{"", ""},
			before: func([]byte) []byte { return nil }},
		"spoilt whole but read back": {store: &webHost{spoils: true}, ranges: []string{"", ""}, read: 2_000_000,
			before: func([]byte) []byte { return nil }},
		"unread when it gives nothing back": {store: &webHost{silent: true}, ranges: []string{""},
			before: func([]byte) []byte { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.store
			s.files = map[string][]byte{}
			server := httptest.NewTLSServer(s)
			t.Cleanup(server.Close)
			f, content := randomFile(1_000_000)
			at := "/captures/" + f.Name
			to := Destination{URL: mustParse(t, server.URL+"/captures"), HostKey: Fingerprint(server.Certificate().Raw), Secret: secret}
			if c.before != nil {
				if there := c.before(content); there != nil {
					s.files[at] = there
				}
			} else {
				s.breaks = 300_000
				if err := https.Send(t.Context(), to, f, func(int64) {}); err == nil {
					t.Fatal("a copy that broke off succeeded")
				}
			}
			safe := int64(0)
			err := https.Send(t.Context(), to, f, func(n int64) { safe = n })
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

// What a server has otherwise than it was sent does not count, however often it is sent; nor does what
// cannot be compared make way.
func TestPutThatStaysWrong(t *testing.T) {
	for want, s := range map[string]*webHost{
		"is not the one that was sent":          {wrong: true},
		"tells neither its sum nor its content": {silent: true, files: map[string][]byte{"/captures/mx1-a-20260301-101500.pcap": []byte("half")}},
	} {
		if s.files == nil {
			s.files = map[string][]byte{}
		}
		server := httptest.NewTLSServer(s)
		t.Cleanup(server.Close)
		f, _ := randomFile(10_000)
		to := Destination{URL: mustParse(t, server.URL+"/captures"), HostKey: Fingerprint(server.Certificate().Raw), Secret: secret}
		if err := https.Send(t.Context(), to, f, func(int64) {}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, and not that it %s", err, want)
		}
		if s.silent && string(s.content(f.Name)) != "half" {
			t.Error("it was replaced")
		}
	}
}

func TestPutTrustsNoStrangersCertificate(t *testing.T) {
	s := &webHost{files: map[string][]byte{}}
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	f, _ := randomFile(10)
	to := Destination{URL: mustParse(t, server.URL), Secret: secret}
	// Its certificate is of no authority that this machine trusts.
	if err := https.Send(t.Context(), to, f, func(int64) {}); err == nil || !IsUnreachable(err) {
		t.Errorf("a certificate of nobody was trusted: %v", err)
	}
	if len(s.files) > 0 {
		t.Error("something was sent")
	}
}
