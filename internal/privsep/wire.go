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

// A request is what the front asks for. Do is banner, hostKeys, visitors, keyKnown, knocked,
// client, files, spawn, certificate, tlsSign, attach, signInWays, beginSignIn or azure, and then what follows
// these on their connection.
type request struct {
	Number      uint64              `json:"number"`
	Do          string              `json:"do"`
	User        string              `json:"user,omitempty"`
	Source      string              `json:"source,omitempty"`
	Key         []byte              `json:"key,omitempty"`
	Algorithm   string              `json:"algorithm,omitempty"` // of the signature
	Hash        string              `json:"hash,omitempty"`      // of Exchange: SHA-256, SHA-384 or SHA-512
	Exchange    []byte              `json:"exchange,omitempty"`
	Credentials *access.Credentials `json:"credentials,omitempty"`
	Knock       *access.Knock       `json:"knock,omitempty"`
	Scheme      uint16              `json:"scheme,omitempty"`  // of the signature of a handshake
	Message     []byte              `json:"message,omitempty"` // of a handshake, to sign
	Known       []byte              `json:"known,omitempty"`   // SHA-256 of the chain that the front has, or of a leaf
	Login       string              `json:"login,omitempty"`
	Kind        string              `json:"kind,omitempty"`
	Name        string              `json:"name,omitempty"`
	Listing     uint64              `json:"listing,omitempty"` // the listing to continue; 0 begins one
	Bytes       int64               `json:"bytes,omitempty"`
	Program     *access.Program     `json:"program,omitempty"`
	Signal      string              `json:"signal,omitempty"`
}

// A reply answers a request.
type reply struct {
	Number    uint64             `json:"number"`
	Error     *menu.Error        `json:"error,omitempty"`
	Text      string             `json:"text,omitempty"`
	Keys      [][]byte           `json:"keys,omitempty"` // in SSH wire format
	Sources   []string           `json:"sources,omitempty"`
	Ways      []access.SignInWay `json:"ways,omitempty"`
	Redirect  *access.Redirect   `json:"redirect,omitempty"`
	Azure     *access.Azure      `json:"azure,omitempty"`
	Pass      *access.Pass       `json:"pass,omitempty"`
	Known     bool               `json:"known,omitempty"`
	Cookie    []byte             `json:"cookie,omitempty"`    // for the first SSH_MSG_KEXINIT
	Signature []byte             `json:"signature,omitempty"` // in SSH wire format, or that of TLS
	Chain     [][]byte           `json:"chain,omitempty"`     // certificates in DER, the leaf first
	FromCA    bool               `json:"fromCA,omitempty"`
	Login     *access.Login      `json:"login,omitempty"`
	Listing   uint64             `json:"listing,omitempty"` // for the request for the next files; 0: there are none
	Files     []access.File      `json:"files,omitempty"`
	File      *access.File       `json:"file,omitempty"`
	Ended     *access.Ended      `json:"ended,omitempty"`
}

// Bounds of a frame in bytes. The first request of a connection holds a public key or a signature,
// of RSA with 16384 bits at most. Later requests are about a login, and hold a command line. The
// longest reply is a page of a listing.
const (
	maxFirstFrame   = 16 << 10
	maxRequestFrame = 64 << 10
	maxReplyFrame   = 1 << 20
)

// filesOfReply is the number of files in a reply. A name has up to 255 bytes, and JSON may need six
// for each of them.
const filesOfReply = 256

// maxDescriptors is the largest number of descriptors with a reply: those of a program without a
// terminal.
const maxDescriptors = 3

// errOutOfStep is a fault of a connection.
var errOutOfStep = errors.New("the connection to the appliance is out of step")

// outOfStep returns an errOutOfStep that names the fault.
func outOfStep(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errOutOfStep, fmt.Sprintf(format, args...))
}

// writeFrame writes a message, and open descriptors with its first byte.
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

// writeRights writes the beginning of text with descriptors. It does not use File.Fd, which would
// make them block.
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

// readFrame reads a frame of at most that many bytes into message. If the connection ends before
// the frame, the error is io.EOF.
func readFrame(r io.Reader, most uint32, message any) error {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return err
	}
	return readBody(r, length, most, message)
}

// readBody reads the rest of a frame, after its length.
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

// noReply returns err, but io.ErrUnexpectedEOF for io.EOF: to the reader of a listing io.EOF means
// its end.
func noReply(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readReply reads a reply and the descriptors that come with its first byte.
func readReply(c *net.UnixConn) (reply, []*os.File, error) {
	var a reply
	var length [4]byte
	oob := make([]byte, unix.CmsgSpace(4*maxDescriptors))
	n, oobn, flags, _, err := c.ReadMsgUnix(length[:], oob)
	if err != nil {
		return a, nil, noReply(err)
	}
	files, err := receivedFiles(oob[:oobn], flags)
	if err == nil {
		_, err = io.ReadFull(c, length[n:])
		err = noReply(err)
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

// receivedFiles returns the descriptors of a control message. flags are those of recvmsg(2).
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
		return nil, outOfStep("too many descriptors with one reply")
	}
	return files, nil
}

// closeAll closes files.
func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// fits reports whether a reply without an error can be the one to a request.
func (a reply) fits(q request, files []*os.File) bool {
	if len(files) != q.descriptors() {
		return false
	}
	switch q.Do {
	case "hostKeys":
		return len(a.Keys) > 0
	case "client":
		return len(a.Cookie) == 16
	case "certificate":
		return a.Known && len(q.Known) > 0 || len(a.Chain) > 0
	case "azure":
		return a.Azure != nil
	case "grant":
		return a.Pass != nil && a.Pass.Text != ""
	case "beginSignIn":
		return a.Redirect != nil
	case "sign", "tlsSign":
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

// descriptors returns how many descriptors come with the reply.
func (q request) descriptors() int {
	switch {
	case q.Do == "open" || q.Do == "attach" || q.Do == "start" && q.Program.Terminal != nil:
		return 1
	case q.Do == "start":
		return maxDescriptors
	}
	return 0
}
