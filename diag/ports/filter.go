package ports

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A Selection says which records are wanted. Within a member one of its values must match, and all
// members that are given must. Gap, Began and Ended are always wanted.
type Selection struct {
	Processes []string `json:"processes" arg:",bound" alias:"process" help:"Only these processes: names, or numbers, separated by commas."`
	Users     []string `json:"users" arg:",bound" alias:"user" help:"Only processes of these users: names, or numbers."`
	Ports     []string `json:"ports" arg:",bound" alias:"port" help:"Only these ports, at either end: numbers, or ranges such as 8000-8080."`
	Addresses []string `json:"addresses" arg:",bound" alias:"address" help:"Only these addresses, at either end, or networks such as 192.0.2.0/24."`
	Events    []string `json:"events" arg:",bound" alias:"event" choices:"open|bind|listen|connect|accept|use|flow|close|refused|timeout|aborted|failed|rejected|held" help:"Only these events."`
}

// A SelectionError is a value of a Selection that means nothing.
type SelectionError struct {
	Member string // of the Selection, as in JSON
	Value  string
	Wants  string // what is accepted instead
}

func (e *SelectionError) Error() string {
	return fmt.Sprintf("%s: %q is not %s", e.Member, e.Value, e.Wants)
}

// A Filter is a Selection that was read. Its methods may be called from any goroutine.
type Filter struct {
	processes []who
	users     []who
	ports     []portRange
	networks  []netip.Prefix
	events    []Event
}

// A who is a process or a user by its name, which may be a number.
type who struct {
	name   string
	number uint64
	isID   bool
}

type portRange struct{ from, to uint16 }

// Filter reads the selection. Its error is a *SelectionError.
func (s Selection) Filter() (*Filter, error) {
	f := &Filter{processes: named(s.Processes), users: named(s.Users)}
	for _, text := range s.Ports {
		p, ok := parsePorts(text)
		if !ok {
			return nil, &SelectionError{"ports", text, "a port from 1 to 65535, or a range such as 8000-8080"}
		}
		f.ports = append(f.ports, p)
	}
	for _, text := range s.Addresses {
		p, ok := ParseNetwork(text)
		if !ok {
			return nil, &SelectionError{"addresses", text, WantsNetwork}
		}
		f.networks = append(f.networks, p)
	}
	for _, text := range s.Events {
		if !slices.Contains(Events, Event(text)) {
			return nil, &SelectionError{"events", text, "an event of the port log"}
		}
		f.events = append(f.events, Event(text))
	}
	return f, nil
}

func named(texts []string) (list []who) {
	for _, text := range texts {
		n, err := strconv.ParseUint(text, 10, 32)
		list = append(list, who{text, n, err == nil})
	}
	return list
}

func parsePorts(text string) (portRange, bool) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, err := strconv.ParseUint(first, 10, 16)
	if err != nil || from == 0 {
		return portRange{}, false
	}
	to, err := strconv.ParseUint(last, 10, 16)
	if err != nil || to < from {
		return portRange{}, false
	}
	return portRange{uint16(from), uint16(to)}, true
}

// WantsNetwork is what SelectionError.Wants says of an address.
const WantsNetwork = "an address or a network, such as 192.0.2.7, 2001:db8::1 or 192.0.2.0/24"

// ParseNetwork parses an address or a network. An address may have a zone, which says nothing of the
// other end, and be in brackets.
func ParseNetwork(text string) (netip.Prefix, bool) {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.WithZone("").Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err == nil
}

// Selects reports whether a filter, which may be nil, leaves anything out.
func (f *Filter) Selects() bool {
	return f != nil && len(f.events)+len(f.ports)+len(f.networks)+len(f.processes)+len(f.users) > 0
}

// Match reports whether a record is wanted.
func (f *Filter) Match(r *Record) bool {
	if r.Event.Mark() {
		return true
	}
	return (len(f.events) == 0 || slices.Contains(f.events, r.Event)) &&
		(len(f.ports) == 0 || f.hasPort(r.LocalPort) || f.hasPort(r.RemotePort)) &&
		(len(f.networks) == 0 || f.hasAddress(r.LocalAddress) || f.hasAddress(r.RemoteAddress)) &&
		(len(f.processes) == 0 || f.hasProcess(r)) &&
		(len(f.users) == 0 || f.hasUser(r))
}

func (f *Filter) hasPort(port uint16) bool {
	for _, p := range f.ports {
		if port >= p.from && port <= p.to {
			return true
		}
	}
	return false
}

func (f *Filter) hasAddress(a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	a = a.WithZone("").Unmap()
	for _, n := range f.networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// hasProcess reports whether one of the processes of a record is wanted. A name is what the process
// chose or that of its executable, which may be its whole path. A number may be that of who opened, accepted or used what
// another one closes.
func (f *Filter) hasProcess(r *Record) bool {
	for _, w := range f.processes {
		n := int(w.number)
		if w.isID && n != 0 && (n == r.PID || n == r.OpenedBy || n == r.AcceptedBy || n == r.LastUsedBy) {
			return true
		}
		if r.Name != "" && strings.EqualFold(w.name, r.Name) || r.Exe != "" && (w.name == r.Exe || w.name == path.Base(r.Exe)) {
			return true
		}
	}
	return false
}

// hasUser reports whether the process of a record runs as a wanted user. What the kernel did, or a
// process that is not known, is no user's.
func (f *Filter) hasUser(r *Record) bool {
	if r.PID == 0 {
		return false
	}
	for _, w := range f.users {
		if w.isID && w.number == uint64(r.UID) || r.User != "" && w.name == r.User {
			return true
		}
	}
	return false
}
