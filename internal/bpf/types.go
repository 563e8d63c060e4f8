package bpf

import (
	"errors"
	"io/fs"

	"github.com/cilium/ebpf/btf"
)

// A Description is what the running kernel says of its types (BTF). It has a megabyte and a half, and
// takes some milliseconds to read: who loads programs and asks it too hands it on in Options.
type Description struct {
	cache *btf.Cache
	spec  *btf.Spec
}

// ErrNoTypes is in the error of Describe and Load where the kernel has no description.
var ErrNoTypes = errors.New("the kernel does not describe its types (BTF)")

// NoTypes returns the error of a kernel that has no description.
func NoTypes() *Error { return failure("", ErrNoTypes) }

// Describe reads the kernel's description. The error is an *Error.
func Describe() (*Description, error) {
	d := &Description{cache: btf.NewCache()}
	var err error
	d.spec, err = d.cache.Kernel()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, btf.ErrNotSupported) {
		return nil, NoTypes()
	}
	if err != nil {
		return nil, failure("", err)
	}
	return d, nil
}

// Enumeration returns the names of the values of an enum. The error is an *Error.
func (d *Description) Enumeration(name string) (map[uint64]string, error) {
	var e *btf.Enum
	if err := d.spec.TypeByName(name, &e); err != nil {
		return nil, failure("", err)
	}
	names := make(map[uint64]string, len(e.Values))
	for _, v := range e.Values {
		names[v.Value] = v.Name
	}
	return names, nil
}

// Arguments returns how many arguments a tracepoint has. Programs must not read more of them. It is 0
// if there is no such tracepoint.
func (d *Description) Arguments(tracepoint string) int {
	var def *btf.Typedef
	if d.spec.TypeByName("btf_trace_"+tracepoint, &def) != nil {
		return 0
	}
	pointer, ok := def.Type.(*btf.Pointer)
	if !ok {
		return 0
	}
	function, ok := pointer.Target.(*btf.FuncProto)
	if !ok {
		return 0
	}
	return len(function.Params) - 1 // the first is the tracepoint's own
}
