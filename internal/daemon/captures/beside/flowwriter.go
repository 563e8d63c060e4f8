package beside

import (
	"errors"
	"net/netip"
	"time"

	"diagsh/capture/owners"
)

// saidEvery is how often a file says that nothing happened.
const saidEvery = time.Second

// mostPending is how many flows wait to be written.
const mostPending = 16 << 10

// A flowWriter writes a file of flows. What is told of one flow between two flushes is one line.
type flowWriter struct {
	out     *File
	lines   []byte // that are not flows, and come before them
	pending []owners.Flow
	index   map[flowID]int // in pending
	last    time.Time      // up to when all was told
	said    time.Time      // up to when the file says so
	over    bool           // the file takes no more
}

// A flowID is what stays the same of a flow that is told again.
type flowID struct {
	socket        uint64
	from          int64
	protocol      owners.Protocol
	local, remote netip.AddrPort
}

// idOf returns what stays the same of a flow that is told again.
func idOf(f *owners.Flow) flowID {
	return flowID{f.Socket, f.From.UnixNano(), f.Protocol, netip.AddrPortFrom(f.LocalAddress, f.LocalPort),
		netip.AddrPortFrom(f.RemoteAddress, f.RemotePort)}
}

func (w *flowWriter) tell(l owners.Line) {
	if l.Event == owners.Known {
		w.last = l.Time // written after the flows that it is about
		return
	}
	w.lines = owners.AppendLine(w.lines, l)
}

func (w *flowWriter) flows(list []owners.Flow) {
	if w.over {
		return
	}
	if w.index == nil {
		w.index = map[flowID]int{}
	}
	for _, f := range list {
		id := idOf(&f)
		if at, waits := w.index[id]; waits {
			w.pending[at] = f
			continue
		}
		w.index[id] = len(w.pending)
		w.pending = append(w.pending, f)
	}
	if len(w.pending) > mostPending {
		w.write()
	}
}

func (w *flowWriter) flush() {
	if len(w.pending) == 0 && len(w.lines) == 0 && w.last.Sub(w.said) < saidEvery {
		return
	}
	w.said = w.last
	w.write(owners.Line{Event: owners.Known, Time: w.last})
}

// write writes what waits, and then more lines.
func (w *flowWriter) write(more ...owners.Line) {
	b := w.lines
	for _, f := range w.pending {
		b = owners.AppendFlow(b, f)
	}
	for _, l := range more {
		b = owners.AppendLine(b, l)
	}
	w.pending, w.lines = w.pending[:0], w.lines[:0]
	clear(w.index)
	if w.over {
		return
	}
	if _, err := w.out.Write(b); errors.Is(err, ErrStopped) {
		w.over, w.pending, w.index = true, nil, nil
	}
}

// end writes the last line. A file that took no more before has it too: what comes after it is not
// known.
func (w *flowWriter) end() {
	if !w.over {
		w.out.Last(owners.AppendLine(nil, owners.Line{Event: owners.Ended, Time: w.last}))
	}
}
