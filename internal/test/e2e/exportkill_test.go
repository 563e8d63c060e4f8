package e2e_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/daemon/exports/sending"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
)

// A gate is between the appliance and a target. It lets so many bytes pass on their way to the
// target and then holds what comes.
type gate struct {
	t       *testing.T
	b       *bed
	address string
	target  string // address

	mu    sync.Mutex
	moved sync.Cond
	left  int           // bytes that pass; negative: all
	shut  chan struct{} // closed when something is held
	done  bool
}

func newGate(b *bed, target string) *gate {
	b.t.Helper()
	g := &gate{t: b.t, b: b, target: target, left: -1}
	g.moved.L = &g.mu
	listener := listen(b)
	g.address = listener.Addr().String()
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go g.connect(from)
		}
	}()
	b.t.Cleanup(func() { listener.Close(); g.finish() })
	return g
}

// listen opens a port in the network of a bed.
func listen(b *bed) (l net.Listener) {
	b.t.Helper()
	var err error
	b.ns.Do(b.t, func() { l, err = net.Listen("tcp", "127.0.0.1:0") })
	if err != nil {
		b.t.Fatal(err)
	}
	return l
}

func (g *gate) connect(from net.Conn) {
	defer from.Close()
	var to net.Conn
	var err error
	g.b.ns.Do(g.t, func() { to, err = net.Dial("tcp", g.target) })
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		io.Copy(from, to)
		from.Close()
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		for sent := 0; sent < n; {
			pass := g.pass(n - sent)
			if _, err := to.Write(buffer[sent : sent+pass]); err != nil || pass == 0 {
				return
			}
			sent += pass
		}
		if err != nil {
			return
		}
	}
}

// pass waits until some of n bytes may pass, and returns how many; 0 when the test ends.
func (g *gate) pass(n int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.left == 0 && !g.done {
		if g.shut != nil {
			close(g.shut)
			g.shut = nil
		}
		g.moved.Wait()
	}
	switch {
	case g.done:
		return 0
	case g.left > 0:
		n = min(n, g.left)
		g.left -= n
	}
	return n
}

// hold lets n more bytes pass. The channel tells when they have, and more wait.
func (g *gate) hold(n int) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left, g.shut = n, make(chan struct{})
	g.moved.Broadcast()
	return g.shut
}

// open lets everything pass, also what waits.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left, g.shut = -1, nil
	g.moved.Broadcast()
}

func (g *gate) finish() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.done = true
	g.moved.Broadcast()
}

// A vault is a target of a test. whole are the files that it has under their own names, by name,
// and their SHA-256.
type vault interface {
	whole() map[string]string
	content(name string) []byte
}

// whole implements vault: what is hidden is on its way. Each file has its sum beside it.
func (s *sshd) whole() map[string]string {
	s.b.t.Helper()
	entries, err := os.ReadDir(s.path("to"))
	if err != nil {
		s.b.t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, ".sha256") {
			files[name] = sum(s.content(name))
			if note := string(s.content(name + ".sha256")); note != files[name]+"  "+name+"\n" {
				s.b.t.Errorf("the note beside %s, whose sum is %s, says %q", name, files[name], note)
			}
		}
	}
	return files
}

func (s *sshd) content(name string) []byte { return read(s.b.t, filepath.Join(s.path("to"), name)) }

func sum(content []byte) string {
	s := sha256.Sum256(content)
	return hex.EncodeToString(s[:])
}

// A web is an HTTPS server that takes files by PUT, whole or not at all.
type web struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte
}

func newWeb(b *bed) *web {
	b.t.Helper()
	w := &web{files: map[string][]byte{}}
	w.Server = httptest.NewUnstartedServer(w)
	w.Server.Listener.Close()
	w.Server.Listener = listen(b)
	w.Server.StartTLS()
	b.t.Cleanup(w.Server.Close)
	return w
}

func (w *web) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	if r.Method == http.MethodPut {
		content, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Range") != "" {
			out.WriteHeader(http.StatusBadRequest)
			return
		}
		w.mu.Lock()
		w.files[name] = content
		w.mu.Unlock()
		out.WriteHeader(http.StatusCreated)
		return
	}
	content := w.content(name)
	if content == nil {
		out.WriteHeader(http.StatusNotFound)
		return
	}
	s := sha256.Sum256(content)
	out.Header().Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(s[:])+":")
	out.Header().Set("Content-Length", strconv.Itoa(len(content)))
}

func (w *web) content(name string) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.files[name]
}

func (w *web) whole() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	files := map[string]string{}
	for name, content := range w.files {
		files[name] = sum(content)
	}
	return files
}

// The appliance dies in the middle of copying the files of a ring that runs, again and again: while
// a file is on its way, while the target holds everything up so that the ring is larger than it
// should be, and at moments of chance. In the end every file of every life is at the target, whole,
// and at no moment was there a file that was neither here nor there.
func TestKilledWhileItCopiesARing(t *testing.T) {
	t.Parallel()
	need(t, "capinfos", "wireshark-common")
	need(t, "tshark", "tshark")
	t.Run("sftp", func(t *testing.T) {
		t.Parallel()
		b := newBed(t)
		host := newSshd(b)
		host.start()
		g := newGate(b, fmt.Sprintf("127.0.0.1:%d", sshdPort))
		key := strings.Fields(tool(t, "ssh-keygen", "-lf", host.path("host.key.pub")))[1]
		made := b.SSH("admin", "packetcapture target new vault manifest no auto yes url sftp://root@"+g.address+host.path("to")+" hostkey "+key)
		own := regexp.MustCompile(`(?m)^ssh-ed25519 .*$`).FindString(made.Out)
		if made.Status != 0 || own == "" {
			t.Fatalf("%+v", made)
		}
		if err := os.WriteFile(host.path("authorized"), []byte(own+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		killWhileCopying(b, g, host)
	})
	t.Run("https", func(t *testing.T) {
		t.Parallel()
		b := newBed(t)
		host := newWeb(b)
		g := newGate(b, host.Listener.Addr().String())
		made := b.SSH("admin", "packetcapture target new vault manifest no auto yes url https://"+g.address+"/captures hostkey "+sending.Fingerprint(host.Certificate().Raw))
		if made.Status != 0 {
			t.Fatalf("%+v", made)
		}
		killWhileCopying(b, g, host)
	})
}

func killWhileCopying(b *bed, g *gate, v vault) {
	t := b.t
	t.Helper()
	const kept = 2
	traffic := startStream(b.ns.Frames(t, "right"))
	stop := sync.OnceFunc(traffic.stop)
	defer stop()
	// One goes on after each kill, the other ends with the first.
	rings := []string{"lasting", "once"}
	for _, name := range rings {
		line := fmt.Sprintf("packetcapture start name %s interface left filter 'udp port 9999' ring 16MB mode ring filesize 1MB keepfiles %d format pcapng", name, kept)
		if name == "lasting" {
			line += " persistent yes"
		}
		if r := b.SSH("op", line); r.Status != 0 {
			t.Fatalf("%+v", r)
		}
	}
	kill := func() {
		t.Helper()
		b.Kill()
		for _, name := range rings {
			b.nothingIsLost(v, name)
		}
		b.Restart()
	}

	// In the middle of a file, and then while the target takes nothing and files pile up.
	for _, held := range []int{300 << 10, 1700 << 10} {
		select {
		case <-g.hold(held):
		case <-time.After(appliance.Patience):
			t.Fatal("waited in vain for a copy")
		}
		await.Until(b.t, "files that wait", func() bool { return b.capture("lasting").FilesAwaitingExport > kept })
		kill()
	}
	g.open()
	// At moments of chance: while sums are made, files copied, the queue and the table written,
	// files deleted.
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const moments = 5
	for range moments {
		before := len(v.whole())
		await.Until(b.t, "another copy", func() bool { return len(v.whole()) > before })
		time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond) // the moment is what is chosen here
		kill()
	}

	b.do("op", "packetcapture stop lasting")
	stop()
	await.Until(b.t, "all copies", func() bool {
		return !slices.ContainsFunc(b.exports(), func(e capture.Export) bool { return e.State != capture.ExportDone && e.State != capture.ExportFailed })
	})
	copies := v.whole()
	for _, e := range b.exports() {
		if e.State != capture.ExportDone || e.SHA256 != copies[e.File] || e.Sent != e.Bytes {
			t.Errorf("the copy %+v is of a file whose sum at the target is %q", e, copies[e.File])
		}
	}
	for _, name := range rings {
		await.Until(b.t, "the ring "+name+" as small as it should be", func() bool { return len(b.capture(name).Files) <= kept })
		b.nothingIsLost(v, name)
		s := b.capture(name)
		want := capture.StoppedByUser
		if name == "once" {
			want = capture.Interrupted
		}
		if s.StopReason != want || s.FilesAwaitingExport != 0 {
			t.Errorf("%s ended as %+v", name, s)
		}
		b.copiesAreWhole(v, s, traffic.sent.Load(), moments+2)
	}
}

// numberOf is the number of a ring's file in its name.
func numberOf(t *testing.T, file string) int {
	t.Helper()
	digits := file[strings.LastIndex(file, "-")+1 : strings.LastIndex(file, ".")]
	n, err := strconv.Atoi(digits)
	if err != nil {
		t.Fatalf("%s has no number", file)
	}
	return n
}

// nothingIsLost makes sure that every file that a ring ever had is in the diagnostic directory, or
// whole at the target.
func (b *bed) nothingIsLost(v vault, ring string) {
	b.t.Helper()
	entries, err := os.ReadDir(filepath.Join(b.Data, "diagnostic"))
	if err != nil {
		b.t.Fatal(err)
	}
	there, last := map[int]bool{}, 0
	of := func(name string) bool { return strings.Contains(name, "-"+ring+"-") }
	for _, e := range entries {
		name := e.Name()
		if final, ok := capture.FinalName(name); ok {
			name = final
		}
		if of(name) {
			n := numberOf(b.t, name)
			there[n], last = true, max(last, n)
		}
	}
	for name := range v.whole() {
		if of(name) {
			n := numberOf(b.t, name)
			there[n], last = true, max(last, n)
		}
	}
	for n := 1; n <= last; n++ {
		if !there[n] {
			b.t.Errorf("file %d of %d of %s is neither here nor at the target", n, last, ring)
		}
	}
}

// copiesAreWhole makes sure that the target has all that a ring has written, and that what is still
// here is the same.
func (b *bed) copiesAreWhole(v vault, s capture.Status, sent uint64, kills int) {
	t := b.t
	t.Helper()
	copies := v.whole()
	names := slices.DeleteFunc(slices.Collect(maps.Keys(copies)), func(name string) bool { return !strings.Contains(name, "-"+s.Name+"-") })
	slices.Sort(names)
	folder := t.TempDir()
	var paths []string
	for i, name := range names {
		if n := numberOf(t, name); n != i+1 {
			t.Fatalf("%s: where file %d should be is %s", s.Name, i+1, name)
		}
		paths = append(paths, filepath.Join(folder, name))
		if err := os.WriteFile(paths[i], v.content(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	next, total, gaps := uint64(0), uint64(0), 0
	for i, packets := range payloadsOf(t, paths) {
		for j, p := range packets {
			n, _ := stamp(t, p)
			switch {
			case n < next, n >= sent, n > next && j > 0:
				t.Fatalf("%s: where packet %d should be is %d of %d", names[i], next, n, sent)
			case n > next && next > 0:
				gaps++ // the appliance was not there
			}
			next, total = n+1, total+1
		}
	}
	if total != s.PacketsWritten || gaps > kills {
		t.Errorf("%s: the copies have %d packets, missing in %d places; %d were written", s.Name, total, gaps, s.PacketsWritten)
	}
	for _, f := range s.Files {
		if sum(read(t, b.file(f.Name))) != copies[f.Name] {
			t.Errorf("%s here is not what is at the target", f.Name)
		}
	}
}
