package commands

import (
	"fmt"
	"io"

	"diagsh/internal/menu"
)

// pingMarks returns the marks after an answer: those of ping(8) of iputils, and one for an answer
// to a ping that was never sent.
func pingMarks(r pingRecord) (marks string) {
	for _, m := range []struct {
		applies bool
		text    string
	}{
		{r.Event == "stray", "NEVER SENT!"}, {r.Event == "duplicate", "DUP!"},
		{r.Event == "corrupted", "BAD CHECKSUM!"},
		{r.DifferentAddress, "DIFFERENT ADDRESS!"}, {r.Truncated, "truncated"},
	} {
		if m.applies {
			marks += " (" + m.text + ")"
		}
	}
	return marks
}

func pingText(w io.Writer, r pingRecord) {
	switch r.Event {
	case "reply", "duplicate", "stray", "corrupted":
		fmt.Fprintf(w, "%d bytes from %s: icmp_seq=%d", r.Bytes, r.Address, r.Sequence)
		if r.pingReply.TTL > 0 {
			fmt.Fprintf(w, " ttl=%d", r.pingReply.TTL)
		}
		if r.Event != "stray" { // without a ping there is no time that it took
			fmt.Fprintf(w, " time=%.3f ms", r.RTT*1000)
		}
		fmt.Fprintf(w, "%s\n", pingMarks(r))
		if b := r.WrongByte; b != nil {
			fmt.Fprintf(w, "wrong data byte #%d should be 0x%x but was 0x%x\n", b.Offset, b.Sent, b.Got)
		}
	case "error":
		if r.Address == "" {
			fmt.Fprintf(w, "ping: icmp_seq=%d not sent: %s\n", r.Sequence, r.Error)
			return
		}
		fmt.Fprintf(w, "%d bytes from %s: icmp_seq=%d %s\n", r.Bytes, r.Address, r.Sequence, r.Error)
	case "statistics":
		fmt.Fprintf(w, "\n--- %s ping statistics ---\n%d packets transmitted, %d packets received, ",
			menu.Clean(r.Host), r.Transmitted, r.Received)
		if r.Duplicates > 0 {
			fmt.Fprintf(w, "+%d duplicates, ", r.Duplicates)
		}
		if r.Corrupted > 0 {
			fmt.Fprintf(w, "+%d corrupted, ", r.Corrupted)
		}
		if r.Strays > 0 {
			fmt.Fprintf(w, "+%d never asked for, ", r.Strays)
		}
		if r.Errors > 0 {
			fmt.Fprintf(w, "+%d errors, ", r.Errors)
		}
		fmt.Fprintf(w, "%.1f%% packet loss\n", r.LossPercent)
		if r.Received > 0 {
			fmt.Fprintf(w, "round-trip min/avg/max/stddev = %.3f/%.3f/%.3f/%.3f ms\n", r.Minimum*1000, r.Average*1000,
				r.Maximum*1000, r.Deviation*1000)
		}
	case "size":
		switch {
		case r.Answered:
			fmt.Fprintf(w, "%d bytes: answered\n", r.PacketBytes)
		case r.Router != "":
			fmt.Fprintf(w, "%d bytes: too big, says %s, whose next hop takes %d\n", r.PacketBytes, r.Router, r.NextMTU)
		case r.NextMTU > 0:
			fmt.Fprintf(w, "%d bytes: too big, the path takes %d as far as this appliance knows\n",
				r.PacketBytes, r.NextMTU)
		default:
			fmt.Fprintf(w, "%d bytes: no answer\n", r.PacketBytes)
		}
	case "mtu":
		fmt.Fprintf(w, "\nThe path MTU to %s is %d bytes (the interface's own is %d).\n", r.Address, r.MTU, r.LinkMTU)
		if r.BlackHole {
			fmt.Fprintf(w, "Larger packets vanish without a word: a black hole on the way. A smaller MTU or MSS "+
				"clamping helps.\n")
		}
	}
}
