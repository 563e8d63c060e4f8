// Package feed tells those who listen what has changed on the appliance.
//
// A Feed is the one producer for all listeners. A room says by an access.Teller that something of
// its changed, and nothing else; the Feed reads what it is now, once, and gives the same bytes to
// all. So a state that changes ten times within a moment is read once, and fifty listeners cost
// little more than one. What changes by itself, such as the counters of a running capture, is read
// every second. Nothing is read while nobody listens.
//
// A listener that is too slow loses what is in its queue, and is told that it lost something. One
// that comes back with the identifier of the last update that it had gets what came since, while
// that is kept.
package feed

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"diagsh/internal/access"
)

const (
	// gather is how long the first change waits for others. Users do not notice it.
	gather = 100 * time.Millisecond
	// pollEvery is how often counters are told.
	pollEvery = time.Second
	// maxNames is how many things of a topic are told at a time one by one.
	maxNames = 100
	// maxQueue bounds the updates that wait for a listener, and maxKept those that are kept for
	// listeners that come back.
	maxQueue = 256
	maxKept  = 256
	// linger is how long the updates go on after the last listener has gone, for one that comes
	// back.
	linger = 30 * time.Second
)

// A Topic is one kind of thing that changes. Its functions are called without a lock of the Feed,
// from one goroutine.
type Topic struct {
	Name string

	// Read returns what is told of one thing, and whether it is there.
	Read func(name string) (record any, there bool)

	// Private says that a name is that of the user who alone may know. All of them are told one by one.
	Private bool

	// Running returns the names of the things whose records change by themselves. May be nil.
	Running func() []string
}

// A Feed has the listeners and the updates. Its methods may be called from any goroutine.
type Feed struct {
	log    *slog.Logger
	boot   string // begins the identifiers of this run of the appliance
	linger time.Duration

	active atomic.Bool // updates are made
	wake   chan struct{}

	mu        sync.Mutex
	topics    []*topic
	listeners map[*listener]bool
	kept      []access.Update // the last ones, the oldest first
	number    uint64          // of the last update
	stop      context.CancelFunc
	over      chan struct{} // closed when the last producer has ended; nil if there was none
	idle      *time.Timer   // ends the producer after linger; nil while there are listeners
	closed    bool
}

// A topic is a Topic with what waits to be told.
type topic struct {
	Topic
	pending map[string]bool
	many    bool              // more than maxNames are pending
	last    map[string][]byte // records of running things, as they were told last; the producer's
}

// New returns a Feed that nobody listens to.
func New(log *slog.Logger) *Feed {
	return &Feed{log: log, boot: strings.ToLower(rand.Text()[:8]), linger: linger, wake: make(chan struct{}, 1),
		listeners: map[*listener]bool{}}
}

// Teller returns what the room of a topic tells its changes by. The topic itself may be added
// later: what is told before is forgotten, as nobody listens.
func (f *Feed) Teller(name string) access.Teller {
	return func(names ...string) {
		if f.active.Load() {
			f.tell(name, names)
		}
	}
}

// Add adds a topic. It is called before anybody listens.
func (f *Feed) Add(t Topic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.topics = append(f.topics, &topic{Topic: t, pending: map[string]bool{}, last: map[string][]byte{}})
}

// tell notes that things changed.
func (f *Feed) tell(name string, names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.topics, func(t *topic) bool { return t.Name == name })
	if i < 0 {
		return
	}
	t := f.topics[i]
	for _, n := range names {
		if !t.Private && (t.many || len(t.pending) >= maxNames && !t.pending[n]) {
			t.many = true
			break
		}
		t.pending[n] = true
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Listen begins to listen. after is the identifier of the last update that the listener had, or
// empty.
func (f *Feed) Listen(after string) access.Listener {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &listener{feed: f, wake: make(chan struct{}, 1)}
	if after != "" {
		l.resume(after)
	}
	f.listeners[l] = true
	if f.idle != nil {
		f.idle.Stop()
		f.idle = nil
	}
	if f.stop == nil && !f.closed {
		ctx, stop := context.WithCancel(context.Background())
		before := f.over
		f.stop, f.over = stop, make(chan struct{})
		f.active.Store(true)
		go f.run(ctx, before, f.over)
	}
	return l
}

// leave ends a listener. The producer ends a while after the last one.
func (f *Feed) leave(l *listener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.listeners, l)
	if len(f.listeners) == 0 && f.stop != nil && f.idle == nil {
		f.idle = time.AfterFunc(f.linger, f.rest)
	}
}

// rest ends the producer if nobody listens any more.
func (f *Feed) rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.listeners) == 0 {
		f.end()
	}
}

// end ends the producer and forgets what it kept. Called with mu held.
func (f *Feed) end() {
	if f.stop == nil {
		return
	}
	f.active.Store(false)
	f.stop()
	f.stop, f.idle = nil, nil
	f.kept = nil
	for _, t := range f.topics {
		clear(t.pending)
		t.many = false
	}
}

// Close ends the producer and waits for it. Listeners hear nothing more.
func (f *Feed) Close(ctx context.Context) error {
	f.mu.Lock()
	f.closed = true
	over := f.over
	f.end()
	f.mu.Unlock()
	if over == nil {
		return nil
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("changes are still being told: %w", ctx.Err())
	}
}

// run is the producer. It begins when the one before it has ended, and closes over at its end.
func (f *Feed) run(ctx context.Context, before, over chan struct{}) {
	defer close(over)
	if before != nil {
		<-before
	}
	f.forgetTold()
	polls := time.NewTicker(pollEvery)
	defer polls.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
			select {
			case <-ctx.Done():
				return
			case <-time.After(gather):
			}
			f.publish(ctx, f.changes())
		case <-polls.C:
			f.poll(ctx)
		}
	}
}

// forgetTold makes every record of a running thing one that was not told yet.
func (f *Feed) forgetTold() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.topics {
		clear(t.last)
	}
}

// A change is what is to be told of one topic.
type change struct {
	topic *topic
	names []string
	many  bool
	quiet bool // records that are as they were told last are left out
}

// changes takes what is pending.
func (f *Feed) changes() (list []change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.topics {
		if len(t.pending) == 0 && !t.many {
			continue
		}
		c := change{topic: t, many: t.many}
		for n := range t.pending {
			c.names = append(c.names, n)
		}
		slices.Sort(c.names)
		list = append(list, c)
		clear(t.pending)
		t.many = false
	}
	return list
}

// poll tells what changed by itself.
func (f *Feed) poll(ctx context.Context) {
	f.mu.Lock()
	topics := slices.Clone(f.topics)
	f.mu.Unlock()
	for _, t := range topics {
		if t.Running == nil {
			continue
		}
		names := t.Running()
		for n := range t.last {
			if !slices.Contains(names, n) {
				delete(t.last, n)
			}
		}
		if len(names) > 0 {
			f.publish(ctx, []change{{topic: t, names: names, quiet: true}})
		}
	}
}

// publish reads what changed and gives it to all listeners.
func (f *Feed) publish(ctx context.Context, list []change) {
	var updates []access.Update
	for _, c := range list {
		updates = append(updates, f.read(c)...)
	}
	if len(updates) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil { // another producer may be at work by now
		return
	}
	for i := range updates {
		f.number++
		updates[i].ID = f.boot + "-" + strconv.FormatUint(f.number, 10)
	}
	f.kept = append(f.kept, updates...)
	if extra := len(f.kept) - maxKept; extra > 0 {
		f.kept = slices.Clone(f.kept[extra:])
	}
	for l := range f.listeners {
		l.add(updates)
	}
}

// read returns what is to be told of a change.
func (f *Feed) read(c change) (updates []access.Update) {
	var data access.UpdateData
	if c.many {
		return f.encode(updates, c.topic, "", access.UpdateData{Many: true})
	}
	for _, n := range c.names {
		record, there := c.topic.Read(n)
		if c.topic.Private {
			updates = f.encode(updates, c.topic, n, access.UpdateData{Changed: []any{record}})
			continue
		}
		if !there {
			delete(c.topic.last, n)
			data.Removed = append(data.Removed, n)
			continue
		}
		text, err := json.Marshal(record)
		if err != nil {
			f.log.Error("a change cannot be told", "topic", c.topic.Name, "error", err)
			continue
		}
		if c.quiet && bytes.Equal(c.topic.last[n], text) {
			continue
		}
		if c.topic.Running != nil {
			c.topic.last[n] = text
		}
		data.Changed = append(data.Changed, json.RawMessage(text))
	}
	if len(data.Changed)+len(data.Removed) > 0 {
		updates = f.encode(updates, c.topic, "", data)
	}
	return updates
}

// encode adds an update for a user, or for all.
func (f *Feed) encode(updates []access.Update, t *topic, user string, data access.UpdateData) []access.Update {
	text, err := json.Marshal(data)
	if err != nil {
		f.log.Error("a change cannot be told", "topic", t.Name, "error", err)
		return updates
	}
	return append(updates, access.Update{Topic: t.Name, User: user, Data: text})
}
