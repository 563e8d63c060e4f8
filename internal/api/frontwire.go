package api

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
)

// The front end's protocol. What listens on the network opens a connection per act and asks: a frame with a frontRequest, which a
// frame with a frontReply answers. After "attach" the connection is the session's and speaks HTTP; after "files" it goes on with
// further questions, and descriptors of files come along with the answers (SCM_RIGHTS, unix(7)).
//
// A frame is its length in four bytes, the highest first, and so many bytes of JSON. So it is read to its end and not a byte further:
// what follows may belong to another protocol. Questions are numbered from 1, and an answer has the number of its question. A frame
// that is too long, broken off or no JSON, a number that is not the next one, and an answer to something else than was asked are
// faults of the connection. It ends with them: what would follow could be taken for the answer to another question.
//
// Such connections come from whoever holds the dial function that main made, and from nobody else: the front end is believed when
// it says that a signature was verified.
type frontRequest struct {
	Number      uint64              `json:"number"`
	Do          string              `json:"do"` // banner, visitors, keyKnown, login, logout, knocked, attach, files; then list, unlist, stat, open, done, remove
	User        string              `json:"user,omitempty"`
	Source      string              `json:"source,omitempty"`
	Key         []byte              `json:"key,omitempty"`
	Credentials *access.Credentials `json:"credentials,omitempty"`
	Knock       *access.Knock       `json:"knock,omitempty"`
	Login       string              `json:"login,omitempty"`
	Kind        string              `json:"kind,omitempty"`
	Name        string              `json:"name,omitempty"`
	Listing     uint64              `json:"listing,omitempty"` // that goes on; 0 begins one
	Bytes       int64               `json:"bytes,omitempty"`
}

type frontReply struct {
	Number  uint64        `json:"number"`
	Error   *errorBody    `json:"error,omitempty"`
	Text    string        `json:"text,omitempty"`
	Sources []string      `json:"sources,omitempty"`
	Known   bool          `json:"known,omitempty"`
	Login   *access.Login `json:"login,omitempty"`
	Listing uint64        `json:"listing,omitempty"` // to ask for the next files by; 0: there are no more
	Files   []access.File `json:"files,omitempty"`
	File    *access.File  `json:"file,omitempty"`
}

// maxFrontFrame bounds a frame. The longest are a page of a listing, and a public key as long as SSH can send one (256 KiB).
const maxFrontFrame = 1 << 20

// filesOfPage is how many files an answer lists: their names have up to 255 bytes, of which JSON may make six each.
const filesOfPage = 256

// errOutOfStep is a fault of a connection.
var errOutOfStep = errors.New("the connection to the appliance is out of step")

func outOfStep(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errOutOfStep, fmt.Sprintf(format, args...))
}

// writeFrame sends a message, with its first byte an open descriptor unless f is nil.
func writeFrame(c *net.UnixConn, message any, f *os.File) error {
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(body) > maxFrontFrame {
		return outOfStep("a frame of %d bytes", len(body))
	}
	frame := append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body))), body...)
	if f != nil {
		n, _, err := c.WriteMsgUnix(frame, unix.UnixRights(int(f.Fd())), nil)
		if err != nil {
			return err
		}
		frame = frame[n:]
	}
	_, err = c.Write(frame)
	return err
}

// readFrame reads a frame into message. The end of the connection between two frames is io.EOF.
func readFrame(r io.Reader, message any) error {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return err
	}
	return readBody(r, length, message)
}

func readBody(r io.Reader, length [4]byte, message any) error {
	n := binary.BigEndian.Uint32(length[:])
	if n == 0 || n > maxFrontFrame {
		return outOfStep("a frame of %d bytes", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return outOfStep("a frame that is broken off")
	}
	if err := json.Unmarshal(body, message); err != nil {
		return outOfStep("a frame that is no message: %v", err)
	}
	return nil
}

// owed makes of the end of a connection, which io.EOF is, that an answer is missing: to whoever reads a listing io.EOF is its end.
func owed(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readReply reads an answer and the descriptor that came along with its first byte, if any.
func readReply(c *net.UnixConn) (frontReply, *os.File, error) {
	var a frontReply
	var length [4]byte
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, flags, _, err := c.ReadMsgUnix(length[:], oob)
	if err != nil {
		return a, nil, owed(err)
	}
	file, err := receivedFile(oob[:oobn], flags)
	if err == nil {
		_, err = io.ReadFull(c, length[n:])
		err = owed(err)
	}
	if err == nil {
		err = readBody(c, length, &a)
	}
	if err != nil && file != nil {
		file.Close()
		file = nil
	}
	return a, file, err
}

// receivedFile is the descriptor of a control message, nil if there is none. One answer brings one.
func receivedFile(oob []byte, flags int) (*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // it holds no descriptors
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "diagnostic file"))
		}
	}
	switch {
	case len(files) == 0 && flags&unix.MSG_CTRUNC == 0:
		return nil, nil
	case len(files) == 1 && flags&unix.MSG_CTRUNC == 0:
		return files[0], nil
	}
	for _, f := range files {
		f.Close()
	}
	return nil, outOfStep("several descriptors with one answer")
}

// answers reports whether a reply without an error can be the one to a question.
func (a frontReply) answers(q frontRequest, f *os.File) bool {
	if (f != nil) != (q.Do == "open") {
		return false
	}
	switch q.Do {
	case "login":
		return a.Login != nil && a.Login.ID != ""
	case "list":
		return q.Listing == 0 || a.Listing == 0 || a.Listing == q.Listing
	case "stat", "open":
		return a.File != nil && a.File.Name == q.Name
	}
	return true
}
