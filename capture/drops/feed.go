package drops

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"diagsh/capture"
	"diagsh/capture/filter"
	"diagsh/capture/headers"
)

// A Selection is which dropped packets belong to a capture, and what it may keep of them.
type Selection struct {
	options capture.Options
	program *filter.Program // nil: each packet matches
}

// Select returns the Selection of a capture with options and an effective filter. A filter that asks
// for what is before the header of IP is not applied: the error says so then, and the Selection is of
// all other options.
func Select(ctx context.Context, o capture.Options, expression string) (s Selection, err error) {
	s.options = o
	if expression == "" {
		return s, nil
	}
	if filter.ReadsLink(expression) {
		return s, errLink
	}
	s.program, err = filter.CompileContext(ctx, expression,
		filter.Target{LinkType: filter.Raw, Kind: filter.Savefile, NetmaskUnknown: true})
	if err != nil {
		s.program = nil
	}
	return s, err
}

var errLink = errors.New("the filter reads the header of the link, which dropped packets have not")

// Wants reports whether a packet belongs to the capture, as far as that is known of it.
func (s Selection) Wants(d *Drop) bool {
	o := s.options
	switch {
	case d.Noise, !d.Source.IsValid():
		return false
	case o.Direction == capture.In && !d.Incoming, o.Direction == capture.Out && d.Incoming:
		return false
	case d.Interface != "" && !o.AllInterfaces() && !slices.Contains(o.Interfaces, d.Interface):
		return false
	}
	return s.program == nil || s.program.Match(d.Data, filter.Metadata{Length: uint32(d.Length)}) > 0
}

// kept returns the part of a packet that the capture may keep.
func (s Selection) kept(data []byte) []byte {
	if s.options.HeadersOnly {
		data = headers.Only(data, capture.Raw)
	}
	if n := s.options.SnapLength; n > 0 {
		data = data[:min(len(data), n)]
	}
	return data
}

// mostWaiting is how many packets wait in a Feed at a time.
const mostWaiting = 20_000

// A Feed has the dropped packets of a Selection for one who takes them a moment later: whose they are
// is known later than they are. Its methods may be called from any goroutine.
type Feed struct {
	selection Selection
	stop      func()

	mu      sync.Mutex // guards what follows
	waiting []waiting
	missed  uint64
}

// A waiting is a packet that is not taken yet, and when it was told. That is how long it waits: the
// clock of the day, in which it was dropped, may be set meanwhile.
type waiting struct {
	Drop
	told time.Time
}

// Feed begins a Feed. The error is an *UnavailableError where the machine cannot.
func (e *Engine) Feed(s Selection) (f *Feed, err error) {
	f = &Feed{selection: s}
	f.stop, err = e.Watch(f.take)
	return f, err
}

func (f *Feed) take(d *Drop) {
	if !f.selection.Wants(d) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == mostWaiting {
		f.missed++
		return
	}
	kept := waiting{*d, time.Now()}
	kept.Data = slices.Clone(f.selection.kept(d.Data))
	f.waiting = append(f.waiting, kept)
}

// Take returns the packets that were told until a time and not taken yet; zero is all.
func (f *Feed) Take(until time.Time) []Drop {
	return f.taken(func(w waiting) bool { return until.IsZero() || !w.told.After(until) })
}

// TakeDropped returns the packets that were dropped until a time and not taken yet.
func (f *Feed) TakeDropped(until time.Time) []Drop {
	return f.taken(func(w waiting) bool { return !w.Time.After(until) })
}

// taken returns the first packets that are due.
func (f *Feed) taken(due func(waiting) bool) (list []Drop) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(list) < len(f.waiting) && due(f.waiting[len(list)]) {
		list = append(list, f.waiting[len(list)].Drop)
	}
	f.waiting = slices.Delete(f.waiting, 0, len(list))
	return list
}

// Missed returns how many packets were not kept, because too many waited to be taken.
func (f *Feed) Missed() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.missed
}

// Stop ends the Feed. What was dropped before can still be taken.
func (f *Feed) Stop() { f.stop() }

// Packet returns the packet as one of Interface.
func (d *Drop) Packet() capture.Packet {
	p := capture.Packet{Time: d.Time.UnixNano(), Data: d.Data, Length: uint32(d.Length), Direction: capture.Outgoing}
	if d.Incoming {
		p.Direction = capture.Incoming
	}
	return p
}

const commentBegins = "dropped: "

// ReasonOf returns the reason in a comment that Comment wrote; ok is false if it is another.
func ReasonOf(comment string) (reason string, ok bool) {
	text, ok := strings.CutPrefix(comment, commentBegins)
	reason, _, _ = strings.Cut(text, " ")
	return reason, ok
}

// Comment says why the packet was dropped, and where.
func (d *Drop) Comment() string {
	var b strings.Builder
	b.WriteString(commentBegins + d.Reason)
	if d.Place != "" {
		b.WriteString(" at " + d.Place)
	}
	if d.Interface != "" {
		b.WriteString(" (interface " + shown(d.Interface) + ")")
	}
	return b.String()
}

// shown returns the name of an interface, which may have any bytes, without what is not shown.
func shown(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_"))
}
