package commands_test

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/vt"
)

// An interruption is a line that runs until Ctrl-C, with what it shows before and how it ends. It
// shows nothing if the test can wait for the question to a server instead. It ends with the status
// of an interrupted command, or well if Ctrl-C is its usual end.
type interruption struct {
	line, shown, last string
	status            menu.Code
}

// interruptions are all that run until Ctrl-C or wait for the network. The name server of their
// network says nothing, 192.0.2.2 is a black hole, and 127.0.0.1:2526 accepts and says nothing.
var interruptions = []interruption{
	{line: "ping 127.0.0.1 interval 50ms", shown: "icmp_seq=3 ", last: "packets transmitted, "},
	{line: "ping 192.0.2.2", shown: "PING 192.0.2.2", last: "packets transmitted, 0 packets received"},
	{line: "ping 192.0.2.2 mtu wait 60s", shown: "Searching", status: menu.Interrupted},
	{line: "ping nosuch.example", shown: "Ctrl-C", status: menu.Interrupted},
	{line: "ping6 ::1 interval 50ms", shown: "icmp_seq=3 ", last: "packets transmitted, "},
	{line: "traceroute 192.0.2.2 wait 60s numeric", shown: "hops max", status: menu.Interrupted},
	{line: "traceroute 127.0.0.1 watch numeric", shown: "round 2", last: "127.0.0.1  "},
	{line: "traceroute nosuch.example", shown: "Ctrl-C", status: menu.Interrupted},
	{line: "traceroute6 ::1 watch numeric", shown: "round 2", last: "::1  "},
	{line: "telnet 192.0.2.2 timeout 600s", shown: "Trying 192.0.2.2", status: menu.Interrupted},
	{line: "telnet 127.0.0.1 port 2526 wait 600s", shown: "Connected to", last: "Connection closed."},
	{line: "telnet nosuch.example", status: menu.Interrupted},
	{line: "nslookup nosuch.example", status: menu.Interrupted},
	{line: "dig nosuch.example timeout 60s", status: menu.Interrupted},
	{line: "dig nosuch.example timeout 60s tcp server 127.0.0.1 port 2526", status: menu.Interrupted},
	{line: "diagnostic network smtpping 192.0.2.2 timeout 600s", shown: "Starting SMTP test", status: menu.Interrupted},
	{line: "diagnostic network smtpping 127.0.0.1 port 2526 timeout 600s", shown: "Connected to",
		status: menu.Interrupted},
	{line: "diagnostic network smtpping 127.0.0.1 port 2526 timeout 600s tls wrapped", shown: "Connected to",
		status: menu.Interrupted},
	{line: "diagnostic network smtpping 127.0.0.1 port 2526 timeout 1 repeat 100 interval 0.1",
		shown: "Test 2 of 100 failed", last: "connect ", status: menu.Interrupted},
	{line: "netstat sockets every 1 numeric", shown: "LISTEN", status: menu.Interrupted},
	{line: "netstat sockets every 1 numeric count state", shown: "LISTEN", status: menu.Interrupted},
	{line: "netstat sockets state SYN_SENT", last: "192.0.2.2.25", status: menu.Interrupted},
	{line: "netstat sockets state SYN_SENT count host", status: menu.Interrupted},
	{line: "netstat traffic ALL", shown: "(Total)", status: menu.Interrupted},
	{line: "netstat drops every 1 reason XDP", shown: "No such packet", status: menu.Interrupted},
	{line: "netstat routes numeric no", status: menu.Interrupted},
	{line: "netstat queues numeric no", status: menu.Interrupted},
	{line: "packetcapture watch interface lo", shown: "Watching lo"},
	{line: "portlog show follow yes", shown: "Press Ctrl-C"},
	{line: "tail audit", shown: "Press Ctrl-C"},
	{line: "diagnostic reporting new", shown: "Packet traffic", status: menu.Interrupted},
	{line: "supportrequest contact x description y case z", shown: "Packet traffic", status: menu.Interrupted},
}

// allInterruptions adds to them each command of a host that is not among them: it is interrupted
// while it looks the host up.
func allInterruptions() []interruption {
	list := slices.Clone(interruptions)
	tree().Walk(func(path []string, item menu.Item) {
		c, ok := item.(*menu.Command)
		if !ok || interrupted(path) {
			return
		}
		main := slices.IndexFunc(c.Params, func(p menu.Param) bool { return p.Main && p.Name == "host" })
		others := slices.ContainsFunc(c.Params, func(p menu.Param) bool { return p.Required && !p.Main })
		if main >= 0 && !others {
			list = append(list, interruption{line: strings.Join(path, " ") + " nosuch.example",
				status: menu.Interrupted})
		}
	})
	return list
}

// interrupted reports whether the command of a path is among interruptions.
func interrupted(path []string) bool {
	return slices.ContainsFunc(interruptions,
		func(i interruption) bool { return strings.HasPrefix(i.line+" ", strings.Join(path, " ")+" ") })
}

// elsewhere are the tests in which the others are interrupted.
var elsewhere = map[string]string{
	"packetcapture stream":    "internal/test/e2e TestStream: its bytes go to no terminal",
	"packetcapture wireshark": "it waits for nothing",
	"packetcapture packets":   "capture/index TestEndOfWaiting: it waits for the index of a large file",
	"packetcapture packet":    "capture/index TestEndOfWaiting: it waits for the index of a large file",
	"packetcapture note list": "capture/index TestEndOfWaiting: it waits for the index of a large file",
	"diagnostic raid verify":  "commands/diagnostic TestVerifyInterruptedAndCancelled: it needs an array",
}

// Whatever streams, and whatever waits for another host or may be given a time to do so, is
// interrupted in a test.
func TestEverythingLongIsInterrupted(t *testing.T) {
	all := allInterruptions()
	tree().Walk(func(path []string, item menu.Item) {
		c, ok := item.(*menu.Command)
		if !ok {
			return
		}
		name := strings.Join(path, " ")
		long := c.Shape == menu.Stream || c.Shape == menu.Bytes || slices.ContainsFunc(c.Params, func(p menu.Param) bool {
			return p.Stream || slices.Contains([]string{"host", "server", "timeout", "wait", "follow"}, p.Name)
		})
		tested := slices.ContainsFunc(all, func(i interruption) bool { return strings.HasPrefix(i.line+" ", name+" ") })
		if long && !tested && elsewhere[name] == "" {
			t.Errorf("nothing shows that Ctrl-C ends %s", name)
		}
	})
}

// Ctrl-C ends each of them at once, with its last words; the prompt comes back and the next line is
// run. That it was Ctrl-C which ended it is in the audit log: an end that came by itself has
// another status.
func TestCtrlC(t *testing.T) {
	a := silentBench(t)
	term := a.Terminal("admin", 132, 60)
	const top = appliance.Host + "> "
	term.Prompted(top)
	for _, c := range allInterruptions() {
		term.Type("\x0c")
		term.Wait("an empty screen", func(s *vt.Screen) bool { return s.Row() == 0 && s.Before() == top })
		runs := len(runsOf(a.Appliance))
		a.forget()
		term.Type(c.line + "\r")
		if c.shown != "" {
			term.Wait(c.line+": "+c.shown, func(s *vt.Screen) bool {
				return strings.Contains(strings.Join(s.Rows()[1:], "\n"), c.shown)
			})
		} else {
			a.awaitQuestion(c.line)
		}
		term.Type("\x03")
		term.Wait("the prompt behind "+c.line, func(s *vt.Screen) bool {
			return s.Row() > 0 && s.Before() == top && strings.Contains(strings.Join(s.Rows()[1:], "\n"), c.last)
		})
		all := runsOf(a.Appliance)
		if len(all) != runs+1 {
			t.Errorf("%s: %d runs are in the audit log: %+v", c.line, len(all)-runs, all[runs:])
			continue
		}
		if e := all[runs]; !strings.HasPrefix(c.line, e.Path) || e.Exit != int(c.status) || e.Seconds > 5 {
			t.Errorf("%s: %+v", c.line, e)
		}
	}
}

// A question that waits for a name server, here for the mail exchangers of a domain, is given up
// too: nothing is run.
func TestCtrlCInADialogue(t *testing.T) {
	a := silentBench(t)
	term := a.Terminal("op", 132, 60)
	const top = appliance.Host + "> "
	for _, line := range []string{"diagnostic network smtpping\rone.example",
		"diagnostic network smtpping other.example"} {
		term.Prompted(top)
		term.Type(line + "\r")
		a.awaitQuestion(line)
		term.Type("\x03")
		// The picture of the line may come later than its effect: the prompt that is waited for is
		// the one below it.
		last := line[strings.LastIndexByte(line, '\r')+1:]
		term.Wait("the prompt behind "+line, func(s *vt.Screen) bool {
			return s.Row() > 0 && s.Before() == top && strings.HasSuffix(s.Rows()[s.Row()-1], last)
		})
	}
	if got := term.Says(top, "hostname"); got != appliance.Host {
		t.Errorf("hostname says %q", got)
	}
	if runs := runsOf(a.Appliance); len(runs) != 1 || runs[0].Path != "hostname" {
		t.Errorf("run were %+v", runs)
	}
}

// runsOf returns the runs of commands in the audit log.
func runsOf(a *appliance.Appliance) []access.Event {
	return slices.DeleteFunc(a.Audit(), func(e access.Event) bool { return e.Act != access.ActCommand })
}

// A silent is an appliance in a network where nobody says anything: not the name server on
// 127.0.0.1, nor the hosts behind eth0, nor servers on port 2526, which take connections. Somebody
// is connecting to 192.0.2.2 all the time.
type silent struct {
	*appliance.Appliance
	t     *testing.T
	asked chan struct{} // a server got a question or a connection
}

func silentBench(t *testing.T) silent {
	t.Helper()
	t.Parallel()
	network := netnstest.New(t)
	network.Veth(t, "eth0", "eth1")
	network.Set(t, "net/ipv6/conf/lo/disable_ipv6", "0")
	network.Address(t, "eth0", "192.0.2.1/24")
	network.Neighbour(t, "eth0", "192.0.2.2", "02:00:00:00:00:02")
	network.Route(t, "203.0.113.0/24", "192.0.2.2")
	network.Connecting(t, "192.0.2.2:25")
	asked := make(chan struct{}, 1)
	tell := func() {
		select {
		case asked <- struct{}{}:
		default:
		}
	}
	var names net.PacketConn
	var err error
	network.Do(t, func() { names, err = net.ListenPacket("udp", "127.0.0.1:53") })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { names.Close() })
	go func() {
		for buffer := make([]byte, 512); ; tell() {
			if _, _, err := names.ReadFrom(buffer); err != nil {
				return
			}
		}
	}()
	for _, address := range []string{"127.0.0.1:2526", "192.0.2.1:2526"} {
		network.Serve(t, address, func(c net.Conn) {
			tell()
			io.Copy(io.Discard, c)
		})
	}
	return silent{appliance.Start(t, appliance.Options{Network: network, Files: map[string]string{
		"/etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n",
		"/etc/hosts":       nameless.Files["/etc/hosts"]}}), t, asked}
}

// forget drops what was told of questions so far.
func (s silent) forget() {
	select {
	case <-s.asked:
	default:
	}
}

// awaitQuestion waits until a server is asked.
func (s silent) awaitQuestion(what string) {
	s.t.Helper()
	select {
	case <-s.asked:
	case <-time.After(appliance.Patience):
		s.t.Fatalf("%s: no server was asked", what)
	}
}
