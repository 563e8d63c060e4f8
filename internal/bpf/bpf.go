// Package bpf is the only door to bpf(2): compiled programs with their source, loading, attaching,
// and one error that names the kernel and the right that is missing.
//
// Each programs/NAME.c has NAME.o beside it, which is embedded; make bpf compiles them, and needs
// clang. Nothing is compiled when diagsh is built or runs. Programs are tracepoints by BTF, hooks of
// cgroups, iterators and socket filters. None needs a trampoline or a kprobe: kernels that are
// locked down refuse those.
//
// That a kernel has a type of program says nothing about what it loads, so each program is loaded
// and attached by itself, and what was refused is kept with the reason.
package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
)

// Options say how a Set is loaded.
type Options struct {
	// Cgroup is the path of the cgroup v2 whose sockets the hooks of cgroups see; empty: such
	// programs are refused. CgroupRoot finds it.
	Cgroup string

	// Entries are numbers of entries that maps get instead of their own, by the names of the maps.
	// That of a ring buffer is its size in bytes, a power of two.
	Entries map[string]uint32

	// Kernel is the description of the running kernel, from who has read it already; nil: it is read.
	Kernel *Description

	// Constants are values of variables that the source declares const volatile, by their names.
	Constants map[string]any

	// Loaded are names of programs that are loaded and not attached: the caller attaches them.
	// Skipped are those that are left out.
	Loaded, Skipped []string
}

// A Set is the programs of one object that the kernel took, with the maps that they share. It must
// be kept as long as they are to run: what nothing references is detached.
type Set struct {
	maps     map[string]*ebpf.Map
	programs map[string]*ebpf.Program
	links    map[string]io.Closer
	refused  []*Error

	options Options
	specs   map[string]*ebpf.ProgramSpec
}

// setConstants sets variables of an object's programs before they are loaded.
func setConstants(spec *ebpf.CollectionSpec, values map[string]any) error {
	for name, value := range values {
		v, ok := spec.Variables[name]
		if !ok {
			return fmt.Errorf("the object has no variable %s", name)
		}
		if err := v.Set(value); err != nil {
			return fmt.Errorf("the variable %s: %w", name, err)
		}
	}
	return nil
}

// Load loads the programs of an object, the text of NAME.o, and attaches them, in the order of their
// names. A program that is refused is left out; see Refused. The error is an *Error if the kernel
// takes none at all.
func Load(object []byte, o Options) (*Set, error) {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("read the compiled programs: %w", err)
	}
	if err := setConstants(spec, o.Constants); err != nil {
		return nil, err
	}
	if o.Kernel == nil {
		if o.Kernel, err = Describe(); err != nil {
			return nil, err
		}
	}
	rlimit.RemoveMemlock() // kernels before 5.11 count maps by it; where it is not allowed, loading says so
	attached := o
	attached.Kernel = nil // nothing asks for it later
	s := &Set{options: attached, specs: spec.Programs, maps: map[string]*ebpf.Map{}, programs: map[string]*ebpf.Program{}, links: map[string]io.Closer{}}
	if err := s.makeMaps(spec, o); err != nil {
		s.Close()
		return nil, err
	}
	for _, name := range sortedPrograms(spec) {
		if slices.Contains(o.Skipped, name) {
			continue
		}
		if err := s.add(spec, name, o); err != nil {
			s.refused = append(s.refused, failure(name, err))
		}
	}
	if len(s.programs) == 0 {
		err := s.refused[0]
		s.Close()
		return nil, err
	}
	return s, nil
}

func sortedPrograms(spec *ebpf.CollectionSpec) []string {
	var names []string
	for name := range spec.Programs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (s *Set) makeMaps(spec *ebpf.CollectionSpec, o Options) error {
	for name, m := range spec.Maps {
		if n := o.Entries[name]; n > 0 {
			m.MaxEntries = n
		}
	}
	c, err := ebpf.NewCollection(&ebpf.CollectionSpec{
		Maps: spec.Maps, Variables: spec.Variables, Types: spec.Types, ByteOrder: spec.ByteOrder,
	})
	if err != nil {
		return failure("", err)
	}
	s.maps = c.Maps
	return nil
}

// add loads one program and attaches it.
func (s *Set) add(spec *ebpf.CollectionSpec, name string, o Options) error {
	one := spec.Copy()
	for other := range one.Programs {
		if other != name {
			delete(one.Programs, other)
		}
	}
	c, err := ebpf.NewCollectionWithOptions(one, ebpf.CollectionOptions{MapReplacements: s.maps, Cache: o.Kernel.cache})
	if err != nil {
		return err
	}
	p := c.DetachProgram(name)
	c.Close()
	if !slices.Contains(o.Loaded, name) {
		l, err := attach(p, spec.Programs[name], o)
		if err != nil {
			p.Close()
			return err
		}
		if l != nil {
			s.links[name] = l
		}
	}
	s.programs[name] = p
	return nil
}

// attach attaches a program as its section says. One that belongs to a socket is not attached here.
func attach(p *ebpf.Program, spec *ebpf.ProgramSpec, o Options) (io.Closer, error) {
	kind, rest, _ := strings.Cut(spec.SectionName, "/")
	switch {
	case spec.AttachType == ebpf.AttachTraceIter:
		return link.AttachIter(link.IterOptions{Program: p})
	case spec.Type == ebpf.Tracing:
		return link.AttachTracing(link.TracingOptions{Program: p})
	case spec.Type == ebpf.TracePoint:
		group, event, _ := strings.Cut(rest, "/")
		return attachTracepoint(group, event, p)
	case strings.HasPrefix(kind, "cgroup"):
		if o.Cgroup == "" {
			return nil, ErrNoCgroup
		}
		return link.AttachCgroup(link.CgroupOptions{Path: o.Cgroup, Attach: spec.AttachType, Program: p})
	}
	return nil, nil
}

// ErrNoCgroup is in the error of a program that watches a cgroup where none is known.
var ErrNoCgroup = errors.New("this machine has no cgroup v2")

// Attach attaches a program of Options.Loaded until the Closer is closed. The error is an *Error.
func (s *Set) Attach(program string) (io.Closer, error) {
	l, err := attach(s.programs[program], s.specs[program], s.options)
	if err != nil {
		return nil, failure(program, err)
	}
	return l, nil
}

// Has reports whether a program was taken.
func (s *Set) Has(program string) bool { return s.programs[program] != nil }

// Program returns a program that was taken, or nil.
func (s *Set) Program(name string) *ebpf.Program { return s.programs[name] }

// Map returns a map of the object, or nil. It belongs to the Set.
func (s *Set) Map(name string) *ebpf.Map { return s.maps[name] }

// Remove detaches a program.
func (s *Set) Remove(program string) {
	if l := s.links[program]; l != nil {
		l.Close()
	}
	if p := s.programs[program]; p != nil {
		p.Close()
	}
	delete(s.links, program)
	delete(s.programs, program)
}

// Sum returns the sum over the processors of what a map of counters has at a key.
func (s *Set) Sum(name string, key uint32) (uint64, error) {
	m := s.maps[name]
	if m == nil {
		return 0, fmt.Errorf("the object has no map %s", name)
	}
	var each []uint64
	if err := m.Lookup(key, &each); err != nil {
		return 0, fmt.Errorf("read the counters %s: %w", name, err)
	}
	var sum uint64
	for _, n := range each {
		sum += n
	}
	return sum, nil
}

// Iterate runs an iterator and returns what it writes. The caller closes it.
func (s *Set) Iterate(program string) (io.ReadCloser, error) {
	it, ok := s.links[program].(*link.Iter)
	if !ok {
		return nil, failure(program, errors.New("the iterator is not loaded"))
	}
	return it.Open()
}

// Refused returns an error for each program that the kernel did not take.
func (s *Set) Refused() []*Error { return s.refused }

// Close detaches all programs.
func (s *Set) Close() error {
	var errs []error
	for _, l := range s.links {
		errs = append(errs, l.Close())
	}
	for _, p := range s.programs {
		errs = append(errs, p.Close())
	}
	for _, m := range s.maps {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}
