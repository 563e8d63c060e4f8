// Package e2e_test holds the real program to its promises by the programs that people have:
// OpenSSH, PuTTY, paramiko, lftp, and, for what was captured, Wireshark's.
package e2e_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/creack/pty"

	"diagsh/capture"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/vt"
)

// A bed is an appliance in a network of its own, in which two interfaces, left and right, are the
// ends of one cable.
type bed struct {
	*appliance.Appliance
	t  *testing.T
	ns *netnstest.Namespace

	attendants map[string]*attendant // by name, of this part of the test
}

func newBed(t *testing.T) *bed {
	t.Helper()
	ns := netnstest.New(t)
	ns.Veth(t, "left", "right")
	return &bed{Appliance: appliance.Start(t, appliance.Options{Network: ns}), t: t, ns: ns}
}

// of is the bed as a part of the test sees it.
func (b *bed) of(t *testing.T) *bed { return &bed{Appliance: b.Appliance, t: t, ns: b.ns} }

// need makes sure that a program is there. In CI nothing is skipped.
func need(t *testing.T, program, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		netnstest.Missing(t, program+" is missing: install the Debian package "+debianPackage)
	}
}

// put makes a file of the diagnostic directory, as if it had been captured.
func (b *bed) put(name string, content []byte) {
	b.t.Helper()
	if err := os.WriteFile(b.file(name), content, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) file(name string) string { return filepath.Join(b.Data, "diagnostic", name) }

func (b *bed) exists(name string) bool {
	_, err := os.Lstat(b.file(name))
	return err == nil
}

// do runs a line by OpenSSH's client, which must succeed, and returns what it prints.
func (b *bed) do(user, line string) string {
	b.t.Helper()
	r := b.Exec("", "ssh", append(b.OpenSSH(user), line)...)
	if r.Status != 0 || r.Err != "" {
		b.t.Fatalf("ssh %s@ %q: %+v", user, line, r)
	}
	return r.Out
}

// A window is OpenSSH's client on a terminal of its own.
type window struct {
	*vt.Watcher
	t      *testing.T
	client *exec.Cmd
	keys   *os.File
}

// window logs a user in and waits for the prompt.
func (b *bed) window(user, prompt string) *window {
	b.t.Helper()
	w := &window{t: b.t, client: exec.Command("ssh", append([]string{"-t"}, b.OpenSSH(user)...)...)}
	var err error
	b.ns.Do(b.t, func() { w.keys, err = pty.StartWithSize(w.client, &pty.Winsize{Rows: 40, Cols: 132}) })
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { w.keys.Close() })
	w.Watcher = vt.Watch(w.keys, 132, 40)
	if err := w.Until(appliance.Patience, func(s *vt.Screen) bool { return s.Before() == prompt }); err != nil {
		b.t.Fatalf("%s waits for a prompt: %v", user, err)
	}
	return w
}

// says types a line and returns what is shown before the next prompt, which ends the last row.
func (w *window) says(line, next string) (shown string) {
	w.t.Helper()
	from := 0
	w.Look(func(s *vt.Screen) { from = s.Row() })
	w.keys.WriteString(line + "\r")
	if err := w.Until(appliance.Patience, func(s *vt.Screen) bool {
		if s.Row() <= from || s.Before() != next {
			return false
		}
		shown = strings.Join(s.Rows()[from+1:s.Row()], "\n")
		return true
	}); err != nil {
		w.t.Fatalf("the answer to %q: %v", line, err)
	}
	return shown
}

// capture returns the state of a capture, as `packetcapture status NAME` tells it.
func (b *bed) capture(name string) (s capture.Status) {
	b.t.Helper()
	b.Ask("op", "packetcapture status", `{"name":"`+name+`"}`, &s)
	return s
}

// who returns the logins that there are, as JSON.
func (b *bed) who() string {
	b.t.Helper()
	var logins json.RawMessage
	b.Ask("admin", "who", "{}", &logins)
	return string(logins)
}

// tool runs a program that judges files and must succeed.
func tool(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}

// dissected returns the payloads of the UDP datagrams in a file, in hexadecimal and in order, by tshark.
func dissected(t *testing.T, file string) []string {
	t.Helper()
	return strings.Fields(tool(t, "tshark", "-n", "-r", file, "-T", "fields", "-e", "udp.payload"))
}

// payloads returns the same by tcpdump, which starts thirty times as fast. capinfos, which reads files
// as tshark does, must find the file whole, with as many packets; so all of them must be UDP on IPv4.
func payloads(t *testing.T, file string) []string {
	t.Helper()
	var found []string
	var packet strings.Builder
	end := func() {
		if packet.Len() > 0 {
			found = append(found, udpPayload(t, packet.String()))
		}
		packet.Reset()
	}
	// A packet is a line, and lines with an offset, a colon and 16 bytes from the IP header on.
	for line := range strings.Lines(tool(t, "tcpdump", "-n", "-t", "-q", "-x", "-r", file)) {
		offset, words, _ := strings.Cut(line, ":  ")
		if !strings.HasPrefix(offset, "\t0x") {
			end()
			continue
		}
		packet.WriteString(strings.ReplaceAll(strings.TrimSpace(words), " ", ""))
	}
	end()
	if _, count, _ := strings.Cut(strings.TrimSpace(tool(t, "capinfos", "-T", "-r", "-M", "-c", file)), "\t"); count != strconv.Itoa(len(found)) {
		t.Fatalf("capinfos counts %s packets in %s, tcpdump %d", count, file, len(found))
	}
	return found
}

// udpPayload returns the payload of a packet, both in hexadecimal (RFC 791 section 3.1, RFC 768).
func udpPayload(t *testing.T, packet string) string {
	t.Helper()
	number := func(from, to int) int {
		n, err := strconv.ParseUint(packet[2*from:2*to], 16, 16)
		if err != nil {
			t.Fatalf("tcpdump shows %s: %v", packet, err)
		}
		return int(n)
	}
	if len(packet) < 2*28 || packet[0] != '4' || number(9, 10) != 17 {
		t.Fatalf("%s is no UDP on IPv4", packet)
	}
	udp := number(0, 1) & 0xf * 4
	if end := udp + number(udp+4, udp+6); 2*end <= len(packet) {
		return packet[2*(udp+8) : 2*end]
	}
	t.Fatalf("%s is cut", packet)
	return ""
}

// read reads a file.
func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
