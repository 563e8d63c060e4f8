package bpf

import "github.com/cilium/ebpf/btf"

// A Description is what the running kernel says of its types (BTF).
type Description struct{ spec *btf.Spec }

// Describe reads the kernel's description. The error is an *Error.
func Describe() (*Description, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, failure("", err)
	}
	return &Description{spec}, nil
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
