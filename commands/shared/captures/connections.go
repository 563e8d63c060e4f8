package captures

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"diagsh/capture/summary"
)

// lapse returns seconds with three digits and a unit.
func lapse(s float64) string {
	switch {
	case s >= 100:
		return fmt.Sprintf("%.0f s", s)
	case s >= 10:
		return fmt.Sprintf("%.1f s", s)
	case s >= 1:
		return fmt.Sprintf("%.2f s", s)
	case s >= 0.1:
		return fmt.Sprintf("%.0f ms", 1000*s)
	case s >= 0.01:
		return fmt.Sprintf("%.1f ms", 1000*s)
	}
	return fmt.Sprintf("%.2f ms", 1000*s)
}

func known(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	return lapse(*seconds)
}

func connectionEnds(c summary.Connection) string {
	return net.JoinHostPort(c.Client, strconv.Itoa(c.ClientPort)) + " > " +
		net.JoinHostPort(c.Server, strconv.Itoa(c.ServerPort))
}

// Connections writes a table of TCP connections: the two ends on one line, or on two if the
// addresses are long, and the figures on the next.
func Connections(w io.Writer, s *summary.Summary) {
	if len(s.Connections) == 0 {
		fmt.Fprintln(w, "There is no connection of TCP.")
		return
	}
	fmt.Fprintln(w, "CLIENT > SERVER")
	fmt.Fprintf(w, "  %-8s %7s %7s %7s %7s %8s %7s %6s %s\n", "FIRST", "LASTED", "PACKETS", "SIZE", "OPEN", "1ST BYTE",
		"LONGEST", "RESENT", "STATE")
	for _, c := range s.Connections {
		ends := connectionEnds(c)
		if len(ends) > unknownWidth {
			ends = strings.Replace(ends, " > ", "\n> ", 1)
		}
		fmt.Fprintln(w, ends)
		fmt.Fprintf(w, "  %s %7s %7d %7s %7s %8s %7s %6d %s\n", c.First.Format("15:04:05"), lapse(c.Seconds),
			c.PacketsSent+c.PacketsReceived, Bytes(c.BytesSent+c.BytesReceived), known(c.HandshakeSeconds),
			known(c.FirstByteSeconds), known(c.LongestWaitSeconds), c.Retransmissions, c.State)
	}
	if more := s.TCP.Connections - s.ForgottenConnections - int64(len(s.Connections)); more > 0 {
		fmt.Fprintf(w, "\n%s of %d shown; top NUMBER shows more.\n",
			Count(len(s.Connections), "connection"), s.TCP.Connections)
	}
	if s.ForgottenConnections > 0 {
		fmt.Fprintf(w, "\n%s were too many to remember: they are counted, and in no list.\n",
			Count(int(s.ForgottenConnections), "connection"))
	}
}

// fewConnections writes a short table of connections, a line each if the addresses are short.
func fewConnections(w io.Writer, list []summary.Connection, heading string) {
	fmt.Fprintf(w, "%8s  %10s  %8s  %s\n", "OPEN", "FIRST BYTE", "LONGEST", heading)
	for _, c := range list {
		ends := connectionEnds(c)
		if len(ends) > unknownWidth-32 {
			fmt.Fprintf(w, "%8s  %10s  %8s  [%s]:%d\n%32s> [%s]:%d\n", known(c.HandshakeSeconds),
				known(c.FirstByteSeconds), known(c.LongestWaitSeconds), c.Client, c.ClientPort, "",
				c.Server, c.ServerPort)
			continue
		}
		fmt.Fprintf(w, "%8s  %10s  %8s  %s\n", known(c.HandshakeSeconds), known(c.FirstByteSeconds),
			known(c.LongestWaitSeconds), ends)
	}
}
