package afpacket

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"diagsh/capture"

	"golang.org/x/sys/unix"
)

// devices reads the packet counters of the interfaces of one network namespace, that of the thread
// that opened it, for as long as it is open (proc(5), /proc/net/dev). The read takes no lock that a
// change to an interface could hold (dev_seq_start of net/core/net-procfs.c).
type devices struct {
	file   *os.File
	socket int // for requests of interface names
}

// device is what an interface has counted since it was created.
type device struct{ received, sent uint64 }

// openDevices returns nil if the kernel does not offer the counters: a capture goes without.
func openDevices() *devices {
	f, err := os.Open("/proc/thread-self/net/dev")
	if err != nil {
		return nil
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		f.Close()
		return nil
	}
	return &devices{f, socket}
}

func (d *devices) close() {
	if d != nil {
		d.file.Close()
		unix.Close(d.socket)
	}
}

// read returns the counters of interfaces by index. It leaves out missing interfaces, and all of
// them on an error. The kernel lists counters by name, and names may change hands meanwhile. So it
// asks for each name before and after: if it is the same, it was the interface's own in between.
func (d *devices) read(indices []int) map[int]device {
	if d == nil || len(indices) == 0 {
		return nil
	}
	found := make(map[int]device, len(indices))
	for range 3 {
		names := make(map[int]string)
		for _, index := range indices {
			if _, ok := found[index]; !ok {
				names[index] = d.name(index)
			}
		}
		changed := false
		all := d.list()
		for index, name := range names {
			now, listed := all[name]
			switch {
			case name != d.name(index):
				changed = true
			case listed && name != "":
				found[index] = now
			}
		}
		if !changed {
			break
		}
	}
	return found
}

// name returns the current name of an interface, or "" if there is none with that index
// (netdevice(7), SIOCGIFNAME).
func (d *devices) name(index int) string {
	request, err := unix.NewIfreq("")
	if err != nil {
		return ""
	}
	request.SetUint32(uint32(index))
	if unix.IoctlIfreq(d.socket, unix.SIOCGIFNAME, request) != nil {
		return ""
	}
	return request.Name()
}

// list returns the counters by name.
func (d *devices) list() map[string]device {
	if _, err := d.file.Seek(0, 0); err != nil {
		return nil
	}
	all := make(map[string]device)
	for lines := bufio.NewScanner(d.file); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		columns := strings.Fields(rest) // bytes packets errs drop fifo frame compressed multicast, twice
		if len(columns) < 10 {
			continue
		}
		received, err := strconv.ParseUint(columns[1], 10, 64)
		sent, err2 := strconv.ParseUint(columns[9], 10, 64)
		if err == nil && err2 == nil {
			all[strings.TrimSpace(name)] = device{received, sent}
		}
	}
	return all
}

// seenBy returns how many of the packets that an interface counted a tap could want.
func (d device) seenBy(tap capture.Tap) uint64 {
	switch {
	// where each is counted twice and captured once
	case tap.Direction == capture.In || tap.Interface.Loopback:
		return d.received
	case tap.Direction == capture.Out:
		return d.sent
	}
	return d.received + d.sent
}
