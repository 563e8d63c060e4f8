package smtp

import (
	"bufio"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/textproto"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"diagsh/diag/dns"
)

// A Message is a test message.
type Message struct {
	Subject, Body string
	ID            string // for Message-ID and Date, so that its recipient can identify it
	Date          time.Time
}

// ASCIIAddress returns an address as a command has it, with the domain in the form of the DNS (RFC
// 5891), which every server understands. The part before the @ may keep letters beyond ASCII, for
// which a server must offer SMTPUTF8 (RFC 6531). The error is ErrAddress or a *dns.NameError about
// the domain.
func ASCIIAddress(address string) (string, error) {
	if !utf8.ValidString(address) || strings.ContainsFunc(address, unsayable) {
		return "", ErrAddress
	}
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address, nil
	}
	domain, err := dns.ASCII(address[at+1:])
	switch {
	case err != nil:
		return "", err
	case domain == "", domain[0] == '.', strings.Contains(domain, ".."):
		return "", ErrAddress
	}
	return address[:at+1] + domain, nil
}

// unsayable reports characters that could turn an address into another one or into a second
// command.
func unsayable(r rune) bool { return r <= ' ' || r >= 0x7f && r < 0xa0 || r == '<' || r == '>' }

// A form is how addresses and message are transmitted.
type form struct {
	utf8     bool // an address has letters beyond ASCII: SMTPUTF8, RFC 6531
	eightBit bool // the body has such letters and is sent as it is: 8BITMIME, RFC 6152
	quoted   bool // the body is sent as quoted-printable, RFC 2045
}

// maxLine is how many bytes a line of a message may have (RFC 5321, section 4.5.3.1.6), without its
// end.
const maxLine = 998

// form returns how addresses and message can be sent to this server, by what it offers.
func (d *dialogue) form(from, to string) form {
	f := form{utf8: !isASCII(from) || !isASCII(to)}
	if d.options.Message == nil {
		return f
	}
	body := lines(d.options.Message.Body)
	control := func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' || r == 0x7f }
	long := func(line string) bool { return len(line) > maxLine }
	switch {
	case strings.ContainsFunc(body, control) || slices.ContainsFunc(strings.Split(body, "\n"), long):
		f.quoted = true
	case isASCII(body):
	case d.offers("8BITMIME"):
		f.eightBit = true
	default:
		f.quoted = true
	}
	return f
}

// parameters returns those of the MAIL command.
func (f form) parameters() (text string) {
	if f.eightBit {
		text += " BODY=8BITMIME"
	}
	if f.utf8 {
		text += " SMTPUTF8"
	}
	return text
}

// text returns the message with leading dots doubled (RFC 5321, section 4.5.2) and the line that
// ends it.
func (m *Message) text(from, to string, f form) string {
	var b strings.Builder
	w := textproto.NewWriter(bufio.NewWriter(&b)).DotWriter()
	header := func(name, value string) {
		fmt.Fprintf(w, "%s: %s\n", name, mime.QEncoding.Encode("utf-8", strings.Map(printable, value)))
	}
	fmt.Fprintf(w, "From: <%s>\nTo: <%s>\n", from, to) // as they are, RFC 6532
	header("Subject", m.Subject)
	header("Date", m.Date.Format(time.RFC1123Z))
	header("Message-ID", "<"+m.ID+">")
	encoding := "7bit"
	switch {
	case f.eightBit:
		encoding = "8bit"
	case f.quoted:
		encoding = "quoted-printable"
	}
	fmt.Fprintf(w, "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: %s\n\n",
		encoding)
	body := strings.TrimRight(lines(m.Body), "\n") + "\n"
	if f.quoted {
		q := quotedprintable.NewWriter(w)
		io.WriteString(q, body)
		q.Close()
	} else {
		io.WriteString(w, body)
	}
	w.Close()
	return b.String()
}

// lines normalises line ends to LF. CR and LF must come as a pair (RFC 5321, section 2.3.8): either
// alone would end a line for one server and not for the next.
func lines(text string) string {
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
}

// printable replaces line breaks in a header by blanks.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
