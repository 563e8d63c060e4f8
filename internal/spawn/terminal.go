package spawn

import (
	"encoding/binary"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
)

// A terminal is a pseudo-terminal: the master, by which the front plays keyboard and screen, and
// the slave for the process.
type terminal struct{ master, slave *os.File }

// openTerminal makes a terminal with the size and the modes that the client's own one has.
func openTerminal(t access.Terminal) (*terminal, error) {
	// Non-blocking, so that it works with the poller of the front's runtime: else a close would not
	// end a read.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("open /dev/ptmx", err)
	}
	master := os.NewFile(uintptr(fd), "/dev/ptmx")
	slave, err := openSlave(fd)
	if err == nil {
		err = setModes(fd, t.Modes)
	}
	if err == nil {
		err = resize(fd, t.Size)
	}
	if err != nil {
		closeAll(master, slave)
		return nil, err
	}
	return &terminal{master: master, slave: slave}, nil
}

// openSlave opens the slave by the master, and not by a name in /dev/pts, which may be another
// mount by now.
func openSlave(master int) (*os.File, error) {
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return nil, os.NewSyscallError("TIOCSPTLCK", err)
	}
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, flags)
	if errno != 0 {
		return nil, os.NewSyscallError("TIOCGPTPEER", errno)
	}
	return os.NewFile(fd, "terminal"), nil
}

// giveTo makes the terminal the given user's alone: the file mode of new terminals
// depends on the mount. The mode comes first, since only the owner can change it.
func (t *terminal) giveTo(user int) error {
	if err := t.slave.Chmod(0o600); err != nil {
		return err
	}
	return t.slave.Chown(user, user)
}

func resize(master int, size access.WindowSize) error {
	short := func(n uint32) uint16 { return uint16(min(n, math.MaxUint16)) }
	return os.NewSyscallError("TIOCSWINSZ", unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, &unix.Winsize{
		Col: short(size.Columns), Row: short(size.Rows), Xpixel: short(size.Width), Ypixel: short(size.Height),
	}))
}

// setModes applies encoded terminal modes (RFC 4254 section 8): pairs of an opcode and a value. The
// modes of a terminal are those of both its ends. Opcodes that Linux has no equivalent for are
// skipped. From 160 on the length of the value is unknown, which ends the list.
func setModes(master int, encoded []byte) error {
	modes, err := unix.IoctlGetTermios(master, unix.TCGETS)
	if err != nil {
		return os.NewSyscallError("TCGETS", err)
	}
	for len(encoded) >= 5 && encoded[0] != 0 && encoded[0] < 160 {
		setMode(modes, encoded[0], binary.BigEndian.Uint32(encoded[1:]))
		encoded = encoded[5:]
	}
	return os.NewSyscallError("TCSETS", unix.IoctlSetTermios(master, unix.TCSETS, modes))
}

func setMode(modes *unix.Termios, opcode byte, value uint32) {
	if index, ok := controlCharacter(opcode); ok {
		if value >= 255 { // "no such key", which Linux writes as 0
			value = 0
		}
		modes.Cc[index] = uint8(value)
		return
	}
	flags, bits := modeFlag(modes, opcode)
	switch {
	case flags == nil:
	case opcode == 90 || opcode == 91: // CS7, CS8: two values of one field
		if value != 0 {
			*flags = *flags&^unix.CSIZE | bits
		}
	case value != 0:
		*flags |= bits
	default:
		*flags &^= bits
	}
}

func controlCharacter(opcode byte) (index int, ok bool) {
	switch opcode {
	case 1:
		return unix.VINTR, true
	case 2:
		return unix.VQUIT, true
	case 3:
		return unix.VERASE, true
	case 4:
		return unix.VKILL, true
	case 5:
		return unix.VEOF, true
	case 6:
		return unix.VEOL, true
	case 7:
		return unix.VEOL2, true
	case 8:
		return unix.VSTART, true
	case 9:
		return unix.VSTOP, true
	case 10:
		return unix.VSUSP, true
	case 12:
		return unix.VREPRINT, true
	case 13:
		return unix.VWERASE, true
	case 14:
		return unix.VLNEXT, true
	case 16:
		return unix.VSWTC, true
	case 18:
		return unix.VDISCARD, true
	}
	return 0, false
}

func modeFlag(modes *unix.Termios, opcode byte) (flags *uint32, bits uint32) {
	input := [...]uint32{ // from 30; IUTF8 is RFC 8160
		unix.IGNPAR, unix.PARMRK, unix.INPCK, unix.ISTRIP, unix.INLCR, unix.IGNCR, unix.ICRNL, unix.IUCLC,
		unix.IXON, unix.IXANY, unix.IXOFF, unix.IMAXBEL, unix.IUTF8,
	}
	local := [...]uint32{ // from 50
		unix.ISIG, unix.ICANON, unix.XCASE, unix.ECHO, unix.ECHOE, unix.ECHOK, unix.ECHONL, unix.NOFLSH,
		unix.TOSTOP, unix.IEXTEN, unix.ECHOCTL, unix.ECHOKE, unix.PENDIN,
	}
	output := [...]uint32{unix.OPOST, unix.OLCUC, unix.ONLCR, unix.OCRNL, unix.ONOCR, unix.ONLRET} // from 70
	control := [...]uint32{unix.CS7, unix.CS8, unix.PARENB, unix.PARODD}                           // from 90
	n := int(opcode)
	switch {
	case n >= 30 && n < 30+len(input):
		return &modes.Iflag, input[n-30]
	case n >= 50 && n < 50+len(local):
		return &modes.Lflag, local[n-50]
	case n >= 70 && n < 70+len(output):
		return &modes.Oflag, output[n-70]
	case n >= 90 && n < 90+len(control):
		return &modes.Cflag, control[n-90]
	}
	return nil, 0
}
