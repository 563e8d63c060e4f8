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

// versionLine begins as OpenSSH's does because its client makes use of OpenSSH's extensions only
// with such a server (compat.c, SSH_NEW_OPENSSH): without it, nobody here would learn that nobody
// reads a command's output any more (session.unread). There is no number of a release in it, by
// which a client would expect the faults of one.
const versionLine = "SSH-2.0-OpenSSH_compatible_diagsh"

const (
	maxVersionLine = 255   // RFC 4253 section 4.2
	maxFirstPacket = 35000 // RFC 4253 section 6.1
)

// helloWait is how long a client may take between its version and its KEXINIT: one round trip,
// since most wait for the server's version. Those that wait for the server's KEXINIT lose this
// time, once.
const helloWait = time.Second

// A kexInit is the client's SSH_MSG_KEXINIT (RFC 4253 section 7.1) as far as it matters here.
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

// A clientConn is the connection below SSH. It reads the client's first words before the library
// does and lets the library read them again, and it knows when the client was last heard of.
type clientConn struct {
	net.Conn
	ahead     *bufio.Reader // what has been read ahead of the library; nil when that is used up
	greeted   bool          // the version line was sent, so that the library's must not be sent again
	lastHeard atomic.Int64  // Unix time in nanoseconds
	onLost    func()        // called when a read fails: the client is gone, or its time to log in is over
}

var (
	errSilent     = errors.New("the client said nothing")
	errNotSSH     = errors.New("the client does not speak SSH")
	errOldVersion = errors.New("the client speaks version 1 of SSH")
)

// hello sends the version line and waits for the client's version and KEXINIT, which come in clear.
// It returns nil lists if the client keeps them back; whether what it sent makes sense is left to
// the library, except that it must begin as version 2 of SSH does. Who speaks something else is
// told so in the words of OpenSSH's server.
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
	case !bytes.HasPrefix(line, []byte("SSH-2.")) && !bytes.HasPrefix(line, []byte("SSH-1.99-")): // RFC 4253 section 5.1
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

// peekLine returns the first line with its end. One that is too long for a version or begins as
// none does is errNotSSH.
func peekLine(r *bufio.Reader) ([]byte, error) {
	for {
		b, _ := r.Peek(r.Buffered())
		if end := bytes.IndexByte(b, '\n'); end >= 0 && end < maxVersionLine {
			return b[:end+1], nil
		}
		if prefix := "SSH-"; len(b) >= maxVersionLine || len(b) > 0 && !strings.HasPrefix(prefix, string(b[:min(len(b), len(prefix))])) {
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

func (c *clientConn) Write(p []byte) (int, error) {
	if c.greeted && string(p) == versionLine+"\r\n" {
		c.greeted = false
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// quiet is how long nothing has come from the client.
func (c *clientConn) quiet() time.Duration { return time.Since(time.Unix(0, c.lastHeard.Load())) }
