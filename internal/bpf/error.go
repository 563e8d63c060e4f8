package bpf

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// An Error says why the kernel did not take a program. Its text is a sentence for people, with the
// kernel and the right that is missing; it has no full stop.
type Error struct {
	Program string // its name in the source; empty: all of them
	Missing string // what is missing: a capability, BTF, a security module's consent; empty: not known
	Kernel  string // release of the running kernel
	Err     error
}

func (e *Error) Error() string {
	what := "Linux " + e.Kernel + " does not take the eBPF programs"
	if e.Program != "" {
		what = "Linux " + e.Kernel + " does not take the eBPF program " + e.Program
	}
	if e.Missing != "" {
		return what + ": " + e.Missing
	}
	return what + ": " + e.Reason()
}

// Reason says why, without the program and the kernel.
func (e *Error) Reason() string {
	if e.Missing != "" {
		return e.Missing
	}
	var verifier *ebpf.VerifierError
	if errors.As(e.Err, &verifier) && len(verifier.Log) > 0 {
		return "its verifier says: " + verifier.Log[len(verifier.Log)-1]
	}
	var errno unix.Errno
	if errors.As(e.Err, &errno) {
		return fmt.Sprintf("it says %q", errno.Error())
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Refused returns the error for a program that is not of a Set, which its maker could not load.
func Refused(program string, err error) *Error { return failure(program, err) }

// failure makes an Error, with what is missing as far as that can be known.
func failure(program string, err error) *Error {
	e := &Error{Program: program, Kernel: release(), Err: err}
	switch {
	case errors.Is(err, ErrNoCgroup):
		e.Missing = ErrNoCgroup.Error()
	case errors.Is(err, ErrNoTracefs):
		e.Missing = ErrNoTracefs.Error()
	case errors.Is(err, errParanoid):
		e.Missing = errParanoid.Error()
	case errors.Is(err, ErrNoTypes), errors.Is(err, btf.ErrNotFound):
		e.Missing = ErrNoTypes.Error()
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES),
		errors.Is(err, ebpf.ErrNotSupported) && !Capable(unix.CAP_BPF) && !Capable(unix.CAP_SYS_ADMIN): // so nothing could be tried
		e.Missing = missing(err)
	case errors.Is(err, ebpf.ErrNotSupported) && program != "":
		e.Missing = "this kernel does not tell it"
	}
	return e
}

// wanted are the capabilities that loading and attaching take (capabilities(7)).
var wanted = []struct {
	bit  uint
	name string
}{{unix.CAP_BPF, "CAP_BPF"}, {unix.CAP_PERFMON, "CAP_PERFMON"}, {unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}}

// missing says which right is missing when the kernel refuses, "" if it says so itself. CAP_SYS_ADMIN
// has all of them.
func missing(refusal error) string {
	var absent []string
	has, err := effective()
	if err == nil && has&(1<<unix.CAP_SYS_ADMIN) == 0 {
		for _, c := range wanted {
			if has&(1<<c.bit) == 0 {
				absent = append(absent, c.name)
			}
		}
	}
	if len(absent) > 0 {
		return "the appliance lacks " + strings.Join(absent, " and ")
	}
	var verifier *ebpf.VerifierError
	if errors.As(refusal, &verifier) && len(verifier.Log) > 0 {
		return ""
	}
	return "the kernel is locked down, or one of its security modules forbids it"
}

// Capable reports whether this process has a capability, by its number (CAP_BPF, for one).
func Capable(capability uint) bool {
	has, err := effective()
	return err == nil && has&(1<<capability) != 0
}

// effective returns the effective capabilities of this process, a bit each.
func effective() (uint64, error) {
	var data [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
		return 0, err
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective), nil
}

func release() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}
