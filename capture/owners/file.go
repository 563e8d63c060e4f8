package owners

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"time"
)

// A Line is one of a file of flows, which is NDJSON. Which members there are, Event says; a flow has
// those of Flow.
type Line struct {
	Event Event     `json:"event"`
	Time  time.Time `json:"time,omitzero"`

	NetNS     uint64         `json:"netns,omitempty"`     // of Began
	Addresses []netip.Prefix `json:"addresses,omitempty"` // of Addressed: those that are local from now on
	From      time.Time      `json:"fromTime,omitzero"`   // of Lost: events between then and Time
	Reason    string         `json:"reason,omitempty"`    // of Ended
}

// An Event is what a line tells.
type Event string

const (
	Began     Event = "start" // the table begins, or goes on after a pause
	Addressed Event = "addresses"
	Told      Event = "flow"
	Known     Event = "known" // all that happened until now was told
	Lost      Event = "gap"
	Ended     Event = "stop"
)

// A flowLine is a line of the event Told.
type flowLine struct {
	Event Event `json:"event"`
	Flow
}

// AppendLine appends a line that is not a flow.
func AppendLine(b []byte, l Line) []byte { return appendJSON(b, l) }

// AppendFlow appends the line of a flow.
func AppendFlow(b []byte, f Flow) []byte { return appendJSON(b, flowLine{Told, f}) }

func appendJSON(b []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		return b // a time after the year 9999
	}
	return append(append(b, text...), '\n')
}

// longestLine is more than a line has: two names and a path of 4096 bytes.
const longestLine = 64 << 10

// ErrNoFlows reports that a file is no table of flows.
var ErrNoFlows = errors.New("not a table of flows")

// Read adds what a file of flows tells to a table. A last line that is not whole is left out. The
// error is ErrNoFlows, or from the file.
func (t *Table) Read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), longestLine)
	lines.Split(wholeLines)
	begun := false
	for lines.Scan() {
		var l struct {
			Event     Event          `json:"event"`
			Time      time.Time      `json:"time"`
			Addresses []netip.Prefix `json:"addresses"`
			Flow
		}
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			return ErrNoFlows
		}
		if begun = begun || l.Event == Began; !begun {
			return ErrNoFlows
		}
		if l.Event == Told {
			t.Add(l.Flow)
			continue
		}
		t.Tell(Line{Event: l.Event, Time: l.Time, NetNS: l.NetNS, Addresses: l.Addresses, From: l.From})
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) || lines.Err() == nil && !begun {
		return ErrNoFlows
	}
	return lines.Err()
}

// Tell adds what a line tells that is not a flow.
func (t *Table) Tell(l Line) {
	switch l.Event {
	case Began:
		t.Begin(l.Time, l.NetNS)
	case Addressed:
		t.Addresses(l.Time, l.Addresses)
	case Known, Ended:
		t.Known(l.Time)
	case Lost:
		t.Lost(l.From, l.Time)
	}
}

// wholeLines splits lines as bufio.ScanLines does, without one that does not end.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	advance, token, err = bufio.ScanLines(data, false)
	if atEOF && advance == 0 && err == nil {
		return len(data), nil, nil
	}
	return advance, token, err
}
