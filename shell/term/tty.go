package term

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// tty is the controlling terminal of the process. It has its own open file description, so that its
// non-blocking mode does not affect standard input and output.
type tty struct {
	*os.File
	fd    int
	saved unix.Termios
}

// openTTY opens the controlling terminal and sets the session's mode. Bytes typed before stay
// readable.
func openTTY() (*tty, error) {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("no terminal: open /dev/tty: %w", err)
	}
	saved, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("no terminal: read its mode: %w", err)
	}
	t := &tty{File: os.NewFile(uintptr(fd), "/dev/tty"), fd: fd, saved: *saved}
	mode := sessionMode(*saved)
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &mode); err != nil {
		t.Close()
		return nil, fmt.Errorf("set the mode of the terminal: %w", err)
	}
	return t, nil
}

// sessionMode passes every key through as it is typed, without echo and signals. Output processing
// stays on: a bare newline starts a new line at the left.
func sessionMode(m unix.Termios) unix.Termios {
	m.Iflag &^= unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON | unix.IXOFF
	m.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	m.Oflag |= unix.OPOST | unix.ONLCR
	m.Cflag = m.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	m.Cc[unix.VMIN], m.Cc[unix.VTIME] = 1, 0
	return m
}

// restore restores the terminal's original mode.
func (t *tty) restore() error {
	return unix.IoctlSetTermios(t.fd, unix.TCSETS, &t.saved)
}

// size returns the window in columns and rows. Clients without a window of their own (ssh -tt from
// a script) report 0x0, which means "unknown"; such clients expect 80x24.
func (t *tty) size() (width, height int) {
	width, height = 80, 24
	ws, err := unix.IoctlGetWinsize(t.fd, unix.TIOCGWINSZ)
	if err != nil {
		return width, height
	}
	if ws.Col > 0 {
		width = int(ws.Col)
	}
	if ws.Row > 0 {
		height = int(ws.Row)
	}
	return width, height
}
