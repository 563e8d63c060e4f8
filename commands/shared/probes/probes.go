// Package probes holds what the commands that send packets to another host share: the source, the
// target, and the reasons of failures.
package probes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"diagsh/diag/dns"
	"diagsh/diag/interfaces"
	"diagsh/diag/source"
	"diagsh/internal/menu"
)

// StopHint is the first line of a command that runs until it is stopped.
const StopHint menu.Text = "Press Ctrl-C to stop.\n"

// Auto is the word for the source that the kernel chooses.
const Auto = "auto"

// ChooseSource offers the interfaces of this host, and Auto. An address of this host is accepted
// too.
func ChooseSource(q *menu.Question) {
	q.Choices, q.Default, q.Open = []menu.Choice{{Value: Auto, Label: "Auto", AnyCase: true}}, Auto, true
	interfaces, err := source.Interfaces()
	if err != nil {
		return // Auto is always there
	}
	for _, i := range interfaces {
		state := "down"
		if i.Up {
			state = "up"
		}
		label := fmt.Sprintf("%s (%s)", menu.Clean(i.Name), strings.Join(append([]string{state}, i.Addresses...), ", "))
		q.Choices = append(q.Choices, menu.Choice{Value: i.Name, Label: label})
	}
}

// Source parses the argument source: Auto, an interface or an address of this host.
func Source(text string) (source.Source, error) {
	s, err := source.Parse(text)
	var unusable *source.UnusableError
	switch {
	case errors.As(err, &unusable) && unusable.Duplicate:
		e := menu.Errorf(menu.State, "%s is not used: another host on the link has this address too", unusable.Address)
		e.Argument = "source"
		return s, e.WithHint("netstat interfaces shows it as duplicated")
	case errors.As(err, &unusable):
		e := menu.Errorf(menu.State,
			"%s is not used yet: it is being asked whether another host has this address", unusable.Address)
		e.Argument = "source"
		return s, e.WithHint("netstat interfaces shows it as tentative; that takes a second or two")
	case err != nil:
		return s, menu.BadArgument("source", "%q is neither an interface nor an address of this appliance",
			menu.Clean(text)).WithHint("Leave it out, or give one that the question for it lists")
	}
	return s, nil
}

// Addresses returns the addresses of a host that can be reached from a source, the preferred one
// first. An Error names argument, which is the one that names the host.
func Addresses(
	ctx context.Context, argument, host string, family dns.Family, from source.Source,
) ([]netip.Addr, error) {
	if a := from.Address; a.IsValid() && family == dns.Any {
		if family = dns.IPv4; a.Is6() {
			family = dns.IPv6
		}
	}
	list, err := dns.Addresses(ctx, host, family)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, noAddress(err, argument, host, family)
	}
	for i, a := range list {
		scoped, ok := from.Scoped(a)
		if !ok {
			return nil, menu.BadArgument(argument,
				"%s is a link-local address, which every interface has a network for", a).
				WithHint("Say which: %s%%INTERFACE", a)
		}
		if zone := interfaces.RealName(scoped.Zone()); zone != "" {
			scoped = scoped.WithZone(zone)
			if _, err := net.InterfaceByName(zone); err != nil {
				return nil, menu.BadArgument(argument, "There is no interface %q", menu.Clean(zone)).
					WithHint("After the %% write the name of an interface of this appliance")
			}
		}
		list[i] = scoped
	}
	return list, nil
}

// Address returns the first of Addresses.
func Address(ctx context.Context, argument, host string, family dns.Family, from source.Source) (netip.Addr, error) {
	list, err := Addresses(ctx, argument, host, family, from)
	if err != nil {
		return netip.Addr{}, err
	}
	return list[0], nil
}

// reasons are the errors of the kernel that say something about the network.
var reasons = []struct {
	errno syscall.Errno
	text  string
}{
	{syscall.ECONNREFUSED, "connection refused"},
	{syscall.ECONNRESET, "connection reset by the other side"},
	{syscall.EPIPE, "connection closed by the other side"},
	{syscall.ENETUNREACH, "there is no route to the network"},
	{syscall.EHOSTUNREACH, "no route to the host"},
	{syscall.EHOSTDOWN, "the host is down"},
	{syscall.ENETDOWN, "the interface is down"},
	{syscall.EADDRNOTAVAIL, "the source address cannot be used for this destination"},
	{syscall.EACCES, "the destination is forbidden by a route or a firewall of this appliance"},
	{syscall.EPERM, "a firewall of this appliance forbids it"},
	{syscall.EMSGSIZE, "the packet is too big to be sent in one piece"},
	{syscall.EINVAL, "a route of this appliance drops what goes there (blackhole), or it cannot be reached from this " +
		"source"},
	{syscall.ETIMEDOUT, "no answer"},
	{syscall.ENODEV, "the interface has gone"},
	{syscall.EAFNOSUPPORT, "this kernel has no such version of IP"},
	{syscall.EPROTO, "protocol error"},
	{syscall.ENOBUFS, "the interface's queue is full"},
	{syscall.ENOMEM, "the kernel has no memory for the packet"},
	{syscall.EAGAIN, "the interface's queue is full"},
}

// Reason returns in words why something could not be sent or reached. ok is false for an error that
// says nothing about the network.
func Reason(err error) (text string, ok bool) {
	for _, r := range reasons {
		if errors.Is(err, r.errno) {
			return r.text, true
		}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "no answer", true
	}
	return "", false
}

// Failure returns an Error with the text of the format, which says what failed, and the kernel's
// reason. It returns an error that says nothing about the network as it is.
func Failure(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	reason, ok := Reason(err)
	if !ok {
		return err
	}
	return menu.Errorf(menu.Failed, format+": %s", append(args, reason)...)
}

// Milliseconds returns a time in milliseconds, as ping and traceroute write it.
func Milliseconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()*1000) }

// Seconds returns a time in seconds for JSON, rounded to microseconds.
func Seconds(d time.Duration) float64 { return d.Round(time.Microsecond).Seconds() }

// AskSource is the Ask of a command of whose questions only the one for the argument source needs
// choices.
func AskSource[A any](_ context.Context, _ menu.Caller, _ A, q *menu.Question) error {
	if q.Name == "source" {
		ChooseSource(q)
	}
	return nil
}
