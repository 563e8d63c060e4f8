package ssh

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/sftp"

	"diagsh/internal/menu"
	"diagsh/internal/test/await"
)

func TestLocate(t *testing.T) {
	for path, want := range map[string]kind{
		"/": rootFolder, "": rootFolder, ".": rootFolder, "..": rootFolder, "/../..": rootFolder, "diagnostic/..": rootFolder,
		"diagnostic": diagnosticFolder, "/diagnostic/": diagnosticFolder, "/diagnostic/.": diagnosticFolder, "//diagnostic//": diagnosticFolder,
		"/diagnostic/a.pcap": diagnosticFile, "diagnostic/../diagnostic/a": diagnosticFile, "/diagnostic/...": diagnosticFile, "/diagnostic/ü": diagnosticFile,
		"/etc/passwd": nothing, "/diagnosticx": nothing, "/diagnostic/a/b": nothing, "/diagnostic/../etc/passwd": nothing,
		"/diagnostic/a\x00b": nothing, "/diagnostic/\xff": nothing, "/diagnostic/a\nb": nothing, "/diagnostic/" + strings.Repeat("x", 256): nothing,
		"/diagnostic/\u202e": nothing,
	} {
		if got, _ := locate(path); got != want {
			t.Errorf("%q is %d, not %d", path, got, want)
		}
	}
}

func (r *rig) sftp() *sftp.Client {
	r.t.Helper()
	c, err := sftp.NewClient(r.dial())
	check(r.t, err)
	r.t.Cleanup(func() { c.Close() })
	return c
}

// Roles are looked at behind Files; the client learns of it by the protocol's status, at every
// single request.
func TestSFTPRoles(t *testing.T) {
	r := newRig(t, Limits{})
	r.appliance.put("a.pcap", []byte("content"))
	c := r.sftp()
	f, err := c.Open("diagnostic/a.pcap")
	check(t, err)

	r.appliance.setRole(menu.Operator)
	if err := c.Remove("diagnostic/a.pcap"); !errors.Is(err, os.ErrPermission) {
		t.Errorf("operator removes: %v", err)
	}
	r.appliance.setRole(menu.ReadOnly)
	for what, act := range map[string]func() error{
		"list": func() error { _, err := c.ReadDir("diagnostic"); return err },
		"stat": func() error { _, err := c.Stat("diagnostic/a.pcap"); return err },
		"open": func() error { _, err := c.Open("diagnostic/a.pcap"); return err },
	} {
		if err := act(); !errors.Is(err, os.ErrPermission) {
			t.Errorf("%s: %v", what, err)
		}
	}
	r.appliance.setRole(menu.Administrator)
	check(t, c.Remove("diagnostic/a.pcap"))
	if _, err := c.Stat("diagnostic/a.pcap"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed: %v", err)
	}
	if text, err := io.ReadAll(f); string(text) != "content" || err != nil {
		t.Errorf("an open file: %q, %v", text, err)
	}
}

// A download is recorded when it ends, also when it ends with the connection.
func TestSFTPAudit(t *testing.T) {
	r := newRig(t, Limits{})
	r.appliance.put("a.pcap", make([]byte, 1000))
	c := r.sftp()
	f, err := c.Open("diagnostic/a.pcap")
	check(t, err)
	_, err = f.Read(make([]byte, 1000))
	check(t, err)
	check(t, f.Close())
	f, err = c.Open("diagnostic/a.pcap")
	check(t, err)
	_, err = f.Read(make([]byte, 300))
	check(t, err)
	c.Close()

	conn := r.dial()
	c, err = sftp.NewClient(conn)
	check(t, err)
	f, err = c.Open("diagnostic/a.pcap")
	check(t, err)
	_, err = f.Read(make([]byte, 200))
	check(t, err)
	conn.Close()
	<-r.appliance.loggedOut
	await.Until(t, "a record of all downloads", func() bool { return len(r.appliance.downloaded()) == 3 })
	got := r.appliance.downloaded()
	slices.Sort(got)
	if want := []string{"a.pcap 1000", "a.pcap 200", "a.pcap 300"}; !slices.Equal(got, want) {
		t.Errorf("recorded: %v", got)
	}
}

func TestSFTPHandles(t *testing.T) {
	r := newRig(t, Limits{})
	r.appliance.put("a.pcap", nil)
	c := r.sftp()
	var last *sftp.File
	for range maxHandles {
		f, err := c.Open("diagnostic/a.pcap")
		check(t, err)
		last = f
	}
	if _, err := c.Open("diagnostic/a.pcap"); err == nil ||
		!strings.Contains(err.Error(), "Too many files are open. At most 64 at a time.") {
		t.Errorf("one more: %v", err)
	}
	if _, err := c.ReadDir("diagnostic"); err == nil {
		t.Error("a folder was opened")
	}
	check(t, last.Close())
	for range 3 {
		if _, err := c.ReadDir("diagnostic"); err != nil {
			t.Error(err)
		}
	}
}

// Every open folder holds a listing.
func TestSFTPFolders(t *testing.T) {
	opens := func(closed ...string) (refused int) {
		var packets [][]byte
		for n := range maxFolders {
			packets = append(packets, fuzzPacket(fxOpendir, uint32(n), "diagnostic"))
		}
		for _, handle := range closed {
			packets = append(packets, fuzzPacket(fxClose, uint32(100), handle))
		}
		packets = append(packets, fuzzPacket(fxOpendir, uint32(101), "/"))
		answer := fuzzSession(t, fuzzAppliance(t), packets...)
		return bytes.Count(answer, []byte("Too many folders are open. At most 4 at a time."))
	}
	if n := opens(); n != 1 {
		t.Errorf("one folder more: %d refusals", n)
	}
	if n := opens("2"); n != 0 {
		t.Errorf("after one was closed: %d refusals", n)
	}
}

// A client may ask for many pieces at once, of any length, beyond the end, and before it knows that
// the file is open.
func TestSFTPReads(t *testing.T) {
	a := fuzzAppliance(t)
	content := pcap()
	a.put("b.pcap", content)
	read := func(id uint32, offset uint64, length uint32) []byte {
		return fuzzPacket(fxRead, id, "1", offset, length)
	}
	got := fuzzSession(t, a, fuzzPacket(fxOpen, uint32(1), "diagnostic/b.pcap", uint32(1), uint32(0)),
		read(2, 5, 10), read(3, 0, 1<<31), read(4, uint64(len(content)-3), 100), read(5, uint64(len(content)), 1), read(6, 1<<63, 1), read(7, 0, 0),
		fuzzPacket(fxClose, uint32(8), "1"), read(9, 0, 1))
	eof := func(id uint32) []byte { return fuzzPacket(fxStatus, id, uint32(fxEOF), "", "en") }
	want := slices.Concat(
		fuzzPacket(fxVersion, uint32(3), "limits@openssh.com", "1"),
		fuzzPacket(fxHandle, uint32(1), "1"),
		fuzzPacket(fxData, uint32(2), string(content[5:15])),
		fuzzPacket(fxData, uint32(3), string(content[:maxRead])),
		fuzzPacket(fxData, uint32(4), string(content[len(content)-3:])),
		eof(5), eof(6), eof(7),
		fuzzPacket(fxStatus, uint32(8), uint32(fxOK), "", "en"),
		fuzzPacket(fxStatus, uint32(9), uint32(fxFailure), "Nothing is open by this handle.", "en"),
	)
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes, not %d", len(got), len(want))
	}
	if got := a.downloaded(); !slices.Equal(got, []string{fmt.Sprintf("b.pcap %d", 10+maxRead+3)}) {
		t.Errorf("recorded: %v", got)
	}
}

// The texts of failures are meant for users: no path of the server, no error of Go.
func TestSFTPTexts(t *testing.T) {
	for err, want := range map[error]string{
		&os.PathError{Op: "open", Path: "/var/lib/diagsh/x", Err: os.ErrClosed}: "The appliance could not do this. Its log says why.",
		menu.Errorf(menu.State, "The file \x1b[2J is being written"):            `The file \x1b[2J is being written.`,
	} {
		s := newSFTPServer(nil, nil, nil, discard())
		s.fail(7, err)
		if want := fuzzPacket(fxStatus, uint32(7), uint32(fxFailure), want, "en"); !bytes.Equal(s.answers, want) {
			t.Errorf("%v became %q", err, s.answers)
		}
	}
}

// fuzzPacket makes one packet of the protocol: its length, type, and the rest.
func fuzzPacket(kind byte, parts ...any) []byte {
	body := []byte{kind}
	for _, part := range parts {
		switch v := part.(type) {
		case uint32:
			body = binary.BigEndian.AppendUint32(body, v)
		case uint64:
			body = binary.BigEndian.AppendUint64(body, v)
		case string:
			body = append(binary.BigEndian.AppendUint32(body, uint32(len(v))), v...)
		}
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// fuzzCorpus is a session in which every request of version 3 occurs, on paths that would be worth
// something.
func fuzzCorpus() [][]byte {
	corpus := [][]byte{
		fuzzPacket(3, uint32(1), "diagnostic/a.pcap", uint32(1), uint32(0)), // open
		fuzzPacket(5, uint32(2), "1", uint64(0), uint32(32768)),             // read
		fuzzPacket(11, uint32(3), "diagnostic"),                             // opendir
		fuzzPacket(12, uint32(4), "2"),                                      // readdir
		fuzzPacket(8, uint32(5), "1"),                                       // fstat
		fuzzPacket(6, uint32(6), "1", uint64(0), "x"),                       // write
		fuzzPacket(10, uint32(7), "1", uint32(4), uint32(0o777)),            // fsetstat
		fuzzPacket(4, uint32(8), "1"),                                       // close
		fuzzPacket(18, uint32(9), "/diagnostic/a.pcap", "../outside"),       // rename
		fuzzPacket(20, uint32(10), "../outside", "diagnostic/link"),         // symlink
		fuzzPacket(200, uint32(11), "posix-rename@openssh.com", "a", "b"),
		fuzzPacket(200, uint32(12), "statvfs@openssh.com", "/"),
		fuzzPacket(200, uint32(13), "hardlink@openssh.com", "../outside", "b"),
		fuzzPacket(200, uint32(14), "limits@openssh.com"),
	}
	for i, path := range []string{"../outside", "/etc/passwd", "/diagnostic/../../outside", "diagnostic/a.pcap\x00/../..", "/proc/self/root"} {
		for _, kind := range []byte{3, 7, 9, 11, 13, 14, 15, 16, 17, 19} {
			corpus = append(corpus, fuzzPacket(kind, uint32(100*i)+uint32(kind), path, uint32(kind), uint32(0)))
		}
	}
	return corpus
}

const outside = "what no client may see"

// fuzzSession sends packets to a server of its own and returns all that it answered.
func fuzzSession(t testing.TB, a *fakeAppliance, packets ...[]byte) []byte {
	t.Helper()
	requests, in := io.Pipe()
	out, answers := io.Pipe()
	go func() {
		in.Write(fuzzPacket(1, uint32(3))) // SSH_FXP_INIT
		for _, p := range packets {
			in.Write(p)
		}
		in.Close()
	}()
	go func() {
		newSFTPServer(requests, answers, &fakeFiles{a}, discard()).serve()
		requests.Close()
		answers.Close()
	}()
	text, _ := io.ReadAll(out)
	if bytes.Contains(text, []byte(outside)) || bytes.Contains(text, []byte(a.dir)) ||
		bytes.Contains(text, []byte("root:")) {
		t.Errorf("the answer to %x shows what is outside: %q", packets, text)
	}
	return text
}

func fuzzAppliance(t testing.TB) *fakeAppliance {
	a := newFakeAppliance(t)
	parent := a.dir
	a.dir = filepath.Join(parent, "root")
	check(t, os.Mkdir(a.dir, 0o700))
	check(t, os.WriteFile(filepath.Join(parent, "outside"), []byte(outside), 0o600))
	a.put("a.pcap", []byte("inside"))
	return a
}

// Ten thousand requests with some bytes changed: nothing breaks, and nothing outside of the folder
// is read, changed or removed.
func TestSFTPMutations(t *testing.T) {
	a := fuzzAppliance(t)
	corpus := fuzzCorpus()
	random := rand.New(rand.NewPCG(1, 2))
	const sessions, each = 500, 20
	answered := 0
	for range sessions {
		a.put("a.pcap", []byte("inside")) // it may have been removed, which is allowed
		var packets [][]byte
		for range each {
			p := slices.Clone(corpus[random.IntN(len(corpus))])
			for range random.IntN(4) {
				// Most changes keep the length, or the session would end at the first packet.
				at := 4 + random.IntN(len(p)-4)
				if random.IntN(20) == 0 {
					at = random.IntN(4)
				}
				p[at] = byte(random.Uint32())
			}
			packets = append(packets, p)
		}
		answered += len(fuzzSession(t, a, packets...))
	}
	if answered < sessions*each {
		t.Errorf("only %d bytes were answered", answered)
	}
	entries, err := os.ReadDir(filepath.Dir(a.dir))
	check(t, err)
	content, err := os.ReadFile(filepath.Join(filepath.Dir(a.dir), "outside"))
	if len(entries) != 2 || string(content) != outside {
		t.Errorf("outside: %v, %q, %v", entries, content, err)
	}
}

func FuzzSFTP(f *testing.F) {
	for _, p := range fuzzCorpus() {
		f.Add(p)
	}
	a := fuzzAppliance(f)
	f.Fuzz(func(t *testing.T, packets []byte) {
		a.t = t
		a.put("a.pcap", []byte("inside"))
		fuzzSession(t, a, packets)
	})
}

// A file that grows is as long as it is now.
func TestFileThatGrows(t *testing.T) {
	r := newRig(t, Limits{})
	r.appliance.put("a.pcap", []byte("begun"))
	f, err := r.sftp().Open("diagnostic/a.pcap")
	check(t, err)
	r.appliance.put("a.pcap", []byte("begun and ended"))
	info, err := f.Stat()
	check(t, err)
	if info.Size() != 15 {
		t.Errorf("%d bytes", info.Size())
	}
}

func TestDiagnosticListing(t *testing.T) {
	r := newRig(t, Limits{})
	for i := range 250 { // more than fit into one answer
		r.appliance.put(fmt.Sprintf("file-%03d.pcap", i), nil)
	}
	r.appliance.put("not a\nname", nil)
	list, err := r.sftp().ReadDir("/diagnostic")
	check(t, err)
	if len(list) != 250 || list[249].Name() != "file-249.pcap" {
		t.Errorf("%d files", len(list))
	}
}
