package dns

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A Client asks the name servers of this host, and remembers how they fared. It is safe for
// concurrent use. The zero value is ready.
type Client struct {
	// Config returns whom to ask. If nil, each question reads ReadConfig anew.
	Config func() Config
	// Files is the directory of hosts and nsswitch.conf. If empty, it is /etc.
	Files string

	port uint16 // of the servers; 0 is 53

	mu    sync.Mutex
	seen  map[netip.AddrPort]*Seen
	hosts *hostsTable
}

// System is the Client of this host, shared by all callers, because its name servers and what is
// known of them belong to the host.
var System = &Client{}

// Seen is what is known of a server since the start.
type Seen struct {
	Server      netip.AddrPort
	Answers     int64
	Failures    int64         // questions without an answer
	LastAnswer  time.Time     // zero if it never answered
	LastCode    string        // of that answer
	LastTime    time.Duration // from question to that answer
	LastFailure time.Time
	LastError   error
}

// seenLimit bounds the number of remembered servers: a user may ask any number of them.
const seenLimit = 64

// Seen returns what is known of servers, sorted by address.
func (c *Client) Seen() (list []Seen) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.seen {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b Seen) int { return a.Server.Compare(b.Server) })
	return list
}

func (c *Client) answered(r Reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.of(r.Server)
	s.Answers++
	s.LastAnswer, s.LastCode, s.LastTime = time.Now(), r.Code, r.Time
}

func (c *Client) failed(server netip.AddrPort, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.of(server)
	s.Failures++
	s.LastFailure, s.LastError = time.Now(), err
}

// of returns the entry of a server, and makes one if needed. Without room it drops the oldest
// entry.
func (c *Client) of(server netip.AddrPort) *Seen {
	if s, ok := c.seen[server]; ok {
		return s
	}
	if c.seen == nil {
		c.seen = map[netip.AddrPort]*Seen{}
	}
	if len(c.seen) >= seenLimit {
		last := func(s *Seen) time.Time {
			if s.LastAnswer.After(s.LastFailure) {
				return s.LastAnswer
			}
			return s.LastFailure
		}
		oldest := slices.MinFunc(slices.Collect(maps.Values(c.seen)),
			func(a, b *Seen) int { return cmp.Or(last(a).Compare(last(b)), a.Server.Compare(b.Server)) })
		delete(c.seen, oldest.Server)
	}
	s := &Seen{Server: server}
	c.seen[server] = s
	return s
}

func (c *Client) config() Config {
	if c.Config != nil {
		return c.Config()
	}
	return ReadConfig()
}
