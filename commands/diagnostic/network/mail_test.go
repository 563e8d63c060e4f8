package network_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"diagsh/internal/test/mailservers"
	"diagsh/internal/test/nameserver"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/transcript"
)

// mailScene has real mail servers. Postfix has a self-signed certificate, Exim one that has
// expired, and OpenSMTPD one that is not valid yet. Another Postfix has one with its name only in
// the subject. The domain lab.example has the first two as its exchangers.
var mailScene = transcript.Scene{
	Files: map[string]string{"/etc/resolv.conf": nameserver.ResolvConf},
	Setup: func(t testing.TB, network *netnstest.Namespace) {
		zone := nameserver.Zone(t, "null.lab.example. MX 0 .", "null.lab.example. A 127.0.0.2",
			"mixed.lab.example. MX 0 .", "mixed.lab.example. MX 10 mx.lab.example.",
			"xn--mnchen-3ya.example. MX 10 mx.lab.example.", "failing.lab.example. A 127.0.0.2",
			"lab.example. 3600 MX 10 mx.lab.example.", "lab.example. 3600 MX 20 exim.lab.example.",
			"lab.example. A 127.0.0.5", "mx.lab.example. A 127.0.0.2", "exim.lab.example. A 127.0.0.3",
			"opensmtpd.lab.example. A 127.0.0.4", "old.lab.example. A 127.0.0.6")
		nameserver.Serve(t, network, dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			if q.Question[0].Qtype == dns.TypeMX && q.Question[0].Name == "failing.lab.example." {
				w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure))
				return
			}
			zone(w, q)
		}))
		now := time.Now()
		year := 365 * 24 * time.Hour
		mailservers.Start(t, network, mailservers.Postfix, "127.0.0.2",
			mailservers.SelfSigned(t, "mx.lab.example", now.Add(-year), now.Add(year)))
		mailservers.Start(t, network, mailservers.Exim, "127.0.0.3",
			mailservers.SelfSigned(t, "exim.lab.example", now.Add(-2*year), now.Add(-year)))
		mailservers.Start(t, network, mailservers.OpenSMTPD, "127.0.0.4",
			mailservers.SelfSigned(t, "mx.lab.example", now.Add(year), now.Add(2*year)))
		mailservers.Start(t, network, mailservers.Postfix, "127.0.0.6",
			mailservers.CommonNameOnly(t, "old.lab.example", now.Add(-year), now.Add(year)))
	},
}

// strangers are servers that do as no server should, each by what it says to the words of a client.
var strangers = map[string]map[string]string{
	"127.0.1.1":  {"": "554 go away\r\n"},
	"127.0.1.2":  {"EHLO": "502 what?\r\n"},
	"127.0.1.3":  {"EHLO": "550 not for you\r\n"},
	"127.0.1.4":  {"EHLO": "250-mx\r\n250 STARTTLS\r\n", "STARTTLS": "454 not now\r\n"},
	"127.0.1.5":  {"MAIL": "451 later\r\n"},
	"127.0.1.6":  {"RCPT": "550-no such user\r\n550 at all\r\n"},
	"127.0.1.7":  {"DATA": "554 no data from you\r\n"},
	"127.0.1.8":  {".": "552 too much\r\n"},
	"127.0.1.9":  {"EHLO": stall},
	"127.0.1.10": {"": stall},
	"127.0.1.11": {"": "220 \x1b[2J\x1b]0;owned\x07\xff\u202eevil\r\n", "EHLO": "250-\x9b31m\r\n250 \x00SIZE\r\n"},
	"127.0.1.12": {"": "HTTP/1.1 400 Bad Request\r\n"},
	"127.0.1.13": {"": "220 " + strings.Repeat("A", 1<<20)},
	"127.0.1.14": {"": shut},
	"127.0.1.15": {"EHLO": "250-mx\r\n250 STARTTLS\r\n", "STARTTLS": "220 go\r\n250 injected\r\n"},
	"127.0.1.16": {"EHLO": "250-mx\r\n250 STARTTLS\r\n", "STARTTLS": "220 go\r\n", "\x16": "221 what is this\r\n"},
	"127.0.1.17": {"MAIL": shut},
	"127.0.1.19": {"EHLO": "250-mx\r\n251 other\r\n"},
	"127.0.1.20": {"DATA": "250 ok\r\n"},
	"127.0.1.21": {"EHLO": "250-mx\r\n250 STARTTLS\r\n", "STARTTLS": "250 ok\r\n"},
	"127.0.1.22": {"": "250 hello\r\n"},
	"127.0.1.23": {"EHLO": "220 hello\r\n"},
	"127.0.1.24": {"MAIL": "221 bye\r\n"},
	"127.0.1.25": {"RCPT": "354 go on\r\n"},
	"127.0.1.26": {".": "354 more\r\n"},
	"127.0.1.27": {"RSET": "220 what\r\n", "QUIT": "250 ok\r\n"},
	"127.0.1.28": {"QUIT": "500 no\r\n"},
	"127.0.1.29": {"QUIT": shut},
	"127.0.1.30": {".": "250" + shut},
	"127.0.1.31": {"MAIL": "250 ok\r\n550 no\r\n"},
	"127.0.1.32": {"EHLO": "250-mx\r\n250" + stall},
	"127.0.1.33": {"EHLO": "250-mx\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"},
	"127.0.1.34": {"EHLO": "250 ok\r\n421 going down\r\n"},
	"::1":        {},
}

// stall and shut end what a server says: it goes on to say nothing, or closes the connection.
const stall, shut = "stall", "close"

var strangersScene = transcript.Scene{
	Setup: func(t testing.TB, network *netnstest.Namespace) {
		network.Set(t, "net/ipv6/conf/lo/disable_ipv6", "0")
		for address, replies := range strangers {
			network.Serve(t, net.JoinHostPort(address, "25"), func(c net.Conn) { converse(c, replies) })
		}
	},
}

var usual = map[string]string{"": "220 mx ESMTP\r\n", "DATA": "354 go on\r\n", ".": "250 taken\r\n",
	"QUIT": "221 bye\r\n"}

// converse plays a mail server with the answers of a test.
func converse(c net.Conn, replies map[string]string) {
	lines := bufio.NewReader(c)
	word := ""
	for {
		reply, ok := replies[word]
		if !ok {
			if reply, ok = usual[word]; !ok {
				reply = "250 ok\r\n"
			}
		}
		if rest, ends := strings.CutSuffix(reply, shut); ends {
			io.WriteString(c, rest)
			return
		}
		if rest, ends := strings.CutSuffix(reply, stall); ends {
			io.WriteString(c, rest)
			lines.ReadByte()
			return
		}
		if _, err := c.Write([]byte(reply)); err != nil || word == "QUIT" {
			return
		}
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			inMessage := word == "DATA" && strings.HasPrefix(reply, "354")
			if next, _, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " "); !inMessage || next == "." {
				word = next
				if line[0] == 0x16 {
					word = "\x16"
				}
				break
			}
		}
	}
}
