// Package machine tells the captures of the machine that they run on: its memory, its interfaces and
// its names.
package machine

import (
	"bufio"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/internal/menu"
)

// Memory returns the memory of the machine, and what of it is free or can be made so, in bytes
// (proc(5), /proc/meminfo).
func Memory() (total, available int64) {
	total, available = 1<<30, 512<<20 // if the kernel does not say
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return total, available
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		n, err := strconv.ParseInt(fields[0], 10, 64)
		switch {
		case err != nil:
		case name == "MemTotal":
			total = n << 10
		case name == "MemAvailable":
			available = n << 10
		}
	}
	return total, available
}

// Names returns the names of the machine and of its system, for the headers of capture files.
func Names() (machine, system string) {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "", ""
	}
	text := unix.ByteSliceToString
	return text(u.Machine[:]), text(u.Sysname[:]) + " " + text(u.Release[:])
}

// Resolve returns the interfaces of these names.
func Resolve(names []string) ([]capture.Interface, error) {
	list, err := afpacket.Resolve(names)
	if err == nil && len(list) == 0 {
		err = menu.Errorf(menu.Unsupported, "This machine has no interface that packets can be captured on")
	}
	return list, err
}

// InterfaceHint returns a hint with the interface that was probably meant, or with those that
// exist.
func InterfaceHint(name string) string {
	list, err := afpacket.Interfaces()
	if err != nil || len(list) == 0 {
		return "This machine has none that packets can be captured on"
	}
	var names []string
	for _, i := range list {
		names = append(names, i.Name)
	}
	if slices.Contains(names, name) {
		return "It is there now: try again"
	}
	if near := menu.Nearest(name, names); near != "" {
		return "Did you mean " + near + "?"
	}
	if len(names) > 12 {
		names = append(names[:12], "...")
	}
	return "The interfaces are " + strings.Join(names, ", ") + ", and ALL"
}

// Interfaces returns the interfaces that can be captured on.
func Interfaces() ([]capture.InterfaceInfo, error) {
	list, err := afpacket.Interfaces()
	infos := make([]capture.InterfaceInfo, 0, len(list))
	for _, i := range list {
		info := capture.InterfaceInfo{Name: i.Name, Loopback: i.Loopback, LinkType: linkName(i), Addresses: []string{}}
		if link, err := net.InterfaceByIndex(i.Index); err == nil {
			info.Up = link.Flags&net.FlagUp != 0
			addresses, _ := link.Addrs()
			for _, a := range addresses {
				info.Addresses = append(info.Addresses, a.String())
			}
		}
		infos = append(infos, info)
	}
	return infos, err
}

// linkName returns the name of an interface's link type, for users.
func linkName(i capture.Interface) string {
	switch {
	case i.Loopback:
		return "loopback"
	case i.LinkType == capture.Raw:
		return "raw IP"
	}
	return "Ethernet"
}
