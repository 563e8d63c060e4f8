package commands_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/menu"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// A stranger's texts: each of these in every argument. What begins with FORGED would be a line of
// the command's own.
var hostileTexts = []string{
	"x\n2026-01-01 00:00:00 UTC  FORGED",
	"x\r\nFORGED\x1b[2J\x1b]0;owned\x07\x08\x7f\x00",
	"x\u009b31m\u0085FORGED\u202e\u2066\u200f\u2028FORGED\u2029FORGED\ufeff\xff\x9b",
}

// harmfulLine returns what is wrong with a line of a text form, or "".
func harmfulLine(line string) string {
	switch {
	case strings.HasPrefix(line, "FORGED"), strings.HasPrefix(line, "2026-01-01"):
		return "a stranger began it"
	case menu.Clean(strings.ReplaceAll(line, "\t", "")) != strings.ReplaceAll(line, "\t", ""):
		return "it has characters that act on a terminal"
	}
	return ""
}

// reader asks for text forms as root over the appliance's socket.
type reader struct {
	t      *testing.T
	client http.Client
}

// read runs a command for a short time at most, as some go on until they are stopped, and checks
// what it says.
func (r *reader) read(path string, args map[string]string) string {
	return r.readFor(600*time.Millisecond, path, args)
}

// readFor is read with the time that the command has.
func (r *reader) readFor(most time.Duration, path string, args map[string]string) string {
	body, _ := json.Marshal(args) // what is no UTF-8 becomes U+FFFD, as with every JSON client
	ctx, cancel := context.WithTimeout(r.t.Context(), most)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "POST", "http://appliance/v1/run/"+path, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/plain")
	response, err := r.client.Do(request)
	if err != nil {
		if !errors.Is(err, context.DeadlineExceeded) { // it has nothing to say until it is stopped
			r.t.Errorf("%s %q: %v", path, args, err)
		}
		return ""
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(response.Body) // up to where a failure broke it off, or the time was over
	said := string(answer)
	var failure struct {
		Error struct{ Message, Hint string }
	}
	if response.StatusCode != http.StatusOK && json.Unmarshal(answer, &failure) == nil {
		said = failure.Error.Message + "\n" + failure.Error.Hint
	}
	r.check(fmt.Sprintf("%s %q", path, args), said)
	return said
}

func (r *reader) check(what, text string) {
	for _, line := range strings.Split(text, "\n") {
		if fault := harmfulLine(line); fault != "" {
			r.t.Errorf("%s: %s: %q", what, fault, line)
		}
	}
}

// TestNoStrangerOnTheTerminal gives every command of the tree control characters, line ends and
// escape sequences in every argument. The machine itself is full of names with them. The test reads
// every text form: answers, failures, the logs, and reports.
func TestNoStrangerOnTheTerminal(t *testing.T) {
	t.Parallel()
	network := netnstest.New(t)
	network.Veth(t, "eth\x1b[2J", "eth\u202e1")
	a := appliance.Start(t, appliance.Options{Network: network})
	r := &reader{t, http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return a.DialSocket("")
	}}}}
	listen(t, a)
	for n, text := range hostileTexts {
		if _, err := a.LoginBy("eve"+text, ssh.Password("wrong")); err == nil {
			t.Fatal("a stranger logged in")
		}
		r.read("userconfig/edit", map[string]string{"user": "ro", "fullname": text})
		r.read("packetcapture/start",
			map[string]string{"name": fmt.Sprint("c", n), "interface": "lo", "comment": text, "case": text,
				"filter": "port 1" + strings.ToValidUTF8(text[1:], "")})
		r.read("packetcapture/start",
			map[string]string{"name": fmt.Sprint("d", n), "interface": "lo", "comment": text, "case": text,
				"filter": "port 1\n\nor port 2"})
	}
	r.read("packetcapture/setup", map[string]string{"filter": "port 1\r\n\nor port 2", "comment": hostileTexts[0]})

	var work sync.WaitGroup
	places := make(chan struct{}, 16)
	commands, texts := 0, 0
	tree().Walk(func(path []string, item menu.Item) {
		c, ok := item.(*menu.Command)
		if !ok || c.Shape == menu.Bytes {
			return
		}
		commands++
		try := func(args map[string]string) {
			texts++
			work.Go(func() {
				places <- struct{}{}
				defer func() { <-places }()
				r.read(strings.Join(path, "/"), args)
			})
		}
		try(nil)
		for i := range c.Params {
			for n, text := range hostileTexts {
				if n > 0 && !free(c.Params[i]) {
					continue // what is no text is refused in the same way whatever it is
				}
				try(arguments(c, i, text))
			}
		}
		try(map[string]string{hostileTexts[1]: "x"})
	})
	work.Wait()
	if commands < 85 || texts < 5*commands {
		t.Errorf("only %d commands and %d texts", commands, texts)
	}

	// Behind all that, everything that keeps what was said.
	said := r.readFor(appliance.Patience, "auditlog", map[string]string{"count": "100000"})
	if !strings.Contains(said, `\x1b[2J`) || !strings.Contains(said, `\x0a`) || !strings.Contains(said, `\u202e`) {
		t.Error("the audit log lacks what was given")
	}
	for _, log := range []string{"audit", "appliance"} {
		r.read("tail", map[string]string{"log": log, "count": "100000", "follow": "no"})
	}
	for _, path := range []string{"who", "last", "status", "packetcapture/list", "packetcapture/status",
		"userconfig/list", "netstat/interfaces"} {
		r.read(path, nil)
	}
	for _, m := range []string{"packetcapture", "diagnostic/network/tcpdump", "userconfig", "diagnostic/reporting"} {
		status, body := a.API("", "GET", "/v1/menu/"+m, "")
		var view struct{ Status string }
		if err := json.Unmarshal([]byte(body), &view); status != http.StatusOK || err != nil || view.Status == "" &&
			m == "packetcapture" {
			t.Errorf("the menu %s: %d %v", m, status, err)
		}
		r.check("the menu "+m, view.Status)
	}
	if made := a.Local("supportrequest case 1 contact 'a\x1bb' description 'c\nFORGED' files NONE"); made.Status != 0 {
		t.Fatalf("the report: %+v", made)
	}
	reports, _ := filepath.Glob(filepath.Join(a.Data, "diagnostic", "*.tar.gz"))
	if len(reports) == 0 {
		t.Fatal("there is no report")
	}
	slices.Sort(reports)
	r.readReport(reports[len(reports)-1])
}

// free reports whether a parameter takes any text.
func free(p menu.Param) bool {
	return len(p.Choices) == 0 && slices.Contains([]string{"text", "list", "lines", "packets", "secret", "secret lines"}, p.Type)
}

// arguments gives a text to the parameter number i, and what is likely to pass to those that are
// required. Nothing is confirmed: what takes away would take the rest of the test.
func arguments(c *menu.Command, i int, text string) map[string]string {
	likely := map[string]string{"name": "c0", "host": "127.0.0.1", "user": "ro", "port": "1", "expression": "port 1",
		"target": "none", "interface": "lo"}
	args := map[string]string{}
	for n, p := range c.Params {
		switch value, known := likely[p.Name]; {
		case n == i:
			args[p.Name] = text
		case p.Required && known:
			args[p.Name] = value
		case p.Required && free(p):
			args[p.Name] = "x"
		}
	}
	return args
}

// listen starts a process with a harmful name that listens where the appliance looks.
func listen(t *testing.T, a *appliance.Appliance) {
	t.Helper()
	program := `import socket, sys
open("/proc/self/comm", "wb").write(b"e\x1b[2J\nFORGED")
s = socket.create_server(("127.0.0.1", 0)); print("ready", flush=True); sys.stdin.read()`
	cmd := exec.Command(netnstest.Tool(t, "python3"), "-c", program)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Launch(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	if _, err := io.ReadFull(out, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
}

// readReport reads every text form in a report.
func (r *reader) readReport(path string) {
	f, err := os.Open(path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		r.t.Fatal(err)
	}
	texts := 0
	for files := tar.NewReader(unpacked); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.t.Fatal(err)
		}
		content, err := io.ReadAll(files)
		if err != nil {
			r.t.Fatal(err)
		}
		switch text := string(content); {
		case strings.HasSuffix(header.Name, ".txt"):
			texts++
			r.check(header.Name, text)
		case strings.HasSuffix(header.Name, ".html"): // its lines are none that a browser shows
			texts++
			r.check(header.Name, strings.ReplaceAll(text, "\n", " "))
		}
	}
	if texts < 5 {
		r.t.Errorf("the report has %d texts", texts)
	}
}
