package usage

import (
	"net/netip"
	"time"

	"diagsh/diag/ports"
)

// Limits of what is kept in memory: about 50 MB when all are reached.
const (
	mostGroups  = 10_000 // of a table
	mostSockets = 100_000
	mostRows    = 2_000 // of listeners that went
)

// A Counter sums up records, which are added in the order of the log.
type Counter struct {
	interest []wanted
	tables

	report  Report
	events  map[ports.Event]uint64
	log     uint64 // serial number of the log: each numbers its sockets anew
	sockets map[socketKey]*socket
	went    []Listener // that have gone
	gone    int        // listeners that have gone and are not in went any more
}

// tables are what records are counted in.
type tables struct {
	ports     *table[portKey]
	programs  *table[Program]
	addresses *table[netip.Addr]
	users     *table[userKey]
	hours     *table[time.Time]
	talkers   *table[talkerKey]
	failures  *table[failureKey]
	suspects  *table[suspectKey]
	interest  *table[interestKey]
}

type portKey struct {
	protocol ports.Protocol
	port     uint16
	end      End
}

type userKey struct {
	name string
	uid  uint32
}

type talkerKey struct {
	Program
	address netip.Addr
	portKey
}

type failureKey struct {
	event    ports.Event
	protocol ports.Protocol
	address  netip.Addr
	port     uint16
	Program
}

type suspectKey struct {
	Program
	reason string
}

type interestKey struct {
	wanted string
	talkerKey
}

// A socketKey is the serial number of a socket in a log.
type socketKey struct{ log, socket uint64 }

// A socket is one that is open.
type socket struct {
	counted  bool // as a connection
	service  portKey
	listener *Listener // nil: it waits for nobody
}

// A moment is the record that a group began with.
type moment struct {
	ports.Process
	socket        socketKey
	several       bool // there are records of other sockets too
	time          time.Time
	event         ports.Event
	local, remote netip.AddrPort
}

// A wanted is an address or a network of interest.
type wanted struct {
	text    string
	network netip.Prefix
}

// NewCounter returns a counter that looks for addresses and networks of interest. The error is a
// *ports.SelectionError, whose member is interest.
func NewCounter(interest []string) (*Counter, error) { return newCounter(interest, mostGroups) }

func newCounter(interest []string, most int) (*Counter, error) {
	c := &Counter{events: map[ports.Event]uint64{}, sockets: map[socketKey]*socket{}, tables: tables{
		ports: newTable[portKey](most), programs: newTable[Program](most), addresses: newTable[netip.Addr](most),
		users: newTable[userKey](most), hours: newTable[time.Time](most), talkers: newTable[talkerKey](most),
		failures: newTable[failureKey](most), suspects: newTable[suspectKey](most), interest: newTable[interestKey](most),
	}}
	for _, text := range interest {
		network, ok := ports.ParseNetwork(text)
		if !ok {
			return nil, &ports.SelectionError{Member: "interest", Value: text, Wants: ports.WantsNetwork}
		}
		c.interest = append(c.interest, wanted{text, network})
	}
	return c, nil
}

// Add adds a record.
func (c *Counter) Add(r *ports.Record) {
	c.report.Records++
	c.events[r.Event]++
	if c.report.First.IsZero() || r.Time.Before(c.report.First) {
		c.report.First = r.Time
	}
	if r.Time.After(c.report.Last) {
		c.report.Last = r.Time
	}
	switch r.Event {
	case ports.Began:
		c.begin()
		return
	case ports.Gap:
		c.report.Gaps++
		c.report.Lost += r.Lost
		return
	case ports.Ended:
		return
	}
	s := c.socket(r)
	one := s.use(r)
	c.count(r, s, one)
	if r.Event == ports.Closed {
		c.close(r)
	}
}

// begin begins another log, in which the sockets of the one before have other numbers. What became of
// its listeners nobody knows.
func (c *Counter) begin() {
	for _, s := range c.sockets {
		if s.listener != nil && s.listener.Came != nil {
			c.keep(*s.listener)
		}
	}
	clear(c.sockets)
	c.log++
}

// keep keeps a listener of which no more will be heard, the newest of them.
func (c *Counter) keep(l Listener) {
	if len(c.went) == 2*mostRows {
		c.gone += copy(c.went, c.went[mostRows:])
		c.went = c.went[:mostRows]
	}
	c.went = append(c.went, l)
}

// socket returns what is known of the socket of a record. It is remembered until it is closed. What
// never was a connection is not: nothing comes after it.
func (c *Counter) socket(r *ports.Record) *socket {
	key := socketKey{c.log, r.Socket}
	if s := c.sockets[key]; s != nil {
		return s
	}
	s := &socket{}
	if r.Socket != 0 && r.Event != ports.Closed && !failed(r.Event) {
		if len(c.sockets) >= mostSockets {
			c.forgetOne()
		}
		c.sockets[key] = s
	}
	return s
}

// forgetOne forgets a socket of those that are no listeners, if there is one among the first.
func (c *Counter) forgetOne() {
	tries := 0
	for key, s := range c.sockets {
		if tries++; s.listener == nil || tries == 100 {
			delete(c.sockets, key)
			return
		}
	}
}

// failed reports whether an event is of a connection that did not come about.
func failed(e ports.Event) bool {
	switch e {
	case ports.Refused, ports.TimedOut, ports.Aborted, ports.Failed, ports.Rejected:
		return true
	}
	return false
}

// use returns how much a record says of what is used: one record, and a connection if it is the
// first of one.
func (s *socket) use(r *ports.Record) (one Use) {
	one = Use{Records: 1, First: r.Time, Last: r.Time}
	switch r.Event {
	case ports.Connected, ports.Accepted, ports.Flowed:
		one.Connections = 1
		s.counted = true
	case ports.Held:
		s.counted = true
	case ports.Closed:
		if !s.counted && r.RemoteAddress.IsValid() {
			one.Connections = 1 // the log has one line of it
		}
		one.BytesSent, one.BytesReceived = value(r.BytesSent), value(r.BytesReceived)
	}
	if failed(r.Event) {
		one.Failures, s.counted = 1, true
	}
	if known, ok := service(r); ok && s.service == (portKey{}) {
		s.service = known
	}
	if waits(r) && s.listener == nil {
		s.listener = &Listener{Protocol: r.Protocol, Address: r.LocalAddress, Port: r.LocalPort, PID: r.PID,
			Program: program(r), User: r.User}
		if r.Event != ports.Held {
			s.listener.Came = &one.First
		}
	}
	return one
}

func value(n *uint64) uint64 {
	if n == nil {
		return 0
	}
	return *n
}

func program(r *ports.Record) Program { return Program{r.Name, r.Exe} }

// waits reports whether a record is of a socket at which others arrive.
func waits(r *ports.Record) bool {
	switch r.Event {
	case ports.Listening:
		return true
	case ports.Held:
		return r.Protocol == ports.TCP && r.State == "LISTEN" || r.Protocol == ports.UDP && fixed(r.LocalPort) && !r.RemoteAddress.IsValid()
	case ports.Opened, ports.Bound:
		return r.Protocol == ports.UDP && fixed(r.LocalPort)
	}
	return false
}

// fixed reports whether a port is one that somebody chose, and not one that the kernel gives by
// chance: by default from 32768 to 60999 (ip_local_port_range in ip(7)).
func fixed(port uint16) bool { return port != 0 && (port < 32768 || port > 60999) }

// service returns the port that a record is about: where somebody waits, and not the one that the
// kernel gave the other side.
func service(r *ports.Record) (portKey, bool) {
	here := portKey{r.Protocol, r.LocalPort, Local}
	there := portKey{r.Protocol, r.RemotePort, Remote}
	switch r.Event {
	case ports.Listening, ports.Accepted, ports.Rejected:
		return here, r.LocalPort != 0
	case ports.Connected, ports.Refused, ports.TimedOut, ports.Aborted, ports.Failed:
		return there, r.RemotePort != 0
	}
	switch {
	case r.AcceptedBy != 0 || r.State == "LISTEN":
		return here, r.LocalPort != 0
	case fixed(r.LocalPort) && !(r.RemotePort != 0 && r.RemotePort < 1024 && r.LocalPort >= 1024):
		return here, true
	case fixed(r.RemotePort):
		return there, true
	}
	return portKey{}, false
}

// count adds a use to everything that it is one of.
func (c *Counter) count(r *ports.Record, s *socket, one Use) {
	who := program(r)
	if s.service != (portKey{}) {
		c.ports.at(s.service).add(one)
	}
	if r.RemoteAddress.IsValid() {
		c.addresses.at(r.RemoteAddress).add(one)
	}
	c.hours.at(r.Time.UTC().Truncate(time.Hour)).add(one)
	if r.PID != 0 {
		c.users.at(userKey{r.User, r.UID}).add(one)
	}
	key := socketKey{c.log, r.Socket}
	if who != (Program{}) {
		g := c.programs.at(who)
		g.add(one)
		g.see(r, key)
		if reason := suspicious(r.Process); reason != "" {
			g := c.suspects.at(suspectKey{who, reason})
			g.add(one)
			g.see(r, key)
		}
	}
	talks := talkerKey{who, r.RemoteAddress, s.service}
	if one.bytes() > 0 {
		c.talkers.at(talks).add(one)
	}
	if one.Failures > 0 {
		asked := r.RemotePort
		if r.Event == ports.Rejected {
			asked = r.LocalPort
		}
		c.failures.at(failureKey{r.Event, r.Protocol, r.RemoteAddress, asked, who}).add(one)
	}
	for _, w := range c.interest {
		if r.RemoteAddress.IsValid() && w.network.Contains(r.RemoteAddress.WithZone("").Unmap()) {
			c.tables.interest.at(interestKey{w.text, talks}).add(one)
		}
	}
}

// close forgets a socket.
func (c *Counter) close(r *ports.Record) {
	key := socketKey{c.log, r.Socket}
	s := c.sockets[key]
	if s == nil {
		return
	}
	if l := s.listener; l != nil {
		went := r.Time
		l.Went = &went
		c.keep(*l)
	}
	delete(c.sockets, key)
}

func (g *group) add(one Use) {
	g.Records += one.Records
	g.Connections += one.Connections
	g.Failures += one.Failures
	g.BytesSent += one.BytesSent
	g.BytesReceived += one.BytesReceived
	if g.First.IsZero() || one.First.Before(g.First) {
		g.First = one.First
	}
	if one.Last.After(g.Last) {
		g.Last = one.Last
	}
}

// see remembers what a group began with, and whether there was more than that one socket.
func (g *group) see(r *ports.Record, key socketKey) {
	if g.first == nil {
		g.first = &moment{Process: r.Process, socket: key, several: r.Socket == 0 && r.Event != ports.Rejected, time: r.Time, event: r.Event}
	}
	if m := g.first; m.socket != key {
		m.several = true
	} else if !m.remote.IsValid() {
		m.local, m.remote = end(r.LocalAddress, r.LocalPort), end(r.RemoteAddress, r.RemotePort)
	}
}

func end(a netip.Addr, port uint16) netip.AddrPort {
	if !a.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, port)
}
