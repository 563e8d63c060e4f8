package commands_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"diagsh/internal/test/nameserver"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/transcript"
)

func TestTranscripts(t *testing.T) {
	transcript.Run(t, "testdata", map[string]transcript.Scene{
		"ping": nameless, "ping6": both, "traceroute": nameless, "traceroute6": both, "nslookup": named, "dig": named,
		"dnsstatus": resolving,
		"resolving": resolving, "telnet": speaking, "hosts": crowded,
	})
}

// nameless has a name server that knows no name: so the answers to names are the same on every
// machine.
var nameless = transcript.Scene{
	Files: map[string]string{"/etc/resolv.conf": nameserver.ResolvConf, "/etc/hosts": "127.0.0.1 localhost\n"},
	Setup: func(t testing.TB, network *netnstest.Namespace) { nameserver.Start(t, network) },
}

// both has IPv6 on the loopback too.
var both = transcript.Scene{
	Files: nameless.Files,
	Setup: func(t testing.TB, network *netnstest.Namespace) {
		network.Set(t, "net/ipv6/conf/lo/disable_ipv6", "0")
		nameserver.Start(t, network)
	},
}

// named has a zone, with an answer that does not fit a datagram and one that is made to harm a
// terminal.
var named = transcript.Scene{
	Files: nameless.Files,
	Setup: func(t testing.TB, network *netnstest.Namespace) {
		zone := []string{
			"lab.example. 5400 MX 10 mx.lab.example.", "lab.example. 5400 MX 20 backup.lab.example.",
			`lab.example. 60 TXT "v=spf1 mx -all"`,
			"mx.lab.example. 3600 A 192.0.2.25", "mx.lab.example. 3600 AAAA 2001:db8::25",
			"alias.lab.example. 300 CNAME mx.lab.example.",
			"25.2.0.192.in-addr.arpa. 86400 PTR mx.lab.example.",
			"5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 86400 PTR mx.lab.example.",
			`hostile.lab.example. 60 TXT "\027[2J\027]0;owned\007\255"`,
		}
		for range 8 {
			zone = append(zone, `big.lab.example. 60 TXT "`+strings.Repeat("x", 250)+`"`)
		}
		nameserver.Start(t, network, zone...)
	},
}

// resolving has name servers that fail in the ways of name servers. 127.0.0.1, the first of its
// own, fails, and 127.0.0.2 knows the zone. 127.0.0.3 cannot be asked over TCP, 127.0.0.4 sends
// questions back, and 127.0.0.5 knows no EDNS. 127.0.0.7 loses each question once, and at 127.0.0.6
// there is none.
var resolving = transcript.Scene{
	Files: map[string]string{"/etc/hosts": "127.0.0.1 localhost\n",
		"/etc/resolv.conf": "# servers\nnameserver 127.0.0.1\nnameserver 127.0.0.2\nsearch lab.example " +
			"münchen.example\noptions timeout:1 ndots:2\n"},
	Setup: func(t testing.TB, network *netnstest.Namespace) {
		zone := []string{"mx.lab.example. 3600 A 127.0.0.25", "xn--mnchen-3ya.lab.example. 60 A 127.0.0.26",
			"xn--mnchen-3ya.lab.example. 60 MX 10 mx.xn--mnchen-3ya.example.", "v6.lab.example. 60 AAAA ::1",
			"text.lab.example. 60 TXT \"x\""}
		for n := range 8 {
			zone = append(zone, fmt.Sprintf(`large.lab.example. 60 TXT "%d%s"`, n, strings.Repeat("x", 200)))
		}
		answer := nameserver.Zone(t, zone...)
		nameserver.ServeUDP(t, network, "127.0.0.1",
			nameserver.Code(dns.RcodeServerFailure, dns.ExtendedErrorCodeSignatureExpired, "since \x1b[2J May"))
		nameserver.ServeUDP(t, network, "127.0.0.2", answer)
		nameserver.ServeUDP(t, network, "127.0.0.7", nameserver.FirstLost(answer))
		nameserver.ServeUDP(t, network, "127.0.0.3", answer)
		nameserver.ServeUDP(t, network, "127.0.0.4", dns.HandlerFunc(nameserver.Echo))
		nameserver.ServeUDP(t, network, "127.0.0.5", nameserver.WithoutEDNS(answer))
	},
}

// speaking has servers that say something hostile, say nothing, and hang up.
var speaking = transcript.Scene{
	Files: nameless.Files,
	Setup: func(t testing.TB, network *netnstest.Namespace) {
		nameserver.Start(t, network)
		say(t, network, "127.0.0.1:2525", "220 \x1b[2Jmx\x07 ESMTP\xff\r\n\u202ehello\r\n", true)
		say(t, network, "127.0.0.1:2526", "", false)
		say(t, network, "127.0.0.1:2527", "", true)
		network.Serve(t, "127.0.0.1:2529", negotiate)
		network.Serve(t, "127.0.0.1:2530", answer)
	},
}

// negotiate plays a telnet server that asks for a name once the peer has refused its options.
func negotiate(c net.Conn) {
	io.WriteString(c, "\xff\xfd\x18\xff\xfb\x01\xff\xfb\x03")
	refusals := make([]byte, 9)
	if _, err := io.ReadFull(c, refusals); err != nil || string(refusals) != "\xff\xfc\x18\xff\xfe\x01\xff\xfe\x03" {
		fmt.Fprintf(c, "what is %x?\r\n", refusals)
		return
	}
	io.WriteString(c, "\xff\xfa\x18\x01\xff\xf0login: ")
	name, _ := bufio.NewReader(c).ReadString('\n')
	fmt.Fprintf(c, "\xff\xf1hello %s\r\n", strings.TrimRight(name, "\r\n"))
}

// answer plays a mail server that repeats what it is told, and takes a message.
func answer(c net.Conn) {
	io.WriteString(c, "220-mx\r\n220 ready\r\n")
	lines := bufio.NewScanner(c)
	message := -1
	for lines.Scan() {
		switch line := lines.Text(); {
		case message >= 0 && line == ".":
			fmt.Fprintf(c, "250 %d lines\r\n", message)
			message = -1
		case message >= 0:
			message++
		case line == "DATA":
			io.WriteString(c, "354 go on\r\n")
			message = 0
		case line == "QUIT":
			io.WriteString(c, "221 bye\r\n")
			return
		default:
			fmt.Fprintf(c, "250 %s\r\n", line)
		}
	}
	io.WriteString(c, "221 you have ended\r\n")
}

// crowded has seen hosts: a name server, a gateway, two with connections, neighbours, and
// names in a file that others wrote too.
var crowded = transcript.Scene{
	Files: map[string]string{"/etc/resolv.conf": "nameserver 192.0.2.53\nnameserver 2001:db8::53\n",
		"/etc/hosts": "127.0.0.1 localhost\n198.51.100.9 archive.lab.example archive\n198.51.100.10 \x1b[2J " +
			"evil;reload\n2001:db8::9 six.lab.example\n"},
	Setup: func(t testing.TB, network *netnstest.Namespace) {
		network.Set(t, "net/ipv6/conf/eth0/addr_gen_mode", "1") // no address by chance
		network.Set(t, "net/ipv6/conf/eth0/disable_ipv6", "0")
		network.Address(t, "eth0", "192.0.2.1/24", "2001:db8::1/64")
		for n, address := range []string{"192.0.2.254", "192.0.2.25", "192.0.2.26", "192.0.2.80", "fe80::80"} {
			network.Neighbour(t, "eth0", address, fmt.Sprintf("02:00:00:00:00:%02x", n+2))
		}
		network.Route(t, "0.0.0.0/0", "192.0.2.254")
		for _, address := range []string{"192.0.2.26:25", "192.0.2.25:25", "192.0.2.25:587"} {
			network.Connecting(t, address)
		}
	},
}

// say runs a server that sends a text on each connection, and hangs up or waits.
func say(t testing.TB, network *netnstest.Namespace, address, text string, hangUp bool) {
	t.Helper()
	network.Serve(t, address, func(c net.Conn) {
		c.Write([]byte(text))
		if !hangUp {
			io.Copy(io.Discard, c)
		}
	})
}
