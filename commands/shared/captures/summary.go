package captures

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"diagsh/capture/summary"
	"diagsh/internal/menu"
)

// SummaryOptions say how a summary is shown.
type SummaryOptions struct {
	Columns int // of the terminal; 0 if unknown
	Chart   Chart
	Order   string // of the connections, as the command calls it
}

// Summary writes a summary of packets, with a graph of their number over time that is no wider than
// the terminal.
func Summary(w io.Writer, s *summary.Summary, o SummaryOptions) {
	if s.Packets == 0 {
		fmt.Fprintln(w, "There is no packet.")
		return
	}
	fmt.Fprintf(w, "Packets:     %d (%s on the wire, %s captured)\n", s.Packets, Bytes(s.Bytes), Bytes(s.Captured))
	fmt.Fprintf(w, "First:       %s\n", menu.UTC(s.First))
	fmt.Fprintf(w, "Last:        %s\n", menu.UTC(s.Last))
	switch span := s.Last.Sub(s.First); {
	case span >= time.Second:
		fmt.Fprintf(w, "Span:        %s, %.1f packets/s, %s/s\n", span.Round(time.Millisecond),
			float64(s.Packets)/s.Seconds, Bytes(int64(float64(s.Bytes)/s.Seconds)))
	case span > 0: // too short for what would be a second
		fmt.Fprintf(w, "Span:        %s\n", strings.ReplaceAll(span.String(), "µ", "u"))
	}
	for _, u := range s.Unread {
		fmt.Fprintf(w, "Not read:    %s of link type %d, whose headers are not known here\n",
			Count(int(u.Packets), "packet"), u.LinkType)
	}
	if s.Copies > 0 {
		items(w, "Copies:", []string{Count(int(s.Copies), "packet") + " captured twice: on two interfaces",
			"on both sides of a router", "or by a mirror port"})
	}
	graph(w, s, o.Columns, o.Chart)
	counts(w, "PROTOCOL", s.Protocols)
	counts(w, "TUNNEL", s.Tunnels)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(s.Talkers) > 0 {
		fmt.Fprintln(w)
		fmt.Fprintln(t, "TALKER\tSENT\tSIZE\tRECEIVED\tSIZE")
		for _, a := range s.Talkers {
			fmt.Fprintf(t, "%s\t%d\t%s\t%d\t%s\n", a.Address, a.PacketsSent, Bytes(a.BytesSent), a.PacketsReceived,
				Bytes(a.BytesReceived))
		}
		t.Flush()
	}
	counts(w, "PORT", s.Ports)
	fmt.Fprintln(w)
	fmt.Fprintln(t, "LENGTH\tPACKETS\tSHARE")
	for _, size := range s.Sizes {
		name := fmt.Sprintf("%d-%d", size.From, size.To)
		if size.To == 0 {
			name = fmt.Sprintf("%d and above", size.From)
		}
		fmt.Fprintf(t, "%s\t%d\t%.1f%%\n", name, size.Packets, 100*float64(size.Packets)/float64(s.Packets))
	}
	t.Flush()
	if s.TCP.Packets > 0 {
		tcpFigures(w, s.TCP)
		waiting(w, s, o.Order)
	}
	if s.DNS != nil {
		dnsFigures(w, s.DNS)
	}
	if s.Uncounted > 0 {
		fmt.Fprintf(w, "\n%d packets are of talkers that were too many to list.\n", s.Uncounted)
	}
}

func counts(w io.Writer, heading string, list []summary.Count) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s\tPACKETS\tSIZE\n", heading)
	for _, c := range list {
		fmt.Fprintf(t, "%s\t%d\t%s\n", c.Name, c.Packets, Bytes(c.Bytes))
	}
	t.Flush()
}

// items writes a list after a label, in as many lines as it needs.
func items(w io.Writer, label string, list []string) {
	line := fmt.Sprintf("%-12s ", label)
	for n, item := range list {
		if n < len(list)-1 {
			item += ","
		}
		if n > 0 && len(line)+1+len(item) > unknownWidth {
			fmt.Fprintln(w, line)
			line = strings.Repeat(" ", 13)
		} else if n > 0 {
			line += " "
		}
		line += item
	}
	fmt.Fprintln(w, line)
}

// tcpFigures writes the figures of TCP. Those that users look for first are there even if they are
// 0.
func tcpFigures(w io.Writer, t summary.TCP) {
	fmt.Fprintln(w)
	list := []string{
		Count(int(t.Packets), "packet") + " of " + Count(int(t.Connections), "connection"), number(t.Opened, "opened"),
		number(t.Answered, "answered"), number(t.Ends, "ended (FIN)"), number(t.Resets, "resets"),
	}
	items(w, "TCP:", append(list, some(t.PortsReused, "opened again with the same ports")...))
	list = []string{fmt.Sprintf("%d retransmissions (%.2f%%)", t.Retransmissions,
		100*float64(t.Retransmissions)/float64(t.Packets))}
	if t.Retransmissions > 0 {
		list[0] += ": " + number(t.FastRetransmissions, "fast")
		list = append(list, number(t.SpuriousRetransmissions, "spurious"),
			number(t.TimeoutRetransmissions, "after a timeout"))
	}
	items(w, "", list)
	list = []string{number(t.OutOfOrder, "out of order"), Count(int(t.KeepAlives), "keep-alive"),
		Count(int(t.ZeroWindows), "zero window")}
	for _, more := range []struct {
		n  int64
		of string
	}{
		{t.ZeroWindowProbes, "zero window probe"}, {t.WindowsFull, "full window"}, {t.LostSegments, "gap"},
		{t.UnseenAcknowledged, "ACK of unseen data"},
		{t.DuplicateSACKs, "DSACK"}, {t.DuplicateAcknowledgements, "duplicate ACK"},
	} {
		if more.n > 0 {
			list = append(list, Count(int(more.n), more.of))
		}
	}
	items(w, "", append(list, some(t.UnseenAcknowledged, "ACKs of what is not there")...))
	if t.CopiesCounted > 0 {
		items(w, "", []string{fmt.Sprintf("%d of these are copies: captured twice", t.CopiesCounted), "not sent again"})
	}
}

func number(n int64, of string) string { return fmt.Sprintf("%d %s", n, of) }

// some returns a list with n of something, empty if n is 0.
func some(n int64, of string) []string {
	if n == 0 {
		return nil
	}
	return []string{number(n, of)}
}

// waiting writes what clients waited for, and the connections that come first in the order.
func waiting(w io.Writer, s *summary.Summary, order string) {
	t := s.Timing
	rows := []struct {
		what   string
		spread *summary.Spread
		of     string
	}{
		{"network: handshake", t.Handshake, Count(int(t.Handshakes), "connection")},
		{"server: first byte after it", t.FirstByte, Count(int(t.FirstBytes), "connection")},
		{"server: slowest answer of each", t.Answer,
			Count(int(t.Answered), "connection") + ", " + Count(int(t.Answers), "answer")},
	}
	if t.Handshake != nil || t.FirstByte != nil || t.Answer != nil {
		fmt.Fprintf(w, "\n%-30s  %8s  %8s  %s\n", "WAITED FOR", "MEDIAN", "LONGEST", "OF")
	}
	for _, r := range rows {
		if r.spread != nil {
			fmt.Fprintf(w, "%-30s  %8s  %8s  %s\n", r.what, lapse(r.spread.Median), lapse(r.spread.Longest), r.of)
		}
	}
	few := []summary.Connection{}
	for _, c := range s.Connections {
		if len(few) < fewShown && (c.HandshakeSeconds != nil || c.LongestWaitSeconds != nil) {
			few = append(few, c)
		}
	}
	if len(few) > 0 {
		fmt.Fprintln(w)
		fewConnections(w, few, strings.ToUpper(order)+" CONNECTIONS, CLIENT > SERVER")
	}
}

// fewShown is how many connections a summary shows. With the argument by connection the user says
// how many.
const fewShown = 5

// dnsFigures writes the figures of DNS.
func dnsFigures(w io.Writer, d *summary.DNS) {
	fmt.Fprintln(w)
	unanswered := number(d.Unanswered, "without an answer")
	if d.UnansweredAtEnd > 0 {
		unanswered += fmt.Sprintf(" (%d asked in the last 5 s)", d.UnansweredAtEnd)
	}
	list := []string{Count(int(d.Questions), "question"), unanswered, number(d.Slow, "slow (500 ms and more)")}
	list = append(list, some(d.Repeated, "asked again")...)
	list = append(list, some(d.Failed, "failed")...)
	items(w, "DNS:", append(list, some(d.Unasked, "answers to nothing that was asked")...))
	if len(d.Servers) > 0 {
		fmt.Fprintln(w)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "NAME SERVER\tASKED\tNO ANSWER\tSLOW\tFAILED\tLONGEST")
		for _, s := range d.Servers {
			longest := "-"
			if s.Answered > 0 {
				longest = lapse(s.LongestSeconds)
			}
			fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\n", s.Address, s.Questions, s.Unanswered, s.Slow, s.Failed, longest)
		}
		t.Flush()
	}
	questions(w, "NO ANSWER", d.UnansweredQuestions)
	questions(w, "SLOW", d.SlowestAnswers)
}

// questions writes a table of DNS questions. A name that is too long for the line ends in dots;
// JSON has all of it.
func questions(w io.Writer, heading string, list []summary.Question) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(w)
	fmt.Fprintf(w, "%-9s  %-8s  %-5s  %s\n", heading, "ASKED", "TRIES", "QUESTION, SERVER")
	for _, q := range list {
		took := "-"
		if q.Seconds != nil {
			took = lapse(*q.Seconds)
		}
		server := ", " + q.Server
		name, space := q.Name+" "+q.Type, unknownWidth-28-len(server)
		if len(name) > space {
			name = q.Name[:space-len(q.Type)-len("... ")] + "... " + q.Type
		}
		fmt.Fprintf(w, "%-9s  %s  %5d  %s%s\n", took, q.Time.Format("15:04:05"), q.Tries, name, server)
	}
}
