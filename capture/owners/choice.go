package owners

import (
	"path"
	"strconv"
)

// A Choice says whose packets are wanted. What is zero does not matter; all else must be true of
// one process at an end of the packet.
type Choice struct {
	Name string // of the process, or of its executable: with slashes the whole path
	PID  int
	User string // a name, or a number
}

// Any reports whether every packet is wanted, those without a process too.
func (c Choice) Any() bool { return c == Choice{} }

// Match reports whether a packet with these owners is wanted.
func (c Choice) Match(o Owners) bool { return c.Any() || c.is(o.Sender) || c.is(o.Receiver) }

func (c Choice) is(p *Process) bool {
	return p != nil && (c.PID == 0 || c.PID == p.PID) && (c.User == "" || c.User == p.User || c.isNumber(p.UID)) &&
		(c.Name == "" || c.Name == p.Name || c.Name == p.Exe || p.Exe != "" && c.Name == path.Base(p.Exe))
}

// isNumber reports whether the user is wanted by this number. It allocates nothing.
func (c Choice) isNumber(uid uint32) bool {
	var digits [10]byte
	return c.User == string(strconv.AppendUint(digits[:0], uint64(uid), 10))
}
