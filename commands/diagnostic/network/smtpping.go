package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"diagsh/commands/shared/probes"
	"diagsh/diag/dns"
	"diagsh/diag/smtp"
	"diagsh/internal/menu"
)

// A hostService knows the appliance's own name.
type hostService interface {
	Hostname() string
}

type smtppingArgs struct {
	Host    string        `arg:"host,positional:1,required" ask:"Enter the hostname or IP address of the SMTP server:" help:"Name or address of the mail server, or a domain that has one."`
	UseMX   *bool         `arg:"usemx" label:"Test an MX host" ask:"The host has MX records. Would you like to test an MX host instead?" default:"yes" help:"Test a mail exchanger of the domain instead of the host of its name."`
	MX      string        `arg:"mx" label:"MX host" ask:"Select an MX host to test." help:"The mail exchanger to test; the preferred one, if not given."`
	Source  string        `arg:"source" ask:"Select a network interface to use for the test." default:"auto" help:"Interface or own address to send from; auto leaves it to the routes."`
	Message bool          `arg:"message" ask:"Do you want to type in a test message to send? If not, the connection is tested only." default:"no" help:"Send a test message; without it nothing is ever sent behind the recipient."`
	From    string        `arg:"from" ask:"Enter the from e-mail address:" help:"Sender; without message it is named and taken back."`
	To      string        `arg:"to" ask:"Enter the to e-mail address:" help:"Recipient; without message it is named and taken back."`
	Subject string        `arg:"subject" ask:"Enter the subject:" default:"Test" help:"Subject of the test message."`
	Body    menu.Text     `arg:"body" ask:"Enter the body of the message one line at a time. End with a \".\" on a line by itself." help:"Text of the test message."`
	Port    int           `arg:"port" default:"25" min:"1" max:"65535" help:"Port of the server."`
	TLS     string        `arg:"tls" label:"TLS" choices:"offered|always|never|wrapped" default:"offered" help:"STARTTLS when offered, always or never; wrapped is TLS from the first byte, as on port 465."`
	Helo    string        `arg:"helo" label:"HELO name" help:"Name to greet with; the appliance's own, if not given."`
	Family  string        `arg:"family" choices:"any|4|6" default:"any" help:"Version of IP."`
	Timeout time.Duration `arg:"timeout" default:"30s" min:"1" max:"600" help:"Time that each step may take."`

	Repeat   int           `arg:"repeat" default:"1" min:"1" max:"1000" help:"Number of tests, one after the other; the times of each step are summed up."`
	Interval time.Duration `arg:"interval" default:"1s" max:"3600" help:"Time between the beginnings of the tests of repeat."`
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
	Remark  string   `json:"remark,omitempty"` // what is unusual but no failure
	Test    int      `json:"test,omitempty"`   // number of the test, from 1, if there are several
	*smtpTimes

	brief bool // the test is shown in one line
}

// smtpTimes are the times of a step in several tests.
type smtpTimes struct {
	Tests   int     `json:"tests"` // in which there was the step
	Minimum float64 `json:"minimum"`
	Median  float64 `json:"median"`
	Maximum float64 `json:"maximum"`
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

// smtpping returns diagnostic > network > smtpping.
func smtpping(s hostService) *menu.Command {
	exchangers := &dns.Exchangers{}
	return menu.Decl[smtppingArgs, smtpStep]{
		Name: "smtpping",
		Help: "Test a remote SMTP server.",
		Details: "It connects, greets and, where the server offers it, begins TLS; a certificate is shown whether it " +
			"is trusted or not. Given from and to it asks whether they would be taken. Only with message a mail is " +
			"sent. An address may be in brackets, as in mail: [192.0.2.25], [IPv6:2001:db8::25].",
		Role:  menu.Operator,
		Shape: menu.Stream,
		Ask: func(ctx context.Context, _ menu.Caller, a smtppingArgs, q *menu.Question) error {
			askSMTPPing(ctx, s, exchangers, a, q)
			return nil
		},
		Suggest: probes.SuggestHosts[smtppingArgs](dns.Any, "host"),
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
		list, _ := exchangersOf(ctx, exchangers, a.Host) // Run says why there is none
		q.Skip = len(list) == 0
		q.Text = fmt.Sprintf("%s has MX records. Would you like to test an MX host instead?", menu.Clean(a.Host))
	case "mx":
		list, _ := exchangersOf(ctx, exchangers, a.Host)
		q.Skip = len(list) == 0 || a.UseMX != nil && !*a.UseMX
		q.Open = true
		for i, e := range list {
			if i == 0 {
				q.Default = e.Host
			}
			q.Choices = append(q.Choices,
				menu.Choice{Value: e.Host, Label: fmt.Sprintf("%s (preference %d)", menu.Clean(e.Host), e.Preference)})
		}
	case "source":
		probes.ChooseSource(q)
	case "from", "to":
		q.Skip, q.Required = !a.Message, a.Message
	case "subject", "body":
		q.Skip = !a.Message
	}
}

// exchangersOf returns the mail exchangers of a host that is no address. A name without a full stop
// is a host: if its exchangers are unknown, that is no error.
func exchangersOf(ctx context.Context, exchangers *dns.Exchangers, host string) ([]dns.Exchanger, error) {
	host = dns.Unbracketed(host)
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return nil, nil
	}
	list, err := exchangers.Of(ctx, host)
	if errors.Is(err, dns.ErrNoAnswer) && !strings.Contains(host, ".") {
		return nil, nil
	}
	return list, err
}

func checkSMTPPing(a smtppingArgs, name string) error {
	address := func(value string) error {
		at := strings.LastIndexByte(value, '@')
		if value == "" {
			return nil
		}
		ascii, err := smtp.ASCIIAddress(value)
		if err != nil || at < 1 || strings.HasSuffix(ascii, "@") {
			return menu.BadArgument(name, "%q is no e-mail address", menu.Clean(value)).
				WithHint("It is such as user@example.com")
		}
		return nil
	}
	switch name {
	case "source":
		_, err := probes.Source(a.Source)
		return err
	case "host":
		if strings.HasPrefix(a.Host, "[") && dns.Unbracketed(a.Host) == a.Host {
			return menu.BadArgument("host", "%q is no address in brackets", menu.Clean(a.Host)).
				WithHint("It is such as [192.0.2.25] or [2001:db8::25]")
		}
	case "mx":
		if _, err := strconv.Atoi(a.MX); err == nil {
			return menu.BadArgument("mx", "There is no MX host %s", a.MX).
				WithHint("Choose one that is listed, or give the name of a host")
		}
	case "from":
		return address(a.From)
	case "to":
		return address(a.To)
	case "helo":
		if strings.ContainsFunc(a.Helo, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return menu.BadArgument("helo", "%q is no name to greet with", menu.Clean(a.Helo)).
				WithHint("It is a host name, or an address in brackets")
		}
	}
	return nil
}
