package privsep

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// The front's protocol. The front opens a connection per act and asks: a frame with a request, which a frame with a reply
// answers. Some acts go on with further questions on their connection, and descriptors come along with some answers (SCM_RIGHTS,
// unix(7)):
//
//   - After "files" it asks for files, and gets them open.
//   - After "client" it asks for what the connection of one client needs: "sign" and "login". The login ends with this connection.
//   - After "spawn" it says by "start" which program, and gets the other ends of its descriptors. Then it may say "signal" and
//     "hangUp", which are not answered. A second answer to "start" says how the program ended.
//
// A frame is its length in four bytes, the highest first, and so many bytes of JSON. So it is read to its end and not a byte further.
// Questions are numbered from 1, and an answer has the number of its question. A frame that is too long, broken off or no JSON, a
// number that is not the next one, and an answer to something else than was asked are faults of the connection. It ends with them:
// what would follow could be taken for the answer to another question.
//
// The front may be one that somebody took over. So it can act only for logins that it made itself (Front), and the appliance reads
// what it sends as it reads any stranger's. It is believed when it says from which address somebody comes, and not when it says who.
type request struct {
	Number      uint64              `json:"number"`
	Do          string              `json:"do"` // banner, hostKeys, visitors, keyKnown, knocked, client, files, spawn; then what belongs to these
	User        string              `json:"user,omitempty"`
	Source      string              `json:"source,omitempty"`
	Key         []byte              `json:"key,omitempty"`
	Algorithm   string              `json:"algorithm,omitempty"` // to sign by
	Hash        string              `json:"hash,omitempty"`      // SHA-256, SHA-384 or SHA-512, of Exchange
	Exchange    []byte              `json:"exchange,omitempty"`
	Credentials *access.Credentials `json:"credentials,omitempty"`
	Knock       *access.Knock       `json:"knock,omitempty"`
	Login       string              `json:"login,omitempty"`
	Kind        string              `json:"kind,omitempty"`
	Name        string              `json:"name,omitempty"`
	Listing     uint64              `json:"listing,omitempty"` // that goes on; 0 begins one
	Bytes       int64               `json:"bytes,omitempty"`
	Program     *access.Program     `json:"program,omitempty"`
	Signal      string              `json:"signal,omitempty"`
}

type reply struct {
	Number    uint64        `json:"number"`
	Error     *menu.Error   `json:"error,omitempty"`
	Text      string        `json:"text,omitempty"`
	Keys      [][]byte      `json:"keys,omitempty"` // in SSH wire format
	Sources   []string      `json:"sources,omitempty"`
	Known     bool          `json:"known,omitempty"`
	Cookie    []byte        `json:"cookie,omitempty"`    // for the first SSH_MSG_KEXINIT
	Signature []byte        `json:"signature,omitempty"` // in SSH wire format
	Login     *access.Login `json:"login,omitempty"`
	Listing   uint64        `json:"listing,omitempty"` // to ask for the next files by; 0: there are no more
	Files     []access.File `json:"files,omitempty"`
	File      *access.File  `json:"file,omitempty"`
	Ended     *access.Ended `json:"ended,omitempty"`
}

// Bounds of a frame. Before a connection is about a login, whoever fills it may be anybody who took the front over: it holds a public
// key or a signature, of RSA with 16384 bits at most. Then it holds a command line. Answers are the appliance's, and the longest is a
// page of a listing.
const (
	maxFirstFrame   = 16 << 10
	maxRequestFrame = 64 << 10
	maxReplyFrame   = 1 << 20
)

// filesOfReply is how many files an answer lists: their names have up to 255 bytes, of which JSON may make six each.
const filesOfReply = 256

// maxDescriptors is how many come with one answer: those of a program without a terminal.
const maxDescriptors = 3

// errOutOfStep is a fault of a connection.
var errOutOfStep = errors.New("the connection to the appliance is out of step")

func outOfStep(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errOutOfStep, fmt.Sprintf(format, args...))
}

// writeFrame sends a message, and open descriptors with its first byte.
func writeFrame(c *net.UnixConn, message any, files ...*os.File) error {
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(body) > maxReplyFrame {
		return outOfStep("a frame of %d bytes", len(body))
	}
	frame := append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body))), body...)
	if len(files) > 0 {
		n, err := writeRights(c, frame, files)
		if err != nil {
			return err
		}
		frame = frame[n:]
	}
	_, err = c.Write(frame)
	return err
}

// writeRights sends the beginning of a text with descriptors. These stay as they are, blocking or not: Fd would change that.
func writeRights(c *net.UnixConn, text []byte, files []*os.File) (n int, err error) {
	fds := make([]int, len(files))
	for i, f := range files {
		raw, err := f.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds[i] = int(fd) })
		}
		if err != nil {
			return 0, err
		}
	}
	n, _, err = c.WriteMsgUnix(text, unix.UnixRights(fds...), nil)
	runtime.KeepAlive(files)
	return n, err
}

// readFrame reads a frame of at most that many bytes into message. The end of the connection between two frames is io.EOF.
func readFrame(r io.Reader, most uint32, message any) error {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return err
	}
	return readBody(r, length, most, message)
}

func readBody(r io.Reader, length [4]byte, most uint32, message any) error {
	n := binary.BigEndian.Uint32(length[:])
	if n == 0 || n > most {
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

// readReply reads an answer and the descriptors that came along with its first byte, if any.
func readReply(c *net.UnixConn) (reply, []*os.File, error) {
	var a reply
	var length [4]byte
	oob := make([]byte, unix.CmsgSpace(4*maxDescriptors))
	n, oobn, flags, _, err := c.ReadMsgUnix(length[:], oob)
	if err != nil {
		return a, nil, owed(err)
	}
	files, err := receivedFiles(oob[:oobn], flags)
	if err == nil {
		_, err = io.ReadFull(c, length[n:])
		err = owed(err)
	}
	if err == nil {
		err = readBody(c, length, maxReplyFrame, &a)
	}
	if err != nil {
		closeAll(files)
		files = nil
	}
	return a, files, err
}

// receivedFiles returns the descriptors of a control message.
func receivedFiles(oob []byte, flags int) ([]*os.File, error) {
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
			files = append(files, os.NewFile(uintptr(fd), "descriptor of the appliance"))
		}
	}
	if flags&unix.MSG_CTRUNC != 0 {
		closeAll(files)
		return nil, outOfStep("too many descriptors with one answer")
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// fits reports whether a reply without an error can be the one to a question.
func (a reply) fits(q request, files []*os.File) bool {
	if len(files) != q.descriptors() {
		return false
	}
	switch q.Do {
	case "hostKeys":
		return len(a.Keys) > 0
	case "client":
		return len(a.Cookie) == 16
	case "sign":
		return len(a.Signature) > 0
	case "login":
		return a.Login != nil && a.Login.ID != ""
	case "list":
		return q.Listing == 0 || a.Listing == 0 || a.Listing == q.Listing
	case "stat", "open":
		return a.File != nil && a.File.Name == q.Name
	}
	return true
}

// descriptors is how many come with the answer.
func (q request) descriptors() int {
	switch {
	case q.Do == "open" || q.Do == "start" && q.Program.Terminal != nil:
		return 1
	case q.Do == "start":
		return maxDescriptors
	}
	return 0
}
