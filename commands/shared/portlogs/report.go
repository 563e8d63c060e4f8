package portlogs

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/tables"
	"diagsh/diag/ports"
	"diagsh/diag/ports/usage"
	"diagsh/internal/menu"
)

// A section is a table of a report.
type section struct {
	Title string
	Head  []string
	Rows  [][]string
	Spare []string // columns that a narrow terminal leaves out
	More  int      // rows that are left out
	Note  string   // a sentence below the rows; may be empty
	None  string   // what is said without rows; empty: the section is left out
}

// sections are the tables of a report, in their order.
func sections(r *usage.Report) []section {
	return []section{
		suspects(r), interest(r), failures(r), listeners(r), once(r), talkers(r), portsUsed(r), programs(r), addresses(r), users(r), hours(r),
	}
}

// rowsOf makes a section of a list.
func rowsOf[R any](s section, list usage.List[R], row func(R) []string) section {
	for _, r := range list.Rows {
		s.Rows = append(s.Rows, row(r))
	}
	s.More = list.More
	if list.Dropped > 0 {
		s.Note = strings.TrimSpace(s.Note + fmt.Sprintf(" %s dropped to bound the memory, with the fewest records; a figure with + "+
			"may be higher.", captures.Count(int(list.Dropped), "row")))
	}
	return s
}

// useHead are the columns of a Use.
var useHead = []string{"RECORDS", "CONNECTIONS", "FAILED", "SENT", "RECEIVED"}

// figures returns the columns of a Use.
func figures(u usage.Use) []string {
	more := ""
	if u.AtLeast {
		more = "+"
	}
	return []string{strconv.FormatUint(u.Records, 10) + more, number(u.Connections), number(u.Failures), size(u.BytesSent), size(u.BytesReceived)}
}

func number(n uint64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatUint(n, 10)
}

// size is a number of bytes; whole, so that it is not broken.
func size(n uint64) string {
	if n == 0 {
		return "-"
	}
	return tables.Whole(captures.Bytes(int64(n)))
}

func name(p usage.Program) string { return tables.OrDash(menu.Clean(p.Name)) }

func file(p usage.Program) string { return tables.OrDash(menu.Clean(p.Exe)) }

func clock(t time.Time) string { return tables.Whole(t.UTC().Format("2006-01-02 15:04:05")) }

func port(p ports.Protocol, n uint16, end usage.End) string {
	if n == 0 {
		return "-"
	}
	text := strconv.Itoa(int(n)) + "/" + string(p)
	if end == usage.Local {
		text += tables.Whole(" here")
	}
	return text
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}

func suspects(r *usage.Report) section {
	return rowsOf(section{Title: "Names of the system, other files", Head: []string{"PROCESS", "PID", "USER", "FILE", "RECORDS", "WHY"},
		None: "No process has the name of a program of the system and another file."}, r.Suspects,
		func(s usage.Suspect) []string {
			return []string{name(s.Program), strconv.Itoa(s.PID), menu.Clean(s.User), file(s.Program), figures(s.Use)[0], menu.Clean(s.Reason)}
		})
}

func interest(r *usage.Report) section {
	s := rowsOf(section{Title: "Addresses of interest", Head: append([]string{"LISTED AS", "ADDRESS", "PROCESS", "PORT", "LAST (UTC)"}, useHead...),
		Spare: []string{"FAILED", "RECORDS", "LAST (UTC)"}}, r.Interest,
		func(i usage.InterestUse) []string {
			return append([]string{menu.Clean(i.Wanted), address(i.Address), name(i.Program), port(i.Protocol, i.Port, i.End), clock(i.Last)}, figures(i.Use)...)
		})
	if len(r.NoInterest) > 0 {
		s.None = "Nothing of: " + menu.Clean(strings.Join(r.NoInterest, ", ")) + "."
		if len(s.Rows) > 0 {
			s.Note = strings.TrimSpace(s.Note + " " + s.None)
		}
	}
	return s
}

func failures(r *usage.Report) section {
	return rowsOf(section{Title: "Refused, timed out and rejected", Head: []string{"EVENT", "ADDRESS", "PORT", "PROCESS", "TIMES", "LAST (UTC)"},
		Note: "Rejected are connections from outside to a port where nobody waits.", None: "Every connection came about."}, r.Failures,
		func(f usage.Failure) []string {
			end := usage.Remote
			if f.Event == ports.Rejected {
				end = usage.Local
			}
			return []string{string(f.Event), address(f.Address), port(f.Protocol, f.Port, end), name(f.Program),
				figures(usage.Use{Records: f.Records, AtLeast: f.AtLeast})[0], clock(f.Last)}
		})
}

func listeners(r *usage.Report) section {
	at := func(t *time.Time, none string) string {
		if t == nil {
			return none
		}
		return clock(*t)
	}
	return rowsOf(section{Title: "Listeners that came and went", Head: []string{"WAITED AT", "PROTO", "PROCESS", "PID", "CAME (UTC)", "WENT (UTC)", "FILE"},
		Spare: []string{"PROTO", "PID"}, None: "No listener came or went."}, r.Listeners,
		func(l usage.Listener) []string {
			return []string{endpoint(l.Address, l.Port), string(l.Protocol), name(l.Program), strconv.Itoa(l.PID), at(l.Came, "before"), at(l.Went, "-"), file(l.Program)}
		})
}

func endpoint(a netip.Addr, port uint16) string {
	host := address(a)
	if !a.IsValid() || a.IsUnspecified() {
		host = "*"
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

func once(r *usage.Report) section {
	return rowsOf(section{Title: "Programs with one socket", Head: []string{"TIME (UTC)", "PROCESS", "PID", "USER", "EVENT", "LOCAL", "REMOTE", "FILE"},
		Spare: []string{"USER", "PID"}, None: "Every program has several sockets."}, r.Once,
		func(o usage.Once) []string {
			return []string{clock(o.Time), name(o.Program), strconv.Itoa(o.PID), menu.Clean(o.User), string(o.Event), pair(o.Local), pair(o.Remote), file(o.Program)}
		})
}

func pair(a netip.AddrPort) string {
	if !a.IsValid() {
		return "-"
	}
	return endpoint(a.Addr(), a.Port())
}

func talkers(r *usage.Report) section {
	return rowsOf(section{Title: "Most bytes", Head: []string{"PROCESS", "ADDRESS", "PORT", "SENT", "RECEIVED", "CONNECTIONS"},
		Note: "Bytes are those of sockets that were closed.", None: "No closed socket carried bytes."}, r.Talkers,
		func(t usage.Talker) []string {
			return []string{name(t.Program), address(t.Address), port(t.Protocol, t.Port, t.End), size(t.BytesSent), size(t.BytesReceived), number(t.Connections)}
		})
}

func portsUsed(r *usage.Report) section {
	return rowsOf(section{Title: "Ports", Head: append([]string{"PORT"}, useHead...)}, r.Ports, func(p usage.PortUse) []string {
		return append([]string{port(p.Protocol, p.Port, p.End)}, figures(p.Use)...)
	})
}

func programs(r *usage.Report) section {
	return rowsOf(section{Title: "Processes", Head: append(append([]string{"PROCESS"}, useHead...), "FILE"), Spare: []string{"FAILED"}}, r.Processes, func(p usage.ProcessUse) []string {
		return append(append([]string{name(p.Program)}, figures(p.Use)...), file(p.Program))
	})
}

func addresses(r *usage.Report) section {
	return rowsOf(section{Title: "Remote addresses", Head: append([]string{"ADDRESS"}, useHead...)}, r.Addresses, func(a usage.AddressUse) []string {
		return append([]string{address(a.Address)}, figures(a.Use)...)
	})
}

func users(r *usage.Report) section {
	return rowsOf(section{Title: "Users", Head: append([]string{"USER", "UID"}, useHead...)}, r.Users, func(u usage.UserUse) []string {
		return append([]string{tables.OrDash(menu.Clean(u.User)), strconv.FormatUint(uint64(u.UID), 10)}, figures(u.Use)...)
	})
}

func hours(r *usage.Report) section {
	return rowsOf(section{Title: "Hours", Head: append([]string{"HOUR (UTC)"}, useHead...)}, r.Hours, func(h usage.HourUse) []string {
		return append([]string{tables.Whole(h.Hour.UTC().Format("2006-01-02 15:04"))}, figures(h.Use)...)
	})
}

// nothing reports whether a report is of no socket. Gaps and where logs begin are always in it.
func nothing(r *usage.Report) bool {
	for _, e := range r.Events {
		if e.Event != ports.Gap && e.Event != ports.Began && e.Event != ports.Ended {
			return false
		}
	}
	return true
}

// summary are sentences about the whole.
func summary(r *usage.Report) []string {
	if r.Records == 0 {
		return []string{"The log has no such record."}
	}
	list := []string{fmt.Sprintf("%s from %s to %s.", captures.Count(int(r.Records), "record"), menu.UTC(r.First), menu.UTC(r.Last))}
	var events []string
	for _, e := range r.Events {
		events = append(events, fmt.Sprintf("%d %s", e.Records, e.Event))
	}
	list = append(list, "Events: "+strings.Join(events, ", ")+".")
	if nothing(r) {
		list = []string{"The log has no such record."}
	}
	if r.Gaps > 0 {
		list = append(list, fmt.Sprintf("Records are missing in %s, %s as far as they were counted.", captures.Count(int(r.Gaps), "place"), captures.Count(int(r.Lost), "event")))
	}
	return list
}

// Report writes a report for a terminal.
func Report(w io.Writer, r *usage.Report) {
	for _, sentence := range summary(r) {
		tables.Line(w, 2, "%s", sentence)
	}
	if nothing(r) {
		return
	}
	for _, s := range sections(r) {
		if len(s.Rows) == 0 && s.None == "" {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", s.Title)
		if len(s.Rows) == 0 {
			tables.Line(w, 0, "%s", s.None)
			continue
		}
		t := tables.Table{Head: s.Head, Spare: s.Spare}
		for _, row := range s.Rows {
			t.Add(shortened(s.Head, row)...)
		}
		t.Write(w)
		if s.More > 0 {
			fmt.Fprintf(w, "and %d more\n", s.More)
		}
		if s.Note != "" {
			tables.Line(w, 0, "%s", s.Note)
		}
	}
}

// fileWidth is how much of a path a terminal shows.
const fileWidth = 32

// shortened returns a row with the ends of its paths.
func shortened(head, row []string) []string {
	at := slices.Index(head, "FILE")
	if at < 0 || runewidth.StringWidth(row[at]) <= fileWidth {
		return row
	}
	row = slices.Clone(row)
	row[at] = "..." + runewidth.TruncateLeft(row[at], runewidth.StringWidth(row[at])-fileWidth+len("..."), "")
	return row
}
