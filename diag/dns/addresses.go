// Package dns asks name servers: for the addresses of a host as every command needs them, and whole
// questions with everything that the answer has. It asks as resolvers do (resolv.conf(5), hosts(5),
// nsswitch.conf(5)), and remembers how each server fared.
package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// A Family is a version of IP, or either.
type Family string

const (
	Any  Family = "any"
	IPv4 Family = "4"
	IPv6 Family = "6"
)

// Why a host has no address to send to.
var (
	ErrNotFound = errors.New("no such host")
	ErrFamily   = errors.New("the host has no address of that family")
	ErrNoAnswer = errors.New("no name server answered")
)

// A CodeError reports that name servers answered with a response code instead of data: SERVFAIL,
// REFUSED …
type CodeError struct {
	Reply Reply
}

func (e *CodeError) Error() string { return e.Reply.Server.String() + " answered " + e.Reply.Code }

// Addresses calls Client.Addresses of System.
func Addresses(ctx context.Context, host string, family Family) ([]netip.Addr, error) {
	return System.Addresses(ctx, host, family)
}

// Unbracketed returns host without its brackets, as addresses have in URLs (RFC 3986, section
// 3.2.2) and mail (RFC 5321, section 4.1.3). Any other text is returned unchanged.
func Unbracketed(host string) string {
	inner, ok := strings.CutPrefix(host, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !ok || !closed {
		return host
	}
	if len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:") {
		inner = inner[5:]
	}
	if _, err := netip.ParseAddr(inner); err != nil {
		return host
	}
	return inner
}

// Addresses returns the addresses of host, a name or itself an address, which may have brackets. A
// name may have letters of any language. IPv4 comes before IPv6; in each version, addresses with a
// route come first. It looks names up as /etc/hosts and /etc/resolv.conf say. The error is
// ErrNotFound, ErrFamily, a *NameError, a *Failure, a *CodeError or the context's.
func (c *Client) Addresses(ctx context.Context, host string, family Family) ([]netip.Addr, error) {
	host, err := ASCII(Unbracketed(host))
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(host, "[") {
		return nil, &NameError{host,
			"Only an address can be in brackets, such as [192.0.2.25] or [2001:db8::25]"}
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if !family.Has(a.Unmap()) {
			return nil, ErrFamily
		}
		return []netip.Addr{a.Unmap()}, nil
	}
	if host == "" {
		return nil, &NameError{host, "It is empty"}
	}
	err = ErrNotFound
	for _, source := range c.order() {
		var list []netip.Addr
		if source == fromFiles {
			list = c.hostsFile().addresses[strings.ToLower(strings.TrimSuffix(host, "."))]
		} else if list, err = c.ask(ctx, host, family); ctx.Err() != nil {
			return nil, err
		}
		if len(list) == 0 {
			continue
		}
		list = slices.DeleteFunc(slices.Clone(list), func(a netip.Addr) bool { return !family.Has(a) })
		if len(list) == 0 {
			return nil, ErrFamily
		}
		return preferred(list), nil
	}
	return nil, err
}

// ask asks name servers for the addresses of a host, for both versions of IP at once.
func (c *Client) ask(ctx context.Context, host string, family Family) ([]netip.Addr, error) {
	type found struct {
		list []netip.Addr
		err  error
	}
	var types []string
	if family != IPv6 {
		types = append(types, "A")
	}
	if family != IPv4 {
		types = append(types, "AAAA")
	}
	results := make([]found, len(types))
	var asking sync.WaitGroup
	for i, kind := range types {
		asking.Go(func() { results[i].list, results[i].err = c.askFor(ctx, host, kind) })
	}
	asking.Wait()
	var all []netip.Addr
	var failed error
	for _, r := range results {
		all = append(all, r.list...)
		// A server's failure counts more than the absence of records, and an existing name more
		// than a missing one.
		if weight(r.err) > weight(failed) {
			failed = r.err
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	return nil, failed
}

func weight(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrNotFound):
		return 1
	case errors.Is(err, ErrFamily):
		return 2
	}
	return 3
}

func (c *Client) askFor(ctx context.Context, host, kind string) ([]netip.Addr, error) {
	r, err := c.Ask(ctx, Question{Name: host, Type: kind, Search: true, Recursive: true})
	switch {
	case err != nil:
		return nil, err
	case r.Code == "NXDOMAIN":
		return nil, ErrNotFound
	case r.Code != "NOERROR":
		return nil, &CodeError{r}
	}
	var list []netip.Addr
	for _, data := range r.Chain(kind) {
		if a, err := netip.ParseAddr(data); err == nil {
			list = append(list, a.Unmap())
		}
	}
	if len(list) == 0 {
		return nil, ErrFamily
	}
	return list, nil
}

// Chain returns the data of the records of type kind for the name that was asked for, or for a name
// that it is an alias of.
func (r Reply) Chain(kind string) (list []string) {
	names := []string{r.Name}
	is := func(name string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return sameName(n, name) })
	}
	for added := true; added; {
		added = false
		for _, record := range r.Answer {
			if record.Type == "CNAME" && is(record.Name) && !is(record.Data) {
				names, added = append(names, record.Data), true
			}
		}
	}
	for _, record := range r.Answer {
		if record.Type == kind && is(record.Name) {
			list = append(list, record.Data)
		}
	}
	return list
}

// preferred sorts addresses: IPv4 first, and in each version those that the kernel has a route to
// (RFC 6724, section 6, rule 1).
func preferred(list []netip.Addr) []netip.Addr {
	rank := func(a netip.Addr) (n int) {
		if !a.Is4() {
			n = 2
		}
		if !routed(a) {
			n++
		}
		return n
	}
	ranks := make(map[netip.Addr]int, len(list))
	for _, a := range list {
		ranks[a] = rank(a)
	}
	slices.SortStableFunc(list, func(a, b netip.Addr) int { return ranks[a] - ranks[b] })
	return slices.Compact(list)
}

// routed reports whether there is a route to an address. It connects a datagram socket to it, which
// sends nothing. A link-local address without a scope counts as routed: it gets one later.
func routed(a netip.Addr) bool {
	if a.IsLinkLocalUnicast() && a.Is6() {
		return true
	}
	conn, err := net.Dial("udp", netip.AddrPortFrom(a, 9).String())
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// NamesOf returns the names of an address; the first is its canonical name. The error is
// ErrNotFound, a *Failure, a *CodeError or the context's.
func (c *Client) NamesOf(ctx context.Context, a netip.Addr) ([]string, error) {
	a = a.Unmap().WithZone("")
	for _, source := range c.order() {
		if source == fromFiles {
			if names := c.hostsFile().names[a]; len(names) > 0 {
				return names, nil
			}
			continue
		}
		name, _ := Reverse(a.String())
		r, err := c.Ask(ctx, Question{Name: name, Type: "PTR", Recursive: true})
		switch {
		case err != nil:
			return nil, err
		case r.Code != "NOERROR" && r.Code != "NXDOMAIN":
			return nil, &CodeError{r}
		}
		if names := r.Chain("PTR"); len(names) > 0 {
			return names, nil
		}
	}
	return nil, ErrNotFound
}

// Has reports whether the address belongs to the family.
func (f Family) Has(a netip.Addr) bool {
	return f != IPv4 && f != IPv6 || a.Is4() == (f == IPv4)
}
