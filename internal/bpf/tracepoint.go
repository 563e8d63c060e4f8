package bpf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ErrNoTracefs is in the error of a tracepoint where no tracefs can be read, nor mounted, which
// takes CAP_SYS_ADMIN.
var ErrNoTracefs = errors.New("no tracefs is mounted that the appliance may read")

// errParanoid is for a kernel that keeps tracepoints to the administrator of the machine, as Debian's
// does by default: there CAP_PERFMON is not enough.
var errParanoid = errors.New("kernel.perf_event_paranoid is above 2 on this machine, and the appliance lacks CAP_SYS_ADMIN")

// paranoid reports whether the kernel refuses perf_event_open(2) to whoever has not CAP_SYS_ADMIN.
func paranoid() bool {
	text, err := os.ReadFile("/proc/sys/kernel/perf_event_paranoid")
	if err != nil || Capable(unix.CAP_SYS_ADMIN) {
		return false
	}
	level, err := strconv.Atoi(strings.TrimSpace(string(text)))
	return err == nil && level > 2
}

// attachTracepoint attaches a program to a tracepoint for all processes, until what it returns is
// closed.
func attachTracepoint(group, event string, p *ebpf.Program) (io.Closer, error) {
	id, err := tracepointID(group, event)
	if err != nil {
		return nil, err
	}
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_TRACEPOINT, Config: id, Sample: 1, Wakeup: 1}
	// The processor is only where the event would be counted: the program runs on all.
	fd, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if errors.Is(err, unix.EACCES) && paranoid() {
		err = errParanoid
	}
	if err != nil {
		return nil, fmt.Errorf("open the tracepoint %s: %w", event, err)
	}
	f := os.NewFile(uintptr(fd), event)
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, p.FD()); err != nil {
		f.Close()
		return nil, fmt.Errorf("attach to the tracepoint %s: %w", event, err)
	}
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0); err != nil {
		f.Close()
		return nil, fmt.Errorf("enable the tracepoint %s: %w", event, err)
	}
	return f, nil
}

// tracepointID reads a tracepoint's number from a tracefs: where it is mounted, or from a mount of
// its own that nobody else sees.
func tracepointID(group, event string) (uint64, error) {
	file := "/events/" + group + "/" + event + "/id"
	for _, root := range []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"} {
		if id, err := readID(root + file); err == nil {
			return id, nil
		}
	}
	mount, err := mountTracefs()
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNoTracefs, err)
	}
	defer mount.Close()
	id, err := readID(fmt.Sprintf("/proc/self/fd/%d%s", mount.Fd(), file))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("the kernel has no tracepoint %s", event)
	}
	return id, err
}

func readID(path string) (uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}

// mountTracefs mounts a tracefs nowhere: closing it takes it away.
func mountTracefs() (*os.File, error) {
	fd, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.FsconfigCreate(fd); err != nil {
		return nil, err
	}
	mount, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(mount), "tracefs"), nil
}
