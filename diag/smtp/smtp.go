// Package smtp tries out a mail server step by step (RFC 5321, STARTTLS of RFC 3207) and tells of each step what was said, what came
// back and how long it took. It never sends DATA unless it is given a message.
package smtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"diagsh/diag/source"
)

// A TLSMode is when a connection is encrypted.
type TLSMode string

const (
	WhenOffered TLSMode = "offered" // STARTTLS if the server has it
	Always      TLSMode = "always"  // STARTTLS, or the test ends
	Never       TLSMode = "never"
	Wrapped     TLSMode = "wrapped" // TLS from the first byte, as on port 465 (RFC 8314)
)

// Options are what to try.
type Options struct {
	Server  netip.AddrPort
	Name    string // of the server, which its certificate should have
	Source  source.Source
	Helo    string // our name
	TLS     TLSMode
	From    string // empty: MAIL is not said, unless Message is given
	To      string
	Message *Message      // nil: DATA is not said
	Timeout time.Duration // of each step
}

// A Message is a test message.
type Message struct {
	Subject, Body string
	ID            string // for Message-ID and Date, so that whoever gets it can find it
	Date          time.Time
}

// A Step is a part of the dialogue.
type Step struct {
	Name    string   // connect, greeting, EHLO, STARTTLS, TLS, MAIL, RCPT, DATA, message, RSET, QUIT
	Sent    string   // the line that was sent, without its end; empty where none was
	Code    int      // of the reply, 0 where none came
	Reply   []string // its lines with the code, as they came
	Time    time.Duration
	TLS     *TLS  // of the step TLS
	Failure error // why it did not come to a reply; ErrProtocol and so on, or the network's
}

// Refused says that the server answered and did not agree.
func (s Step) Refused() bool { return s.Code >= 400 }

// What a server can do wrong.
var (
	ErrProtocol = errors.New("what came is no SMTP reply")
	ErrTooLong  = errors.New("the reply is longer than any SMTP reply")
	ErrClosed   = errors.New("the server closed the connection")
	ErrNoTLS    = errors.New("the server does not offer STARTTLS")
	ErrInjected = errors.New("the server sent more behind its consent to STARTTLS, which a stranger could have put in")
	ErrAddress  = errors.New("the address cannot stand in a command")
)

// A reply has at most 512 bytes a line (RFC 5321, section 4.5.3.1.5). Real ones are longer, but not without end.
const (
	maxReply = 64 << 10
	maxLines = 500
)

// Run holds the dialogue and tells each step when it is over. A server that refuses, stalls or talks nonsense is no error: the last step
// told says so, and the dialogue ends with it as politely as it can.
func Run(ctx context.Context, o Options, each func(Step) error) error {
	d := &dialogue{options: o, ctx: ctx, each: each}
	err := d.run()
	if d.conn != nil {
		d.conn.Close()
	}
	if errors.Is(err, errOver) {
		err = nil
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// errOver says that the dialogue has ended as a step told.
var errOver = errors.New("the dialogue is over")

// A dialogue is one with a server.
type dialogue struct {
	options Options
	ctx     context.Context
	each    func(Step) error

	conn  net.Conn
	limit *io.LimitedReader // of what is read for one reply
	read  *bufio.Reader
	text  *textproto.Reader
	ready bool // the server has greeted, so QUIT is understood
}

func (d *dialogue) run() error {
	if err := d.connect(); err != nil {
		return err
	}
	stop := context.AfterFunc(d.ctx, func() { d.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if d.options.TLS == Wrapped {
		if err := d.secure(); err != nil {
			return err
		}
	}
	if err := d.expect("greeting", "", 220); err != nil {
		return err
	}
	d.ready = true
	if err := d.hello(); err != nil {
		return err
	}
	return d.mail()
}

func (d *dialogue) connect() error {
	began := time.Now()
	network := "tcp4"
	if d.options.Server.Addr().Is6() {
		network = "tcp6"
	}
	conn, err := d.options.Source.Dialer(d.options.Timeout, network).DialContext(d.ctx, network, d.options.Server.String())
	if err != nil {
		return d.fail(Step{Name: "connect", Time: time.Since(began)}, err)
	}
	d.use(conn)
	return d.each(Step{Name: "connect", Time: time.Since(began)})
}

// use makes a connection the one that is spoken on.
func (d *dialogue) use(c net.Conn) {
	d.conn = c
	d.limit = &io.LimitedReader{R: c}
	d.read = bufio.NewReader(d.limit)
	d.text = textproto.NewReader(d.read)
}

// hello says EHLO, HELO to a server that knows no better, and STARTTLS if it is wanted.
func (d *dialogue) hello() error {
	reply, err := d.say("EHLO", "EHLO "+d.options.Helo)
	if err != nil {
		return err
	}
	switch {
	case reply.Refused() && reply.Code/10 == 50:
		if err := d.expect("HELO", "HELO "+d.options.Helo, 250); err != nil {
			return err
		}
	case reply.Code != 250:
		return d.quit()
	}
	if d.options.TLS == Never || d.options.TLS == Wrapped {
		return nil
	}
	if !offers(reply.Reply, "STARTTLS") {
		if d.options.TLS == Always {
			if err := d.each(Step{Name: "STARTTLS", Failure: ErrNoTLS}); err != nil {
				return err
			}
			return d.quit()
		}
		return nil
	}
	if err := d.expect("STARTTLS", "STARTTLS", 220); err != nil {
		return err
	}
	if d.read.Buffered() > 0 {
		return d.fail(Step{Name: "STARTTLS"}, ErrInjected)
	}
	if err := d.secure(); err != nil {
		return err
	}
	return d.expect("EHLO", "EHLO "+d.options.Helo, 250) // what was offered without TLS counts no more (RFC 3207, section 4.2)
}

// offers says whether a reply to EHLO has a keyword.
func offers(reply []string, keyword string) bool {
	for _, line := range reply[min(1, len(reply)):] {
		if len(line) > 4 {
			if word, _, _ := strings.Cut(line[4:], " "); strings.EqualFold(word, keyword) {
				return true
			}
		}
	}
	return false
}

// secure begins TLS. Any certificate will do, since it is what is asked about.
func (d *dialogue) secure() error {
	began := time.Now()
	client := tls.Client(d.conn, &tls.Config{ServerName: d.options.Name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS10})
	d.conn.SetDeadline(began.Add(d.options.Timeout))
	if err := client.HandshakeContext(d.ctx); err != nil {
		return d.fail(Step{Name: "TLS", Time: time.Since(began)}, handshakeFailure(err))
	}
	d.use(client)
	return d.each(Step{Name: "TLS", Time: time.Since(began), TLS: examine(client.ConnectionState(), d.options.Name, time.Now())})
}

// mail says from whom and to whom, and sends the message if there is one.
func (d *dialogue) mail() error {
	o := d.options
	if o.From == "" && o.To == "" && o.Message == nil {
		return d.quit()
	}
	if !sayable(o.From) || !sayable(o.To) {
		return d.fail(Step{Name: "MAIL"}, ErrAddress)
	}
	if err := d.expect("MAIL", "MAIL FROM:<"+o.From+">", 250); err != nil {
		return err
	}
	if o.To == "" {
		return d.leave()
	}
	if err := d.expect("RCPT", "RCPT TO:<"+o.To+">", 250, 251); err != nil {
		return err
	}
	if o.Message == nil {
		return d.leave()
	}
	if err := d.expect("DATA", "DATA", 354); err != nil {
		return err
	}
	if _, err := d.exchange(Step{Name: "message"}, o.message()); err != nil {
		return err
	}
	return d.quit()
}

// sayable says that an address cannot become more than one command.
func sayable(address string) bool {
	return !strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '<' || r == '>' })
}

// message is the test message with its dots doubled (RFC 5321, section 4.5.2) and the line that ends it.
func (o Options) message() string {
	var b strings.Builder
	w := textproto.NewWriter(bufio.NewWriter(&b)).DotWriter()
	header := func(name, value string) {
		fmt.Fprintf(w, "%s: %s\n", name, mime.QEncoding.Encode("utf-8", strings.Map(printable, value)))
	}
	header("From", "<"+o.From+">")
	header("To", "<"+o.To+">")
	header("Subject", o.Message.Subject)
	header("Date", o.Message.Date.Format(time.RFC1123Z))
	header("Message-ID", "<"+o.Message.ID+">")
	fmt.Fprintf(w, "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n%s\n", strings.TrimRight(o.Message.Body, "\n"))
	w.Close()
	return b.String()
}

// printable makes a line break in a header a blank.
func printable(r rune) rune {
	if r < ' ' {
		return ' '
	}
	return r
}

// leave takes back what was begun and ends the dialogue.
func (d *dialogue) leave() error {
	if _, err := d.say("RSET", "RSET"); err != nil {
		return err
	}
	return d.quit()
}

// quit ends the dialogue.
func (d *dialogue) quit() error {
	if _, err := d.say("QUIT", "QUIT"); err != nil {
		return err
	}
	return errOver
}

// expect says something, or nothing where line is empty, and ends the dialogue if the reply has none of the codes.
func (d *dialogue) expect(name, line string, codes ...int) error {
	reply, err := d.say(name, line)
	if err != nil || slices.Contains(codes, reply.Code) {
		return err
	}
	if !d.ready {
		return errOver
	}
	return d.quit()
}

// say sends a line and tells what is replied.
func (d *dialogue) say(name, line string) (Step, error) {
	if line == "" {
		return d.exchange(Step{Name: name}, "")
	}
	return d.exchange(Step{Name: name, Sent: line}, line+"\r\n")
}

func (d *dialogue) exchange(s Step, text string) (Step, error) {
	began := time.Now()
	d.conn.SetDeadline(began.Add(d.options.Timeout))
	if d.ctx.Err() != nil {
		return s, d.ctx.Err()
	}
	_, err := io.WriteString(d.conn, text)
	if err == nil {
		s.Code, s.Reply, err = d.reply()
	}
	s.Time = time.Since(began)
	if err != nil {
		return s, d.fail(s, err)
	}
	return s, d.each(s)
}

// reply reads the lines of one reply. A server can send anything, so what has come is returned with the error.
func (d *dialogue) reply() (code int, lines []string, err error) {
	d.limit.N = maxReply
	for {
		line, err := d.text.ReadLineBytes()
		if errors.Is(err, io.EOF) && d.limit.N == 0 {
			return 0, lines, ErrTooLong
		}
		if len(line) > 0 {
			lines = append(lines, string(line))
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return 0, lines, ErrClosed
		case err != nil:
			return 0, lines, err
		}
		number, more, ok := parseLine(line)
		switch {
		case !ok, code != 0 && number != code:
			return 0, lines, ErrProtocol
		case !more:
			return number, lines, nil
		case len(lines) == maxLines:
			return 0, lines, ErrTooLong
		}
		code = number
	}
}

// parseLine reads the code of a line of a reply, and whether another line follows (RFC 5321, section 4.2).
func parseLine(line []byte) (code int, more, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' {
		return 0, false, false
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, false, false
		}
		code = code*10 + int(c-'0')
	}
	switch {
	case len(line) == 3, line[3] == ' ':
		return code, false, true
	case line[3] == '-':
		return code, true, true
	}
	return 0, false, false
}

// fail tells a step that came to no reply. The dialogue is over with it.
func (d *dialogue) fail(s Step, err error) error {
	if d.ctx.Err() != nil {
		return d.ctx.Err()
	}
	s.Code, s.Failure = 0, err
	if err := d.each(s); err != nil {
		return err
	}
	return errOver
}
