package dns

import (
	"errors"
	"slices"
	"strings"
)

// Words explains an error of Addresses in a text that anyone may see. It names the servers that
// were asked, and contains nothing that came from strangers.
func Words(err error) string {
	var failure *Failure
	var code *CodeError
	switch {
	case errors.Is(err, ErrName):
		return "the DNS can have no such name"
	case errors.Is(err, ErrNotFound):
		return "there is no such name"
	case errors.Is(err, ErrFamily):
		return "it has no address"
	case errors.As(err, &code):
		return "the name server " + code.Reply.Server.Addr().String() + " answered " + code.Reply.Code
	case errors.As(err, &failure):
		var servers []string
		for _, a := range failure.Tried {
			if s := a.Server.Addr().String(); !slices.Contains(servers, s) {
				servers = append(servers, s)
			}
		}
		return "no name server answered in time (" + strings.Join(servers, ", ") + ")"
	}
	return "no name server answered in time"
}
