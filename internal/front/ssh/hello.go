package ssh

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// versionLine begins like that of OpenSSH. The client of OpenSSH uses extensions only with such a
// server (compat.c, SSH_NEW_OPENSSH). Without them, the server could not learn that the output of a
// command is read no more (session.unread). The line has no release number, since a client would
// expect the faults of that release.
const versionLine = "SSH-2.0-OpenSSH_compatible_diagsh"

const (
	maxVersionLine = 255   // RFC 4253 section 4.2
	maxFirstPacket = 35000 // RFC 4253 section 6.1
)

// helloWait is how long a client may take between its version and its KEXINIT. That is one round
// trip, since most clients wait for the server's version. A client that waits for the server's
// KEXINIT loses this time, once.
const helloWait = time.Second

// A kexInit is the part that is used here of the client's SSH_MSG_KEXINIT (RFC 4253 section 7.1).
type kexInit struct {
	Cookie              [16]byte `sshtype:"20"`
	KexAlgos            []string
	HostKeyAlgos        []string
	CiphersClientServer []string
	CiphersServerClient []string
	MACsClientServer    []string
	MACsServerClient    []string
	Rest                []byte `ssh:"rest"`
}

// A clientConn is the connection below SSH. It reads the first bytes of the client before the
// library, which reads them again. It also knows when the client last sent anything.
type clientConn struct {
	net.Conn
	ahead     *bufio.Reader // what was read before the library; nil after that
	greeted   bool          // the version line was sent, so that of the library must not be
	lastHeard atomic.Int64  // Unix time in nanoseconds
	onLost    func()        // called when a read fails: the client is gone, or its time to log in is over
}

var (
	errSilent     = errors.New("the client said nothing")
	errNotSSH     = errors.New("the client does not speak SSH")
	errOldVersion = errors.New("the client speaks version 1 of SSH")
)

// hello sends the version line and reads the client's version and KEXINIT, which are not encrypted.
// It returns nil if the client keeps its KEXINIT back. The library checks the rest of what it sent.
// If the client does not speak version 2 of SSH, hello tells it so in the words of OpenSSH's
// server.
func (c *clientConn) hello(deadline time.Time) (*kexInit, error) {
	if _, err := c.Conn.Write([]byte(versionLine + "\r\n")); err != nil {
		return nil, err
	}
	c.greeted = true
	c.ahead = bufio.NewReaderSize(c.Conn, maxVersionLine+4+maxFirstPacket)
	line, err := peekLine(c.ahead)
	switch {
	case err != nil && c.ahead.Buffered() == 0:
		return nil, errSilent
	case err != nil && !errors.Is(err, errNotSSH):
		return nil, err
	case err != nil || !bytes.HasPrefix(line, []byte("SSH-")):
		c.Conn.Write([]byte("Invalid SSH identification string.\r\n"))
		return nil, errNotSSH
	case !bytes.HasPrefix(line, []byte("SSH-2.")) &&
		!bytes.HasPrefix(line, []byte("SSH-1.99-")): // RFC 4253 section 5.1
		c.Conn.Write([]byte("Protocol major versions differ.\r\n"))
		return nil, errOldVersion
	}
	if wait := time.Now().Add(helloWait); wait.Before(deadline) {
		c.SetReadDeadline(wait)
		defer c.SetReadDeadline(deadline)
	}
	packet, err := peekPacket(c.ahead, len(line))
	if err != nil {
		return nil, nil
	}
	var lists kexInit
	if err := ssh.Unmarshal(packet, &lists); err != nil {
		return nil, nil
	}
	return &lists, nil
}

// peekLine returns the first line with its end. The error is errNotSSH for a line that is too long
// for a version, or does not begin like one.
func peekLine(r *bufio.Reader) ([]byte, error) {
	for {
		b, _ := r.Peek(r.Buffered())
		if end := bytes.IndexByte(b, '\n'); end >= 0 && end < maxVersionLine {
			return b[:end+1], nil
		}
		const prefix = "SSH-"
		if len(b) >= maxVersionLine || !strings.HasPrefix(prefix, string(b[:min(len(b), len(prefix))])) {
			return nil, errNotSSH
		}
		if _, err := r.Peek(len(b) + 1); err != nil {
			return nil, err
		}
	}
}

// peekPacket returns the payload of an unencrypted packet (RFC 4253 section 6) that begins at
// start.
func peekPacket(r *bufio.Reader, start int) ([]byte, error) {
	const header = 5 // packet length, padding length
	b, err := r.Peek(start + header)
	if err != nil {
		return nil, err
	}
	length, padding := binary.BigEndian.Uint32(b[start:]), uint32(b[start+4])
	if length > maxFirstPacket || length < padding+2 {
		return nil, errors.New("no packet of SSH")
	}
	if b, err = r.Peek(start + 4 + int(length)); err != nil {
		return nil, err
	}
	return b[start+header : start+4+int(length-padding)], nil
}

// Read implements net.Conn.
func (c *clientConn) Read(p []byte) (int, error) {
	if c.ahead != nil {
		if n := c.ahead.Buffered(); n > 0 {
			return c.ahead.Read(p[:min(len(p), n)])
		}
		c.ahead = nil
	}
	n, err := c.Conn.Read(p)
	if err != nil {
		c.onLost()
		return n, err
	}
	c.lastHeard.Store(time.Now().UnixNano())
	return n, nil
}

// Write implements net.Conn. It drops the version line of the library after hello has sent one.
func (c *clientConn) Write(p []byte) (int, error) {
	if c.greeted && string(p) == versionLine+"\r\n" {
		c.greeted = false
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// quiet returns how long ago the client last sent anything.
func (c *clientConn) quiet() time.Duration { return time.Since(time.Unix(0, c.lastHeard.Load())) }
