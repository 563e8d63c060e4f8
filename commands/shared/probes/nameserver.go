package probes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"diagsh/diag/dns"
	"diagsh/diag/source"
	"diagsh/internal/menu"
)

// NameServers returns the name servers that a text names, which is an address or a name. For "" it
// returns none, which means those of the appliance.
func NameServers(ctx context.Context, text string, port int, from source.Source) ([]netip.AddrPort, error) {
	if text == "" {
		return nil, nil
	}
	addresses, err := Addresses(ctx, "server", strings.TrimPrefix(text, "@"), dns.Any, from)
	if err != nil {
		return nil, err
	}
	var list []netip.AddrPort
	for _, a := range addresses {
		if from.Address.IsValid() && a.Is4() != from.Address.Is4() {
			continue // it cannot be reached from there
		}
		list = append(list, netip.AddrPortFrom(a, uint16(port)))
	}
	return list, nil
}

// NoReply returns the Error for a question without a reply.
func NoReply(err error, name string) error {
	var failure *dns.Failure
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, dns.ErrName):
		return wrongName("name", name, err)
	case errors.Is(err, dns.ErrType):
		return menu.BadArgument("type", "There is no such type of record").
			WithHint("It is such as A, AAAA, MX, TXT, or TYPE and a number")
	case errors.Is(err, dns.ErrClass):
		return menu.BadArgument("class", "There is no such class of records").
			WithHint("It is IN, CH, HS, ANY, or CLASS and a number")
	case errors.As(err, &failure):
		return failed(failure)
	}
	return err
}

// failed returns the Error for name servers that gave no answer. It names each and says what it
// did.
func failed(f *dns.Failure) *menu.Error {
	for _, a := range f.Tried {
		if !a.Cut {
			continue
		}
		why := "no answer"
		if last := lastOf(f.Tried, a.Server); last.Err != nil {
			why = AttemptText(last)
		}
		return menu.Errorf(menu.Failed, "The name server %s answered over UDP, but cut off, and not over TCP: %s",
			ServerAddress(a.Server), why).
			WithHint("A large answer needs port %d of TCP, which something on the way or the server itself refuses",
				a.Server.Port())
	}
	e := menu.Errorf(menu.Failed, "No name server answered: %s", strings.Join(attempts(f.Tried), "; "))
	own := dns.ReadConfig().Servers
	if !slices.ContainsFunc(f.Tried, func(a dns.Attempt) bool { return slices.Contains(own, a.Server.Addr()) }) {
		return e
	}
	return e.WithHint("dnsstatus shows the name servers in use and the routes to them")
}

func lastOf(tried []dns.Attempt, server netip.AddrPort) (last dns.Attempt) {
	for _, a := range tried {
		if a.Server == server {
			last = a
		}
	}
	return last
}

// attempts returns a text for each server: what it did, and how often if it did the same several
// times.
func attempts(tried []dns.Attempt) (list []string) {
	type said struct {
		server netip.AddrPort
		text   string
	}
	var all []said
	times := map[said]int{}
	for _, a := range tried {
		s := said{a.Server, AttemptText(a)}
		if times[s]++; times[s] == 1 {
			all = append(all, s)
		}
	}
	for _, s := range all {
		text := ServerAddress(s.server) + ": " + s.text
		if n := times[s]; n > 1 {
			text += fmt.Sprintf(" (asked %d times)", n)
		}
		list = append(list, text)
	}
	return list
}

// AttemptText returns in words the result of a question to a server.
func AttemptText(a dns.Attempt) string {
	switch {
	case a.Cut:
		return "the answer was cut off"
	case a.Err == nil && a.Lame:
		return "an empty answer from a server that neither knows nor asks others"
	case a.Err == nil:
		return "it answered " + a.Code
	}
	return FaultText(a.Err, a.Ignored)
}

// FaultText returns in words why a name server gave no answer. ignored are the faults of packets
// that it sent and that are no answer.
func FaultText(err error, ignored []string) string {
	switch {
	case errors.Is(err, dns.ErrReply) && len(ignored) > 0:
		return "no answer, but " + strings.Join(ignored, ", ")
	case errors.Is(err, dns.ErrReply):
		return "it sent a message that is no answer"
	case errors.Is(err, dns.ErrClosed):
		return "it closed the connection without an answer"
	case errors.Is(err, dns.ErrSilence):
		return "no answer"
	}
	if reason, ok := Reason(err); ok {
		return reason
	}
	return "it could not be asked"
}

// BadCode returns the Error for a reply with an error code, such as SERVFAIL or REFUSED. It names
// the server and the reason that the server gave.
func BadCode(r dns.Reply) *menu.Error {
	who, servers := "name server", []string{ServerAddress(r.Server)}
	for _, a := range r.Tried {
		if s := ServerAddress(a.Server); a.Err == nil && a.Code == r.Code && !slices.Contains(servers, s) {
			who, servers = "name servers", append(servers, s)
		}
	}
	e := menu.Errorf(menu.Failed, "The %s %s answered %s%s", who, strings.Join(servers, " and "), r.Code, why(r))
	if r.EDNS == nil || len(r.EDNS.Errors) == 0 {
		return e.WithHint("dig shows all of the answer")
	}
	return e
}

// why returns the reason that a server gave for its answer, in parentheses, or "".
func why(r dns.Reply) string {
	if r.EDNS == nil {
		return ""
	}
	var list []string
	for _, e := range r.EDNS.Errors {
		list = append(list, ExtendedErrorText(e))
	}
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, "; ") + ")"
}

// ExtendedErrorText returns the reason that a server gave (RFC 8914): the words of the registry,
// then its own.
func ExtendedErrorText(e dns.ExtendedError) string {
	text := e.Purpose
	if text == "" {
		text = fmt.Sprintf("error %d", e.Code)
	}
	if e.Text != "" {
		text += ": " + menu.Clean(e.Text)
	}
	return text
}

// wrongName returns the Error for an argument that is no name of the DNS.
func wrongName(argument, name string, err error) *menu.Error {
	e := menu.BadArgument(argument, "\"%s\" is no name that the DNS can have", menu.Clean(name))
	var wrong *dns.NameError
	if errors.As(err, &wrong) {
		e.Hint = wrong.Reason
	}
	return e
}

// noAddress returns the Error for a host whose address was not found. argument is the one that
// names the host.
func noAddress(err error, argument, host string, family dns.Family) error {
	var failure *dns.Failure
	var code *dns.CodeError
	name := BothNames(host, "")
	notFound := func(message, hint string) error {
		return &menu.Error{Code: menu.NotFound, Argument: argument, Message: message, Hint: hint}
	}
	unknown := func(e *menu.Error) error {
		reason := strings.ToLower(e.Message[:1]) + e.Message[1:]
		e.Argument, e.Message = argument, fmt.Sprintf("The address of %s is not known: %s", name, reason)
		return e
	}
	switch {
	case errors.Is(err, dns.ErrName):
		return wrongName(argument, host, err)
	case errors.Is(err, dns.ErrNotFound):
		return notFound("There is no host "+BothNames(host, `"`), "Give a name that the name servers know, or an address")
	case errors.Is(err, dns.ErrFamily) && family == dns.Any:
		return notFound(name+" has no address", "dig shows what records it has")
	case errors.Is(err, dns.ErrFamily):
		return notFound(fmt.Sprintf("%s has no IPv%s address", name, family), "Use the other version of IP")
	case errors.As(err, &code):
		return unknown(BadCode(code.Reply))
	case errors.As(err, &failure):
		return unknown(failed(failure))
	}
	return err
}

// BothNames returns a name as the user typed it, between two quotation marks or two of "", and
// after it as the DNS has it if that differs.
func BothNames(name, quote string) string {
	text := quote + menu.Clean(name) + quote
	if ascii, err := dns.ASCII(name); err == nil && ascii != name {
		text += " (" + menu.Clean(ascii) + ")"
	}
	return text
}

// ServerAddress returns the address of a name server, without its port if that is 53.
func ServerAddress(server netip.AddrPort) string {
	if server.Port() == 53 {
		return server.Addr().String()
	}
	return server.String()
}
