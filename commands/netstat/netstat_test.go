package netstat

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/diag/interfaces"
	diag "diagsh/diag/sockets"
	"diagsh/diag/users"
	"diagsh/internal/menu"
	"diagsh/internal/test/netnstest"
)

func TestRates(t *testing.T) {
	start := time.Unix(1000, 0)
	before := reading{at: start, links: map[int]interfaces.Counters{
		1: {RxPackets: 100, TxBytes: 50, RxDropped: 7}, 2: {RxPackets: 1}}}
	now := reading{at: start.Add(2 * time.Second), links: map[int]interfaces.Counters{
		1: {RxPackets: 300, TxBytes: 40 /* set back */, RxDropped: 9, Collisions: 4}, 3: {RxPackets: 1 << 40}}} // 2 went, 3 came
	r := between(before, now)
	if r.Seconds != 2 || r.Receive.Packets != 100 || r.Receive.Dropped != 1 || r.Transmit.Bytes != 0 ||
		r.Transmit.Collisions != 2 {
		t.Errorf("%+v", r)
	}
}

// TestHostileNames puts what strangers may write into a name in front of the text form.
func TestHostileNames(t *testing.T) {
	v := &socketsView{users: users.Names{}}
	s := &diag.Socket{State: diag.Established, Local: netip.MustParseAddrPort("192.0.2.1:25"),
		Remote: netip.MustParseAddrPort("[2001:db8::1]:4711")}
	v.row.fill(v, s, map[netip.Addr]string{s.Remote.Addr(): "a\x1b[2J\nb\u202e"})
	v.row.full, v.row.processes, v.row.PID, v.row.Process = true, true, 7, "x\ny\x1b]0;"
	line := string(v.row.line())
	if strings.Count(line, "\n") != 1 || strings.ContainsAny(line, "\x1b\u202e") {
		t.Errorf("%q", line)
	}
	if !strings.Contains(line, `a\x1b[2J\x0ab\u202e.4711 ESTABLISHED 7/x\x0ay\x1b]0;`) {
		t.Errorf("%q", line)
	}
}

func TestLine(t *testing.T) {
	v := &socketsView{users: users.Names{}, devices: map[uint32]string{3: "eth0"}}
	for _, c := range []struct {
		s     diag.Socket
		names map[netip.Addr]string
		want  string
	}{
		{diag.Socket{State: diag.Established, Local: netip.MustParseAddrPort("10.0.202.7:10275"),
			Remote: netip.MustParseAddrPort("10.0.201.4:6025")}, nil,
			"tcp4       0      0 10.0.202.7.10275       10.0.201.4.6025        ESTABLISHED\n"},
		{diag.Socket{State: diag.Listen, IPv6: true, SendQ: 128, Local: netip.MustParseAddrPort("[::]:25"),
			Remote: netip.MustParseAddrPort("[::]:0")}, nil,
			"tcp46      0    128 *.25                   *.*                    LISTEN\n"},
		{diag.Socket{State: diag.TimeWait, Local: netip.MustParseAddrPort("10.0.202.7:10273"),
			Remote: netip.MustParseAddrPort("192.0.2.9:80")},
			map[netip.Addr]string{netip.MustParseAddr("192.0.2.9"): "a96-17-177-18.deploy.static.example.com"},
			"tcp4       0      0 10.0.202.7.10273       a96-17-177-18.de.80    TIME_WAIT\n"},
		{diag.Socket{Kind: diag.KindUDP, IPv6: true, State: diag.Closed, Device: 3,
			Local: netip.MustParseAddrPort("[fe80::1]:546"), Remote: netip.MustParseAddrPort("[::]:0")}, nil,
			"udp6       0      0 fe80::1%eth0.546       *.*\n"},
		{diag.Socket{State: diag.Listen, Device: 3, Local: netip.MustParseAddrPort("0.0.0.0:67"),
			Remote: netip.MustParseAddrPort("0.0.0.0:0")}, nil,
			"tcp4       0      0 *%eth0.67              *.*                    LISTEN\n"},
		{diag.Socket{State: diag.Listen, Device: 1 << 30, Local: netip.MustParseAddrPort("0.0.0.0:68"),
			Remote: netip.MustParseAddrPort("0.0.0.0:0")}, nil,
			"tcp4       0      0 *%(gone).68            *.*                    LISTEN\n"},
		{diag.Socket{State: diag.Established, IPv6: true, Local: netip.MustParseAddrPort("[::ffff:127.0.0.1]:25"),
			Remote: netip.MustParseAddrPort("[::ffff:127.0.0.1]:4711")}, nil,
			"tcp4       0      0 127.0.0.1.25           127.0.0.1.4711         ESTABLISHED\n"},
		{diag.Socket{State: diag.Listen, IPv6: true, Local: netip.MustParseAddrPort("[::ffff:127.0.0.1]:25"),
			Remote: netip.MustParseAddrPort("[::]:0")}, nil,
			"tcp4       0      0 127.0.0.1.25           *.*                    LISTEN\n"},
		{diag.Socket{State: diag.Established, RecvQ: 12345678, IPv6: true,
			Local:  netip.MustParseAddrPort("[2001:db8:1:2:3:4:5:6]:65535"),
			Remote: netip.MustParseAddrPort("[::ffff:192.0.2.1]:25")}, nil,
			"tcp6  12345678      0 2001:db8:1:2:3:4:5:6.65535 ::ffff:192.0.2.1.25    ESTABLISHED\n"},
	} {
		v.row.fill(v, &c.s, c.names)
		if got := string(v.row.line()); got != c.want {
			t.Errorf("\n%q, not\n%q", got, c.want)
		}
	}
}

func TestLineAllocatesNothing(t *testing.T) {
	v := &socketsView{users: users.Names{}}
	s := &diag.Socket{State: diag.Established, Local: netip.MustParseAddrPort("10.0.202.7:10275"),
		Remote: netip.MustParseAddrPort("[2001:db8::1]:6025")}
	if n := testing.AllocsPerRun(100, func() { v.row.fill(v, s, nil); v.row.line() }); n != 0 {
		t.Errorf("%v allocations for a row", n)
	}
}

// Sockets without ports show what they take instead, in text and in members of their own; what the
// kernel does not say is a dash, and no number.
func TestOtherKinds(t *testing.T) {
	at := netip.MustParseAddrPort
	for _, c := range []struct {
		s          diag.Socket
		line, json string
	}{
		{diag.Socket{Kind: diag.KindRaw, State: diag.Closed, Protocol: 89, Device: 3, Drops: 7, DropsKnown: true,
			Local: at("0.0.0.0:0"), Remote: at("0.0.0.0:0")},
			"raw4       0      0 *%eth0.ospf            *.*                                     7\n",
			`{"protocol":"raw4","recvQ":0,"sendQ":0,"drops":7,"localAddress":"0.0.0.0","remoteAddress":"0.0.0.0","ipProtocol":89,"ipProtocolName":"ospf","state":"","interface":"eth0"}`},
		{diag.Socket{Kind: diag.KindRaw, IPv6: true, State: diag.Established, Protocol: 253, RecvQ: 832,
			Unknown: diag.UnknownDevice, Local: at("[fe80::1]:0"), Remote: at("[2001:db8::1]:0")},
			"raw6     832      0 fe80::1.253            2001:db8::1.*          ESTABLISHED      -\n",
			`{"protocol":"raw6","recvQ":832,"sendQ":0,"localAddress":"fe80::1","remoteAddress":"2001:db8::1","ipProtocol":253,"state":"ESTABLISHED","interfaceUnknown":true}`},
		{diag.Socket{Kind: diag.KindUDPLite, IPv6: true, State: diag.Closed, DropsKnown: true, Local: at("[::]:777"),
			Remote: at("[::]:0")},
			"udpl6      0      0 *.777                  *.*                                     0\n",
			`{"protocol":"udplite6","recvQ":0,"sendQ":0,"drops":0,"localAddress":"::","localPort":777,"remoteAddress":"::","remotePort":0,"state":""}`},
		{diag.Socket{Kind: diag.KindUDPLite, State: diag.Established, Local: at("192.0.2.1:7"),
			Remote: at("192.0.2.2:9")},
			"udpl4      0      0 192.0.2.1.7            192.0.2.2.9            ESTABLISHED      -\n",
			`{"protocol":"udplite4","recvQ":0,"sendQ":0,"localAddress":"192.0.2.1","localPort":7,"remoteAddress":"192.0.2.2","remotePort":9,"state":"ESTABLISHED"}`},
		{diag.Socket{Kind: diag.KindPacket, State: diag.Closed, Type: diag.PacketRaw, Protocol: 3, Device: 3,
			RecvQ: 8320, Unknown: diag.UnknownSendQ},
			"p_raw   8320      - *%eth0.all             *.*                                     -\n",
			`{"protocol":"packet","type":"raw","recvQ":8320,"etherType":3,"etherTypeName":"all","state":"","interface":"eth0"}`},
		{diag.Socket{Kind: diag.KindPacket, State: diag.Closed, Type: diag.PacketDatagram, Protocol: 0x88b5,
			DeviceGone: true, Unknown: diag.UnknownRecvQ},
			"p_dgr      -      0 *%(gone).0x88b5        *.*                                     -\n",
			`{"protocol":"packet","type":"dgram","sendQ":0,"etherType":34997,"state":"","interfaceGone":true}`},
		{diag.Socket{Kind: diag.KindPacket, State: diag.Closed, Type: diag.PacketOld},
			"p_old      0      0 *.none                 *.*                                     -\n",
			`{"protocol":"packet","type":"packet","recvQ":0,"sendQ":0,"etherType":0,"etherTypeName":"none","state":""}`},
	} {
		v := &socketsView{users: users.Names{}, devices: map[uint32]string{3: "eth0"}}
		v.Details, v.Protocol = true, "raw"
		v.row.fill(v, &c.s, nil)
		if got := string(v.row.line()); got != c.line {
			t.Errorf("\n%q, not\n%q", got, c.line)
		}
		if got, err := json.Marshal(&v.row); err != nil || string(got) != c.json {
			t.Errorf("%v\n%s, not\n%s", err, got, c.json)
		}
	}
}

// A port is no IP protocol and no EtherType, a packet socket has no address, and only TCP has
// connections that wait.
func TestFiltersOfOtherKinds(t *testing.T) {
	at := netip.MustParseAddrPort
	raw := diag.Socket{Kind: diag.KindRaw, State: diag.Established, Protocol: 89, Local: at("192.0.2.1:0"),
		Remote: at("192.0.2.2:0")}
	packet := diag.Socket{Kind: diag.KindPacket, State: diag.Closed, Protocol: 2054, Device: 3}
	untold := diag.Socket{Kind: diag.KindRaw, IPv6: true, State: diag.Closed, Unknown: diag.UnknownDevice,
		Local: at("[fe80::1]:0"), Remote: at("[::]:0")}
	bound := diag.Socket{Kind: diag.KindRaw, IPv6: true, State: diag.Closed, Device: 3, Local: at("[fe80::1]:0"),
		Remote: at("[::]:0")}
	for _, c := range []struct {
		port    int
		address string
		zone    string
		s       diag.Socket
		want    bool
	}{
		{89, "", "", raw, false}, {2054, "", "", packet, false}, {0, "", "", raw, true}, {0, "", "", packet, true},
		{0, "192.0.2.2/32", "", raw, true}, {0, "192.0.2.3/32", "", raw, false}, {0, "0.0.0.0/0", "", packet, false},
		{0, "::/0", "", packet, false},
		{0, "fe80::1/128", "eth0", bound, true}, {0, "fe80::1/128", "eth1", bound, false},
		{0, "fe80::1/128", "eth1", untold, true}, // it may be
	} {
		v := &socketsView{users: users.Names{}, devices: map[uint32]string{3: "eth0"}, zone: c.zone}
		v.Port = c.port
		if c.address != "" {
			v.network = netip.MustParsePrefix(c.address)
		}
		if got := v.chosen(&c.s); got != c.want {
			t.Errorf("port %d, address %s%%%s: %+v is chosen: %v", c.port, c.address, c.zone, c.s, got)
		}
	}
	if raw.Waits() {
		t.Error("a raw socket waits to be accepted")
	}
	view := func() *socketsView {
		return &socketsView{earlier: interfaces.Names{3: "eth0", 4: "eth1"},
			devices: interfaces.Names{3: "eth0", 4: "eth1"}}
	}
	if before, now := bound, bound; view().changed(&before, &now) {
		t.Error("what is as before has changed")
	}
	for name, change := range map[string]func(s *diag.Socket){
		"state": func(s *diag.Socket) { s.State = diag.Established }, "recvQ": func(s *diag.Socket) { s.RecvQ++ }, "sendQ": func(s *diag.Socket) { s.SendQ++ },
		"drops": func(s *diag.Socket) { s.Drops++ }, "interface": func(s *diag.Socket) { s.Device++ }, "its end": func(s *diag.Socket) { s.DeviceGone = true },
		"protocol": func(s *diag.Socket) { s.Protocol++ },
	} {
		before, now := packet, packet
		if change(&now); !view().changed(&before, &now) || identityOf(&before) != identityOf(&now) {
			t.Errorf("a packet socket with another %s is another one, or the same", name)
		}
	}
	// A socket of TCP keeps the number of its interface when that goes or gets another name.
	for what, names := range map[string]interfaces.Names{"gone": {3: ""}, "renamed": {3: "wan0"}} {
		v := view()
		if v.devices = names; !v.changed(&bound, &bound) {
			t.Errorf("a socket whose interface is %s is as before", what)
		}
	}
	other := packet
	if other.Inode++; identityOf(&other) == identityOf(&packet) {
		t.Error("two packet sockets are one")
	}
}

// TestSuggestions: what has no port suggests none, what has no address neither.
func TestSuggestions(t *testing.T) {
	ns := netnstest.New(t)
	ns.Do(t, func() {
		for _, s := range []struct {
			family, kind, protocol int
			to                     unix.Sockaddr
		}{
			{unix.AF_INET, unix.SOCK_RAW, 89, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 2}}},
			{unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6, nil},
			{unix.AF_PACKET, unix.SOCK_RAW, 0, nil},
			{unix.AF_INET, unix.SOCK_DGRAM, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 3}, Port: 9}},
		} {
			fd, err := unix.Socket(s.family, s.kind|unix.SOCK_CLOEXEC, s.protocol)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			if s.to != nil {
				err = unix.Connect(fd, s.to)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for argument, want := range map[string]string{"address": "127.0.0.2 127.0.0.3", "port": "",
			"user": users.Names{}.Of(uint32(unix.Geteuid()))} {
			var got []string
			for _, c := range suggestSockets(t.Context(), menu.Caller{}, socketsArgs{}, argument, "") {
				got = append(got, c.Value)
			}
			if strings.Join(got, " ") != want {
				t.Errorf("for %s come %q, not %q", argument, got, want)
			}
		}
	})
}

// TestUnknownProcesses checks the sentences about dashes, in singular and plural.
func TestUnknownProcesses(t *testing.T) {
	for _, c := range []struct {
		dashes dashes
		want   string
	}{
		{dashes{}, ""},
		{dashes{unseen: 1}, "- 1 socket is of the kernel, or of a process that the appliance may not see.\n"},
		{dashes{unseen: 2, orphans: 1},
			"- 2 sockets are of the kernel, or of a process that the appliance may not see.\n- 1 socket has no " +
				"process any more: the kernel keeps a closed connection for a while.\n"},
		{dashes{waiting: map[waitingFor]int{{"7/smtpd", false}: 4, {"7/smtpd", true}: 1, {"", false}: 1}},
			"- 1 connection waits to be accepted, by which process is not known.\n- 4 connections wait to be " +
				"accepted by 7/smtpd.\n- 1 connection is half open: its handshake with the listener 7/smtpd is not " +
				"over.\n"},
	} {
		if got := c.dashes.String(); got != c.want {
			t.Errorf("%+v: %q", c.dashes, got)
		}
	}
}

// A connection that is not accepted yet belongs to the process that listens, for a filter too. One
// that was closed belongs to no process.
func TestWaitingConnections(t *testing.T) {
	listening := diag.Socket{State: diag.Listen, Inode: 7, Local: netip.MustParseAddrPort("0.0.0.0:25"),
		Remote: netip.MustParseAddrPort("0.0.0.0:0")}
	v := &socketsView{users: users.Names{}, services: watched{}, listeners: diag.Listeners{25: {listening}}}
	for state, want := range map[diag.State]string{diag.Established: waitsAccept, diag.CloseWait: waitsAccept,
		diag.SynRcvd:  waitsHandshake,
		diag.FinWait1: "", diag.FinWait2: "", diag.Closing: "", diag.LastAck: "", diag.TimeWait: ""} {
		s := diag.Socket{State: state, Local: netip.MustParseAddrPort("192.0.2.1:25"),
			Remote: netip.MustParseAddrPort("192.0.2.9:4711")}
		v.Processes = true
		v.row.fill(v, &s, nil)
		if v.row.Waiting != want {
			t.Errorf("%s without a process waits for %q, not for %q", state, v.row.Waiting, want)
		}
	}
}
