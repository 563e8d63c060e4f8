package smtp

import (
	"errors"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// A line of a reply has at most 512 bytes (RFC 5321, section 4.5.3.1.5). Real ones are longer, but
// must have a limit.
const (
	maxReply = 64 << 10
	maxLines = 500
)

// reply reads the lines of one reply. A server can send anything, so with an error it returns what
// has come. The last of those lines may be incomplete: a line counts only once its end has come
// (RFC 5321, section 2.3.8).
func (d *dialogue) reply() (code int, lines []string, err error) {
	d.limit.N = maxReply
	for {
		line, err := d.read.ReadString('\n')
		if errors.Is(err, io.EOF) && d.limit.N == 0 {
			return 0, lines, ErrTooLong
		}
		text := strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line != "" {
			lines = append(lines, text)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return 0, lines, ErrClosed
		case err != nil:
			return 0, lines, err
		}
		number, more, ok := parseLine(text)
		switch {
		case !ok, code != 0 && number != code:
			return 0, lines, ErrProtocol
		case !more:
			return number, lines, nil
		case len(lines) == maxLines:
			return 0, lines, ErrTooLong
		}
		code = number
	}
}

// unasked reports whether the server sent something after its last reply. Below TLS that can be a
// message of TLS itself.
func (d *dialogue) unasked() bool {
	if d.read.Buffered() > 0 {
		return true
	}
	if d.conn != d.plain || d.plain == nil {
		return false
	}
	raw, err := d.plain.SyscallConn()
	if err != nil {
		return false
	}
	waits := false
	raw.Read(func(fd uintptr) bool {
		n, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		waits = err == nil && n > 0
		return true
	})
	return waits
}

// parseLine parses the code of a line of a reply. more reports whether another line follows (RFC
// 5321, section 4.2).
func parseLine(line string) (code int, more, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' {
		return 0, false, false
	}
	for _, c := range []byte(line[:3]) {
		if c < '0' || c > '9' {
			return 0, false, false
		}
		code = code*10 + int(c-'0')
	}
	switch {
	case len(line) == 3, line[3] == ' ':
		return code, false, true
	case line[3] == '-':
		return code, true, true
	}
	return 0, false, false
}
