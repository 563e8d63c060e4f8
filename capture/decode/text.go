package decode

import (
	"fmt"
	"io"
	"strings"
)

// Text writes a packet as the screen shows it, as deep as it was decoded.
func Text(w io.Writer, d *Packet) {
	var b strings.Builder
	if d.Missed > 0 {
		fmt.Fprintf(&b, "[%d packets are not shown]\n", d.Missed)
	}
	b.WriteString(d.Time.Format("15:04:05.000000"))
	if d.Interface != "" {
		fmt.Fprintf(&b, " %s", d.Interface)
	}
	switch d.Direction {
	case "in":
		b.WriteString(" In")
	case "out":
		b.WriteString(" Out")
	}
	if d.Link != "" {
		fmt.Fprintf(&b, " %s", d.Link)
	}
	if d.family != "" {
		fmt.Fprintf(&b, " %s", d.family)
	}
	if d.Source != "" && d.family != "ARP" {
		fmt.Fprintf(&b, " %s > %s", d.end(d.Source, d.SourcePort), d.end(d.Destination, d.DestinationPort))
	}
	separator := ": "
	if d.Source == "" || d.family == "ARP" {
		separator = " "
		if d.family == "ARP" {
			separator = ", "
		}
	}
	b.WriteString(separator + d.Info)
	if d.Captured < d.Length {
		fmt.Fprintf(&b, " [cut to %d]", d.Captured)
	}
	if d.Fault != "" && !strings.Contains(d.Info, d.Fault) {
		fmt.Fprintf(&b, " [%s]", d.Fault)
	}
	b.WriteByte('\n')
	for _, l := range d.Layers {
		fmt.Fprintf(&b, "    %s: %s\n", l.Name, l.Summary)
		for _, f := range l.Fields {
			fmt.Fprintf(&b, "        %s = %s\n", f.Name, f.Value)
		}
	}
	dump(&b, d.data)
	io.WriteString(w, b.String())
}

// Ported reports whether the ports are known. One may be 0.
func (d *Packet) Ported() bool { return d.ported }

// end returns an address with its port, as tcpdump writes them.
func (d *Packet) end(address string, port int) string {
	if !d.ported {
		return address
	}
	return fmt.Sprintf("%s.%d", address, port)
}

// Dump writes bytes as tcpdump -X does.
func Dump(w io.Writer, data []byte) {
	var b strings.Builder
	dump(&b, data)
	io.WriteString(w, b.String())
}

func dump(b *strings.Builder, data []byte) {
	const row = 16
	for at := 0; at < len(data); at += row {
		part := data[at:min(at+row, len(data))]
		fmt.Fprintf(b, "\t0x%04x: ", at)
		for i := range row {
			if i%2 == 0 {
				b.WriteByte(' ')
			}
			if i < len(part) {
				fmt.Fprintf(b, "%02x", part[i])
			} else {
				b.WriteString("  ")
			}
		}
		b.WriteString("  ")
		for _, c := range part {
			if c < ' ' || c > '~' {
				c = '.'
			}
			b.WriteByte(c)
		}
		b.WriteByte('\n')
	}
}
