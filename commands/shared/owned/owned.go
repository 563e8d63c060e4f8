// Package owned joins the packets that commands show with the processes at their ends.
package owned

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/capture/decode"
	"diagsh/capture/index"
	"diagsh/capture/owners"
	"diagsh/internal/menu"
)

// A Service knows which process is at the ends of packets.
type Service interface {
	// Owners returns the table of a capture or a file. It is nil for what was captured without
	// processes.
	Owners(name string) (*owners.Table, error)

	// LiveOwners returns a table of what happens from now on, until stop is called.
	LiveOwners() (table *owners.Table, stop func(), err error)
}

// Args are the arguments of commands that show packets of some processes.
type Args struct {
	Process string `arg:"process,bound" help:"Only packets of this process: its name, or that of its executable."`
	PID     int    `arg:"pid" min:"1" label:"PID" help:"Only packets of the process of this number."`
	User    string `arg:"user,bound" help:"Only packets of processes of this user: a name, or a number."`
}

// Any reports whether packets of every process are wanted, and those of none.
func (a Args) Any() bool { return a.choice().Any() }

func (a Args) choice() owners.Choice {
	return owners.Choice{Name: a.Process, PID: a.PID, User: a.User}
}

// A Packet is a packet with the processes at its ends that are on this machine, as far as they
// are known.
type Packet struct {
	*decode.Packet
	Sender   *owners.Process `json:"sender,omitempty"`
	Receiver *owners.Process `json:"receiver,omitempty"`
}

// Text writes a packet, and after it its processes.
func Text(w io.Writer, p Packet) {
	decode.Text(w, p.Packet)
	if about := (owners.Owners{Sender: p.Sender, Receiver: p.Receiver}).Comments(); len(about) > 0 {
		fmt.Fprintf(w, "    %s\n", strings.Join(about, " "))
	}
}

// A Joined finds the processes of packets, and which packets are wanted.
type Joined struct {
	table  *owners.Table
	joiner *owners.Joiner // nil: no process is known
	choice owners.Choice
	since  *int64 // of packets that come: when they were first looked for, in nanoseconds since 1970
}

// Join returns the Joined of a capture or a file.
func (a Args) Join(s Service, name string) (j Joined, err error) {
	j.choice = a.choice()
	if j.table, err = s.Owners(name); err != nil {
		return j, err
	}
	switch {
	case j.table != nil:
		j.joiner = owners.NewJoiner(j.table)
	case !j.choice.Any():
		return j, menu.Errorf(menu.State, "Nobody kept which processes the packets of %s are of", menu.Quoted(name)).
			WithHint("Begin captures with processes yes")
	}
	return j, nil
}

// By returns the Joined by a table, of packets of every process.
func By(t *owners.Table) Joined { return Joined{table: t, joiner: owners.NewJoiner(t)} }

// JoinLive returns the Joined of packets that come, and a function to end it. If nobody asks for
// processes, it finds none.
func (a Args) JoinLive(s Service, wanted bool) (j Joined, stop func(), err error) {
	j.choice = a.choice()
	if !wanted && j.choice.Any() {
		return j, func() {}, nil
	}
	if j.table, stop, err = s.LiveOwners(); err == nil {
		j.joiner = owners.NewJoiner(j.table)
		now := time.Now().UnixNano()
		j.since = &now
	}
	return j, stop, err
}

// early reports whether a packet of a capture came before its processes were looked for: a capture
// hands on what waited in its ring. After the first that came later, none is.
func (j Joined) early(p *capture.Packet) bool {
	if j.since == nil || p.Time < *j.since {
		return j.since != nil
	}
	*j.since = 0 // the time of the day may be stepped back
	return false
}

// Of returns the owners of a packet, and whether it is wanted.
func (j Joined) Of(p *capture.Packet, on capture.Interface) (o owners.Owners, wanted bool) {
	if j.early(p) {
		return o, false
	}
	if j.joiner != nil {
		o = j.joiner.Join(p, on.LinkType)
	}
	return o, j.choice.Match(o)
}

const (
	// settle is how long after a packet all must be known before its processes are looked up: what
	// tells whose it is may come after it.
	settle = 50 * time.Millisecond

	// mostSettling is how long is waited for that, and settleEvery how often is looked.
	mostSettling = 2 * time.Second
	settleEvery  = 20 * time.Millisecond
)

// Wait waits until what is known is as late as the packets. A packet for which that takes too long,
// as on a machine that is overloaded, has no processes.
func (j Joined) Wait(ctx context.Context, batch []capture.Packet) {
	if j.joiner == nil || len(batch) == 0 {
		return
	}
	needed := time.Unix(0, batch[len(batch)-1].Time).Add(settle)
	limit := time.NewTimer(mostSettling)
	defer limit.Stop()
	looks := time.NewTicker(settleEvery)
	defer looks.Stop()
	for j.table.Until().Before(needed) && !j.table.Full() {
		select {
		case <-looks.C:
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Filter returns a filter of positions that selects what inner does, and of this only what is of the
// wanted processes. inner may be nil.
func (j Joined) Filter(inner *index.Filter) *index.Filter {
	if j.choice.Any() {
		return inner
	}
	key := fmt.Sprintf("%+v until %d", j.choice, j.table.Until().UnixNano())
	if inner != nil {
		key += " " + inner.Key
	}
	return &index.Filter{Key: key, New: func() (index.Matcher, error) {
		m := matcher{Joined: Joined{joiner: owners.NewJoiner(j.table), choice: j.choice}}
		var err error
		if inner != nil {
			m.inner, err = inner.New()
		}
		return m, err
	}}
}

// A matcher is for one goroutine.
type matcher struct {
	Joined
	inner index.Matcher // nil: every packet
}

func (m matcher) Match(p *capture.Packet, on capture.Interface) bool {
	if m.inner != nil && !m.inner.Match(p, on) {
		return false
	}
	_, wanted := m.Of(p, on)
	return wanted
}

// Each hands on the packets of a batch that are wanted. interfaces returns those that are known by
// now.
func (j Joined) Each(batch []capture.Packet, interfaces func() []capture.Interface,
	hand func(*capture.Packet, capture.Interface, owners.Owners) error) error {
	for n := range batch {
		on := interfaces()[batch[n].Interface]
		of, wanted := j.Of(&batch[n], on)
		if !wanted {
			continue
		}
		if err := hand(&batch[n], on, of); err != nil {
			return err
		}
	}
	return nil
}
