package api

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"diagsh/access"
	"diagsh/menu"
)

// The front end's protocol. What listens on the network opens a connection per act and writes one JSON line, a frontRequest; the
// answer is one line, a frontReply. After "attach" the connection is the session's and speaks HTTP; after "files" it goes on with
// further lines, and descriptors of files come along with the answers (SCM_RIGHTS, unix(7)).
//
// Such connections come from whoever holds the dial function that main made, and from nobody else: the front end is believed when
// it says that a signature was verified.
type frontRequest struct {
	Do          string              `json:"do"` // banner, keyKnown, login, logout, attach, files; then list, stat, open, done, remove
	User        string              `json:"user,omitempty"`
	Source      string              `json:"source,omitempty"`
	Key         []byte              `json:"key,omitempty"`
	Credentials *access.Credentials `json:"credentials,omitempty"`
	Login       string              `json:"login,omitempty"`
	Kind        string              `json:"kind,omitempty"`
	Name        string              `json:"name,omitempty"`
	Bytes       int64               `json:"bytes,omitempty"`
}

type frontReply struct {
	Error *errorBody    `json:"error,omitempty"`
	Text  string        `json:"text,omitempty"`
	Known bool          `json:"known,omitempty"`
	Login *access.Login `json:"login,omitempty"`
	Files []access.File `json:"files,omitempty"`
	File  *access.File  `json:"file,omitempty"`
}

// maxFrontLine bounds a line of the protocol.
const maxFrontLine = 1 << 20

// readFrontLine reads one line and not a byte more: what follows may belong to another protocol.
func readFrontLine(c io.Reader) (frontRequest, error) {
	var q frontRequest
	line, err := readLine(c)
	if err != nil {
		return q, err
	}
	return q, json.Unmarshal(line, &q)
}

// readLine reads byte by byte: lines are short and rare, and reading ahead would swallow the next protocol's bytes.
func readLine(r io.Reader) ([]byte, error) {
	var line []byte
	var one [1]byte
	for len(line) < maxFrontLine {
		if _, err := io.ReadFull(r, one[:]); err != nil {
			return nil, err
		}
		if one[0] == '\n' {
			return line, nil
		}
		line = append(line, one[0])
	}
	return nil, bufio.ErrTooLong
}

func reply(c io.Writer, answer frontReply) error {
	line, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	_, err = c.Write(append(line, '\n'))
	return err
}

// replyWithFile sends an open descriptor along with the line's first byte.
func replyWithFile(c *net.UnixConn, answer frontReply, f *os.File) error {
	line, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	n, _, err := c.WriteMsgUnix(line, unix.UnixRights(int(f.Fd())), nil)
	if err == nil && n < len(line) {
		_, err = c.Write(line[n:])
	}
	return err
}

// refuse tells the peer of a fresh connection why there is none, in the form that it would read: a line for the front end, which a
// client of HTTP takes for a failed connection.
func refuse(c net.Conn, e *menu.Error) {
	reply(c, frontReply{Error: bodyOf(e)})
	c.Close()
}

// askFront writes a request and reads the answer, with the descriptor that came along, if any.
func askFront(c *net.UnixConn, q frontRequest) (frontReply, *os.File, error) {
	var a frontReply
	line, err := json.Marshal(q)
	if err != nil {
		return a, nil, err
	}
	if _, err := c.Write(append(line, '\n')); err != nil {
		return a, nil, err
	}
	// The descriptor comes with the first byte.
	var one [1]byte
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := c.ReadMsgUnix(one[:], oob)
	if err == nil && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return a, nil, err
	}
	file, err := receivedFile(oob[:oobn])
	if err != nil {
		return a, nil, err
	}
	rest, err := readLine(c)
	if err == nil {
		err = json.Unmarshal(append(one[:], rest...), &a)
	}
	if err == nil && a.Error != nil {
		err = a.Error.err()
	}
	if err != nil && file != nil {
		file.Close()
		file = nil
	}
	return a, file, err
}

func receivedFile(oob []byte) (*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, err
		}
		if len(fds) == 1 {
			unix.CloseOnExec(fds[0])
			return os.NewFile(uintptr(fds[0]), "diagnostic file"), nil
		}
	}
	return nil, nil
}
