package bpf

import (
	"github.com/cilium/ebpf/btf"
)

// Enumeration returns the names that the running kernel has for the values of an enum, as its own
// description (BTF) says. The error is an *Error.
func Enumeration(name string) (map[uint64]string, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, failure("", err)
	}
	var e *btf.Enum
	if err := spec.TypeByName(name, &e); err != nil {
		return nil, failure("", err)
	}
	names := make(map[uint64]string, len(e.Values))
	for _, v := range e.Values {
		names[v.Value] = v.Name
	}
	return names, nil
}

// Arguments returns how many arguments a tracepoint has in the running kernel. Programs must not
// read more of them. It is 0 if there is no such tracepoint. The error is an *Error.
func Arguments(tracepoint string) (int, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return 0, failure("", err)
	}
	var def *btf.Typedef
	if spec.TypeByName("btf_trace_"+tracepoint, &def) != nil {
		return 0, nil
	}
	pointer, ok := def.Type.(*btf.Pointer)
	if !ok {
		return 0, nil
	}
	function, ok := pointer.Target.(*btf.FuncProto)
	if !ok {
		return 0, nil
	}
	return len(function.Params) - 1, nil // the first is the tracepoint's own
}
