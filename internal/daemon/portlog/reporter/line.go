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
	b.Write(at.AppendFormat(b.AvailableBuffer(), "2006-01-02,15:04:05,"))
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
		b.Write(strconv.AppendFloat(b.AvailableBuffer(), *r.Seconds, 'f', -1, 64))
	}
	b.WriteByte(',')
	l.text(r.Name)
	l.text(r.Exe)
	if r.PID != 0 {
		b.Write(strconv.AppendUint(b.AvailableBuffer(), uint64(r.UID), 10))
	}
	b.WriteByte(',')
	l.given(uint64(r.OpenedBy))
	l.given(uint64(r.AcceptedBy))
	l.given(uint64(r.LastUsedBy))
	l.text(r.Reason)
	l.given(r.Lost)
	l.given(r.Cookie)
	l.given(r.Socket)
	l.given(r.NetNS)
	l.text(r.Cgroup)
	b.Write(at.AppendFormat(b.AvailableBuffer(), time.RFC3339Nano))
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
	l.Write(append(strconv.AppendUint(l.AvailableBuffer(), n, 10), ','))
}

// given writes a number that is not known if it is 0.
func (l line) given(n uint64) {
	if n != 0 {
		l.Write(strconv.AppendUint(l.AvailableBuffer(), n, 10))
	}
	l.WriteByte(',')
}

func (l line) known(n *uint64) {
	if n != nil {
		l.Write(strconv.AppendUint(l.AvailableBuffer(), *n, 10))
	}
	l.WriteByte(',')
}

func (l line) address(a netip.Addr) {
	if a.IsValid() {
		l.Write(a.AppendTo(l.AvailableBuffer()))
	} else {
		l.WriteString("0.0.0.0")
	}
	l.WriteByte(',')
}

// text writes a column in quotes where it needs them (RFC 4180).
func (l line) text(s string) {
	if plain(s) {
		l.WriteString(s)
		l.WriteByte(',')
		return
	}
	s = menu.Clean(s)
	if strings.ContainsAny(s, "\",") || strings.TrimSpace(s) != s {
		s = `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	l.WriteString(s)
	l.WriteByte(',')
}

// plain reports whether a column needs neither cleaning nor quotes, as most do.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == ',' {
			return false
		}
	}
	return true
}
