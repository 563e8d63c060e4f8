package commands_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"diagsh/assets"
	"diagsh/commands"
	"diagsh/internal/access"
	"diagsh/internal/api"
	"diagsh/internal/daemon"
	"diagsh/internal/menu"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// A runnable is a line that runs a command. What it leaves on purpose is taken back by the lines behind it.
type runnable struct {
	line    string
	endless bool // until it is interrupted
	undo    []string
}

// runnables has at least a line for every command. 127.0.0.1:53 is a name server that says nothing, 127.0.0.1:2526 accepts and says nothing,
// 192.0.2.2 is a black hole, 198.51.100.0/24 is prohibited by the kernel, 203.0.113.0/24 has no route, and "kept" is a capture that has ended.
var runnables = []runnable{
	{line: "packetcapture start name mine interface lo", undo: []string{"packetcapture stop mine", "packetcapture delete mine confirm yes"}},
	{line: "packetcapture start name ring interface ALL files 4 filetime 1s rings 2", undo: []string{"packetcapture stop ring", "packetcapture delete ring confirm yes"}},
	{line: "packetcapture start name short interface lo duration 100ms", undo: []string{"packetcapture stop short", "packetcapture delete short confirm yes"}},
	{line: "packetcapture stop kept"},
	{line: "packetcapture status"},
	{line: "packetcapture setup size 100MB"},
	{line: "packetcapture list"},
	{line: "dnsstatus"},
	{line: "packetcapture delete nosuch confirm yes"},
	{line: "packetcapture watch interface lo", endless: true},
	{line: "packetcapture watch interface lo duration 100ms"},
	{line: "packetcapture show kept"},
	{line: "packetcapture show kept detail 3"},
	{line: "packetcapture summary kept"},
	{line: "packetcapture stream interface lo", endless: true},
	{line: "packetcapture stream interface ALL packets 1 filter 'tcp port 2526'", endless: true},
	{line: "packetcapture export kept target nowhere", undo: []string{"packetcapture exports"}},
	{line: "packetcapture exports"},
	{line: "packetcapture target new other url https://127.0.0.1:2526/x", undo: []string{"packetcapture target delete other confirm yes"}},
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
	{line: "diagnostic network tcpdump start", undo: []string{"diagnostic network tcpdump stop", "packetcapture delete capture-1 confirm yes", "packetcapture delete capture-2 confirm yes", "packetcapture delete capture-3 confirm yes"}},
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
	{line: "userconfig new anna role readonly password 'a long password'", undo: []string{"userconfig delete anna confirm yes"}},
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
	{line: "commitdetail"},
	{line: "rollbackconfig 1 confirm no"},
	{line: "showconfig"},
	{line: "saveconfig mask yes naming automatic"},
	{line: "loadconfig text 'hostname: mx3'", undo: []string{"clearchanges confirm yes"}},
	{line: "resetconfig confirm no"},
}

// endsAlone says that this process is the one that TestEveryCommandEnds starts.
const endsAlone = "DIAGSH_TEST_ENDS"

// TestEveryCommandEnds runs every command in every way that it can end: by itself, interrupted, and with its caller gone. Afterwards
// nothing of it is left (no goroutine, descriptor or thread, no work), and the audit log has a line of it. The appliance runs in a process
// of the test's own, whose goroutines can be seen, in a network of its own.
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
	cmd := exec.Command(netnstest.Tool(t, "unshare"), "--net", "--mount", self, "-test.run=^TestEveryCommandEnds$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), endsAlone+"="+t.TempDir(), "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestEveryCommandEnds") {
		t.Errorf("%v\n%s", err, out)
	}
}

// An endsBench is an appliance in this process.
type endsBench struct {
	t      *testing.T
	daemon *daemon.Daemon
	socket string
}

func walkEnds(t *testing.T) {
	quietNetwork(t)
	b := newEndsBench(t)
	b.run("packetcapture start name kept interface lo packets 2")
	b.run("ping 127.0.0.1 count 2 interval 10ms")
	for deadline := time.Now().Add(appliance.Patience); ; time.Sleep(time.Millisecond) {
		if s, err := b.daemon.Capture("kept"); err == nil && s.PacketsWritten == 2 && !s.EndTime.IsZero() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the capture did not end")
		}
	}
	known := map[string]bool{}
	for _, r := range runnables {
		for _, way := range []string{"by itself", "interrupted", "without its caller"} {
			if way != "by itself" || !r.endless {
				known[b.ends(r, way)] = true
			}
		}
	}
	commands.Tree(nil, commands.Version{}).Walk(func(path []string, item menu.Item) {
		if _, ok := item.(*menu.Command); ok && !known[strings.Join(path, " ")] {
			t.Errorf("%s has no line that runs it", strings.Join(path, " "))
		}
	})
	b.rests()
}

// quietNetwork gives this process's network what runnables say of it.
func quietNetwork(t *testing.T) {
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""))
	resolver := filepath.Join(os.Getenv(endsAlone), "resolv.conf")
	check(os.WriteFile(resolver, []byte("nameserver 127.0.0.1\noptions timeout:30 attempts:1\n"), 0o644))
	check(unix.Mount(resolver, "/etc/resolv.conf", "", unix.MS_BIND, ""))
	lo, err := netlink.LinkByName("lo")
	check(err)
	check(netlink.LinkSetUp(lo))
	check(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth1"}))
	for _, name := range []string{"eth0", "eth1"} {
		l, err := netlink.LinkByName(name)
		check(err)
		check(netlink.LinkSetUp(l))
	}
	eth0, err := netlink.LinkByName("eth0")
	check(err)
	for _, prefix := range []string{"192.0.2.1/24", "2001:db8:1::1/64"} {
		address, err := netlink.ParseAddr(prefix)
		check(err)
		address.Flags = unix.IFA_F_NODAD
		check(netlink.AddrAdd(eth0, address))
	}
	for _, prefix := range []string{"198.51.100.0/24", "2001:db8:5::/48"} {
		_, destination, err := net.ParseCIDR(prefix)
		check(err)
		check(netlink.RouteAdd(&netlink.Route{Dst: destination, Type: unix.RTN_PROHIBIT}))
	}
	names, err := net.ListenPacket("udp", "127.0.0.1:53")
	check(err)
	silent, err := net.Listen("tcp", "127.0.0.1:2526")
	check(err)
	go io.Copy(io.Discard, connOf{names})
	go func() {
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(io.Discard, c)
			}()
		}
	}()
}

// A connOf reads what comes to a packet connection.
type connOf struct{ net.PacketConn }

func (c connOf) Read(b []byte) (int, error) {
	n, _, err := c.ReadFrom(b)
	return n, err
}

func newEndsBench(t *testing.T) *endsBench {
	dir := t.TempDir()
	// What is kept of a capture for the next one would be left of it.
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte("captures: {keepMemory: 0s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := daemon.Open(daemon.Options{Dir: dir, Product: "diagsh", Hostname: "mx1", Log: slog.New(slog.DiscardHandler), ServiceCatalogue: assets.Services})
	if err != nil {
		t.Fatal(err)
	}
	boundary := api.NewServer(d, commands.Tree(d, commands.Version{Product: "diagsh"}), slog.New(slog.DiscardHandler))
	d.ReportWith(boundary)
	b := &endsBench{t: t, daemon: d, socket: filepath.Join(dir, "api.sock")}
	l, err := net.Listen("unix", b.socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- boundary.Serve(l.(*net.UnixListener)) }()
	t.Cleanup(func() {
		boundary.Close()
		<-served
		d.Close(context.Background())
	})
	return b
}

// run runs a line to its end, whatever that is; a line that is not understood runs nothing.
func (b *endsBench) run(line string) {
	b.t.Helper()
	c, err := api.Dial(b.t.Context(), b.socket)
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	calls, err := c.Parse(b.t.Context(), api.LineRequest{Line: line})
	if err != nil {
		return
	}
	for _, call := range calls {
		c.Run(b.t.Context(), b.t.Context(), call.Path, call.Arguments, menu.TextForm, func(api.Frame) error { return nil })
	}
}

// endTime is how long a command may take to end when it is asked to, or has lost its caller, on a busy machine.
const endTime = 8 * time.Second

// firstWords is how long a command is waited for to say something, or to end, before it is interrupted.
const firstWords = 30 * time.Millisecond

// ends runs a line, has it end in one of the ways, and looks at what is left. It returns the path of the line's command.
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
	for deadline := time.Now().Add(endTime); b.audited(path) == lines; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%s, which ended %s, is not in the audit log", r.line, way)
			break
		}
	}
	for _, line := range r.undo {
		b.run(line)
	}
	if left := b.left(before); left != "" {
		t.Errorf("of %s, which ended %s, there is left:\n%s", r.line, way, left)
	}
	return path
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

// audited is how many lines the audit log has of the ends of a command.
func (b *endsBench) audited(path string) (n int) {
	b.daemon.Events(b.t.Context(), access.EventFilter{Path: path}, func(e access.Event) error {
		if e.Act == access.ActCommand && e.Path == path && e.Result != api.ResultRunning {
			n++
		}
		return nil
	})
	return n
}

// remains is what there is in this process: goroutines by who made them, descriptors by what they are.
type remains map[string]int

var (
	madeBy    = regexp.MustCompile(`(?m)^created by (\S+)`)
	socketIDs = regexp.MustCompile(`:\[\d+\]$`)
)

func (b *endsBench) look() remains {
	buffer := make([]byte, 4<<20)
	buffer = buffer[:runtime.Stack(buffer, true)]
	found := remains{}
	for stack := range strings.SplitSeq(string(buffer), "\n\n") {
		if m := madeBy.FindStringSubmatch(stack); m != nil {
			found["goroutine of "+m[1]]++
		}
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			found["descriptor "+socketIDs.ReplaceAllString(target, "")]++
		}
	}
	return found
}

// left says what there is more than before, when what ends has had its time to do so.
func (b *endsBench) left(before remains) string {
	for deadline := time.Now().Add(endTime); ; time.Sleep(2 * time.Millisecond) {
		now := b.look()
		var more []string
		for _, what := range slices.Sorted(maps.Keys(now)) {
			// The log of the audit turns over, and captures come and go; a file that is written all the time has one name.
			if n := now[what] - before[what]; n > 0 {
				more = append(more, fmt.Sprintf("%d %s", n, what))
			}
		}
		if len(more) == 0 {
			return ""
		}
		if time.Now().After(deadline) {
			return strings.Join(more, "\n")
		}
	}
}

// rests says that, after all, the appliance has nothing to do and no more threads than a process of its size has.
func (b *endsBench) rests() {
	var began, ended unix.Rusage
	const window = time.Second
	unix.Getrusage(unix.RUSAGE_SELF, &began)
	time.Sleep(window)
	unix.Getrusage(unix.RUSAGE_SELF, &ended)
	used := time.Duration(ended.Utime.Nano() + ended.Stime.Nano() - began.Utime.Nano() - began.Stime.Nano())
	if used > window/10 {
		b.t.Errorf("at rest it works %v of %v", used, window)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		b.t.Fatal(err)
	}
	// A thread for each of some hundred runs would be many more.
	if most := 40 + 4*runtime.GOMAXPROCS(0); len(tasks) > most {
		b.t.Errorf("there are %d threads, more than %d", len(tasks), most)
	}
}
