package owned

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"diagsh/capture"
	"diagsh/capture/owners"
	"diagsh/commands/shared/captures"
)

// A Count is what a process sent and received.
type Count struct {
	owners.Process
	PacketsSent     int64 `json:"packetsSent"`
	BytesSent       int64 `json:"bytesSent"` // on the wire
	PacketsReceived int64 `json:"packetsReceived"`
	BytesReceived   int64 `json:"bytesReceived"`
}

// A Counter counts packets by the processes that sent and received them.
type Counter map[owners.Process]*Count

// Add counts a packet.
func (c Counter) Add(p *capture.Packet, of owners.Owners) {
	if of.Sender != nil {
		n := c.of(of.Sender)
		n.PacketsSent++
		n.BytesSent += int64(p.Length)
	}
	if of.Receiver != nil {
		n := c.of(of.Receiver)
		n.PacketsReceived++
		n.BytesReceived += int64(p.Length)
	}
}

func (c Counter) of(p *owners.Process) *Count {
	n := c[*p]
	if n == nil {
		n = &Count{Process: *p}
		c[*p] = n
	}
	return n
}

// Top returns the processes with most bytes.
func (c Counter) Top(most int) (list []Count) {
	for _, n := range c {
		list = append(list, *n)
	}
	slices.SortFunc(list, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.BytesSent+b.BytesReceived, a.BytesSent+a.BytesReceived), cmp.Compare(a.PID, b.PID))
	})
	return list[:min(len(list), most)]
}

// CountsText writes the processes, if there are any.
func CountsText(w io.Writer, list []Count) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(w, "\nProcesses, those with most bytes first:")
	for _, n := range list {
		fmt.Fprintf(w, "  %s: %s (%s) sent, %d (%s) received\n", n.Comment(), captures.Count(int(n.PacketsSent), "packet"),
			captures.Bytes(n.BytesSent), n.PacketsReceived, captures.Bytes(n.BytesReceived))
	}
}
