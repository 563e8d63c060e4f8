package privsep

import (
	"context"
	"errors"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// The control connection joins the monitor and its front. It is a pair of sockets that keep the
// bounds of messages (SOCK_SEQPACKET), and the front inherits one end. Any message of the front
// asks for a connection. The reply is one byte with one descriptor: an end of a new pair of
// sockets, whose other end a Monitor answers.
//
// The appliance makes these pairs. If the front did, it could keep the appliance's end too, and
// make it block.

// ControlPair makes a control connection: the appliance's end, and the one for the front to
// inherit.
func ControlPair() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "control connection")
	if ours, err = unixConn(fds[0]); err != nil {
		theirs.Close()
	}
	return ours, theirs, err
}

// Answer makes a connection whenever the front asks for one, until the control connection ends or
// ctx is done.
func (m *Monitor) Answer(ctx context.Context, control *net.UnixConn) error {
	defer context.AfterFunc(ctx, func() { control.Close() })()
	for {
		// The kernel closes descriptors that come with the message, since this is a plain read.
		if _, err := control.Read(make([]byte, 1)); err != nil {
			return err
		}
		theirs, err := m.Dial(ctx)
		if err != nil {
			return err
		}
		if err := giveAway(control, theirs); err != nil {
			return err
		}
	}
}

// giveAway sends a connection to the front, and closes it here.
func giveAway(control, theirs *net.UnixConn) error {
	defer theirs.Close()
	file, err := theirs.File()
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = writeRights(control, []byte{0}, []*os.File{file})
	return err
}

// A Control is the front's end of the control connection.
type Control struct {
	conn   *net.UnixConn
	dialed chan *net.UnixConn
	gone   chan struct{} // closed when the appliance has ended
}

// InheritControl takes over the front's end of a control connection. It calls gone, once, when the
// appliance has ended.
func InheritControl(f *os.File, gone func()) (*Control, error) {
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	control, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, errors.New("the inherited descriptor is not a control connection")
	}
	c := &Control{conn: control, dialed: make(chan *net.UnixConn), gone: make(chan struct{})}
	go func() {
		c.receive()
		close(c.gone)
		gone()
	}()
	return c, nil
}

// receive passes connections to the callers of Dial, until the appliance has ended.
func (c *Control) receive() {
	defer c.conn.Close()
	for {
		var text [1]byte
		oob := make([]byte, unix.CmsgSpace(4))
		n, oobn, flags, _, err := c.conn.ReadMsgUnix(text[:], oob)
		if err != nil || n == 0 {
			return
		}
		files, err := receivedFiles(oob[:oobn], flags)
		if err != nil || len(files) != 1 {
			closeAll(files)
			return
		}
		conn, err := net.FileConn(files[0])
		closeAll(files)
		if err != nil {
			return
		}
		c.dialed <- conn.(*net.UnixConn)
	}
}

// Dial asks for a connection. It is the dial function of a Front.
func (c *Control) Dial(ctx context.Context) (*net.UnixConn, error) {
	if _, err := c.conn.Write([]byte{0}); err != nil {
		return nil, err
	}
	select {
	case conn := <-c.dialed:
		return conn, nil
	case <-c.gone:
		return nil, io.ErrUnexpectedEOF
	case <-ctx.Done():
		go func() { // the connection comes nevertheless
			select {
			case conn := <-c.dialed:
				conn.Close()
			case <-c.gone:
			}
		}()
		return nil, ctx.Err()
	}
}

// pair makes two connected sockets.
func pair() (ours, theirs *net.UnixConn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, err = unixConn(fds[0])
	theirs, err2 := unixConn(fds[1])
	return ours, theirs, errors.Join(err, err2)
}

// unixConn returns a connection for a descriptor, which it takes over.
func unixConn(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "connection")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil
}
