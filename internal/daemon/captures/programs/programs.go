// Package programs makes the filters of captures: the expression of all that a capture asks for, and
// a program for each of its interfaces.
package programs

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/bpf"

	"diagsh/capture"
	"diagsh/capture/filter"
	"diagsh/capture/headers"
	"diagsh/capture/tuples"
	"diagsh/internal/menu"
)

// wait is how long the host names of a filter may take.
const wait = 10 * time.Second

// maxInstructions is the most that a filter may have. Linux takes 4096 (BPF_MAXINSNS), of which the
// engine puts some before the filter.
const maxInstructions = 4096 - 16

// A Filter is the filter of one capture: as an expression, and as a program for each of its
// interfaces.
type Filter struct {
	spec       capture.Spec
	Expression string              // the effective filter
	ends       string              // the part of it that is Spec.Filters
	Interfaces []capture.Interface // those that it can be asked about, of those that there were
	names      filter.Names        // of this capture: a host has the same addresses on all interfaces

	mu       sync.Mutex // guards what follows
	programs map[Target]compiled
	left     []capture.LeftOut
}

// A Target is everything that a program depends on.
type Target struct {
	Layer   capture.LinkType
	mask    uint32
	unknown bool // the mask
}

type compiled struct {
	program []bpf.RawInstruction
	err     error
}

// Build makes the filter of a capture. own is the expression that leaves out the packets of this
// machine's management sessions, empty if they are wanted. Each host name is looked up once, and the
// effective filter has the addresses in its place.
//
// Of all interfaces it leaves out those that cannot match the filter, such as a tunnel without
// Ethernet for `ether host`. An interface that was named must be able to match it.
//
// The user's expression comes last, because words such as vlan change the meaning of everything
// that follows them.
func Build(ctx context.Context, spec capture.Spec, interfaces []capture.Interface, own string, names filter.Names) (
	*Filter, error) {
	f := &Filter{spec: spec, names: filter.Remember(names), programs: make(map[Target]compiled)}
	f.Expression = filter.WithAddresses(ctx, spec.Filter, f.names)
	ends, err := tuples.Parse(spec.Filters)
	if err != nil {
		return nil, err // which Spec.Check has refused
	}
	f.ends = ends.Expression
	f.Expression = together(own, f.ends, f.Expression)
	var fault error
	for _, i := range interfaces {
		_, err := f.Program(ctx, i)
		switch {
		case err == nil:
			f.Interfaces = append(f.Interfaces, i)
		case !spec.AllInterfaces():
			return nil, Error(err, i)
		case fault == nil:
			fault = Error(err, i)
		}
	}
	if len(f.Interfaces) == 0 && fault != nil {
		return nil, fault
	}
	return f, nil
}

// together joins expressions that must all match. An empty one matches everything.
func together(own, ends, written string) string {
	var parts []string
	if own != "" {
		parts = append(parts, own)
	}
	for _, e := range []string{ends, written} {
		if e != "" {
			parts = append(parts, "("+e+")")
		}
	}
	if len(parts) == 1 {
		return cmp.Or(own, ends, written) // without parentheses
	}
	return strings.Join(parts, " and ")
}

// LeftOut returns the interfaces that were left out so far.
func (f *Filter) LeftOut() []capture.LeftOut {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.left)
}

// leave notes whether one of all interfaces is left out, and why. Called with f.mu held.
func (f *Filter) leave(i capture.Interface, err error) {
	f.left = slices.DeleteFunc(f.left, func(l capture.LeftOut) bool { return l.Interface == i.Name })
	if err == nil {
		return
	}
	reason := err.Error()
	var wrong *filter.Error
	if errors.As(err, &wrong) {
		reason = strings.TrimSuffix(wrong.Message, ".")
	}
	f.left = append(f.left, capture.LeftOut{Interface: i.Name, Reason: menu.Clean(reason)})
}

// Program returns the program for an interface; nil takes every packet. Interfaces that are alike
// share one program. The error is a *filter.Error if the interface cannot match the filter, else a
// *menu.Error.
func (f *Filter) Program(ctx context.Context, i capture.Interface) ([]bpf.RawInstruction, error) {
	t := targetOf(i)
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	c, known := f.programs[t]
	if !known {
		c.program, c.err = f.build(ctx, t)
		if ctx.Err() == nil {
			f.programs[t] = c
		}
	}
	if f.spec.AllInterfaces() {
		f.leave(i, c.err)
	}
	return c.program, c.err
}

// build compiles the effective filter. It compiles the user's part by itself first, so that errors
// are about what the user typed and its parentheses are balanced. A capture of headers gets a
// program that cuts packets after them.
func (f *Filter) build(ctx context.Context, t Target) (program []bpf.RawInstruction, err error) {
	if f.spec.Filter != "" {
		if _, err := Compile(ctx, f.spec.Filter, t, f.names); err != nil {
			return nil, err
		}
	}
	if f.ends != "" {
		if _, err := Compile(ctx, f.ends, t, f.names); err != nil {
			return nil, endsError(err, "No packet can match the filters")
		}
	}
	if f.Expression != "" {
		if program, err = Compile(ctx, f.Expression, t, f.names); err != nil && f.ends != "" {
			return nil, endsError(err, "No packet can match the filters and the filter")
		}
		if err != nil {
			return nil, err
		}
	}
	if f.spec.HeadersOnly {
		keep := f.spec.SnapLength
		if keep > 0 {
			keep = max(keep, f.spec.LooksAt())
		}
		program = headers.Cut(program, t.Layer, keep)
	}
	if n := len(program); n > maxInstructions {
		argument := "filter"
		if f.ends != "" {
			argument = "filters"
		}
		return nil, menu.BadArgument(argument,
			"The filter is too long: the kernel takes %d instructions and this one needs %d", maxInstructions, n).
			WithHint("Use nets instead of single hosts")
	}
	return program, nil
}

// endsError returns an error for users about the part of the filter that is Spec.Filters, whose text
// they have not typed. It is right as text, so what is wrong is what it asks for.
func endsError(err error, otherwise string) error {
	var known *menu.Error
	if errors.As(err, &known) {
		known.Argument = "filters"
		return known
	}
	e := menu.BadArgument("filters", "%s", otherwise)
	var wrong *filter.Error
	switch {
	case !errors.As(err, &wrong):
	case wrong.TooLarge:
		e.Message = "The filters have too many values: " + strings.TrimSuffix(wrong.Message, ".")
		e.Hint = "Write networks and ranges instead of single values"
	default:
		e.Hint = menu.Clean(menu.Sentence(strings.TrimSuffix(wrong.Message, ".")))
	}
	return e
}

// Compile compiles an expression to instructions that the kernel takes.
func Compile(ctx context.Context, expression string, t Target, names filter.Names) ([]bpf.RawInstruction, error) {
	to := filter.Target{
		LinkType: filter.EN10MB, Kind: filter.Live, Names: names, Netmask: t.mask, NetmaskUnknown: t.unknown,
	}
	if t.Layer == capture.Raw {
		to.LinkType = filter.Raw
	}
	program, err := filter.CompileContext(ctx, expression, to)
	if err != nil {
		return nil, err
	}
	if ready, why := program.KernelReady(); !ready {
		return nil, &menu.Error{Code: menu.Unsupported, Argument: "filter",
			Message: "The kernel cannot run this filter: " + why, Hint: "filter explain shows its program"}
	}
	raw := make([]bpf.RawInstruction, len(program.Instructions))
	for n, in := range program.Instructions {
		raw[n] = bpf.RawInstruction{Op: in.Code, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return raw, nil
}

// targetOf returns what a program for an interface depends on.
func targetOf(i capture.Interface) Target {
	t := Target{Layer: i.LinkType}
	t.mask, t.unknown = Netmask(i)
	return t
}

// Netmask returns the mask of an interface's first IPv4 address, which `ip broadcast` needs.
func Netmask(i capture.Interface) (mask uint32, unknown bool) {
	link, err := net.InterfaceByIndex(i.Index)
	if err != nil {
		return 0, true
	}
	addresses, _ := link.Addrs()
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && len(n.Mask) == net.IPv4len {
			return binary.BigEndian.Uint32(n.Mask), false
		}
	}
	return 0, true
}

// AnyLink is the target of an expression that is checked before an interface is chosen.
var AnyLink = Target{Layer: capture.Ethernet, mask: 0xffffff00}

// Error returns an error for users that says what is wrong with a filter, and where. It returns any
// error but a *filter.Error as it is.
func Error(err error, i capture.Interface) error {
	var f *filter.Error
	if !errors.As(err, &f) {
		return err
	}
	on := ""
	if i.Name != "" && i.LinkType != capture.Ethernet {
		on = " on interface " + i.Name
	}
	e := menu.BadArgument("filter", "The filter is wrong%s at character %d: %s",
		on, f.Character(), strings.TrimSuffix(f.Message, "."))
	if f.Hint != "" {
		e.Hint = menu.Clean(menu.Sentence(f.Hint))
	}
	return e
}
