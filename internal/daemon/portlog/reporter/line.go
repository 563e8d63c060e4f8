package reporter

import (
	"bytes"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/menu"
)

// Columns are what a line of PR-PORTS has: those of Port Reporter, in its order, and ours after
// them. Members that a record does not have are empty.
var Columns = []string{"date", "time", "protocol", "local port", "local IP", "remote port", "remote IP", "PID", "module",
	"user context", // as Port Reporter has them
	"event", "state", "bytes sent", "bytes received", "seconds", "process", "file", "UID", "opened by", "accepted by",
	"last used by", "reason", "lost", "cookie", "socket", "network namespace", "cgroup", "timestamp"}

// appendLine appends a record. Where there is no other end, remote port and address are 0 and
// 0.0.0.0, as Port Reporter has them.
func appendLine(b *bytes.Buffer, r *ports.Record, zone *time.Location) {
	at := r.Time.In(zone)
	l := line{b}
	b.WriteString(at.Format("2006-01-02,15:04:05,"))
	l.text(strings.ToUpper(string(r.Protocol)))
	l.number(uint64(r.LocalPort))
	l.address(r.LocalAddress)
	l.number(uint64(r.RemotePort))
	l.address(r.RemoteAddress)
	l.number(uint64(r.PID))
	l.text(module(r.Process))
	l.text(r.User)
	l.text(string(r.Event))
	l.text(r.State)
	l.known(r.BytesSent)
	l.known(r.BytesReceived)
	if r.Seconds != nil {
		b.WriteString(strconv.FormatFloat(*r.Seconds, 'f', -1, 64))
	}
	b.WriteByte(',')
	l.text(r.Name)
	l.text(r.Exe)
	if r.PID != 0 {
		b.WriteString(strconv.FormatUint(uint64(r.UID), 10))
	}
	b.WriteByte(',')
	for _, n := range []uint64{uint64(r.OpenedBy), uint64(r.AcceptedBy), uint64(r.LastUsedBy)} {
		l.given(n)
	}
	l.text(r.Reason)
	for _, n := range []uint64{r.Lost, r.Cookie, r.Socket, r.NetNS} {
		l.given(n)
	}
	l.text(r.Cgroup)
	b.WriteString(at.Format(time.RFC3339Nano))
	b.WriteByte('\n')
}

// module is the name of a process's file, as Port Reporter shows it, or that of the process where
// the file is not known.
func module(p ports.Process) string {
	if p.Exe == "" {
		return p.Name
	}
	return path.Base(p.Exe)
}

// A line takes columns, each with its comma.
type line struct{ *bytes.Buffer }

func (l line) number(n uint64) {
	l.WriteString(strconv.FormatUint(n, 10))
	l.WriteByte(',')
}

// given writes a number that is not known if it is 0.
func (l line) given(n uint64) {
	if n != 0 {
		l.WriteString(strconv.FormatUint(n, 10))
	}
	l.WriteByte(',')
}

func (l line) known(n *uint64) {
	if n != nil {
		l.WriteString(strconv.FormatUint(*n, 10))
	}
	l.WriteByte(',')
}

func (l line) address(a netip.Addr) {
	if a.IsValid() {
		l.WriteString(a.String())
	} else {
		l.WriteString("0.0.0.0")
	}
	l.WriteByte(',')
}

// text writes a column in quotes where it needs them (RFC 4180).
func (l line) text(s string) {
	s = menu.Clean(s)
	if strings.ContainsAny(s, "\",") || strings.TrimSpace(s) != s {
		s = `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	l.WriteString(s)
	l.WriteByte(',')
}
