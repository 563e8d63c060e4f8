package privsep

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
)

// frame is a frame around some text.
func frame(text string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)
}

// sent is what a peer sends at once: bytes, and descriptors with them.
type sent struct {
	bytes []byte
	files []*os.File
	ends  bool // nothing more comes
}

func fileNamed(t testing.TB, content string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// liar is an appliance that answers each question on a files session with the next of answers,
// whatever is asked, and the first with nothing. It sends the rest when there is no more question.
func liar(t *testing.T, answers ...sent) *FileSession {
	t.Helper()
	ours, theirs, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	go func() {
		defer ours.Close()
		for _, a := range append([]sent{{bytes: frame(`{"number":1}`)}}, answers...) {
			var q request
			if readFrame(ours, maxRequestFrame, &q) != nil {
				return
			}
			var rights []byte
			var fds []int
			for _, f := range a.files {
				fds = append(fds, int(f.Fd()))
			}
			if len(fds) > 0 {
				rights = unix.UnixRights(fds...)
			}
			n, _, err := ours.WriteMsgUnix(a.bytes, rights, nil)
			if err != nil {
				return
			}
			ours.Write(a.bytes[n:])
			if a.ends {
				return
			}
		}
		var q request
		readFrame(ours, maxRequestFrame, &q)
	}()
	s, err := NewFront(func(context.Context) (*net.UnixConn, error) { return theirs, nil }).Files(t.Context(), "login")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// An answer that is none ends the connection: what comes later is never taken for the answer to
// another question, and no descriptor goes out under a name that it does not have.
func TestAnswersOutOfStep(t *testing.T) {
	victim := fileNamed(t, "victim")
	stat := func(number int, name string) string {
		return fmt.Sprintf(`{"number":%d,"file":{"name":%q,"bytes":6,"modified":"2026-01-01T00:00:00Z","payload":true}}`, number, name)
	}
	long := make([]byte, 4+maxReplyFrame+1)
	binary.BigEndian.PutUint32(long, maxReplyFrame+1)
	for what, first := range map[string]sent{
		"too long":                      {bytes: append(long, frame(stat(2, "b.pcap"))...)},
		"empty":                         {bytes: frame("")},
		"broken off":                    {bytes: frame(stat(2, "a.pcap"))[:9], ends: true},
		"no JSON":                       {bytes: frame("nonsense")},
		"half of JSON":                  {bytes: frame(`{"number":2`)},
		"two of JSON":                   {bytes: frame(stat(2, "a.pcap") + stat(3, "b.pcap"))},
		"the answer before":             {bytes: frame(stat(1, "a.pcap"))},
		"the answer behind":             {bytes: frame(stat(3, "a.pcap"))},
		"without a number":              {bytes: frame(`{"file":{"name":"a.pcap"}}`)},
		"another file":                  {bytes: frame(stat(2, "b.pcap"))},
		"no file":                       {bytes: frame(`{"number":2}`)},
		"nothing":                       {bytes: frame(`null`)},
		"a descriptor unasked":          {bytes: frame(stat(2, "a.pcap")), files: []*os.File{victim}},
		"a descriptor with the refusal": {bytes: frame(`{"number":2,"error":{"exit":4,"message":"no"}}`), files: []*os.File{victim}},
	} {
		t.Run(what, func(t *testing.T) {
			s := liar(t, first, sent{bytes: frame(stat(3, "b.pcap"))})
			if f, err := s.Stat("a.pcap"); err == nil || isRefusal(err) {
				t.Errorf("it is taken for the answer %+v, %v", f, err)
			}
			for range 3 {
				if f, err := s.Stat("b.pcap"); err == nil {
					t.Errorf("the next question is answered with %+v", f)
				}
			}
			if f, err := s.Open("b.pcap"); err == nil {
				f.Close()
				t.Error("a file is opened on a connection at fault")
			}
			if err := s.Remove("b.pcap"); err == nil {
				t.Error("a removal succeeds on a connection at fault")
			}
		})
	}
}

// isRefusal reports whether err is what the appliance refused, and no fault of the connection.
func isRefusal(err error) bool {
	_, ok := errors.AsType[*menu.Error](err)
	return ok
}

func TestDescriptorsOutOfStep(t *testing.T) {
	victim, other := fileNamed(t, "victim"), fileNamed(t, "other")
	answer := `{"number":2,"file":{"name":"a.pcap","bytes":6,"modified":"2026-01-01T00:00:00Z","payload":true}}`
	right := liar(t, sent{bytes: frame(answer), files: []*os.File{victim}})
	f, err := right.Open("a.pcap")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	before := openDescriptors(t)
	for what, first := range map[string]sent{
		"the file of another":  {bytes: frame(strings.Replace(answer, "a.pcap", "b.pcap", 1)), files: []*os.File{victim}},
		"several":              {bytes: frame(answer), files: []*os.File{victim, other}},
		"none":                 {bytes: frame(answer)},
		"with the number of 3": {bytes: frame(strings.Replace(answer, "2", "3", 1)), files: []*os.File{victim}},
		"and no frame":         {bytes: []byte("\x00"), files: []*os.File{victim}, ends: true},
	} {
		s := liar(t, first)
		if f, err := s.Open("a.pcap"); err == nil {
			f.Close()
			t.Errorf("%s: opened", what)
		}
		if _, err := s.Stat("a.pcap"); err == nil {
			t.Errorf("%s: the next question is answered", what)
		}
	}
	// The ends of the connections are closed with the test.
	await.Until(t, "the descriptors to be closed", func() bool { return openDescriptors(t) <= before+20 })
	for _, f := range []*os.File{victim, other} {
		if n := opened(t, f); n != 1 {
			t.Errorf("%s is open %d times", f.Name(), n)
		}
	}
}

func openDescriptors(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// opened counts the descriptors of a file in this process.
func opened(t testing.TB, f *os.File) (n int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if target, _ := os.Readlink("/proc/self/fd/" + e.Name()); target == f.Name() {
			n++
		}
	}
	return n
}

// A login without a login in it is a fault, not a panic.
func TestLoginWithoutALogin(t *testing.T) {
	ours, theirs, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	go func() {
		var q request
		for n := 1; readFrame(ours, maxRequestFrame, &q) == nil; n++ {
			ours.Write(frame(fmt.Sprintf(`{"number":%d,"cookie":"AAAAAAAAAAAAAAAAAAAAAA=="}`, n)))
		}
	}()
	client, err := NewFront(func(context.Context) (*net.UnixConn, error) { return theirs, nil }).Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if l, err := client.Login(access.Credentials{User: "op", Password: "right"}); err == nil {
		t.Errorf("logged in as %+v", l)
	}
}

// What the front end asks out of turn ends its connection.
func TestQuestionsOutOfStep(t *testing.T) {
	d := newFake(t)
	f, _ := newMonitor(t, d)
	f.adopt("login-op")
	begin := frame(`{"number":1,"do":"files","login":"login-op","kind":"sftp"}`)
	for _, second := range []string{
		string(frame(`{"number":1,"do":"remove","name":"a.pcap"}`)), string(frame(`{"number":3,"do":"remove","name":"a.pcap"}`)),
		string(frame(`{"do":"remove","name":"a.pcap"}`)), `{"number":2,"do":"remove","name":"a.pcap"}` + "\n", "\x00\x20\x00\x00", "\xff\xff\xff\xff",
		string(frame(`{"number":2,"do":"remove","name":"a.pcap"}`)[:20]),
	} {
		theirs, err := f.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		theirs.Write(begin)
		theirs.Write([]byte(second))
		theirs.CloseWrite()
		theirs.SetReadDeadline(time.Now().Add(10 * time.Second))
		text, err := io.ReadAll(theirs)
		theirs.Close()
		if err != nil && !errors.Is(err, unix.ECONNRESET) ||
			!bytes.Equal(text, frame(`{"number":1}`)) { // a reset: not all was read
			t.Errorf("behind %q: %q, %v", second, text, err)
		}
		if _, err := os.Stat(filepath.Join(d.dir, "a.pcap")); err != nil {
			t.Fatalf("%q removed a file", second)
		}
	}
}

// A folder of many files is listed page by page, whole and in order, beside whatever else is asked
// meanwhile.
func TestListingByPages(t *testing.T) {
	d := newFake(t)
	for i := range 700 {
		name := fmt.Sprintf("%s-%05d.pcapng", strings.Repeat("<", 200), i) // JSON makes six bytes of each
		if err := os.WriteFile(filepath.Join(d.dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := frontOf(t, d).Files(t.Context(), "login-op")
	if err != nil {
		t.Fatal(err)
	}
	listing, err := f.List()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for last := ""; ; {
		files, err := listing.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(files) > filesOfReply {
			t.Fatalf("a page of %d files", len(files))
		}
		for _, one := range files {
			if one.Name <= last {
				t.Fatalf("%q behind %q", one.Name, last)
			}
			last = one.Name
		}
		seen += len(files)
		if file, err := f.Stat("a.pcap"); err != nil || file.Name != "a.pcap" {
			t.Fatalf("meanwhile: %+v, %v", file, err)
		}
	}
	if seen != 702 {
		t.Errorf("%d files", seen)
	}
	// A listing that is given up is closed, also with its session, and there are only so many.
	for range 3 * maxListings {
		l, err := f.List()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for range maxListings {
		if _, err := f.List(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.List(); !hasCode(err, menu.State) {
		t.Errorf("one listing more: %v", err)
	}
	f.Close()
	await.Until(t, "the listings to be closed", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.listings == 0
	})
}

// Half a listing is an error, and not its end.
func TestListingThatFails(t *testing.T) {
	d := newFake(t)
	if err := os.WriteFile(filepath.Join(d.dir, "broken.pcap"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := frontOf(t, d).Files(t.Context(), "login-op")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.List(); !isRefusal(err) {
		t.Errorf("a folder that cannot be read: %v", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.listings != 0 {
		t.Errorf("%d listings are left open", d.listings)
	}
}

// A connection that ends in the middle of a listing is not the listing's end: names would be
// missing, and nobody told.
func TestListingIsCutOff(t *testing.T) {
	page := sent{bytes: frame(`{"number":2,"listing":1,"files":[{"name":"a.pcap","modified":"2026-01-01T00:00:00Z"}]}`)}
	cut := page
	cut.ends = true
	for what, answers := range map[string][]sent{
		"between two answers": {cut},
		"in a length":         {page, {bytes: []byte{0}, ends: true}},
		"in an answer":        {page, {bytes: frame(`{"number":3}`)[:9], ends: true}},
	} {
		listing, err := liar(t, answers...).List()
		if err != nil {
			t.Fatal(err)
		}
		if files, err := listing.Next(); err != nil || len(files) != 1 {
			t.Fatalf("%s: %v, %v", what, files, err)
		}
		if files, err := listing.Next(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v, %v", what, files, err)
		}
	}
}
