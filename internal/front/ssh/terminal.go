package ssh

import (
	"math"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
)

// A terminal is what a client said of its user's terminal, and the master of the program's own one
// while that runs.
type terminal struct {
	modes []byte // as the client encoded them

	mu     sync.Mutex
	size   access.WindowSize
	master *os.File // nil before the program runs
}

// wanted returns the properties for the program's terminal.
func (t *terminal) wanted() *access.Terminal {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &access.Terminal{Size: t.size, Modes: t.modes}
}

// runs sets the master. It also sets the size again, which may have changed since the program was
// asked for.
func (t *terminal) runs(master *os.File) error {
	t.mu.Lock()
	t.master = master
	size := t.size
	t.mu.Unlock()
	return t.resize(size)
}

// resize sets the size, also of the program's terminal, which the program notices (SIGWINCH).
func (t *terminal) resize(size access.WindowSize) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.size = size
	if t.master == nil {
		return nil
	}
	raw, err := t.master.SyscallConn()
	if err != nil {
		return err
	}
	short := func(n uint32) uint16 { return uint16(min(n, math.MaxUint16)) }
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{
			Col: short(size.Columns), Row: short(size.Rows), Xpixel: short(size.Width), Ypixel: short(size.Height),
		})
	})
	if err != nil {
		return err
	}
	return failed
}
