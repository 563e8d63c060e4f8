package network

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"diagsh/commands/shared/probes"
	"diagsh/diag/dns"
	"diagsh/diag/smtp"
	"diagsh/internal/menu"
)

func runSMTPPing(ctx context.Context, exchangers *dns.Exchangers, a smtppingArgs, out *menu.Out[smtpStep]) error {
	from, err := probes.Source(a.Source)
	if err != nil {
		return err
	}
	argument, server := "host", dns.Unbracketed(a.Host)
	switch {
	case a.MX != "":
		argument, server = "mx", dns.Unbracketed(a.MX)
	case a.UseMX == nil || *a.UseMX:
		list, err := exchangersOf(ctx, exchangers, a.Host)
		if err != nil {
			return noExchangers(ctx, a.Host, err)
		}
		if len(list) > 0 {
			server = list[0].Host
		}
	}
	out.Printf("Starting SMTP test of host %s.\n", menu.Clean(server))
	began := time.Now()
	addresses, err := probes.Addresses(ctx, argument, server, dns.Family(a.Family), from)
	if err != nil {
		return err
	}
	if err := out.Record(smtpStep{Step: "resolve", Server: server, Address: addresses[0].String(),
		Seconds: probes.Seconds(time.Since(began))}); err != nil {
		return err
	}
	o := smtp.Options{Source: from, Helo: a.Helo, TLS: smtp.TLSMode(a.TLS), From: a.From, To: a.To, Timeout: a.Timeout}
	if o.Name, err = dns.ASCII(server); err != nil { // the form of names in certificates
		o.Name = server
	}
	t := &smtpTest{server: server, addresses: addresses, options: o, args: a, out: out,
		times: map[string][]time.Duration{}}
	if a.Repeat > 1 {
		return t.repeat(ctx)
	}
	trouble, err := t.once(ctx)
	switch {
	case err != nil:
		return err
	case trouble != nil:
		return trouble
	}
	return out.Printf("Succeeded: SMTP test of host %s complete.\n", menu.Clean(server))
}

// noExchangers returns the error for users that says why the mail exchangers of a domain are
// unknown.
func noExchangers(ctx context.Context, host string, err error) error {
	name := menu.Clean(host)
	var unknown *dns.ExchangersError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, dns.ErrNoMail):
		return menu.Errorf(menu.Failed, "%s takes no mail: it has a null MX record (RFC 7505)", name).
			WithHint("The host of that name is tested all the same with usemx no")
	case errors.As(err, &unknown):
		return menu.Errorf(menu.Failed, "Which hosts take the mail of %s is not known: %s", name, unknown.Reason).
			WithHint("The host of that name is tested with usemx no; look at the name servers with dig")
	case errors.Is(err, dns.ErrName):
		return menu.BadArgument("host", "%q is no name that the DNS can have", name).
			WithHint("Give a host name, a domain or an address")
	}
	return err
}

// An smtpTest is one run of the command.
type smtpTest struct {
	server    string
	addresses []netip.Addr
	options   smtp.Options
	args      smtppingArgs
	out       *menu.Out[smtpStep]

	test  int                        // number of the test that runs, from 1; 0 if it is the only one
	steps []string                   // names, in the order in which they first came
	times map[string][]time.Duration // of each step
}

// once tests each address until a connection is made. trouble is why the test failed.
func (t *smtpTest) once(ctx context.Context) (trouble *menu.Error, err error) {
	a, o := t.args, t.options
	if a.Message {
		o.Message = &smtp.Message{Subject: a.Subject, Body: string(a.Body),
			ID: rand.Text() + "@" + o.Helo, Date: time.Now()}
	}
	for i, address := range t.addresses {
		o.Server = netip.AddrPortFrom(address, uint16(a.Port))
		trouble = nil
		connected := true
		err := smtp.Run(ctx, o, func(s smtp.Step) error {
			if s.Name == "HELO" && s.Code == 250 {
				trouble = nil // a server may be too old for EHLO
			}
			if trouble == nil {
				trouble = troubleOf(t.server, s, a.Timeout)
			}
			connected = connected && (s.Name != "connect" || s.Failure == nil)
			t.note(s)
			record := stepRecord(t.server, o.Server, s, a.Timeout)
			record.Test, record.brief = t.test, t.test > 1
			return t.out.Record(record)
		})
		if err != nil {
			return trouble, err
		}
		if connected || i == len(t.addresses)-1 {
			break
		}
	}
	return trouble, nil
}

// note keeps how long a step took, if the server replied.
func (t *smtpTest) note(s smtp.Step) {
	if s.Failure != nil {
		return
	}
	if t.times[s.Name] == nil {
		t.steps = append(t.steps, s.Name)
	}
	t.times[s.Name] = append(t.times[s.Name], s.Time)
}

// repeat runs the tests and sums them up. Of an interrupted test the finished steps count.
func (t *smtpTest) repeat(ctx context.Context) error {
	var first *menu.Error
	failures, done := 0, 0
	pace := time.NewTicker(max(t.args.Interval, time.Nanosecond))
	defer pace.Stop()
	for t.test = 1; t.test <= t.args.Repeat && ctx.Err() == nil; t.test++ {
		began := time.Now()
		trouble, err := t.once(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil {
			done++
			verdict := "succeeded"
			if trouble != nil {
				failures++
				verdict = "failed: " + trouble.Message
				if first == nil {
					first = trouble
				}
			}
			t.out.Printf("Test %d of %d %s (%s ms)\n", t.test, t.args.Repeat, verdict,
				probes.Milliseconds(time.Since(began)))
		}
		if t.test < t.args.Repeat {
			select {
			case <-pace.C:
			case <-ctx.Done():
			}
		}
	}
	t.out.Printf("\nStep        Tests      Min ms   Median ms      Max ms\n")
	for _, name := range t.steps {
		times := slices.Sorted(slices.Values(t.times[name]))
		sums := smtpTimes{Tests: len(times), Minimum: probes.Seconds(times[0]), Median: probes.Seconds(median(times)),
			Maximum: probes.Seconds(times[len(times)-1])}
		row := smtpStep{Step: name, Server: t.server, Address: t.addresses[0].String(), smtpTimes: &sums}
		if err := t.out.Record(row); err != nil {
			return err
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case first != nil:
		return menu.Errorf(menu.Failed, "%d of %d tests failed; the first one: %s", failures, done, first.Message)
	}
	return t.out.Printf("Succeeded: %d SMTP tests of host %s complete.\n", done, menu.Clean(t.server))
}

// median returns the median of sorted times.
func median(times []time.Duration) time.Duration {
	n := len(times)
	return (times[(n-1)/2] + times[n/2]) / 2
}

// troubleOf returns the error of a step, nil if the step succeeded. QUIT never fails: an error
// there does not change the result of the steps before.
func troubleOf(server string, s smtp.Step, timeout time.Duration) *menu.Error {
	what := map[string]string{"greeting": "the connection", "message": "the message"}[s.Name]
	if what == "" {
		what = s.Name
	}
	switch {
	case s.Afterwards():
		return nil
	case s.Failure != nil && s.Name == "connect":
		return menu.Errorf(menu.Failed, "No connection to %s: %s", menu.Clean(server), failure(s, timeout))
	case s.Failure != nil:
		return menu.Errorf(menu.Failed, "The test of %s ended at %s: %s", menu.Clean(server), s.Name,
			failure(s, timeout))
	case s.Refused():
		return menu.Errorf(menu.Failed, "%s refused %s with %d", menu.Clean(server), what, s.Code)
	case s.Unexpected():
		return menu.Errorf(menu.Failed, "%s answered %s with %d, which is no answer to it: the test ended there",
			menu.Clean(server), what, s.Code).
			WithHint("RFC 5321 has %s here", codes(s.Wanted))
	}
	return nil
}

func codes(list []int) string {
	var texts []string
	for _, c := range list {
		texts = append(texts, strconv.Itoa(c))
	}
	return strings.Join(texts, " or ")
}

// slowGreeting is how long a greeting may take without a remark. A client should wait five minutes
// for it (RFC 5321, section 4.5.3.2.1), but many do not.
const slowGreeting = 5 * time.Second

// remark returns what is unusual about a step but no failure, or "".
func remark(s smtp.Step) string {
	switch {
	case s.Name == "greeting" && s.Failure == nil && s.Time > slowGreeting:
		return fmt.Sprintf("the greeting took more than %s: what the server does before it is slow, such as looking "+
			"up who connects", menu.FormatDuration(slowGreeting))
	case !s.Afterwards():
	case s.Failure != nil:
		return "the server did not answer " + s.Name + "; what it said before counts"
	case s.Refused(), s.Unexpected():
		return fmt.Sprintf("the server answered %s with %d; what it said before counts", s.Name, s.Code)
	}
	return ""
}

// failure returns in words why a step got no reply.
func failure(s smtp.Step, timeout time.Duration) string {
	for _, known := range []error{smtp.ErrProtocol, smtp.ErrTooLong, smtp.ErrClosed, smtp.ErrNoTLS, smtp.ErrInjected,
		smtp.ErrAddress, smtp.ErrUnasked, smtp.ErrSMTPUTF8,
		smtp.ErrNotTLS, smtp.ErrTLS} {
		if errors.Is(s.Failure, known) {
			return known.Error()
		}
	}
	var alert smtp.Alert
	switch reason, ok := probes.Reason(s.Failure); {
	case ok && reason == "no answer":
		return "no answer within " + menu.FormatDuration(timeout)
	case ok:
		return reason
	case errors.As(s.Failure, &alert):
		return alert.Error()
	}
	return "the connection broke"
}
