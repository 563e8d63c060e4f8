package network

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"diagsh/commands/probeview"
	"diagsh/diag/dns"
	"diagsh/diag/smtp"
	"diagsh/menu"
)

// hostService knows the appliance's own name.
type hostService interface {
	Hostname() string
}

type smtppingArgs struct {
	Host    string        `arg:"host,main,required" ask:"Enter the hostname or IP address of the SMTP server:" help:"Name or address of the mail server, or a domain that has one."`
	UseMX   *bool         `arg:"usemx" ask:"The host has MX records. Would you like to test an MX host instead?" default:"yes" help:"Test a mail exchanger of the domain instead of the host of its name."`
	MX      string        `arg:"mx" ask:"Select an MX host to test." help:"The mail exchanger to test; the preferred one, if not given."`
	Source  string        `arg:"source" ask:"Select a network interface to use for the test." default:"auto" help:"Interface or own address to send from; auto leaves it to the routes."`
	Message bool          `arg:"message" ask:"Do you want to type in a test message to send? If not, the connection is tested only." default:"no" help:"Send a test message; without it nothing is ever sent behind the recipient."`
	From    string        `arg:"from" ask:"Enter the from e-mail address:" help:"Sender; without message it is named and taken back."`
	To      string        `arg:"to" ask:"Enter the to e-mail address:" help:"Recipient; without message it is named and taken back."`
	Subject string        `arg:"subject" ask:"Enter the subject:" default:"Test" help:"Subject of the test message."`
	Body    menu.Text     `arg:"body" ask:"Enter the body of the message one line at a time. End with a \".\" on a line by itself." help:"Text of the test message."`
	Port    int           `arg:"port" default:"25" min:"1" max:"65535" help:"Port of the server."`
	TLS     string        `arg:"tls" choices:"offered|always|never|wrapped" default:"offered" help:"STARTTLS when offered, always or never; wrapped is TLS from the first byte, as on port 465."`
	Helo    string        `arg:"helo" help:"Name to greet with; the appliance's own, if not given."`
	Family  string        `arg:"family" choices:"any|4|6" default:"any" help:"Version of IP."`
	Timeout time.Duration `arg:"timeout" default:"30s" min:"1" max:"600" help:"Time that each step may take."`
}

// A smtpStep is a part of the dialogue with a mail server.
type smtpStep struct {
	Step    string   `json:"step"` // resolve, connect, greeting, EHLO, STARTTLS, TLS, MAIL, RCPT, DATA, message, RSET, QUIT
	Server  string   `json:"server"`
	Address string   `json:"address"`
	Sent    string   `json:"sent,omitempty"`
	Code    int      `json:"code,omitempty"`
	Reply   []string `json:"reply,omitempty"`
	Seconds float64  `json:"seconds"`
	TLS     *smtpTLS `json:"tls,omitempty"`
	Error   string   `json:"error,omitempty"`
}

type smtpTLS struct {
	Version      string            `json:"version"`
	Cipher       string            `json:"cipher"`
	Trusted      bool              `json:"trusted"`
	Reasons      []string          `json:"reasons"` // why it is not trusted
	Certificates []smtpCertificate `json:"certificates"`
}

type smtpCertificate struct {
	Subject      string    `json:"subject"`
	Issuer       string    `json:"issuer"`
	Names        []string  `json:"names"`
	NotBefore    time.Time `json:"notBefore"`
	NotAfter     time.Time `json:"notAfter"`
	Key          string    `json:"key"`
	Signature    string    `json:"signature"`
	SerialNumber string    `json:"serialNumber"`
	SHA256       string    `json:"sha256"`
}

// smtpping is diagnostic > network > smtpping.
func smtpping(s hostService) *menu.Command {
	exchangers := &dns.Exchangers{}
	return menu.Spec[smtppingArgs, smtpStep]{
		Name: "smtpping",
		Help: "Test a remote SMTP server.",
		Details: "It connects, greets and, where the server offers it, begins TLS; a certificate is shown whether it is trusted or not. " +
			"Given from and to it asks whether they would be taken. Only with message a mail is sent.",
		Role:  menu.Operator,
		Shape: menu.Stream,
		Ask: func(ctx context.Context, _ menu.Caller, a smtppingArgs, q *menu.Question) error {
			askSMTPPing(ctx, s, exchangers, a, q)
			return nil
		},
		Suggest: probeview.SuggestHosts[smtppingArgs](dns.Any, "host"),
		Check: func(_ context.Context, _ menu.Caller, a smtppingArgs, name string) error {
			return checkSMTPPing(a, name)
		},
		Run: func(ctx context.Context, _ menu.Caller, a smtppingArgs, out *menu.Out[smtpStep]) error {
			if a.Helo == "" {
				a.Helo = s.Hostname()
			}
			return runSMTPPing(ctx, exchangers, a, out)
		},
		Text: smtpText,
	}.Command()
}

func askSMTPPing(ctx context.Context, s hostService, exchangers *dns.Exchangers, a smtppingArgs, q *menu.Question) {
	switch q.Name {
	case "host":
		q.Default = s.Hostname()
	case "usemx":
		q.Skip = len(exchangersOf(ctx, exchangers, a.Host)) == 0
		q.Text = fmt.Sprintf("%s has MX records. Would you like to test an MX host instead?", menu.Clean(a.Host))
	case "mx":
		list := exchangersOf(ctx, exchangers, a.Host)
		q.Skip = len(list) == 0 || a.UseMX != nil && !*a.UseMX
		q.Open = true
		for i, e := range list {
			if i == 0 {
				q.Default = e.Host
			}
			q.Choices = append(q.Choices, menu.Choice{Value: e.Host, Label: fmt.Sprintf("%s (preference %d)", menu.Clean(e.Host), e.Preference)})
		}
	case "source":
		probeview.ChooseSource(q)
	case "from", "to":
		q.Skip, q.Required = !a.Message, a.Message
	case "subject", "body":
		q.Skip = !a.Message
	}
}

func exchangersOf(ctx context.Context, exchangers *dns.Exchangers, host string) []dns.Exchanger {
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return nil
	}
	return exchangers.Of(ctx, host)
}

func checkSMTPPing(a smtppingArgs, name string) error {
	address := func(value string) error {
		local, domain, at := strings.Cut(value, "@")
		if value != "" && (!at || local == "" || domain == "") || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '<' || r == '>' }) {
			return menu.Wrong(name, "%q is no e-mail address", menu.Clean(value)).WithHint("It is such as user@example.com")
		}
		return nil
	}
	switch name {
	case "source":
		_, err := probeview.Source(a.Source)
		return err
	case "mx":
		if _, err := strconv.Atoi(a.MX); err == nil {
			return menu.Wrong("mx", "There is no MX host %s", a.MX).WithHint("Choose one that is listed, or give the name of a host")
		}
	case "from":
		return address(a.From)
	case "to":
		return address(a.To)
	case "helo":
		if strings.ContainsFunc(a.Helo, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return menu.Wrong("helo", "%q is no name to greet with", menu.Clean(a.Helo)).WithHint("It is a host name, or an address in brackets")
		}
	}
	return nil
}

func runSMTPPing(ctx context.Context, exchangers *dns.Exchangers, a smtppingArgs, out *menu.Out[smtpStep]) error {
	from, err := probeview.Source(a.Source)
	if err != nil {
		return err
	}
	server := a.Host
	if list := exchangersOf(ctx, exchangers, a.Host); a.MX != "" {
		server = a.MX
	} else if len(list) > 0 && (a.UseMX == nil || *a.UseMX) {
		server = list[0].Host
	}
	out.Printf("Starting SMTP test of host %s.\n", menu.Clean(server))
	began := time.Now()
	addresses, err := probeview.Addresses(ctx, server, dns.Family(a.Family), from)
	if err != nil {
		return err
	}
	if err := out.Record(smtpStep{Step: "resolve", Server: server, Address: addresses[0].String(), Seconds: probeview.Seconds(time.Since(began))}); err != nil {
		return err
	}
	o := smtp.Options{Name: server, Source: from, Helo: a.Helo, TLS: smtp.TLSMode(a.TLS), From: a.From, To: a.To, Timeout: a.Timeout}
	if a.Message {
		id := rand.Text() + "@" + o.Helo
		o.Message = &smtp.Message{Subject: a.Subject, Body: string(a.Body), ID: id, Date: began}
	}
	for i, address := range addresses {
		o.Server = netip.AddrPortFrom(address, uint16(a.Port))
		var trouble *menu.Error
		connected := true
		err := smtp.Run(ctx, o, func(s smtp.Step) error {
			if s.Name == "HELO" && !s.Refused() && s.Failure == nil {
				trouble = nil // a server that knows no EHLO is old, not wrong
			}
			if trouble == nil {
				trouble = troubleOf(server, s, a.Timeout)
			}
			connected = connected && (s.Name != "connect" || s.Failure == nil)
			return out.Record(stepRecord(server, o.Server, s, a.Timeout))
		})
		if err != nil {
			return err
		}
		if connected || i == len(addresses)-1 {
			if trouble == nil {
				out.Printf("Succeeded: SMTP test of host %s complete.\n", menu.Clean(server))
				return nil
			}
			return trouble
		}
	}
	return nil
}

// troubleOf is why the test did not go well, nil for a step that did.
func troubleOf(server string, s smtp.Step, timeout time.Duration) *menu.Error {
	switch {
	case s.Failure != nil && s.Name == "connect":
		return menu.Errorf(menu.Failed, "No connection to %s: %s", menu.Clean(server), failure(s, timeout))
	case s.Failure != nil && s.Name != "QUIT" && s.Name != "RSET":
		return menu.Errorf(menu.Failed, "The test of %s ended at %s: %s", menu.Clean(server), s.Name, failure(s, timeout))
	case s.Refused():
		what := map[string]string{"greeting": "the connection", "message": "the message"}[s.Name]
		if what == "" {
			what = s.Name
		}
		return menu.Errorf(menu.Failed, "%s refused %s with %d", menu.Clean(server), what, s.Code)
	}
	return nil
}

// failure says in words why a step came to no reply.
func failure(s smtp.Step, timeout time.Duration) string {
	for _, known := range []error{smtp.ErrProtocol, smtp.ErrTooLong, smtp.ErrClosed, smtp.ErrNoTLS, smtp.ErrInjected, smtp.ErrAddress, smtp.ErrNotTLS, smtp.ErrTLS} {
		if errors.Is(s.Failure, known) {
			return known.Error()
		}
	}
	var alert smtp.Alert
	switch reason, ok := probeview.Reason(s.Failure); {
	case ok && reason == "no answer":
		return "no answer within " + menu.FormatDuration(timeout)
	case ok:
		return reason
	case errors.As(s.Failure, &alert):
		return alert.Error()
	}
	return "the connection broke"
}

func stepRecord(server string, address netip.AddrPort, s smtp.Step, timeout time.Duration) smtpStep {
	r := smtpStep{Step: s.Name, Server: server, Address: address.Addr().String(), Sent: s.Sent, Code: s.Code, Reply: s.Reply, Seconds: probeview.Seconds(s.Time)}
	if s.Failure != nil {
		r.Error = failure(s, timeout)
	}
	if t := s.TLS; t != nil {
		r.TLS = &smtpTLS{Version: t.Version, Cipher: t.Cipher, Trusted: t.Trusted, Reasons: append([]string{}, t.Reasons...)}
		for _, c := range t.Certificates {
			r.TLS.Certificates = append(r.TLS.Certificates, smtpCertificate{Subject: c.Subject, Issuer: c.Issuer, Names: append([]string{}, c.Names...),
				NotBefore: c.NotBefore, NotAfter: c.NotAfter, Key: c.Key, Signature: c.Signature, SerialNumber: c.SerialNumber, SHA256: c.SHA256})
		}
	}
	return r
}

func smtpText(w io.Writer, s smtpStep) {
	took := fmt.Sprintf("(%s ms)", probeview.Milliseconds(time.Duration(s.Seconds*float64(time.Second))))
	if s.Sent != "" {
		fmt.Fprintf(w, "-> %s\n", menu.Clean(s.Sent))
	}
	if s.Step == "message" {
		fmt.Fprintln(w, "-> (the message)")
	}
	for i, line := range s.Reply {
		fmt.Fprintf(w, "<- %s", menu.Clean(line))
		if i == len(s.Reply)-1 && s.Error == "" {
			fmt.Fprintf(w, " %s", took)
		}
		fmt.Fprintln(w)
	}
	switch {
	case s.Error != "":
		fmt.Fprintf(w, "%s failed: %s %s\n", s.Step, s.Error, took)
	case s.Step == "resolve" && s.Server == s.Address:
	case s.Step == "resolve":
		fmt.Fprintf(w, "Resolved %s to %s %s\n", menu.Clean(s.Server), s.Address, took)
	case s.Step == "connect":
		fmt.Fprintf(w, "Connected to %s %s\n", s.Address, took)
	case s.TLS != nil:
		tlsText(w, *s.TLS, took)
	}
}

func tlsText(w io.Writer, t smtpTLS, took string) {
	fmt.Fprintf(w, "TLS begun: %s, %s %s\n", t.Version, t.Cipher, took)
	for i, c := range t.Certificates {
		fmt.Fprintf(w, "   Certificate %d\n", i+1)
		fmt.Fprintf(w, "     Subject:     %s\n", menu.Clean(c.Subject))
		fmt.Fprintf(w, "     Names:       %s\n", menu.Clean(strings.Join(c.Names, ", ")))
		fmt.Fprintf(w, "     Issuer:      %s\n", menu.Clean(c.Issuer))
		fmt.Fprintf(w, "     Valid:       %s to %s\n", day(c.NotBefore), day(c.NotAfter))
		fmt.Fprintf(w, "     Key:         %s, signed with %s\n", c.Key, c.Signature)
		fmt.Fprintf(w, "     Serial:      %s\n", c.SerialNumber)
		fmt.Fprintf(w, "     Fingerprint: SHA256 %s\n", c.SHA256)
	}
	if t.Trusted {
		fmt.Fprintf(w, "   The certificate is trusted.\n")
		return
	}
	fmt.Fprintf(w, "   The certificate is NOT trusted: %s.\n", menu.Clean(strings.Join(t.Reasons, "; ")))
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
