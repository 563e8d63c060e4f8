package captureview

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"diagsh/capture/summary"
)

// Summary writes what there is to say about packets, with a graph of their number over the time that is no wider than so many columns; 0
// if nobody knows how wide the terminal is.
func Summary(w io.Writer, s *summary.Summary, columns int) {
	if s.Packets == 0 {
		fmt.Fprintln(w, "There is no packet.")
		return
	}
	fmt.Fprintf(w, "Packets:     %d (%s on the wire, %s captured)\n", s.Packets, Bytes(s.Bytes), Bytes(s.Captured))
	fmt.Fprintf(w, "First:       %s\n", clock(s.First))
	fmt.Fprintf(w, "Last:        %s\n", clock(s.Last))
	switch span := s.Last.Sub(s.First); {
	case span >= time.Second:
		fmt.Fprintf(w, "Span:        %s, %.1f packets/s, %s/s\n", span.Round(time.Millisecond), float64(s.Packets)/s.Seconds, Bytes(int64(float64(s.Bytes)/s.Seconds)))
	case span > 0: // too short for what would be a second
		fmt.Fprintf(w, "Span:        %s\n", span)
	}
	graph(w, s, columns)
	counts(w, "PROTOCOL", s.Protocols)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(s.Talkers) > 0 {
		fmt.Fprintln(w)
		fmt.Fprintln(t, "TALKER\tPACKETS SENT\tSIZE\tPACKETS RECEIVED\tSIZE")
		for _, a := range s.Talkers {
			fmt.Fprintf(t, "%s\t%d\t%s\t%d\t%s\n", a.Address, a.PacketsSent, Bytes(a.BytesSent), a.PacketsReceived, Bytes(a.BytesReceived))
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
	if tcp := s.TCP; tcp.Packets > 0 {
		fmt.Fprintf(w, "\nTCP:         %d packets of %s; %d opened, %d answered, %d ended (FIN)\n", tcp.Packets, Count(int(tcp.Connections), "connection"), tcp.Opened, tcp.Answered, tcp.Ends)
		fmt.Fprintf(w, "             %d resets, %d retransmissions (%.2f%%), %d out of order, %d keep-alives, %d zero windows\n",
			tcp.Resets, tcp.Retransmissions, 100*float64(tcp.Retransmissions)/float64(tcp.Packets), tcp.OutOfOrder, tcp.KeepAlives, tcp.ZeroWindows)
	}
	if s.Uncounted > 0 {
		fmt.Fprintf(w, "\n%d packets are of talkers or connections that were too many to list.\n", s.Uncounted)
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
