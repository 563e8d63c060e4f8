package usage

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"diagsh/diag/ports"
)

// binaries and libraries are the folders in which a distribution has its programs.
var (
	binaries  = []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"}
	libraries = []string{"/usr/lib", "/usr/libexec", "/lib"}
	both      = slices.Concat(binaries, libraries)
)

// systemPrograms are programs of a Linux system, by the names that others like to borrow. Programs that
// people build themselves, such as web servers, are not among them. Those in libraries may be in any
// folder below it.
var systemPrograms = map[string][]string{
	"agetty": binaries, "atd": binaries, "auditd": binaries, "bash": binaries, "chronyd": binaries,
	"cron": binaries, "crond": binaries, "dash": binaries, "dhclient": binaries, "dhcpcd": binaries,
	"dnsmasq": binaries, "getty": binaries, "init": both,
	"irqbalance": binaries, "login": binaries, "mdadm": binaries, "named": binaries, "NetworkManager": binaries,
	"ntpd": binaries, "rpcbind": binaries, "rpc.statd": binaries, "rsyslogd": binaries, "sh": binaries, "snmpd": binaries, "sshd": binaries, "sshd-session": libraries,
	"su": binaries, "sudo": binaries, "syslogd": binaries, "systemd": libraries, "systemd-journald": libraries,
	"systemd-logind": libraries, "systemd-networkd": libraries, "systemd-resolved": libraries,
	"systemd-timesyncd": libraries, "systemd-udevd": libraries, "udevd": binaries, "unbound": binaries,
	"wpa_supplicant": binaries, "xinetd": binaries, "dbus-daemon": binaries,
}

// nameLength is what the kernel keeps of the name of a process (TASK_COMM_LEN less the NUL).
const nameLength = 15

// kernelThreads are how the names of threads of the kernel begin, which have no file.
var kernelThreads = []string{"kworker/", "ksoftirqd/", "kthreadd", "migration/", "rcu_", "kswapd", "khugepaged",
	"kcompactd", "watchdogd", "jbd2/", "kdevtmpfs", "cpuhp/", "kauditd", "oom_reaper", "kblockd", "ksmd"}

// suspicious returns why a process is not what its name says; empty if it may well be. A process
// whose file is not known is not judged.
func suspicious(p ports.Process) string {
	if p.Exe == "" {
		return ""
	}
	exe := strings.TrimSuffix(p.Exe, " (deleted)")
	file := path.Base(exe)
	for _, name := range kernelThreads {
		if strings.HasPrefix(p.Name, name) || strings.HasPrefix(strings.TrimPrefix(p.Name, "["), name) {
			return "It has the name of a thread of the kernel, which has no file"
		}
	}
	if folders, system := systemPrograms[file]; system && !within(exe, folders) {
		return fmt.Sprintf("%s is a program of the system, in %s", file, strings.Join(folders, ", "))
	}
	if folders, system := systemNamed(p.Name); system && !within(exe, both) {
		return fmt.Sprintf("%s is the name of a program of the system, in %s", p.Name, strings.Join(folders, ", "))
	}
	return ""
}

// systemNamed returns the folders of the program of a name, which the kernel may have cut.
func systemNamed(name string) ([]string, bool) {
	if folders, known := systemPrograms[name]; known {
		return folders, true
	}
	if len(name) < nameLength {
		return nil, false
	}
	for program, folders := range systemPrograms {
		if len(program) > nameLength && program[:nameLength] == name {
			return folders, true
		}
	}
	return nil, false
}

// within reports whether a file is in one of the folders, or anywhere below one of libraries.
func within(file string, folders []string) bool {
	for _, folder := range folders {
		if path.Dir(file) == folder || slices.Contains(libraries, folder) && strings.HasPrefix(path.Clean(file), folder+"/") {
			return true
		}
	}
	return false
}
