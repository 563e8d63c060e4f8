package peers_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/await"
)

func TestSocketFilters(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	var l net.Listener
	b.ns.Do(t, func() {
		l = accepting(t, "tcp4", "127.0.0.1:0")
		for range 3 {
			connect(t, l, "tcp4", l.Addr().String())
		}
		other := accepting(t, "tcp6", "[::1]:0")
		connect(t, other, "tcp6", other.Addr().String())
	})
	self := strconv.Itoa(os.Getpid())
	for filter, want := range map[string]int{
		"process " + self:                                      10,
		"process " + self + " state ESTABLISHED":               8,
		"process " + self + " state LISTEN,ESTABLISHED":        10,
		"port " + port(l):                                      7,
		"address ::1":                                          3,
		"address 127.0.0.0/8 process " + self:                  7,
		"address 192.0.2.1":                                    0,
		"user root process " + self:                            10,
		"user nobody":                                          0,
		"port " + port(l) + " state LISTEN process peers.test": 1,
	} {
		if got := len(ours[socketRow](b, "netstat sockets numeric yes "+filter)); got != want {
			t.Errorf("%s: %d sockets, not %d", filter, got, want)
		}
	}
	counts := ours[struct {
		State string
		Count int
	}](b, "netstat sockets count state port "+port(l))
	if len(counts) != 2 || counts[0].State != "ESTABLISHED" || counts[0].Count != 6 || counts[1].Count != 1 {
		t.Errorf("counts per state: %+v", counts)
	}
	hosts := ours[struct {
		RemoteAddress string
		Count         int
	}](b, "netstat sockets numeric yes count host process "+self)
	if len(hosts) != 2 || hosts[0].RemoteAddress != "127.0.0.1" || hosts[0].Count != 6 || hosts[1].RemoteAddress != "::1" || hosts[1].Count != 2 {
		t.Errorf("counts per host: %+v", hosts)
	}
}

// Connections that nobody has accepted yet, and those whose handshake is not over, are the
// listener's: for the filters too, and in words. Those that were closed are nobody's.
func TestConnectionsThatWait(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ss")
	var l, other net.Listener
	b.ns.Do(t, func() {
		addLoopback(t, "192.0.2.1/32")
		deadEnd(t)
		l, other = accepting(t, "tcp4", "127.0.0.1:0"), sharing(t, "192.0.2.1:0")
		for n := range 4 {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if n > 0 {
				t.Cleanup(func() { c.Close() })
			} else {
				c.Close() // FIN_WAIT_2 of the client, CLOSE_WAIT of what waits
			}
		}
		for n := range 3 {
			syn(t, "192.0.2.1", other, n)
		}
	})
	me := os.Getpid()
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimSpace(string(comm))
	// A child that another test starts has the listeners too, until it becomes another program.
	lists := func(line string, want map[string]int) {
		var got map[string]int
		if !await.Within(await.Patience, func() bool {
			rows := ours[socketRow](b, line)
			got = map[string]int{}
			for _, r := range rows {
				what := r.State + " " + r.Waiting
				if r.Waiting != "" && (r.PID != 0 || len(r.Listeners) != 1 || r.Listeners[0].PID != me || r.Listeners[0].Process != name) {
					what += fmt.Sprintf(" of %d %+v", r.PID, r.Listeners)
				}
				got[what]++
			}
			return maps.Equal(got, want)
		}) {
			t.Fatalf("%s: %v, want %v", line, got, want)
		}
	}
	for _, filter := range []string{"", fmt.Sprintf(" process %d", me), " process '" + name + "'", " user root"} {
		lists("netstat sockets numeric yes processes yes port "+port(l)+" state ESTABLISHED,CLOSE_WAIT"+filter,
			map[string]int{"ESTABLISHED accept": 3, "CLOSE_WAIT accept": 1, "ESTABLISHED ": 3})
		lists("netstat sockets numeric yes processes yes state SYN_RECV port "+port(other)+filter, map[string]int{"SYN_RCVD handshake": 3})
	}
	ends := func(listener net.Listener, want string) {
		var text string
		if !await.Within(await.Patience, func() bool {
			text = b.Local("netstat sockets numeric yes processes yes port " + port(listener)).Out
			return strings.HasSuffix(text, want)
		}) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	ends(l, fmt.Sprintf("\n- 4 connections wait to be accepted by %d/%s.\n- 1 socket has no process any more: the kernel keeps a closed connection for a while.\n", me, name))
	ends(other, fmt.Sprintf("\n- 3 connections are half open: their handshake with the listener %d/%s is not over.\n", me, name))
	for line, want := range map[string]string{
		"netstat sockets user nosuchuser":                      "There is no user \"nosuchuser\" on this machine.",
		"netstat sockets process nosuchprocess-of-a-long-name": "There is no process \"nosuchprocess-of-a-long-name\".",
		"netstat sockets process 999999999":                    "There is no process \"999999999\".",
		"netstat sockets address fe80::1%nosuch0":              "There is no interface \"nosuch0\".",
	} {
		if r := b.Local(line); r.Status != 4 || !strings.Contains(r.Err, want) {
			t.Errorf("%s: %+v, want %q", line, r, want)
		}
	}
	// The name of a program may be longer than that of a process (comm in proc(5)).
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if rows := ours[socketRow](b, "netstat sockets numeric yes process "+filepath.Base(program)+" state LISTEN port "+port(l)); len(rows) != 1 {
		t.Errorf("by the name of its program: %+v", rows)
	}
}

// tcpservices tells listeners apart that only their interface does, as netstat does.
func TestListenersOfInterfaces(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ip")
	b.feed("link add left type veth peer name right\nlink set left up\nlink set right up\naddr add fe80::77/64 dev left nodad\n", "ip", "-batch", "-")
	b.ns.Do(t, func() {
		for _, device := range []string{"lo", "left"} {
			config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
				return c.Control(func(fd uintptr) { unix.BindToDevice(int(fd), device) })
			}}
			l, err := config.Listen(t.Context(), "tcp4", "0.0.0.0:5005")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}
		left, err := net.InterfaceByName("left")
		if err != nil {
			t.Fatal(err)
		}
		accepting(t, "tcp6", fmt.Sprintf("[fe80::77%%%d]:5006", left.Index))
	})
	text := b.Local("tcpservices").Out
	for _, want := range []string{"IPv4  TCP   *%lo:5005\n", "IPv4  TCP   *%left:5005\n", "IPv6  TCP   [fe80::77%left]:5006\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	var found []string
	for _, r := range ours[struct {
		Address, Interface string
		Port               int
	}](b, "tcpservices") {
		if r.Port == 5005 || r.Port == 5006 {
			found = append(found, row(r.Address, r.Interface, r.Port))
		}
	}
	slices.Sort(found)
	if want := []string{row("0.0.0.0", "left", 5005), row("0.0.0.0", "lo", 5005), row("fe80::77%left", "left", 5006)}; !slices.Equal(found, want) {
		t.Errorf("%q, not %q", found, want)
	}
	// A listener of an interface that is gone waits for nobody, and not for all.
	b.feed("link del left\n", "ip", "-batch", "-")
	for line, want := range map[string]string{
		"tcpservices": "IPv4  TCP   *%(gone):5005\n", "netstat sockets numeric yes port 5005 address 0.0.0.0": " *%(gone).5005 ",
		"netstat queues numeric yes": " *%(gone).5005\n",
	} {
		if text := b.Local(line).Out; !strings.Contains(text, want) || strings.Contains(text, " *.5005") || strings.Contains(text, " *:5005") {
			t.Errorf("%s: no %q in\n%s", line, want, text)
		}
		if text := b.Local(line + " --json").Out; !strings.Contains(text, `"interfaceGone":true`) {
			t.Errorf("%s: the interface is not gone in\n%s", line, text)
		}
	}
}
