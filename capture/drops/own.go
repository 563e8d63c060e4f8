package drops

import (
	"os"
	"strconv"
	"strings"
	"sync"
)

// own knows the packet sockets and raw sockets of this process, by their inodes. What they do not
// take is what the appliance itself listens for, and nobody's loss.
type own struct {
	mu    sync.Mutex
	known map[uint32]bool // whether it is ours, which the inode of a socket that was closed stays
}

// has reports whether the socket with an inode is one of this process. The first time that it is
// asked for, it must still be open.
func (o *own) has(inode uint32) bool {
	if inode == 0 {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	ours, ok := o.known[inode]
	if !ok {
		ours = holds(inode)
		if len(o.known) >= maxKnown {
			clear(o.known)
		}
		o.known[inode] = ours
	}
	return ours
}

// maxKnown bounds the memory of own.
const maxKnown = 4096

// holds reports whether this process has the socket open.
func holds(inode uint32) bool {
	const folder = "/proc/self/fd"
	entries, err := os.ReadDir(folder)
	if err != nil {
		return false
	}
	for _, e := range entries {
		target, err := os.Readlink(folder + "/" + e.Name())
		if err != nil || !strings.HasPrefix(target, "socket:[") {
			continue
		}
		if n, err := strconv.ParseUint(strings.Trim(target, "socket:[]"), 10, 64); err == nil && uint32(n) == inode {
			return true
		}
	}
	return false
}
