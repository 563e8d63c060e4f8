package probeview

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"diagsh/diag/dns"
	"diagsh/diag/source"
	"diagsh/menu"
)

// NameServers are the name servers that a text names: an address or a name, empty for those of the appliance.
func NameServers(ctx context.Context, text string, port int, from source.Source) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	addresses, err := Addresses(ctx, strings.TrimPrefix(text, "@"), dns.Any, from)
	if err != nil {
		var wrong *menu.Error
		if errors.As(err, &wrong) {
			wrong.Argument = "server"
		}
		return nil, err
	}
	var list []string
	for _, a := range addresses {
		list = append(list, net.JoinHostPort(a.String(), strconv.Itoa(port)))
	}
	return list, nil
}

// NoReply is the Error for a question that got none.
func NoReply(err error, name string) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, dns.ErrName):
		return wrongName("name", name, err)
	case errors.Is(err, dns.ErrType):
		return menu.Wrong("type", "There is no such type of record").WithHint("It is such as A, AAAA, MX, TXT")
	case errors.Is(err, dns.ErrNoServer):
		return menu.Errorf(menu.State, "No name server is configured").WithHint("Name one with server")
	case errors.Is(err, dns.ErrReply):
		return menu.Errorf(menu.Failed, "What the name server sent is no answer to the question")
	}
	if reason, ok := Reason(err); ok {
		return menu.Errorf(menu.Failed, "No name server answered: %s", reason)
	}
	return err
}

// wrongName is the Error for a text that is no name, given as an argument.
func wrongName(argument, name string, err error) *menu.Error {
	e := menu.Wrong(argument, "%q is no name that the DNS can have", menu.Clean(name))
	var wrong *dns.NameError
	if errors.As(err, &wrong) {
		e.Hint = wrong.Reason
	}
	return e
}

// ServerAddress is a name server without the usual port.
func ServerAddress(server string) string {
	if a, err := netip.ParseAddrPort(server); err == nil && a.Port() == 53 {
		return a.Addr().String()
	}
	return server
}
