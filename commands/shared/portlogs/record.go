// Package portlogs shows records and reports of the port log, for the commands that read it.
package portlogs

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"diagsh/commands/shared/captures"
	"diagsh/diag/ports"
	"diagsh/internal/menu"
)

// Heading is the line above records.
const Heading = "TIME (UTC)   EVENT    TYPE LOCAL                 REMOTE                PROCESS\n"

// The widths of the columns in which addresses are, and where the lines after the first begin.
const (
	endWidth = 21
	indent   = 13
)

// Record writes a record: a line, and what has no place in it in lines below.
func Record(w io.Writer, r ports.Record) {
	line := newLines(w)
	line.add(r.Time.UTC().Format("15:04:05.000") + " " + fmt.Sprintf("%-8s", r.Event))
	switch r.Event {
	case ports.Gap:
		line.add(gap(r))
	case ports.Began, ports.Ended:
		line.words(r.Reason)
	default:
		line.add(fmt.Sprintf(" %-4s %-*s", r.Protocol, endWidth, end(r.LocalAddress, r.LocalPort, r.Protocol)))
		line.add(fmt.Sprintf(" %-*s", endWidth, end(r.RemoteAddress, r.RemotePort, r.Protocol)))
		line.add(" " + who(r.Process))
		if text := details(r); line.first && text != "" {
			line.next()
			line.words(text)
		} else if text != "" {
			line.words(", " + text)
		}
	}
	line.flush()
}

func gap(r ports.Record) string {
	text := " Records are missing here"
	if r.Lost > 0 {
		text = " " + captures.Count(int(r.Lost), "event") + " missing here"
	}
	if r.Reason != "" {
		text += ": " + menu.Clean(r.Reason)
	}
	return text
}

// who names a process by its number and name; - is the kernel, or nobody who is known.
func who(p ports.Process) string {
	if p.PID == 0 {
		return "-"
	}
	return strings.TrimSuffix(strconv.Itoa(p.PID)+"/"+menu.Clean(p.Name), "/")
}

// end is an address with its port; a star is any, and nothing no end at all.
func end(a netip.Addr, port uint16, p ports.Protocol) string {
	if !a.IsValid() {
		if port == 0 {
			return ""
		}
		return "*:" + strconv.Itoa(int(port))
	}
	host := a.String()
	if a.IsUnspecified() {
		host = "*"
	}
	switch {
	case port != 0:
		return net.JoinHostPort(host, strconv.Itoa(int(port)))
	case p == ports.TCP || p == ports.UDP || p == ports.SCTP:
		return net.JoinHostPort(host, "*")
	}
	return host
}

// details returns what a record has beside its ends and its process.
func details(r ports.Record) string {
	var parts []string
	part := func(format string, args ...any) { parts = append(parts, menu.Clean(fmt.Sprintf(format, args...))) }
	switch {
	case r.User != "":
		part("%s", r.User)
	case r.PID != 0:
		part("user %d", r.UID)
	}
	if r.Exe != "" {
		part("%s", r.Exe)
	}
	if r.State != "" {
		part("%s", r.State)
	}
	if r.BytesSent != nil {
		part("%d B sent", *r.BytesSent)
	}
	if r.BytesReceived != nil {
		part("%d B received", *r.BytesReceived)
	}
	if r.Seconds != nil {
		part("%s", seconds(*r.Seconds))
	}
	for _, other := range []struct {
		what string
		pid  int
	}{{"opened", r.OpenedBy}, {"accepted", r.AcceptedBy}, {"last used", r.LastUsedBy}} {
		if other.pid != 0 {
			part("%s by %d", other.what, other.pid)
		}
	}
	if r.Reason != "" {
		part("%s", r.Reason)
	}
	return strings.Join(parts, ", ")
}

// seconds is how long a socket lived, with three digits.
func seconds(s float64) string {
	switch {
	case s < 1:
		return fmt.Sprintf("%.3g ms", s*1000)
	case s < 60:
		return fmt.Sprintf("%.3g s", s)
	}
	return menu.FormatDuration(time.Duration(s * float64(time.Second)).Truncate(time.Second))
}

// lines are written as wide as the terminal is.
type lines struct {
	w     io.Writer
	limit int // 0: none
	text  strings.Builder
	at    int // columns of text
	first bool
}

func newLines(w io.Writer) *lines { return &lines{w: w, limit: menu.Columns(w), first: true} }

// add adds a text that is not broken; it begins the next line if there is no place for it.
func (l *lines) add(text string) {
	width := runewidth.StringWidth(strings.TrimRight(text, " "))
	if l.at > indent && l.limit > 0 && l.at+width > l.limit {
		l.next()
		text = strings.TrimLeft(text, " ")
	}
	l.text.WriteString(text)
	l.at += runewidth.StringWidth(text)
}

// words adds a text that is broken at its blanks, and a word that is longer than a line within it.
func (l *lines) words(text string) {
	for i, word := range strings.Split(text, " ") {
		if i > 0 || l.at > indent && !strings.HasPrefix(text, ",") {
			word = " " + word
		}
		for _, piece := range l.pieces(word) {
			l.add(piece)
		}
	}
}

// pieces cuts a word that fits into no line, such as a long path.
func (l *lines) pieces(word string) (list []string) {
	room := l.limit - indent
	if l.limit == 0 || room < 10 || runewidth.StringWidth(word) <= room {
		return []string{word}
	}
	for runewidth.StringWidth(word) > room {
		piece := runewidth.Truncate(word, room, "")
		list = append(list, piece)
		word = word[len(piece):]
	}
	return append(list, word)
}

// next begins the next line.
func (l *lines) next() {
	l.flush()
	l.text.WriteString(strings.Repeat(" ", indent))
	l.at = indent
}

// flush writes the line.
func (l *lines) flush() {
	if text := strings.TrimRight(l.text.String(), " "); text != "" {
		io.WriteString(l.w, text+"\n")
	}
	l.text.Reset()
	l.at, l.first = 0, false
}
