// Package tcp connects to TCP ports and exchanges lines, as telnet(1) does in its line mode.
package tcp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"diagsh/diag/source"
)

// A Conn is a connection that is read from its beginning.
type Conn struct {
	conn    net.Conn
	said    chan Said
	closing chan struct{}
	reading sync.WaitGroup
}

// A Said is a piece of what the peer sent. The last one has an error: io.EOF after the peer closed
// the connection.
type Said struct {
	Text []byte // any bytes; telnet commands are removed
	Err  error
}

// maxPiece is how many bytes a piece may have.
const maxPiece = 4096

// Dial connects within timeout. It returns how long that took, also on failure.
func Dial(ctx context.Context, to netip.AddrPort, from source.Source, timeout time.Duration) (*Conn,
	time.Duration, error) {
	network := "tcp4"
	if to.Addr().Is6() {
		network = "tcp6"
	}
	began := time.Now()
	conn, err := from.Dialer(timeout, network).DialContext(ctx, network, to.String())
	took := time.Since(began)
	if err != nil {
		return nil, took, err
	}
	c := &Conn{conn: conn, said: make(chan Said), closing: make(chan struct{})}
	c.reading.Go(c.read)
	return c, took, nil
}

// Said returns the channel of what the peer sends. It is not closed.
func (c *Conn) Said() <-chan Said { return c.said }

func (c *Conn) read() {
	var n negotiator
	for {
		buffer := make([]byte, maxPiece)
		length, err := c.conn.Read(buffer)
		text, answer := n.take(buffer[:length])
		if len(answer) > 0 {
			c.conn.SetWriteDeadline(time.Now().Add(answerTime))
			c.conn.Write(answer) // if it cannot be sent, reading continues
		}
		if len(text) == 0 && err == nil {
			continue
		}
		select {
		case c.said <- Said{text, err}:
		case <-c.closing:
			return
		}
		if err != nil {
			return
		}
	}
}

// answerTime is how long the peer may leave an answer to its negotiation unread.
const answerTime = 5 * time.Second

// Say sends a line with the network's line end (RFC 854). It gives up after timeout or when ctx
// ends.
func (c *Conn) Say(ctx context.Context, line string, timeout time.Duration) error {
	stop := context.AfterFunc(ctx, func() { c.conn.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	c.conn.SetWriteDeadline(time.Now().Add(timeout))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	_, err := io.WriteString(c.conn, line+"\r\n")
	return err
}

// End closes the sending side. What the peer sends is still read.
func (c *Conn) End() error {
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close closes the connection and ends the reading.
func (c *Conn) Close() {
	close(c.closing)
	c.conn.Close()
	c.reading.Wait()
}
