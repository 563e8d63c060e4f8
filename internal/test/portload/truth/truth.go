// Package truth is what a process says that it did with a socket: the words in which the workload
// and the scorer of the port log understand each other. It knows nothing of the log.
package truth

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// A Truth is one act, said by the process that acted, or by its parent.
type Truth struct {
	Class string    `json:"class"`
	Index int       `json:"index"` // of the socket in its class
	Event string    `json:"event"` // as the log names it
	Time  time.Time `json:"time"`

	PID     int    `json:"pid"` // 0: the kernel
	Process string `json:"process,omitempty"`
	Exe     string `json:"exe,omitempty"`

	Protocol string         `json:"protocol"`
	Local    netip.AddrPort `json:"local,omitzero"` // port 0: not known
	Remote   netip.AddrPort `json:"remote,omitzero"`
	NetNS    uint64         `json:"netns"`

	// Sent and Received are bytes, of a close.
	Sent     *uint64 `json:"sent,omitempty"`
	Received *uint64 `json:"received,omitempty"`

	// Of is the event of another process that said the ends of the same socket, because this one
	// did not ask for them. Far says that they are those of the socket at the other end.
	Of  string `json:"of,omitempty"`
	Far bool   `json:"far,omitempty"`
}

// Write writes truths as NDJSON.
func Write(w io.Writer, all ...Truth) error {
	e := json.NewEncoder(w)
	for _, t := range all {
		if err := e.Encode(t); err != nil {
			return err
		}
	}
	return nil
}

// Read reads what Write wrote, and gives each truth its ends.
func Read(r io.Reader) ([]Truth, error) {
	var all []Truth
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var t Truth
		if err := json.Unmarshal(lines.Bytes(), &t); err != nil {
			return nil, fmt.Errorf("truth %d: %w", len(all)+1, err)
		}
		all = append(all, t)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return all, join(all)
}

func join(all []Truth) error {
	type key struct {
		class, event string
		index        int
	}
	said := map[key]Truth{}
	for _, t := range all {
		if t.Of == "" {
			said[key{t.Class, t.Event, t.Index}] = t
		}
	}
	for i, t := range all {
		if t.Of == "" {
			continue
		}
		other, ok := said[key{t.Class, t.Of, t.Index}]
		if !ok {
			return fmt.Errorf("%s, %s %d: nobody said the ends of it", t.Class, t.Event, t.Index)
		}
		all[i].Local, all[i].Remote = other.Local, other.Remote
		if t.Far {
			all[i].Local, all[i].Remote = other.Remote, other.Local
		}
	}
	return nil
}
