package ports

import "time"

// A poller is the feed of a kernel that takes no programs.
type poller struct {
	since time.Time
	why   string
}

// newPoller returns a poller; why says why it is needed.
func newPoller(_ Options, why string) (feed, error) { return &poller{since: time.Now(), why: why}, nil }

func (p *poller) start(func([]Record, []Flow)) error { return nil }
func (p *poller) held(f func([]Record, []Flow))      { f(nil, nil) }
func (p *poller) flush()                             {}
func (p *poller) owner(_, _ uint64) (Owner, bool)    { return Owner{}, false }
func (p *poller) close() error                       { return nil }
func (p *poller) status() Status {
	return Status{Tier: Polling, Since: p.since, Blind: []string{"No socket is seen: " + p.why}}
}
