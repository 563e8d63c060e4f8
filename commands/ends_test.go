package commands_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/commands"
	"diagsh/internal/api"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/transcript"
)

// A runnable is a line that runs a command. What it leaves on purpose is taken back by the lines
// behind it.
type runnable struct {
	line    string
	endless bool // until it is interrupted
	undo    []string
}

// runnables has lines of commands that need more than a line of their transcript: something to
// undo, an end that comes by an interrupt alone, several ways. A command without one is run by the
// first line of its transcript. 127.0.0.1:53 is a name server that says nothing, 127.0.0.1:2526
// accepts and says nothing, 192.0.2.2 is a black hole, 198.51.100.0/24 is prohibited by the kernel,
// 203.0.113.0/24 has no route, and "kept" is a capture that has ended.
var runnables = []runnable{
	{line: "packetcapture start name mine interface lo",
		undo: []string{"packetcapture stop mine", "packetcapture delete mine confirm yes"}},
	{line: "packetcapture start name ring interface ALL files 4 filetime 1s rings 2",
		undo: []string{"packetcapture stop ring", "packetcapture delete ring confirm yes"}},
	{line: "packetcapture start name short interface lo duration 100ms",
		undo: []string{"packetcapture stop short", "packetcapture delete short confirm yes"}},
	{line: "packetcapture stop kept"},
	{line: "packetcapture status"},
	{line: "packetcapture setup size 100MB"},
	{line: "packetcapture list"},
	{line: "portlog start", undo: []string{"portlog stop"}},
	{line: "portlog stop"},
	{line: "portlog status"},
	{line: "portlog show"},
	{line: "portlog show follow yes", endless: true},
	{line: "portlog report interest 192.0.2.0/24"},
	{line: "portlog settings"},
	{line: "portlog setup size 100MB"},
	{line: "dnsstatus"},
	{line: "packetcapture delete nosuch confirm yes"},
	{line: "packetcapture scenarios"},
	{line: "packetcapture report nosuch"},
	{line: "packetcapture watch interface lo", endless: true},
	{line: "packetcapture watch interface lo duration 100ms"},
	{line: "packetcapture show kept"},
	{line: "packetcapture show kept detail 3"},
	{line: "packetcapture summary kept"},
	{line: "packetcapture stream interface lo", endless: true},
	{line: "packetcapture stream interface ALL packets 1 filter 'tcp port 2526'", endless: true},
	{line: "packetcapture export kept target nowhere", undo: []string{"packetcapture exports"}},
	{line: "packetcapture exports"},
	{line: "packetcapture target new other url https://127.0.0.1:2526/x",
		undo: []string{"packetcapture target delete other confirm yes"}},
	{line: "packetcapture target list"},
	{line: "packetcapture target delete nosuch confirm yes"},
	{line: "filter explain 'tcp port 25'"},
	{line: "filter explain 'host nosuch.example'"},
	{line: "filter build protocol tcp localport 25"},
	{line: "diagnostic raid verify confirm yes"},
	{line: "diagnostic raid tasks"},
	{line: "diagnostic raid status"},
	{line: "diagnostic raid cancel"},
	{line: "diagnostic disk_usage"},
	{line: "diagnostic network flush"},
	{line: "diagnostic network arpshow"},
	{line: "diagnostic network ndpshow"},
	{line: "diagnostic network smtpping 127.0.0.1 port 2526 timeout 600s", endless: true},
	{line: "diagnostic network smtpping 127.0.0.1 port 2526 tls wrapped timeout 600s", endless: true},
	{line: "diagnostic network smtpping 198.51.100.1 timeout 5s"},
	{line: "diagnostic network smtpping nosuch.example", endless: true},
	{line: "diagnostic network tcpdump start",
		undo: []string{"diagnostic network tcpdump stop", "packetcapture delete capture-1 confirm yes",
			"packetcapture delete capture-2 confirm yes", "packetcapture delete capture-3 confirm yes"}},
	{line: "diagnostic network tcpdump stop"},
	{line: "diagnostic network tcpdump status"},
	{line: "diagnostic network tcpdump filter 'port 25'", undo: []string{"diagnostic network tcpdump filter CLEAR"}},
	{line: "diagnostic network tcpdump interface lo", undo: []string{"diagnostic network tcpdump interface ALL"}},
	{line: "diagnostic network tcpdump clear confirm no"},
	{line: "diagnostic reporting new"},
	{line: "diagnostic reporting list"},
	{line: "diagnostic reporting delete nosuch confirm yes"},
	{line: "diagnostic reload files no confirm no really no"},
	{line: "diagnostic services status"},
	{line: "diagnostic services restart cron confirm yes"},
	{line: "certificate show"},
	{line: "certificate new", undo: []string{"clearchanges confirm yes"}},
	{line: "certificate request", undo: []string{"certificate withdraw confirm yes"}},
	{line: "certificate withdraw confirm no"},
	{line: "certificate install chain x"},
	{line: "certificate remove"},
	{line: "certificate acme https://127.0.0.1:2526/ localhost", undo: []string{"clearchanges confirm yes"}},
	{line: "etherconfig media edit eth0 autoselect"},
	{line: "etherconfig media list"},
	{line: "etherconfig vlan new 34 interface eth0", undo: []string{"clearchanges confirm yes"}},
	{line: "etherconfig vlan edit eth0.34 35 interface eth0"},
	{line: "etherconfig vlan delete eth0.34"},
	{line: "etherconfig vlan list"},
	{line: "etherconfig loopback enable 192.0.2.99", undo: []string{"clearchanges confirm yes"}},
	{line: "etherconfig loopback disable"},
	{line: "etherconfig loopback status"},
	{line: "etherconfig mtu edit eth0 1400", undo: []string{"commit", "etherconfig mtu edit eth0 1500", "commit"}},
	{line: "etherconfig mtu list"},
	{line: "etherconfig multicast accept", undo: []string{"clearchanges confirm yes"}},
	{line: "etherconfig multicast reject", undo: []string{"clearchanges confirm yes"}},
	{line: "etherconfig multicast status"},
	{line: "netstat sockets"},
	{line: "netstat sockets processes yes numeric yes details yes"},
	{line: "netstat sockets every 1 numeric", endless: true},
	{line: "netstat interfaces"},
	{line: "netstat routes"},
	{line: "netstat queues"},
	{line: "netstat sysctl"},
	{line: "netstat firewall"},
	{line: "netstat traffic every 1 interface lo", endless: true},
	{line: "tcpservices"},
	{line: "ping 127.0.0.1 interval 50ms", endless: true},
	{line: "ping 127.0.0.1 count 2 interval 50ms"},
	{line: "ping 192.0.2.2 count 1 wait 100ms"},
	{line: "ping 198.51.100.1 count 1"},
	{line: "ping 203.0.113.1 count 1"},
	{line: "ping 198.51.100.1 mtu"},
	{line: "ping nosuch.example", endless: true},
	{line: "ping6 ::1 interval 50ms", endless: true},
	{line: "ping6 2001:db8:5::1 count 1"},
	{line: "ping6 2001:db8:6::1 count 1"},
	{line: "traceroute 192.0.2.2 wait 60s numeric", endless: true},
	{line: "traceroute 127.0.0.1 numeric"},
	{line: "traceroute 127.0.0.1 watch numeric", endless: true},
	{line: "traceroute 198.51.100.1 numeric"},
	{line: "traceroute6 ::1 watch numeric", endless: true},
	{line: "traceroute6 2001:db8:5::1 numeric"},
	{line: "nslookup nosuch.example", endless: true},
	{line: "dig nosuch.example timeout 60s", endless: true},
	{line: "dig nosuch.example timeout 60s tcp server 127.0.0.1 port 2526", endless: true},
	{line: "telnet 127.0.0.1 port 2526 wait 600s", endless: true},
	{line: "telnet 192.0.2.2 timeout 600s", endless: true},
	{line: "telnet 198.51.100.1"},
	{line: "userconfig new anna role readonly password 'a long password'",
		undo: []string{"userconfig delete anna confirm yes"}},
	{line: "packetcapture wireshark"},
	{line: "userconfig edit admin fullname A"},
	{line: "userconfig delete nosuch confirm yes"},
	{line: "userconfig password nosuch password 'a long password'"},
	{line: "userconfig key nosuch new 'ssh-ed25519 x'"},
	{line: "userconfig role nosuch operator"},
	{line: "userconfig unlock admin"},
	{line: "userconfig list"},
	{line: "passwd old a new 'another password'"},
	{line: "whoami"},
	{line: "who"},
	{line: "last"},
	{line: "auditlog"},
	{line: "auditverify"},
	{line: "tail audit", endless: true},
	{line: "tail audit follow no"},
	{line: "status"},
	{line: "supportrequest contact x description y case z"},
	{line: "version"},
	{line: "hostname"},
	{line: "sethostname mx2", undo: []string{"clearchanges confirm yes"}},
	{line: "date"},
	{line: "commit"},
	{line: "clearchanges confirm yes"},
	{line: "showchanges"},
	{line: "commitlist"},
	{line: "commitdetail"},
	{line: "rollbackconfig 1 confirm no"},
	{line: "showconfig"},
	{line: "saveconfig mask yes naming automatic"},
	{line: "loadconfig text 'hostname: mx3'", undo: []string{"clearchanges confirm yes"}},
	{line: "resetconfig confirm no"},
}

// endsAlone says that this process is the one that TestEveryCommandEnds starts.
const endsAlone = "DIAGSH_TEST_ENDS"

// TestEveryCommandEnds runs every command in every way that it can end: by itself, interrupted, and
// with its caller gone. Afterwards nothing of it is left (no goroutine, descriptor or thread, no
// work), and the audit log has a line of it. The appliance runs in a process of the test's own,
// whose goroutines can be seen, in a network of its own.
func TestEveryCommandEnds(t *testing.T) {
	if os.Getenv(endsAlone) != "" {
		walkEnds(t)
		return
	}
	t.Parallel()
	netnstest.NeedsRoot(t, "a network namespace")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(netnstest.Tool(t, "unshare"), "--net", "--mount", self, "-test.run=^TestEveryCommandEnds$",
		"-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), endsAlone+"="+t.TempDir(), "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestEveryCommandEnds") {
		t.Errorf("%v\n%s", err, out)
	}
}

func walkEnds(t *testing.T) {
	quietNetwork(t)
	b := newEndsBench(t)
	b.run("packetcapture start name kept interface lo packets 2")
	b.run("ping 127.0.0.1 count 2 interval 10ms")
	await.Until(t, "the end of the capture", func() bool {
		s, err := b.daemon.Capture("kept")
		return err == nil && s.PacketsWritten == 2 && !s.EndTime.IsZero()
	})
	known := map[string]bool{}
	for _, r := range runnables {
		for _, way := range []string{"by itself", "interrupted", "without its caller"} {
			if way != "by itself" || !r.endless {
				known[b.ends(r, way)] = true
			}
		}
	}
	commands.Tree(nil, commands.Version{}).Walk(func(path []string, item menu.Item) {
		if _, ok := item.(*menu.Command); !ok || known[strings.Join(path, " ")] {
			return
		}
		lines := transcript.Lines(t, ".", path)
		if len(lines) == 0 {
			t.Errorf("%s has no line that runs it", strings.Join(path, " "))
			return
		}
		for _, way := range []string{"by itself", "interrupted", "without its caller"} {
			b.ends(runnable{line: lines[0]}, way)
		}
	})
	b.rests()
}

// endTime is how long a command may take to end when it is asked to, or has lost its caller, on a
// busy machine.
const endTime = 8 * time.Second

// firstWords is how long a command is waited for to say something, or to end, before it is
// interrupted.
const firstWords = 30 * time.Millisecond

// ends runs a line, has it end in one of the ways, and looks at what is left. It returns the path
// of the line's command.
func (b *endsBench) ends(r runnable, way string) string {
	t := b.t
	t.Helper()
	c, err := api.Dial(t.Context(), b.socket)
	if err != nil {
		t.Fatal(err)
	}
	calls, err := c.Parse(t.Context(), api.LineRequest{Line: r.line})
	if err != nil || len(calls) != 1 {
		t.Errorf("%q: %v, %d commands", r.line, err, len(calls))
		c.Close()
		return ""
	}
	call := calls[0]
	path := strings.Join(call.Path, " ")
	c.Close()
	before, lines := b.look(), b.audited(path)

	if c, err = api.Dial(t.Context(), b.socket); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	spoke, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		first := true
		c.Run(ctx, t.Context(), call.Path, call.Arguments, menu.TextForm, func(api.Frame) error {
			if first {
				close(spoke)
			}
			first = false
			return nil
		})
	}()
	b.awaitBegun(path, lines, ended)
	if way != "by itself" {
		select {
		case <-spoke:
		case <-ended:
		case <-time.After(firstWords):
		}
	}
	switch way {
	case "interrupted":
		interrupt()
	case "without its caller":
		c.Close()
	}
	select {
	case <-ended:
	case <-time.After(endTime):
		t.Errorf("%s does not end %s", r.line, way)
		interrupt()
	}
	c.Close()
	b.awaitAudited(path, lines, r.line, way)
	for _, line := range r.undo {
		b.run(line)
	}
	if left := b.left(before); left != "" {
		t.Errorf("of %s, which ended %s, there is left:\n%s", r.line, way, left)
	}
	return path
}

// awaitAudited waits until the audit log has one line more of a command.
func (b *endsBench) awaitAudited(path string, lines int, line, way string) {
	b.t.Helper()
	for deadline := time.Now().Add(endTime); b.audited(path) == lines; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Errorf("%s, which ended %s, is not in the audit log", line, way)
			return
		}
	}
}

// awaitBegun waits until a command runs, or did.
func (b *endsBench) awaitBegun(path string, lines int, ended <-chan struct{}) {
	for {
		for _, s := range b.daemon.Sessions() {
			if slices.Contains(s.Running, path) {
				return
			}
		}
		select {
		case <-ended:
			return
		case <-time.After(time.Millisecond):
		}
	}
}
