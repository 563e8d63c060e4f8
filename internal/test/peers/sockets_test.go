package peers_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A socketRow is a row of netstat sockets --json.
type socketRow struct {
	Protocol       string `json:"protocol"`
	RecvQ          int    `json:"recvQ"`
	SendQ          int    `json:"sendQ"`
	LocalAddress   string `json:"localAddress"`
	LocalPort      int    `json:"localPort"`
	RemoteAddress  string `json:"remoteAddress"`
	RemotePort     int    `json:"remotePort"`
	State          string `json:"state"`
	PID            int    `json:"pid"`
	Process        string `json:"process"`
	User           string `json:"user"`
	Interface      string `json:"interface"`
	Type           string `json:"type"`
	IPProtocol     int    `json:"ipProtocol"`
	IPProtocolName string `json:"ipProtocolName"`
	EtherType      *int   `json:"etherType"`
	Drops          *int   `json:"drops"`
	Others         []struct {
		PID     int    `json:"pid"`
		Process string `json:"process"`
	} `json:"others"`
	Waiting   string `json:"waiting"`
	Listeners []struct {
		PID     int    `json:"pid"`
		Process string `json:"process"`
	} `json:"listeners"`
	TCP *struct {
		RTT              float64 `json:"rtt"`
		Retransmits      int     `json:"retransmits"`
		CongestionWindow int     `json:"congestionWindow"`
	} `json:"tcp"`
}

func (r socketRow) canonical() string {
	// ss writes * for the wildcard of a listener of both families, which ours calls tcp46.
	local, foreign := r.LocalAddress, r.RemoteAddress
	if strings.HasSuffix(r.Protocol, "46") {
		local, foreign = "*", "*"
	}
	// And it names the interface that a socket is bound to at the local end alone.
	local, foreign = withoutZone(local), withoutZone(foreign)
	if r.Interface != "" {
		local += "%" + r.Interface
	}
	var held []string
	if r.PID != 0 {
		held = append(held, fmt.Sprintf("%s/%d", r.Process, r.PID))
	}
	for _, o := range r.Others {
		held = append(held, fmt.Sprintf("%s/%d", o.Process, o.PID))
	}
	slices.Sort(held)
	state := r.State
	if state == "" {
		state = "UNCONN"
	}
	if r.IPProtocol != 0 {
		r.LocalPort = r.IPProtocol // where ss has it
	}
	return row(r.Protocol[:3], state, r.RecvQ, r.SendQ, local, r.LocalPort, foreign, r.RemotePort, held)
}

func withoutZone(address string) string {
	address, _, _ = strings.Cut(address, "%")
	return address
}

// ssStates are ss's names for the states of netstat.
var ssStates = map[string]string{"ESTAB": "ESTABLISHED", "SYN-SENT": "SYN_SENT", "SYN-RECV": "SYN_RCVD", "FIN-WAIT-1": "FIN_WAIT_1",
	"FIN-WAIT-2": "FIN_WAIT_2", "TIME-WAIT": "TIME_WAIT", "CLOSE-WAIT": "CLOSE_WAIT", "LAST-ACK": "LAST_ACK", "LISTEN": "LISTEN",
	"CLOSING": "CLOSING", "UNCONN": "UNCONN"}

var ssUser = regexp.MustCompile(`\("((?:[^"\\]|\\.)*)",pid=(\d+),fd=\d+\)`)

// ss reads what ss writes with -H -n -p.
func (b *bed) ss(protocol string, args ...string) []string {
	b.t.Helper()
	var rows []string
	for line := range strings.Lines(b.run("ss", args...)) {
		f := strings.Fields(line)
		var held []string
		for _, m := range ssUser.FindAllStringSubmatch(line, -1) {
			if h := m[1] + "/" + m[2]; !slices.Contains(held, h) {
				held = append(held, h)
			}
		}
		slices.Sort(held)
		local, localPort := ssEndpoint(f[3])
		foreign, remotePort := ssEndpoint(f[4])
		if foreign == "0.0.0.0" && local != "*" && strings.Contains(local, ":") {
			foreign = "::"
		}
		rows = append(rows, row(protocol, ssStates[f[0]], f[1], f[2], local, localPort, foreign, remotePort, held))
	}
	return rows
}

func ssEndpoint(text string) (string, string) {
	i := strings.LastIndexByte(text, ':')
	port := text[i+1:]
	if port == "*" {
		port = "0"
	}
	// What is an end of IPv4 is shown as that, whatever socket it is.
	return strings.TrimPrefix(strings.NewReplacer("[", "", "]", "").Replace(text[:i]), "::ffff:"), port
}

// accepting listens and holds on to what it accepts.
func accepting(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func connect(t *testing.T, l net.Listener, network, address string) (client, server net.Conn) {
	t.Helper()
	client, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client, server
}

// churn connects and hangs up as fast as it can until the function that it returns is called.
func (b *bed) churn(port string) (stop func() int64) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	var made atomic.Int64
	var l net.Listener
	b.ns.Do(b.t, func() { l = accepting(b.t, "tcp", "127.0.0.1:"+port) })
	done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	})
	ready := make(chan struct{})
	done.Go(func() {
		b.ns.Do(b.t, func() {
			for ctx.Err() == nil {
				c, err := net.Dial("tcp", "127.0.0.1:"+port)
				if err != nil {
					continue // no port is free for a moment
				}
				if made.Add(1) == 10 {
					close(ready)
				}
				io.Copy(io.Discard, c)
				c.Close()
			}
		})
	})
	<-ready
	return func() int64 {
		cancel()
		l.Close()
		done.Wait()
		return made.Load()
	}
}

const churnPort = "9"

func TestSocketsEqualSS(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ss", "ip")
	b.feed("link add left type veth peer name right\nlink set left up\nlink set right up\naddr add fe80::77/64 dev left nodad\n", "ip", "-batch", "-")
	b.ns.Do(t, func() { manySockets(t) })
	stop := b.churn(churnPort)
	before := b.ss("tcp", "-tanpH")
	rows := ours[socketRow](b, "netstat sockets numeric yes processes yes")
	after := b.ss("tcp", "-tanpH")
	if n := stop(); n < 20 {
		t.Errorf("only %d connections came and went", n)
	}
	var mine []string
	states := map[string]int{}
	for _, r := range rows {
		mine = append(mine, r.canonical())
		states[r.Protocol+" "+r.State]++
	}
	compare(t, count(before), count(mine), count(after), func(row string) bool {
		return slices.Contains(strings.Fields(row), churnPort)
	})
	for _, state := range []string{"tcp4 LISTEN", "tcp6 LISTEN", "tcp46 LISTEN", "tcp4 ESTABLISHED", "tcp6 ESTABLISHED", "tcp4 CLOSE_WAIT",
		"tcp4 FIN_WAIT_2", "tcp4 TIME_WAIT"} {
		if states[state] == 0 {
			t.Errorf("no socket was %s: %v", state, states)
		}
	}
	// Below the table, once, stands why there is no process in a row.
	text := b.Local("netstat sockets numeric yes processes yes state TIME_WAIT").Out
	if !strings.HasSuffix(text, " no process any more: the kernel keeps a closed connection for a while.\n") || strings.Count(text, "any more") != 1 {
		t.Errorf("nothing says what the dashes mean:\n%s", text[max(0, len(text)-300):])
	}
	if text := b.Local("netstat sockets numeric yes processes yes state LISTEN").Out; strings.Contains(text, "any more") || strings.Contains(text, "may not see") {
		t.Errorf("of sockets whose processes are all seen it says:\n%s", text)
	}
	if states["tcp4 ESTABLISHED"] < 3000 || states["tcp6 ESTABLISHED"] < 3000 {
		t.Errorf("fewer rows than were made: %v", states)
	}
}

// manySockets makes thousands of connections over both families, and some in every state that
// stays.
func manySockets(t *testing.T) {
	v4 := accepting(t, "tcp4", "127.0.0.1:0")
	v6 := accepting(t, "tcp6", "[::1]:0")
	for range 1500 {
		connect(t, v4, "tcp4", v4.Addr().String())
		connect(t, v6, "tcp6", v6.Addr().String())
	}
	both := accepting(t, "tcp", ":0")
	connect(t, both, "tcp4", "127.0.0.1:"+port(both)) // which the listener has as ::ffff:127.0.0.1
	accepting(t, "tcp4", "0.0.0.0:0")
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1) })
	}}
	only, err := config.Listen(t.Context(), "tcp6", "[::]:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { only.Close() })

	bound := func(network, address string) {
		config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { unix.BindToDevice(int(fd), "lo") })
		}}
		l, err := config.Listen(t.Context(), network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	}
	bound("tcp4", "0.0.0.0:0")
	bound("tcp4", "127.0.0.1:0")
	bound("tcp6", "[::1]:0")
	left, err := net.InterfaceByName("left")
	if err != nil {
		t.Fatal(err)
	}
	// By number: package net remembers the names of another namespace.
	linkLocal := fmt.Sprintf("[fe80::77%%%d]:", left.Index)
	local := accepting(t, "tcp6", linkLocal+"0")
	connect(t, local, "tcp6", linkLocal+port(local))

	client, _ := connect(t, v4, "tcp4", v4.Addr().String())
	client.Write(make([]byte, 12345)) // which nobody reads
	client, _ = connect(t, v4, "tcp4", v4.Addr().String())
	client.(*net.TCPConn).CloseWrite() // FIN_WAIT_2, CLOSE_WAIT
	client, server := connect(t, v4, "tcp4", v4.Addr().String())
	client.Close()
	io.Copy(io.Discard, server)
	server.Close() // TIME_WAIT
}

func port(l net.Listener) string { return strconv.Itoa(l.Addr().(*net.TCPAddr).Port) }

func TestSocketSharedByProcesses(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ss")
	b.ns.Do(t, func() {
		l := accepting(t, "tcp4", "127.0.0.1:0")
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		heir := exec.Command("sleep", "60")
		heir.ExtraFiles = []*os.File{f}
		if err := heir.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { heir.Process.Kill(); heir.Wait() })
	})
	rows := ours[socketRow](b, "netstat sockets numeric yes processes yes process sleep")
	if len(rows) != 1 || len(rows[0].Others) != 1 || rows[0].PID >= rows[0].Others[0].PID {
		t.Fatalf("a socket of two processes is %+v", rows)
	}
	theirs := count(b.ss("tcp", "-tlnpH", "sport", "=", ":"+strconv.Itoa(rows[0].LocalPort)))
	compare(t, theirs, count([]string{rows[0].canonical()}), theirs, never)
}

var ssDetail = regexp.MustCompile(`rtt:([\d.]+)/.*cwnd:(\d+)`)

func TestDetailsEqualSS(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ss")
	var l net.Listener
	b.ns.Do(t, func() {
		l = accepting(t, "tcp4", "127.0.0.1:0")
		c, s := connect(t, l, "tcp4", l.Addr().String())
		for range 20 {
			c.Write(make([]byte, 5000))
			io.ReadFull(s, make([]byte, 5000))
		}
	})
	for _, r := range ours[socketRow](b, "netstat sockets numeric yes details yes state ESTABLISHED port "+port(l)) {
		m := ssDetail.FindStringSubmatch(b.run("ss", "-tinH", "sport", "=", ":"+strconv.Itoa(r.LocalPort), "and", "dport", "=", ":"+strconv.Itoa(r.RemotePort)))
		if m == nil || r.TCP == nil {
			t.Fatalf("no details: %v, %+v", m, r)
		}
		rtt, _ := strconv.ParseFloat(m[1], 64)
		if d := rtt/1000 - r.TCP.RTT; d > 1e-6 || d < -1e-6 || m[2] != strconv.Itoa(r.TCP.CongestionWindow) {
			t.Errorf("ss has rtt %s ms, cwnd %s; ours %+v", m[1], m[2], *r.TCP)
		}
	}
}
