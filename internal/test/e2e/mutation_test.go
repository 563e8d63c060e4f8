package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/test/appliance"
)

// mutants is how many mutated requests each interface gets.
const mutants = 10_000

// A hunt is an appliance with things outside its root that no answer may ever show and nobody may
// change.
type hunt struct {
	*bed
	random  *rand.Rand
	outside string            // a folder
	before  map[string]string // the files there, and the appliance's own ones, with what they held
	secrets [][]byte
	words   []string // what paths and arguments are made of

	inside   int         // answers with what may be read
	statuses map[int]int // of HTTP
}

func newHunt(t *testing.T) *hunt {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := &hunt{bed: newBed(t), random: rand.New(rand.NewPCG(seed, 0)), outside: t.TempDir(), statuses: map[int]int{}}
	marked := "the contents of a file outside"
	for _, path := range []string{filepath.Join(h.outside, "canary"), filepath.Join(h.Data, "canary")} {
		if err := os.WriteFile(path, []byte(marked), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"link.pcap": filepath.Join(h.outside, "canary"), "up": "..", "out": h.outside, "etc": "/etc"} {
		if err := os.Symlink(target, h.file(name)); err != nil {
			t.Fatal(err)
		}
	}
	h.secrets = [][]byte{[]byte(marked), []byte("root:x:0:"), []byte("$argon2id$"), []byte("PRIVATE KEY")}
	h.words = []string{"diagnostic", "diagnostic/", "a.pcap", "link.pcap", "up", "out", "etc", "canary", "..", ".", "", "/", "//", "*", "~", "passwd",
		"users.json", "hostkeys", "ssh_host_rsa_key", "proc/self/root", "%2e%2e", "\x00", "\xff\xfe", "é", "\n", strings.Repeat("../", 40), strings.Repeat("x", 300),
		h.outside, h.Data, "api.sock", "captures.json", "audit/audit.jsonl"}
	h.before = h.files()
	return h
}

// files are those that no request may touch.
func (h *hunt) files() map[string]string {
	h.t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{filepath.Join(h.outside, "*"), filepath.Join(h.Data, "canary"), filepath.Join(h.Data, "users.json"),
		filepath.Join(h.Data, "hostkeys", "*"), "/etc/passwd"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, path := range paths {
			all[path] = string(read(h.t, path))
		}
	}
	return all
}

// over is the end: the appliance lives, works, and nothing outside is other than it was.
func (h *hunt) over() {
	h.t.Helper()
	after := h.files()
	for path, content := range h.before {
		if after[path] != content {
			h.t.Errorf("%s has changed", path)
		}
	}
	if len(after) != len(h.before) {
		h.t.Errorf("there are %d files outside, there were %d", len(after), len(h.before))
	}
	if !h.Alive() {
		h.t.Fatalf("the appliance has died:\n%s", h.Log())
	}
	h.do("admin", "whoami")
	if h.inside == 0 {
		h.t.Error("the requests did not even reach what may be read")
	}
}

// readable is what the file in the root holds.
const readable = "what may be read"

func (h *hunt) mustNotShow(answer []byte) {
	h.t.Helper()
	if bytes.Contains(answer, []byte(readable)) {
		h.inside++
	}
	for _, secret := range h.secrets {
		if bytes.Contains(answer, secret) {
			h.t.Fatalf("%q came out: %.200q", secret, answer)
		}
	}
}

func (h *hunt) pick(of ...string) string { return of[h.random.IntN(len(of))] }

// path is one that may lead anywhere.
func (h *hunt) path() string {
	if h.random.IntN(4) == 0 {
		return "diagnostic/" + h.pick("a.pcap", "link.pcap", "out/canary", "up/canary", "etc/passwd")
	}
	var parts []string
	for range 1 + h.random.IntN(4) {
		parts = append(parts, h.pick(h.words...))
	}
	return h.pick("", "/", "../") + strings.Join(parts, h.pick("/", "/", "/../", ""))
}

// spoil changes some bytes.
func (h *hunt) spoil(b []byte) []byte {
	for range 1 + h.random.IntN(3) {
		if len(b) == 0 {
			break
		}
		at := h.random.IntN(len(b))
		switch h.random.IntN(4) {
		case 0:
			b[at] ^= 1 << h.random.IntN(8)
		case 1:
			b[at] = byte(h.random.Uint32())
		case 2:
			b = append(b[:at:at], b[min(len(b), at+1+h.random.IntN(8)):]...)
		case 3:
			b = append(b[:at:at], append([]byte{0xff, 0xff, 0xff, 0xff}, b[at:]...)...)
		}
	}
	return b
}

// Ten thousand requests of SFTP, most of them well formed and up to no good, some broken.
func TestMutatedSFTP(t *testing.T) {
	t.Parallel()
	h := newHunt(t)
	client := h.Login("op")
	answered := 0
	for answered < mutants {
		h.put("a.pcap", []byte(readable))
		n := h.sftpBurst(client)
		if n == 0 {
			t.Fatalf("a burst had no answer after %d", answered)
		}
		answered += n
	}
	h.over()
	left, err := os.ReadDir(filepath.Join(h.Data, "diagnostic"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if !strings.Contains("a.pcap link.pcap up out etc", e.Name()) {
			t.Errorf("%s was made", e.Name())
		}
	}
}

// sftpBurst sends requests on a channel of its own until the server gives it up, and counts those
// that were dealt with: the answered ones, and the one that broke it off.
func (h *hunt) sftpBurst(client *ssh.Client) int {
	h.t.Helper()
	session, err := client.NewSession()
	if err != nil {
		h.t.Fatal(err)
	}
	defer session.Close()
	in, err := session.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := session.RequestSubsystem("sftp"); err != nil {
		h.t.Fatal(err)
	}
	const burst = 100
	late := time.AfterFunc(appliance.Patience, func() { session.Close() })
	defer late.Stop()
	go func() {
		in.Write(sftpPacket(1, []byte{0, 0, 0, 3})) // SSH_FXP_INIT, version 3
		in.Write(sftpPacket(3, []byte("\x00\x00\x03\xe7\x00\x00\x00\x11diagnostic/a.pcap\x00\x00\x00\x01\x00\x00\x00\x00")))
		broken := burst/2 + h.random.IntN(burst/2) // what comes after it is not read, if it is broken enough
		for id := range burst {
			request := h.sftpRequest(uint32(id))
			if id == broken {
				request = h.spoil(request)
			}
			if _, err := in.Write(request); err != nil {
				break
			}
		}
		in.Close()
	}()
	answers, err := io.ReadAll(out)
	if err != nil && !errors.Is(err, io.EOF) {
		h.t.Fatal(err)
	}
	if !late.Stop() {
		h.t.Fatal("the server neither answers nor closes")
	}
	h.mustNotShow(answers)
	return min(burst, countPackets(answers)) // without that of INIT, with the broken one
}

func countPackets(b []byte) (n int) {
	for len(b) >= 4 {
		length := int(binary.BigEndian.Uint32(b)) + 4
		if length > len(b) {
			break
		}
		b = b[length:]
		n++
	}
	return n
}

// sftpPacket is a packet of draft-ietf-secsh-filexfer-02 section 3.
func sftpPacket(kind byte, body []byte) []byte {
	p := binary.BigEndian.AppendUint32(nil, uint32(1+len(body)))
	return append(append(p, kind), body...)
}

// sftpRequest is a well-formed request.
func (h *hunt) sftpRequest(id uint32) []byte {
	body := binary.BigEndian.AppendUint32(nil, id)
	text := func(s string) { body = append(binary.BigEndian.AppendUint32(body, uint32(len(s))), s...) }
	number := func(n uint32) { body = binary.BigEndian.AppendUint32(body, n) }
	handle := func() { text(h.pick("1", "1", "1", "2", "3", "4", "5", "17", "0", "", "-1", "99999999999999999999")) }
	attributes := func() {
		flags := h.pick("\x00\x00\x00\x00", "\x00\x00\x00\x01", "\x00\x00\x00\x04", "\x80\x00\x00\x00", "\x00\x00\x00\x0f")
		body = append(append(body, flags...), make([]byte, 32)...)
	}
	kind := byte(3 + h.random.IntN(18))
	if h.random.IntN(20) == 0 {
		kind = 200 // SSH_FXP_EXTENDED
	}
	switch kind {
	case 3: // OPEN
		text(h.path())
		number(h.random.Uint32N(64))
		attributes()
	case 4, 8, 12: // CLOSE, FSTAT, READDIR
		handle()
	case 5, 6: // READ, WRITE
		handle()
		number(h.random.Uint32N(2) * h.random.Uint32()) // the upper half of the offset
		number(h.random.Uint32N(8) * h.random.Uint32N(1<<20))
		if kind == 5 {
			number(h.random.Uint32N(1 << 20))
		} else {
			text(h.path())
		}
	case 7, 11, 13, 15, 16, 17, 19: // LSTAT, OPENDIR, REMOVE, RMDIR, REALPATH, STAT, READLINK
		text(h.path())
	case 9, 14: // SETSTAT, MKDIR
		text(h.path())
		attributes()
	case 10: // FSETSTAT
		handle()
		attributes()
	case 18, 20: // RENAME, SYMLINK
		text(h.path())
		text(h.path())
	case 200:
		text(h.pick("posix-rename@openssh.com", "hardlink@openssh.com", "statvfs@openssh.com", "copy-data", "fsync@openssh.com", "nosuch"))
		text(h.path())
		text(h.path())
	}
	return sftpPacket(kind, body)
}

// Ten thousand requests of the API by three roles: paths and arguments of all kinds, and some that
// are no HTTP.
func TestMutatedAPI(t *testing.T) {
	t.Parallel()
	h := newHunt(t)
	var commands, streams []string
	for _, n := range h.Tree() {
		path := strings.ReplaceAll(n.Path, " ", "/")
		commands = append(commands, path)
		if n.Output == "stream" || n.Output == "bytes" {
			streams = append(streams, "/v1/run/"+path)
		}
		for _, p := range n.Params {
			h.words = append(h.words, p.Name)
		}
	}
	h.words = append(h.words, "ALL", "left", "unlimited", "-1", "99999999999999999999", "'", `"`, ";", "?", "--json", "host ::1", "tcp[13] & 2 != 0")
	users := []string{"op", "ro", "sup"}
	var wire net.Conn
	var answers *bufio.Reader
	for n := range mutants {
		if n%50 == 0 {
			h.put("a.pcap", []byte(readable))
		}
		if wire == nil {
			var err error
			if wire, err = h.DialSocket(users[n%len(users)]); err != nil {
				t.Fatal(err)
			}
			answers = bufio.NewReader(wire)
		}
		request := h.apiRequest(commands)
		// What a spoiled request promises may never come, and a stream never ends: both are told
		// that nobody goes on.
		last := n%20 == 0 || slices.ContainsFunc(streams, func(path string) bool { return bytes.Contains(request, []byte(path)) })
		if n%20 == 0 {
			request = h.spoil(request)
		}
		if !h.ask(wire, answers, request, last) {
			wire.Close()
			wire = nil
		}
	}
	if wire != nil {
		wire.Close()
	}
	h.over()
	t.Logf("answers by status: %v", h.statuses)
	for _, status := range []int{http.StatusOK, http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound} {
		if h.statuses[status] < mutants/100 {
			t.Errorf("only %d requests were answered by %d: they are too dull", h.statuses[status], status)
		}
	}
}

// ask sends a request, the last one of its connection or not, and reports whether the connection
// can be used for another one.
func (h *hunt) ask(wire net.Conn, answers *bufio.Reader, request []byte, last bool) bool {
	h.t.Helper()
	wire.SetDeadline(time.Now().Add(appliance.Patience))
	if _, err := wire.Write(request); err != nil {
		return false
	}
	if last {
		wire.(*net.UnixConn).CloseWrite()
	}
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		if !last && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			h.t.Errorf("no answer to %.300q: %v", request, err)
		}
		return false
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	h.mustNotShow(body)
	h.statuses[response.StatusCode]++
	return err == nil && !response.Close && !last
}

// apiRequest is a request of HTTP for some resource.
func (h *hunt) apiRequest(commands []string) []byte {
	method := h.pick("GET", "POST", "POST", "POST", "DELETE")
	command := h.pick(commands...)
	resource := h.pick("session", "tree", "menu/"+command, "help/"+command, "files", "files/a.pcap", "files/"+url.PathEscape(h.path()), "files/"+h.path(), h.path())
	if method == "POST" {
		resource = h.pick("parse", "complete", "ask/"+command, "run/"+command, "run/"+command, "run/"+command, "interrupt/"+h.pick(h.words...), "history")
	}
	if h.random.IntN(20) == 0 {
		method = h.pick("GET", "POST", "PUT", "BREW")
	}
	body := h.value(3)
	if h.random.IntN(3) == 0 {
		body = fmt.Sprintf(`{"at":[],"line":%s,"abbreviate":true}`, quoted(h.line()))
	}
	resource = strings.NewReplacer(" ", "%20", "\n", "%0a", "\x00", "%00").Replace(resource)
	return fmt.Appendf(nil, "%s /v1/%s HTTP/1.1\r\nHost: appliance\r\nAccept: %s\r\nContent-Length: %d\r\n\r\n%s", method, resource,
		h.pick("application/json", "text/plain", "application/vnd.diagsh.frames"), len(body), body)
}

// value is JSON, nested at most so deep.
func (h *hunt) value(depth int) string {
	var parts []string
	for range h.random.IntN(4) {
		inner := quoted(h.pick(h.words...))
		if depth > 1 && h.random.IntN(4) == 0 {
			inner = h.pick(h.value(depth-1), "["+inner+"]", "null", "true", "-1", "1e400", "0.5", "[]", "{}")
		}
		parts = append(parts, quoted(h.pick(h.words...))+":"+inner)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// line is a line as people type it.
func (h *hunt) line() string {
	var words []string
	for range h.random.IntN(8) {
		words = append(words, h.pick(append(h.words, "packetcapture", "start", "status", "delete", "userconfig", "help", "auditlog", "operator")...))
	}
	return strings.Join(words, " ")
}

// quoted is a string of JSON, whatever its bytes.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\x00", `\u0000`).Replace(s) + `"`
}
