// Package process captures only the packets of one process and its descendants.
//
// A packet socket does not know whose a packet is: what it gets is a copy without the socket that
// sent it, and what comes in has not found its socket yet. But hooks of cgroups run before it on the
// way out. So eBPF programs (internal/bpf/programs/process.c) follow processes and their sockets,
// and enter the ends of what they send, and the ports that they are bound to. The filter of each
// packet socket looks every packet up there, in the kernel, after the expression of the capture:
// whoever reads the packets does as much as without.
package process

import (
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/internal/bpf"
)

// A Filter knows which packets are of a process, or of one that it began since, or that these began.
// It must be kept as long as its programs are in use. Its methods may be called from any goroutine.
type Filter struct {
	set       *bpf.Set
	addresses *addresses
}

// The programs that a Filter cannot do without, and the one that is not attached. Without the others
// it misses sockets that are handed from process to process, and names that a process gives itself.
var (
	necessary = []string{"bound4", "bound6", "created", "egress", "ended", "executed", "files", "forked", "listens",
		ofProcess, "processes", "released"}
	ofProcess = "of_process"
)

// Open returns a Filter for the network namespace of the calling thread. wanted is a number, or a
// name: of the process (comm), or of its executable without folders. It need not run yet if it is a
// name. The error is a *capture.NoSuchProcessError or a *capture.UnsupportedProcessError.
func Open(wanted string) (*Filter, error) {
	constants, err := constantsFor(wanted)
	if err != nil {
		return nil, err
	}
	cgroup, err := bpf.CgroupRoot()
	if err != nil {
		return nil, &capture.UnsupportedProcessError{Err: err}
	}
	set, err := bpf.Load(bpf.Process, bpf.Options{Cgroup: cgroup, Constants: constants, Loaded: []string{ofProcess}})
	if err != nil {
		return nil, &capture.UnsupportedProcessError{Err: err}
	}
	f := &Filter{set: set}
	if err := f.begin(); err != nil {
		f.Close()
		return nil, err
	}
	if _, isNumber := capture.ProcessNumber(wanted); isNumber && f.Followed().Processes == 0 {
		f.Close()
		return nil, &capture.NoSuchProcessError{PID: wanted}
	}
	return f, nil
}

// constantsFor returns what the programs must know before they are loaded.
func constantsFor(wanted string) (map[string]any, error) {
	pid, err := namespace("pid")
	if err != nil {
		return nil, err
	}
	network, err := namespace("net")
	if err != nil {
		return nil, err
	}
	number, isNumber := capture.ProcessNumber(wanted)
	var name [capture.MaxProcessName + 2]byte // in the order of memory, as the kernel has it
	if !isNumber {
		copy(name[:], wanted)
	}
	return map[string]any{"wanted": name, "wanted_pid": number, "pid_namespace": pid, "network": network}, nil
}

// namespace returns the inode of a namespace of the calling thread.
func namespace(kind string) (uint32, error) {
	var s unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/"+kind, &s); err != nil {
		return 0, &capture.UnsupportedProcessError{Err: errors.New("the appliance cannot read /proc")}
	}
	return uint32(s.Ino), nil
}

// begin finds the processes and sockets that there are. The programs that hear of new ones run
// already, so none is missed.
func (f *Filter) begin() error {
	for _, refused := range f.set.Refused() {
		for _, name := range necessary {
			if refused.Program == name {
				return &capture.UnsupportedProcessError{Err: refused}
			}
		}
	}
	if err := f.set.Map("after").Put(uint32(0), f.set.Program(ofProcess)); err != nil {
		return fmt.Errorf("the programs of the capture cannot be joined: %w", err)
	}
	var err error
	if f.addresses, err = openAddresses(f.set.Map("addresses")); err != nil {
		return err
	}
	// Each time it finds the children of those that it found before.
	for found := 1; found > 0; {
		if found, err = f.iterate("processes"); err != nil {
			return err
		}
	}
	_, err = f.iterate("files")
	return err
}

// iterate runs an iterator, and returns how many bytes it writes.
func (f *Filter) iterate(name string) (int, error) {
	r, err := f.set.Iterate(name)
	if err != nil {
		return 0, &capture.UnsupportedProcessError{Err: err}
	}
	defer r.Close()
	written, err := io.Copy(io.Discard, r)
	if err != nil {
		return 0, fmt.Errorf("the processes of this machine cannot be listed: %w", err)
	}
	return int(written), nil
}

// Followed returns whose packets are taken now.
func (f *Filter) Followed() (n capture.Followed) {
	for which, to := range []*uint64{&n.Processes, &n.NoRoom} { // as the program numbers them
		if f.set.Map("numbers").Lookup(uint32(which), to) != nil {
			*to = 0
		}
	}
	return n
}

// A Program is the filter of one packet socket, loaded into the kernel.
type Program struct{ loaded *ebpf.Program }

// Load loads the filter of a packet socket on an interface: of what the classic program takes, it
// takes the packets of the process. The error is a *capture.UnsupportedProcessError.
func (f *Filter) Load(classic []unix.SockFilter, i capture.Interface) (*Program, error) {
	instructions, err := Translate(classic, f.ask(i))
	if err != nil {
		return nil, &capture.UnsupportedProcessError{Err: err}
	}
	loaded, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "filter", Type: ebpf.SocketFilter, Instructions: instructions, License: "Dual BSD/GPL",
	})
	if err != nil {
		return nil, &capture.UnsupportedProcessError{Err: bpf.Refused("filter", err)}
	}
	return &Program{loaded}, nil
}

// Attach sets or replaces the filter of a socket; the kernel does so between two packets.
func (p *Program) Attach(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, p.loaded.FD()); err != nil {
		return fmt.Errorf("the kernel refuses the filter: %w", err)
	}
	return nil
}

// Close gives the program up; a socket that has it keeps it.
func (p *Program) Close() error { return p.loaded.Close() }

// ask continues with the program of_process, which ends the run.
func (f *Filter) ask(i capture.Interface) asm.Instructions {
	word := func(n int16, is bool) asm.Instructions {
		value := int32(0)
		if is {
			value = 1
		}
		return asm.Instructions{asm.Mov.Imm(asm.R1, value), asm.StoreMem(skb, fieldControl+4*n, asm.R1, asm.Word)}
	}
	program := asm.Instructions{asm.StoreMem(skb, fieldControl, a, asm.Word)}
	program = append(program, word(1, i.LinkType == capture.Ethernet)...)
	program = append(program, word(2, i.Loopback)...)
	return append(program,
		asm.Mov.Reg(asm.R1, skb),
		asm.LoadMapPtr(asm.R2, f.set.Map("after").FD()),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnTailCall.Call(),
		asm.Mov.Imm(a, 0),
		asm.Return())
}

// Close ends the programs. Sockets that have a filter of f take nothing more.
func (f *Filter) Close() error { return errors.Join(f.addresses.close(), f.set.Close()) }
