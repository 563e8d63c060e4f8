package gate

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// How often one source may open a connection to a Listener: as often as programs do that use a new one
// for each request.
const (
	connectBurst = 300
	connectEvery = 25 * time.Millisecond
)

var errTooOften = errors.New("too many connections in a short time")

// A Listener bounds the connections of clients that open several: each holds a slot as long as it is
// open. A connection is that of a stranger until Conn.Known is called.
type Listener struct {
	net.Listener
	what     string // in the log
	startups *Startups
	rates    *Rates[netip.Prefix]
	refusals RefusalLog
	log      *slog.Logger
}

// NewListener bounds the connections of l. what names them in the log.
func NewListener(l net.Listener, what string, limits Limits, log *slog.Logger) *Listener {
	return &Listener{Listener: l, what: what, startups: NewStartups(limits),
		rates: NewRates[netip.Prefix](connectBurst, connectEvery), refusals: NewRefusalLog(), log: log}
}

// Accept waits for a connection that there is room for, and closes others.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := AddressOf(raw.RemoteAddr())
		c := &Conn{Conn: raw, Address: address, Source: SourceOf(address), listener: l}
		if wait := l.rates.Take(c.Source, time.Now()); wait > 0 {
			err = errTooOften
		} else {
			c.slot, err = l.startups.Enter(c.Source, func() { raw.Close() })
		}
		if err == nil {
			return c, nil
		}
		raw.Close()
		l.refusals.Tell(l.log, l.what+": refused a connection", "source", address.String(), "error", err)
	}
}

// A Conn is a connection of a Listener.
type Conn struct {
	net.Conn
	Address netip.Addr   // of the client
	Source  netip.Prefix // what it shares bounds with

	listener *Listener
	slot     *Slot
	known    sync.Once
	closed   sync.Once
	refused  atomic.Int32
}

// Known records that a user has shown on the connection who that is. So the connection does not make
// room for others, and the source has slots that are kept for it.
func (c *Conn) Known() {
	c.known.Do(func() {
		c.slot.Known()
		c.listener.startups.Visited(c.Source)
	})
}

// Check calls f when few other credentials of the source are checked. It returns the error of ctx if
// that ends first.
func (c *Conn) Check(ctx context.Context, f func()) error { return c.slot.Check(ctx, f) }

// maxRefused is how many requests on a connection are answered with a refusal for their number. A client
// that does not hear is hung up on then.
const maxRefused = 100

// Refused notes that a request on the connection was refused for the number of requests.
func (c *Conn) Refused() {
	if c.refused.Add(1) >= maxRefused {
		c.Close()
	}
}

// Close closes the connection and gives its slot back.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.closed.Do(func() { c.slot.Leave() })
	return err
}
