package network_test

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"diagsh/internal/mailservers"
	"diagsh/internal/nameserver"
	"diagsh/internal/netnstest"
	"diagsh/internal/transcript"
)

// mailScene has real mail servers: Postfix with a certificate that it signed itself, Exim with one that has expired, OpenSMTPD with
// one that is not valid yet, and another Postfix with one that has its name in the subject alone. The domain lab.example has the first two as its exchangers.
var mailScene = transcript.Scene{
	Files: map[string]string{"/etc/resolv.conf": nameserver.ResolvConf},
	Setup: func(t testing.TB, network *netnstest.Namespace) {
		nameserver.Start(t, network,
			"lab.example. 3600 MX 10 mx.lab.example.", "lab.example. 3600 MX 20 exim.lab.example.", "lab.example. A 127.0.0.5",
			"mx.lab.example. A 127.0.0.2", "exim.lab.example. A 127.0.0.3", "opensmtpd.lab.example. A 127.0.0.4", "old.lab.example. A 127.0.0.6")
		now := time.Now()
		year := 365 * 24 * time.Hour
		mailservers.Start(t, network, mailservers.Postfix, "127.0.0.2", mailservers.SelfSigned(t, "mx.lab.example", now.Add(-year), now.Add(year)))
		mailservers.Start(t, network, mailservers.Exim, "127.0.0.3", mailservers.SelfSigned(t, "exim.lab.example", now.Add(-2*year), now.Add(-year)))
		mailservers.Start(t, network, mailservers.OpenSMTPD, "127.0.0.4", mailservers.SelfSigned(t, "mx.lab.example", now.Add(year), now.Add(2*year)))
		mailservers.Start(t, network, mailservers.Postfix, "127.0.0.6", mailservers.CommonNameOnly(t, "old.lab.example", now.Add(-year), now.Add(year)))
	},
}

// strangers are servers that do as no server should, each by what it says to the words of a client. A reply of stall says nothing for
// ever, one of close ends the connection.
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
	"::1":        {},
}

const stall, shut = "stall", "close"

var strangersScene = transcript.Scene{
	Setup: func(t testing.TB, network *netnstest.Namespace) {
		network.Set(t, "net/ipv6/conf/lo/disable_ipv6", "0")
		for address, replies := range strangers {
			network.Serve(t, net.JoinHostPort(address, "25"), func(c net.Conn) { converse(c, replies) })
		}
	},
}

var usual = map[string]string{"": "220 mx ESMTP\r\n", "DATA": "354 go on\r\n", ".": "250 taken\r\n", "QUIT": "221 bye\r\n"}

// converse is what a stranger says.
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
		switch reply {
		case shut:
			return
		case stall:
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
