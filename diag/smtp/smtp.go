// Package smtp tests a mail server step by step (RFC 5321, STARTTLS of RFC 3207). For each step it
// reports what was sent, what came back and how long it took. It never sends DATA unless it is
// given a message.
package smtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"diagsh/diag/source"
)

// A TLSMode says when a connection is encrypted.
type TLSMode string

const (
	WhenOffered TLSMode = "offered" // STARTTLS if the server offers it
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
	From    string // empty: no MAIL, unless Message is given
	To      string
	Message *Message      // nil: no DATA
	Timeout time.Duration // of each step
}

// A Step is a part of the dialogue.
type Step struct {
	Name    string   // connect, greeting, EHLO, STARTTLS, TLS, MAIL, RCPT, DATA, message, RSET, QUIT
	Sent    string   // the line that was sent, without its end; empty if none was
	Code    int      // of the reply; 0 if none came
	Reply   []string // its lines with the code, as they came; without a code, what came of them
	Wanted  []int    // the codes of success
	Time    time.Duration
	TLS     *TLS  // of the step TLS
	Failure error // why there is no reply: ErrProtocol and so on, or an error of the network
}

// Refused reports whether the server answered with an error.
func (s Step) Refused() bool { return s.Code >= 400 }

// Unexpected reports whether the server's success code is not one of those wanted, so that the
// request was not carried out.
func (s Step) Unexpected() bool {
	return s.Code > 0 && s.Code < 400 && !slices.Contains(s.Wanted, s.Code)
}

// Afterwards reports whether the step only ends a dialogue whose result is known.
func (s Step) Afterwards() bool { return s.Name == "RSET" || s.Name == "QUIT" }

// Faults of a server.
var (
	ErrProtocol = errors.New("what came is no SMTP reply")
	ErrTooLong  = errors.New("the reply is longer than any SMTP reply")
	ErrClosed   = errors.New("the server closed the connection")
	ErrNoTLS    = errors.New("the server does not offer STARTTLS")
	ErrInjected = errors.New("the server sent more after its consent to STARTTLS, which an attacker could have " +
		"injected")
	ErrAddress  = errors.New("the address cannot stand in a command")
	ErrUnasked  = errors.New("the server said more than it was asked for, so its replies are of no known question")
	ErrSMTPUTF8 = errors.New(
		"the server does not offer SMTPUTF8 (RFC 6531), which an address of other letters than ASCII's needs before " +
			"its @")
)

// Run holds the dialogue and reports each step when it is over. A server that refuses, stalls or
// violates the protocol is not an error: the last step reports it, and Run ends the dialogue as
// politely as it can.
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

// errOver ends the dialogue; the last step reported why.
var errOver = errors.New("the dialogue is over")

// A dialogue is the state of one with a server.
type dialogue struct {
	options Options
	ctx     context.Context
	each    func(Step) error

	conn  net.Conn
	limit *io.LimitedReader // for what is read for one reply
	read  *bufio.Reader
	plain *net.TCPConn // the connection below TLS
	ready bool         // the server has greeted, so it understands QUIT
	hail  []string     // the reply to the last EHLO
}

func (d *dialogue) run() error {
	if err := d.connect(); err != nil {
		return err
	}
	plain := d.plain
	stop := context.AfterFunc(d.ctx, func() { plain.SetDeadline(time.Unix(1, 0)) })
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
	conn, err := d.options.Source.Dialer(d.options.Timeout, network).DialContext(d.ctx, network,
		d.options.Server.String())
	if err != nil {
		return d.fail(Step{Name: "connect", Time: time.Since(began)}, err)
	}
	d.plain, _ = conn.(*net.TCPConn)
	d.use(conn)
	return d.each(Step{Name: "connect", Time: time.Since(began)})
}

// use makes c the connection of the dialogue.
func (d *dialogue) use(c net.Conn) {
	d.conn = c
	d.limit = &io.LimitedReader{R: c}
	d.read = bufio.NewReader(d.limit)
}

// hello sends EHLO, or HELO to a server that only knows that, and STARTTLS if wanted.
func (d *dialogue) hello() error {
	reply, err := d.say("EHLO", "EHLO "+d.options.Helo, 250)
	if err != nil {
		return err
	}
	d.hail = reply.Reply
	switch {
	case reply.Refused() && reply.Code/10 == 50:
		d.hail = nil
		if err := d.expect("HELO", "HELO "+d.options.Helo, 250); err != nil {
			return err
		}
	case reply.Code != 250:
		return d.quit()
	}
	if d.options.TLS == Never || d.options.TLS == Wrapped {
		return nil
	}
	if !d.offers("STARTTLS") {
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
	// What was offered before TLS no longer counts (RFC 3207, section 4.2).
	reply, err = d.say("EHLO", "EHLO "+d.options.Helo, 250)
	if d.hail = reply.Reply; err != nil || reply.Code == 250 {
		return err
	}
	return d.quit()
}

// offers reports whether the reply to EHLO has a keyword.
func (d *dialogue) offers(keyword string) bool {
	for _, line := range d.hail[min(1, len(d.hail)):] {
		if len(line) > 4 {
			if word, _, _ := strings.Cut(line[4:], " "); strings.EqualFold(word, keyword) {
				return true
			}
		}
	}
	return false
}

// secure starts TLS. It accepts any certificate, because the certificate is what is tested.
func (d *dialogue) secure() error {
	began := time.Now()
	client := tls.Client(d.conn, &tls.Config{ServerName: d.options.Name, InsecureSkipVerify: true,
		MinVersion: tls.VersionTLS10})
	d.conn.SetDeadline(began.Add(d.options.Timeout))
	if err := client.HandshakeContext(d.ctx); err != nil {
		return d.fail(Step{Name: "TLS", Time: time.Since(began)}, handshakeFailure(err))
	}
	d.use(client)
	return d.each(Step{Name: "TLS", Time: time.Since(began),
		TLS: examine(client.ConnectionState(), d.options.Name, time.Now())})
}

// mail sends the sender and the recipient, and the message if there is one.
func (d *dialogue) mail() error {
	o := d.options
	if o.From == "" && o.To == "" && o.Message == nil {
		return d.quit()
	}
	from, err := ASCIIAddress(o.From)
	if err != nil {
		return d.fail(Step{Name: "MAIL"}, ErrAddress)
	}
	to, err := ASCIIAddress(o.To)
	if err != nil {
		return d.fail(Step{Name: "RCPT"}, ErrAddress)
	}
	form := d.form(from, to)
	if form.utf8 && !d.offers("SMTPUTF8") {
		if err := d.each(Step{Name: "MAIL", Failure: ErrSMTPUTF8}); err != nil {
			return err
		}
		return d.quit()
	}
	if err := d.expect("MAIL", "MAIL FROM:<"+from+">"+form.parameters(), 250); err != nil {
		return err
	}
	if o.To == "" {
		return d.leave()
	}
	if err := d.expect("RCPT", "RCPT TO:<"+to+">", 250, 251); err != nil {
		return err
	}
	if o.Message == nil {
		return d.leave()
	}
	if err := d.expect("DATA", "DATA", 354); err != nil {
		return err
	}
	if _, err := d.exchange(Step{Name: "message", Wanted: []int{250}}, o.Message.text(from, to, form)); err != nil {
		return err
	}
	return d.quit()
}

// leave resets the transaction and ends the dialogue.
func (d *dialogue) leave() error {
	if _, err := d.say("RSET", "RSET", 250); err != nil {
		return err
	}
	return d.quit()
}

// quit ends the dialogue.
func (d *dialogue) quit() error {
	if _, err := d.say("QUIT", "QUIT", 221); err != nil {
		return err
	}
	return errOver
}

// expect sends a line, or nothing if line is empty. It ends the dialogue if the reply has none of
// the codes.
func (d *dialogue) expect(name, line string, codes ...int) error {
	reply, err := d.say(name, line, codes...)
	if err != nil || slices.Contains(codes, reply.Code) {
		return err
	}
	if !d.ready {
		return errOver
	}
	return d.quit()
}

// say sends a line and reports the reply.
func (d *dialogue) say(name, line string, codes ...int) (Step, error) {
	s := Step{Name: name, Sent: line, Wanted: codes}
	if line == "" {
		return d.exchange(s, "")
	}
	return d.exchange(s, line+"\r\n")
}

// serviceEnds is the code of a server that closes the connection.
const serviceEnds = 421

func (d *dialogue) exchange(s Step, text string) (Step, error) {
	began := time.Now()
	d.conn.SetDeadline(began.Add(d.options.Timeout))
	if d.ctx.Err() != nil {
		return s, d.ctx.Err()
	}
	var err error
	if text != "" && d.unasked() {
		// A server may announce unasked that it closes (RFC 5321, section 3.8). Any other unasked
		// text answers no request, and the dialogue ends.
		s.Sent = ""
		s.Code, s.Reply, err = d.reply()
		if err == nil && s.Code != serviceEnds {
			err = ErrUnasked
		}
	} else {
		_, err = io.WriteString(d.conn, text)
		reply, lines, failed := d.reply() // also from a server that refused in the middle and closed
		s.Reply = lines
		if failed == nil && (err == nil || reply >= 400) {
			s.Code, err = reply, nil
		} else if err == nil {
			err = failed
		}
	}
	s.Time = time.Since(began)
	if err != nil {
		return s, d.fail(s, err)
	}
	return s, d.each(s)
}

// fail reports a step without a reply and ends the dialogue.
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
