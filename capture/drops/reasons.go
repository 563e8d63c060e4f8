package drops

import (
	"slices"
	"strconv"
	"strings"

	"diagsh/internal/bpf"
)

// The names that the running kernel has for reasons and for the subsystems that have their own.
const (
	reasonEnum, reasonPrefix       = "skb_drop_reason", "SKB_DROP_REASON_"
	subsystemEnum, subsystemPrefix = "skb_drop_reason_subsys", "SKB_DROP_REASON_SUBSYS_"
)

// few is up to how many names a kernel has that tells most reasons as NOT_SPECIFIED: Linux 5.17 has
// five.
const few = 10

// A reasons is the kernel's names for the values of its enumeration. They are read from the running
// kernel: the values are others in each version.
type reasons struct{ core, subsystems map[uint64]string }

func readReasons(d *bpf.Description) (reasons, error) {
	core, err := d.Enumeration(reasonEnum)
	if err != nil {
		return reasons{}, err
	}
	subsystems, err := d.Enumeration(subsystemEnum)
	if err != nil { // before Linux 6.4
		subsystems = nil
	}
	return reasons{core, subsystems}, nil
}

// few reports whether the kernel has hardly any reasons.
func (r reasons) few() bool { return r.number() <= few }

// number returns how many reasons have names of their own.
func (r reasons) number() int {
	names := map[string]bool{}
	for _, name := range r.core {
		names[name] = true
	}
	return len(names)
}

// unspecified is the reason of a packet for which the kernel has none.
const unspecified = reasonPrefix + "NOT_SPECIFIED"

// first returns what Linux 5.17 would call the reasons.
func (r reasons) first() reasons {
	had := []string{"NO_SOCKET", "PKT_TOO_SMALL", "TCP_CSUM", "SOCKET_FILTER", "UDP_CSUM"}
	core := map[uint64]string{}
	for value, name := range r.core {
		core[value] = unspecified
		if slices.Contains(had, strings.TrimPrefix(name, reasonPrefix)) {
			core[value] = name
		}
	}
	return reasons{core: core}
}

// onlyCounted are reasons for which the kernel drops each packet that passes while a capture runs
// that is not for this machine, or that the capture has no room for. What is known of these packets is
// their number: more would cost the capture what it lacks.
var onlyCounted = [2]string{"OTHERHOST", "PACKET_SOCK_ERROR"}

// onlyCounted returns the values of these reasons, 0 where the kernel has none.
func (r reasons) onlyCounted() (values [2]uint32) {
	for value, name := range r.core {
		for i, wanted := range onlyCounted {
			if name == reasonPrefix+wanted {
				values[i] = uint32(value)
			}
		}
	}
	return values
}

// has reports whether there is a reason of a name, of which the case does not count. Of a subsystem that
// numbers its reasons each number is one.
func (r reasons) has(name string) bool {
	for value := range r.core {
		if strings.EqualFold(r.name(uint32(value)), name) {
			return true
		}
	}
	subsystem, number := name, name
	if at := strings.LastIndexByte(name, '_'); at >= 0 {
		subsystem, number = name[:at], name[at+1:]
	}
	if _, err := strconv.ParseUint(number, 10, 32); err != nil {
		return false
	}
	for _, s := range r.subsystems {
		if strings.EqualFold(strings.TrimPrefix(s, subsystemPrefix), subsystem) {
			return true
		}
	}
	return subsystem == number
}

// name returns the name of a reason. The high 16 bits are the subsystem, which names its own where
// this enumeration does not have them.
func (r reasons) name(value uint32) string {
	if name, ok := r.core[uint64(value)]; ok {
		return strings.TrimPrefix(name, reasonPrefix)
	}
	if name, ok := r.subsystems[uint64(value>>16)]; ok && value>>16 != 0 {
		return strings.TrimPrefix(name, subsystemPrefix) + "_" + strconv.Itoa(int(value&0xffff))
	}
	return strconv.FormatUint(uint64(value), 10)
}
