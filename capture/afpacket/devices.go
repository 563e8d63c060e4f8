package afpacket

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"diagsh/capture"
)

// devices reads the packet counters of the interfaces of one network namespace: of the
// one that the thread was in which opened it, as long as it is open (proc(5),
// /proc/net/dev; dev_seq_start of net/core/net-procfs.c takes no lock that a change to an
// interface could hold).
type devices struct{ file *os.File }

// device is what an interface has counted since it is there.
type device struct{ received, sent uint64 }

func openDevices() (*devices, error) {
	f, err := os.Open("/proc/thread-self/net/dev")
	return &devices{f}, err
}

func (d *devices) close() {
	if d != nil {
		d.file.Close()
	}
}

// read is empty if the kernel does not tell.
func (d *devices) read() map[string]device {
	if d == nil {
		return nil
	}
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

// seenBy is what an interface has counted of the packets that a tap could want.
func seenBy(tap capture.Tap, all map[string]device) (uint64, bool) {
	d, ok := all[tap.Interface.Name]
	switch {
	case tap.Direction == capture.In || tap.Interface.Loopback: // where each is counted twice, and taken once
		return d.received, ok
	case tap.Direction == capture.Out:
		return d.sent, ok
	}
	return d.received + d.sent, ok
}

// A sight follows the counter of one interface.
type sight struct {
	tap    capture.Tap
	before uint64 // it counted, until the tap was opened
	known  bool
	seen   uint64
	over   bool // the interface is gone: another one may have its name
}

func (s *sight) look(all map[string]device) {
	// A counter that goes back is another interface's.
	if now, ok := seenBy(s.tap, all); ok && s.known && !s.over && now >= s.before+s.seen {
		s.seen = now - s.before
	}
}
