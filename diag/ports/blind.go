package ports

import (
	"slices"

	"golang.org/x/sys/unix"

	"diagsh/diag/ports/procs"
	"diagsh/internal/bpf"
)

// parts are what is not seen without programs. Without the first there is nothing to see.
var parts = []struct {
	programs []string
	sentence string
}{
	{[]string{"state"}, "Nothing of TCP is seen"},
	{[]string{"accept", "accept4"}, "Who accepted a connection is known by getpeername(2) or by the first use"},
	{[]string{"create", "release"}, "Who made a socket and who closed it is not seen, nor when sockets of UDP end"},
	{[]string{"bind4", "bind6"}, "bind(2) is not seen"},
	{[]string{"connect4", "connect6"}, "Attempts to connect that sent nothing are not seen"},
	{[]string{"sendmsg4", "sendmsg6", "recvmsg4", "recvmsg6"}, "With whom sockets of UDP talk is not seen"},
	{[]string{"send", "receive"}, "Who else uses a socket is seen of TCP only, when bytes are taken from it, and how many bytes a socket carries is not seen; " +
		"a socket of UDP that connected and that no process bound is seen at its end"},
	{[]string{"reads"}, "That another process uses a connection is not seen"},
	{[]string{"reset"}, "Attempts from outside to connect to a closed port are not seen"},
	{[]string{"forked", "executed", "exited"}, "The file of a process that ends at once may be missing"},
	{[]string{"held"}, "Sockets that are older than the engine are known by their first use"},
}

// usable returns the reason why the programs are not worth running.
func (k *kernel) usable() error {
	for _, e := range k.set.Refused() {
		if e.Program == "state" {
			return e
		}
	}
	return nil
}

// blind says what is not seen, and why. untold are programs to which this kernel would tell nothing.
func (k *kernel) blind(o Options, untold []string) []string {
	var all []string
	if o.Tier == WithoutAccept {
		all = append(all, parts[1].sentence+": so it was asked for")
	}
	for _, part := range parts {
		if slices.Contains(untold, part.programs[0]) {
			all = append(all, part.sentence+": this kernel does not tell it")
		}
		for _, e := range k.set.Refused() {
			if slices.Contains(part.programs, e.Program) {
				all = append(all, part.sentence+": "+e.Reason())
				break
			}
		}
	}
	if k.cgroup != "" && !initialCgroup() {
		all = append(all, "The appliance runs in a cgroup namespace: who opens, binds and closes sockets is seen of its own cgroup only")
	}
	if procs.PIDNamespace() != 0 {
		all = append(all, "The appliance runs in a pid namespace: processes outside have no number and no name here")
	}
	if !bpf.Capable(unix.CAP_SYS_PTRACE) {
		all = append(all, "The files of other users' processes are not seen: the appliance lacks CAP_SYS_PTRACE")
	}
	if k.cgroup != "" && !bpf.Capable(unix.CAP_DAC_READ_SEARCH) { // which open_by_handle_at(2) takes
		all = append(all, "The cgroup of a process that ended at once is not known: the appliance lacks CAP_DAC_READ_SEARCH")
	}
	return all
}

// initialCgroups is the inode of the initial cgroup namespace (include/linux/proc_ns.h).
const initialCgroups = 0xeffffffb

func initialCgroup() bool {
	var s unix.Stat_t
	return unix.Stat("/proc/self/ns/cgroup", &s) == nil && s.Ino == initialCgroups
}
