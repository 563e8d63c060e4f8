package commands_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
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
)

// An endsBench is an appliance in this process.
type endsBench struct {
	t      *testing.T
	daemon *daemon.Daemon
	socket string
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
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte("captures: {keepMemory: 0s}\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	d, err := daemon.Open(daemon.Options{Dir: dir, Product: "diagsh", Hostname: "mx1",
		Log: slog.New(slog.DiscardHandler), ServiceCatalogue: assets.Services})
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
		c.Run(b.t.Context(), b.t.Context(), call.Path, call.Arguments, menu.TextForm,
			func(api.Frame) error { return nil })
	}
}

// audited returns the number of lines in the audit log about ends of a command.
func (b *endsBench) audited(path string) (n int) {
	b.daemon.Events(b.t.Context(), access.EventFilter{Path: path}, func(e access.Event) error {
		if e.Act == access.ActCommand && e.Path == path && e.Result != api.ResultRunning {
			n++
		}
		return nil
	})
	return n
}

// remains is what there is in this process: goroutines by who made them, descriptors by what they
// are.
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

// left returns what there is more than before, once the run has had time to end.
func (b *endsBench) left(before remains) string {
	for deadline := time.Now().Add(endTime); ; time.Sleep(2 * time.Millisecond) {
		now := b.look()
		var more []string
		for _, what := range slices.Sorted(maps.Keys(now)) {
			// The log of the audit turns over, and captures come and go; a file that is written all
			// the time has one name.
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

// rests fails the test unless the appliance has nothing to do in the end, and no more threads than
// a process of its size needs.
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
