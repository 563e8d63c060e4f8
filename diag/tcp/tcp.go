// Package tcp tries whether a TCP port can be reached, and what is said there first.
package tcp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"diagsh/diag/source"
)

// A Result is what a try found.
type Result struct {
	Connected time.Duration // that the connection took
	Banner    []byte        // what the other side said first: anything
	Said      time.Duration // when it had said that, counted from the connection
	Closed    bool          // the other side closed the connection
}

// maxBanner is how much of what is said is kept.
const maxBanner = 4096

// Try connects and listens. connected is called when the connection is there. Listening ends when nothing has come for wait, or, once
// something has come, when nothing more comes for a while.
func Try(ctx context.Context, to netip.AddrPort, from source.Source, timeout, wait time.Duration, connected func(time.Duration) error) (Result, error) {
	network := "tcp4"
	if to.Addr().Is6() {
		network = "tcp6"
	}
	var r Result
	began := time.Now()
	c, err := from.Dialer(timeout, network).DialContext(ctx, network, to.String())
	if err != nil {
		return r, err
	}
	defer c.Close()
	r.Connected = time.Since(began)
	if err := connected(r.Connected); err != nil {
		return r, err
	}
	stop := context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	return r, r.listen(ctx, c, wait)
}

// pause ends a banner that does not end with a line.
const pause = 500 * time.Millisecond

func (r *Result) listen(ctx context.Context, c net.Conn, wait time.Duration) error {
	began := time.Now()
	deadline := began.Add(wait)
	buffer := make([]byte, maxBanner)
	for len(r.Banner) < maxBanner {
		c.SetReadDeadline(deadline)
		if ctx.Err() != nil {
			return nil
		}
		n, err := c.Read(buffer[:maxBanner-len(r.Banner)])
		if n > 0 {
			r.Banner = append(r.Banner, buffer[:n]...)
			r.Said = time.Since(began)
			if quiet := time.Now().Add(min(pause, wait)); quiet.Before(deadline) {
				deadline = quiet
			}
		}
		var network net.Error
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			r.Closed = true
			return nil
		case errors.As(err, &network) && network.Timeout():
			return nil
		default:
			return err
		}
	}
	return nil
}
