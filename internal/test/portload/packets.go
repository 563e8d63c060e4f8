package portload

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"diagsh/diag/ports"
)

// A Packet is what tshark reads of a packet in a file, and which processes the file says are at its
// ends.
type Packet struct {
	Number      int
	Time        time.Time
	Protocol    ports.Protocol // "": neither TCP nor UDP
	Source      netip.AddrPort
	Destination netip.AddrPort
	Payload     int
	Begins      bool // a SYN without ACK
	Answers     bool // a SYN with ACK

	Sender, Receiver Said

	// About is what an ICMP error says of the packet that it is about; nil: it is none.
	About *Packet

	// Key tells a packet from others: several captures of it have the same.
	Key string
}

// Said is which process a comment names. PID 0: none.
type Said struct {
	PID       int
	Name, Exe string
}

// fields are what tshark is asked for. Those of a packet inside an ICMP error are listed after its own.
var fields = []string{"frame.number", "frame.time_epoch", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport",
	"udp.srcport", "udp.dstport", "tcp.len", "udp.length", "icmp.type", "icmpv6.type", "tcp.flags", "frame.comment",
	"ip.id", "tcp.seq_raw", "tcp.ack_raw", "tcp.checksum", "udp.checksum", "arp.opcode"}

// ReadPackets reads a file by tshark.
func ReadPackets(file string) ([]Packet, error) {
	args := []string{"-n", "-r", file, "-T", "fields", "-E", "separator=|", "-E", "aggregator=;"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	out, err := exec.Command("tshark", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("tshark: %w", err)
	}
	var all []Packet
	for line := range strings.Lines(string(out)) {
		p, err := parsePacket(strings.Split(strings.TrimSuffix(line, "\n"), "|"))
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		all = append(all, p)
	}
	return all, nil
}

func parsePacket(values []string) (p Packet, err error) {
	if len(values) != len(fields) {
		return p, fmt.Errorf("%d fields", len(values))
	}
	get := func(name string) string {
		first, _, _ := strings.Cut(values[slices.Index(fields, name)], ";")
		return first
	}
	if p.Number, err = strconv.Atoi(get("frame.number")); err != nil {
		return p, err
	}
	seconds, fraction, _ := strings.Cut(get("frame.time_epoch"), ".")
	whole, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return p, err
	}
	part, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if err != nil {
		return p, err
	}
	p.Time = time.Unix(whole, part)
	p.Key = strings.Join(append(values[2:15:15], values[16:]...), "|")
	p.say(values[15])
	if get("icmp.type")+get("icmpv6.type") != "" {
		p.About = &Packet{Time: p.Time}
		return p, p.About.ends(func(name string) string {
			_, inner, _ := strings.Cut(values[slices.Index(fields, name)], ";")
			if strings.HasSuffix(name, "port") { // it has none of its own
				inner = get(name)
			}
			return inner
		})
	}
	if err := p.ends(get); err != nil || p.Protocol == "" {
		return p, err
	}
	length, header := get("tcp.len"), 0
	if p.Protocol == ports.UDP {
		length, header = get("udp.length"), 8
	}
	if p.Payload, err = strconv.Atoi(length); err != nil {
		return p, err
	}
	p.Payload -= header
	if p.Protocol == ports.TCP {
		flags, err := strconv.ParseUint(get("tcp.flags"), 0, 16)
		if err != nil {
			return p, err
		}
		p.Begins, p.Answers = flags&0x12 == 0x02, flags&0x12 == 0x12
	}
	return p, nil
}

// ends sets the protocol and both ends of a packet, if it has ports.
func (p *Packet) ends(get func(field string) string) (err error) {
	source, destination := get("ip.src"), get("ip.dst")
	if source == "" {
		source, destination = get("ipv6.src"), get("ipv6.dst")
	}
	for _, protocol := range []ports.Protocol{ports.TCP, ports.UDP} {
		from, to := get(string(protocol)+".srcport"), get(string(protocol)+".dstport")
		if from == "" || source == "" {
			continue
		}
		p.Protocol = protocol
		if p.Source, err = netip.ParseAddrPort(net.JoinHostPort(source, from)); err != nil {
			return err
		}
		p.Destination, err = netip.ParseAddrPort(net.JoinHostPort(destination, to))
		return err
	}
	return nil
}

// say reads the comments of a packet: that of the receiver begins with "to".
func (p *Packet) say(comments string) {
	for comment := range strings.SplitSeq(comments, ";") {
		of := &p.Sender
		if rest, ok := strings.CutPrefix(comment, "to "); ok {
			of, comment = &p.Receiver, rest
		}
		for word := range strings.FieldsSeq(comment) {
			name, value, _ := strings.Cut(word, "=")
			switch name {
			case "process":
				of.Name = value
			case "pid":
				of.PID, _ = strconv.Atoi(value)
			case "exe":
				of.Exe = value
			}
		}
	}
}
