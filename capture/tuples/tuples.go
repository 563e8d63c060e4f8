// Package tuples has filters in fields: a protocol, and the addresses and ports of both ends of a
// conversation, as Azure Network Watcher and others have them.
//
// Local is this machine's end and remote the other one. A filter says nothing of source and
// destination, so it matches both directions. An end that is not given is any, also of the packets
// that this machine only sees pass by. All fields of a filter must hold; of several filters one is
// enough.
package tuples

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"diagsh/capture/filter"
)

// A Filter is what a packet must have. Every field is a text as its user wrote it; an empty one is
// not looked at.
//
// A protocol is TCP, UDP, ICMP and others by name or number. An address is one, a range
// 192.0.2.1-192.0.2.9, a network 192.0.2.0/24, or several of these with semicolons between. A port is
// a number, a range 80-85, or several. A list may end with a semicolon. The word Any is as an empty
// field. Ports are those of TCP, UDP and SCTP; of a packet in fragments only the first has them.
type Filter struct {
	Protocol      string `json:"protocol,omitempty" help:"TCP, UDP, ICMP or a number; any, if not given."`
	LocalAddress  string `json:"localAddress,omitempty" help:"Addresses of this side: one, a-b, a/len, several with semicolons."`
	LocalPort     string `json:"localPort,omitempty" help:"Ports of this side: one, a-b, several with semicolons."`
	RemoteAddress string `json:"remoteAddress,omitempty" help:"Addresses of the other side: one, a-b, a/len, several with semicolons."`
	RemotePort    string `json:"remotePort,omitempty" help:"Ports of the other side: one, a-b, several with semicolons."`
}

// The names of the fields in JSON.
const (
	protocol      = "protocol"
	localAddress  = "localAddress"
	localPort     = "localPort"
	remoteAddress = "remoteAddress"
	remotePort    = "remotePort"
)

const (
	maxFilters = 64   // of one capture
	maxField   = 1024 // bytes of a field
)

// An Error says which field of which filter is wrong, and what is accepted.
type Error struct {
	Index  int    // of the filter, from 0
	Member string // the field's name in JSON; empty if it is the filter as a whole
	Text   string // without the name of the field and without full stop
	Try    string // what to write instead, as an imperative; may be empty
}

// Error returns the text with the place before it, as filters[0].remotePort.
func (e *Error) Error() string { return Place(e.Index, e.Member) + ": " + e.Text }

// Hint returns what to write instead, or "".
func (e *Error) Hint() string { return e.Try }

// Place names a field as JSON has it.
func Place(index int, member string) string {
	place := fmt.Sprintf("filters[%d]", index)
	if member != "" {
		place += "." + member
	}
	return place
}

// A Warning says what of a filter was not taken as it is written.
type Warning struct {
	Index  int
	Member string
	Text   string
}

// String returns the warning as a sentence for users, with full stop.
func (w Warning) String() string { return Place(w.Index, w.Member) + ": " + w.Text + "." }

// A Set is the meaning of filters.
type Set struct {
	// Expressions are the filters in the language of package filter, in their order; an empty one
	// matches every packet. Expression matches what any of them matches.
	Expressions []string
	Expression  string

	Warnings []Warning

	impossible []*Error // the filters that no packet can match; Warnings has them too
}

// Parse reads filters. Nothing of their text gets into an expression: it is written from the values
// that the text stands for. The error is an *Error.
func Parse(filters []Filter) (Set, error) {
	if len(filters) > maxFilters {
		return Set{}, &Error{Index: maxFilters, Text: fmt.Sprintf("there are %d filters; at most %d are accepted",
			len(filters), maxFilters)}
	}
	var s Set
	meanings := make([]filter.Structured, len(filters))
	for i, f := range filters {
		var err error
		if meanings[i], err = s.meaning(i, f); err != nil {
			return Set{}, err
		}
	}
	var err error
	if s.Expressions, s.Expression, err = filter.StructuredExpressions(meanings, filter.Host{}); err != nil {
		return Set{}, fault(err)
	}
	return s, nil
}

// Warnings returns what of filters that Parse accepts is not taken as it is written.
func Warnings(filters []Filter) []Warning {
	var s Set
	for i, f := range filters {
		s.meaning(i, f)
	}
	return s.Warnings
}

// possible reports whether a packet can match a sample of a filter, as far as its protocol, whether it has ports and
// the versions of IP of its addresses say so.
func possible(meant filter.Structured) bool {
	if meant.Protocol == "" || allHavePorts(meant.Protocol) {
		return meant.LocalAddress == "" || meant.RemoteAddress == "" ||
			strings.Contains(meant.LocalAddress, meant.RemoteAddress) || strings.Contains(meant.RemoteAddress, meant.LocalAddress)
	}
	// The compiler finds a contradiction only where little else stands between its two sides.
	ports, addresses := meant, meant
	ports.LocalAddress, ports.RemoteAddress = "", ""
	addresses.LocalPort, addresses.RemotePort = "", ""
	return compiles(ports) && compiles(addresses)
}

// compiles reports whether the compiler finds packets of a version of IP that match a filter.
func compiles(meant filter.Structured) bool {
	expression, err := filter.StructuredExpression([]filter.Structured{meant}, filter.Host{})
	if err != nil || expression == "" {
		return true // what is wrong is said elsewhere
	}
	return slices.ContainsFunc([]string{"ip", "ip6"}, func(version string) bool {
		_, err := filter.Compile(version+" and ("+expression+")", filter.Target{LinkType: filter.EN10MB, Kind: filter.Live})
		var wrong *filter.Error
		return !errors.As(err, &wrong) || !wrong.RejectsAll
	})
}

// sample returns a filter with one port and one address of each version where it has many, for which
// the same is possible. What excludes some says nothing.
func sample(meant filter.Structured) filter.Structured {
	for _, ports := range []*string{&meant.LocalPort, &meant.RemotePort} {
		if strings.Contains(*ports, "!") {
			*ports = ""
		} else if *ports != "" {
			*ports = "7"
		}
	}
	for _, addresses := range []*string{&meant.LocalAddress, &meant.RemoteAddress} {
		all := *addresses
		*addresses = ""
		if strings.Contains(all, ".") && !strings.Contains(all, "!") {
			*addresses = "192.0.2.1;"
		}
		if strings.Contains(all, ":") && !strings.Contains(all, "!") {
			*addresses += "2001:db8::1"
		}
	}
	return meant
}

// noteImpossible notes a filter that no packet can match, by the last field without which one can.
func (s *Set) noteImpossible(index int, f Filter, meant filter.Structured) {
	if meant = sample(meant); possible(meant) {
		return
	}
	e := &Error{Index: index, Text: "no packet can match it",
		Try: "Only TCP, UDP and SCTP have ports, and the addresses of both ends are of one version of IP"}
	fields := []*string{&meant.Protocol, &meant.LocalAddress, &meant.LocalPort, &meant.RemoteAddress, &meant.RemotePort}
	for i, m := range slices.Backward(members) {
		without := *fields[i]
		if *fields[i] = ""; without != "" && possible(meant) {
			e.Member, e.Text = m.name, fmt.Sprintf("%q: no packet can have it and match the rest of the filter", bounded(*m.of(&f)))
			break
		}
		*fields[i] = without
	}
	s.impossible = append(s.impossible, e)
	s.Warnings = append(s.Warnings, Warning{Index: e.Index, Member: e.Member, Text: e.Text})
}

// fault converts an error of package filter about a filter.
func fault(err error) error {
	var wrong *filter.FieldError
	if !errors.As(err, &wrong) {
		return err
	}
	e := &Error{Index: wrong.Filter, Member: wrong.Field, Text: wrong.Message}
	if value := fmt.Sprintf("%q", bounded(wrong.Value)); !strings.HasPrefix(e.Text, value) {
		e.Text = value + ": " + e.Text
	}
	switch {
	case wrong.Replacement != "":
		e.Try = "Try " + wrong.Replacement
	case wrong.Value == "*":
		e.Try = "Write any for every value"
	}
	return e
}

// meaning returns a filter as package filter takes it, and notes what is not taken as it is written.
func (s *Set) meaning(index int, f Filter) (filter.Structured, error) {
	for _, m := range members {
		if len(*m.of(&f)) > maxField {
			return filter.Structured{}, &Error{Index: index, Member: m.name,
				Text: fmt.Sprintf("it has %d bytes; at most %d are accepted", len(*m.of(&f)), maxField)}
		}
		if field := m.of(&f); isAnything(*field) {
			*field = ""
		}
	}
	meant := filter.Structured{Protocol: f.Protocol, LocalPort: f.LocalPort, RemotePort: f.RemotePort}
	meant.LocalAddress = s.whole(index, localAddress, f.LocalAddress)
	meant.RemoteAddress = s.whole(index, remoteAddress, f.RemoteAddress)
	everyPort(&meant)
	s.noteImpossible(index, f, meant)
	return meant, nil
}

// whole completes upper bounds of three parts, as in 1.1.1.1-255.255.255. Documents have them, and a
// program that takes them for no address captures nothing.
func (s *Set) whole(index int, member, list string) string {
	items := strings.Split(strings.ReplaceAll(list, ",", ";"), ";")
	for i, item := range items {
		open := strings.TrimRight(item, " \t)")
		low, high, isRange := strings.Cut(open, "-")
		high = strings.TrimSpace(high)
		if !isRange || strings.Count(high, ".") != 2 || strings.Trim(high, "0123456789.") != "" {
			continue
		}
		if _, err := netip.ParseAddr(strings.Trim(low, " \t!(")); err != nil {
			continue // it is refused for that end, as it is written
		}
		items[i] = open + ".255" + item[len(open):]
		s.Warnings = append(s.Warnings, Warning{Index: index, Member: member,
			Text: fmt.Sprintf("%s has three parts, and is taken for %s.255", high, high)})
	}
	return strings.Join(items, ";")
}

// everyPort takes out ports that are no restriction: 1-65535 means any port, so the first fragment
// of a packet is not told from those after it. What is left says that the packet has ports.
func everyPort(f *filter.Structured) {
	every := func(ports string) bool {
		ports = strings.Trim(strings.ReplaceAll(ports, " ", ""), ";,()")
		return ports == "1-65535" || ports == "0-65535"
	}
	if !every(f.LocalPort) && !every(f.RemotePort) {
		return
	}
	switch {
	case f.Protocol == "":
		f.Protocol = "TCP;UDP;SCTP"
	case !allHavePorts(f.Protocol):
		return
	}
	for _, ports := range []*string{&f.LocalPort, &f.RemotePort} {
		if every(*ports) {
			*ports = ""
		}
	}
}

// allHavePorts reports whether every protocol of a list has ports.
func allHavePorts(protocols string) bool {
	for item := range strings.FieldsFuncSeq(strings.Trim(protocols, " ()"), func(r rune) bool { return r == ';' || r == ',' }) {
		switch strings.ToLower(strings.TrimSpace(item)) {
		case "", "tcp", "udp", "sctp", "6", "17", "132":
		default:
			return false
		}
	}
	return true
}

// isAnything reports whether a field says that it may have any value.
func isAnything(value string) bool { return strings.EqualFold(strings.TrimSpace(value), anything) }
