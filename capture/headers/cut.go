package headers

import (
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"diagsh/capture"
)

// Numbers of classic BPF that golang.org/x/sys/unix puts together: operation codes as in
// linux/bpf_common.h.
const (
	loadWordLength = unix.BPF_LD | unix.BPF_W | unix.BPF_LEN
	loadImmediate  = unix.BPF_LD | unix.BPF_IMM
	loadByteAt     = unix.BPF_LD | unix.BPF_B | unix.BPF_IND // at X + K
	loadHalfAt     = unix.BPF_LD | unix.BPF_H | unix.BPF_IND
	loadMemory     = unix.BPF_LD | unix.BPF_MEM
	storeMemory    = unix.BPF_ST
	toX            = unix.BPF_MISC | unix.BPF_TAX
	fromX          = unix.BPF_MISC | unix.BPF_TXA
	addX           = unix.BPF_ALU | unix.BPF_ADD | unix.BPF_X
	subtractX      = unix.BPF_ALU | unix.BPF_SUB | unix.BPF_X
	add            = unix.BPF_ALU | unix.BPF_ADD | unix.BPF_K
	and            = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	shiftLeft      = unix.BPF_ALU | unix.BPF_LSH | unix.BPF_K
	shiftRight     = unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K
	jump           = unix.BPF_JMP | unix.BPF_JA
	ifEqual        = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	ifAtLeast      = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	ifMore         = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
	ifAny          = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	returnNumber   = unix.BPF_RET | unix.BPF_K
	returnA        = unix.BPF_RET | unix.BPF_A
)

// Bytes that are kept.
const (
	linkHeader    = 14 // Ethernet
	otherPackets  = 64 // of what is neither IP nor carries IP: ARP, LLDP, spanning tree
	tunnelHeader  = 8  // PPPoE with PPP, or two MPLS labels: what is inside is not looked at
	udpHeader     = 8
	icmpHeader    = 8
	sctpHeader    = 12
	tcpLeast      = 20
	ipv4Least     = 20
	ipv6Header    = 40
	ipv6Extension = 8 // the least
)

// Cut returns a program that accepts the same packets as a filter program but keeps only their
// headers. A classic BPF program returns the number of bytes that the kernel keeps, so contents
// never reach this process. Kept are the headers of link, IP with its extensions, and TCP, UDP,
// SCTP or ICMP; of fragments and other protocols the header of IP; of what is not IP 64 bytes.
// Never more than snapLength is kept, unless that is 0. An empty program takes every packet.
func Cut(program []bpf.RawInstruction, link capture.LinkType, snapLength int) []bpf.RawInstruction {
	epilogue := headerProgram(link, snapLength)
	if len(program) == 0 {
		return epilogue
	}
	// Every acceptance becomes a jump to the epilogue. All else keeps its place, so that no other
	// jump changes.
	out := make([]bpf.RawInstruction, 0, len(program)+len(epilogue))
	for i, in := range program {
		if in.Op == returnNumber && in.K != 0 {
			in = bpf.RawInstruction{Op: jump, K: uint32(len(program) - i - 1)}
		}
		out = append(out, in)
	}
	return append(out, epilogue...)
}

// headerProgram computes the length of a packet's headers and returns it. X is what precedes the
// header at hand, without the link's own header, whose length is the constant part of every
// address.
//
// A load behind the end of a packet would make the kernel drop it, so that each stage first looks
// whether its header is there. A packet that ends before is kept as a whole: it has nothing behind
// its headers.
func headerProgram(link capture.LinkType, snapLength int) []bpf.RawInstruction {
	var a assembler
	base := uint32(0)
	a.do(loadImmediate, 0)
	a.do(toX, 0)
	if link == capture.Ethernet {
		base = linkHeader
		a.ethernet()
	} else {
		a.need(base, 1)
		a.do(loadByteAt, 0)
		a.do(shiftRight, 4)
		a.when(ifEqual, 4, "ipv4")
		a.when(ifEqual, 6, "ipv6")
		a.to("other")
	}
	a.ipv4(base)
	a.ipv6(base)
	a.transport(base)

	a.label("other")
	a.do(loadImmediate, otherPackets)
	a.to("done")

	// Behind the headers: A is their length, and X what comes on top of it.
	a.label("kept")
	a.do(addX, 0)
	a.label("done")
	if snapLength > 0 {
		a.unless(ifMore, uint32(snapLength), "return")
		a.do(returnNumber, uint32(snapLength))
	}
	a.label("return")
	// A damaged packet can claim headers of no length, and 0 would drop it.
	a.unless(ifEqual, 0, "some")
	a.do(loadImmediate, ipv4Least)
	a.label("some")
	a.do(returnA, 0)

	a.label("short")
	a.do(returnNumber, capture.MaxSnapLength)
	return a.assemble()
}

// tags is how many VLAN tags inside a packet are stepped over. The outer one is not inside: the
// kernel keeps it beside the packet.
const tags = 2

// ethernet steps over VLAN tags and looks at what follows.
func (a *assembler) ethernet() {
	a.need(0, linkHeader)
	for tag := range tags {
		inner := fmt.Sprint("tag", tag)
		a.do(loadHalfAt, 12)
		a.when(ifEqual, 0x8100, inner)
		a.when(ifEqual, 0x88a8, inner)
		a.when(ifEqual, 0x9100, inner)
		a.to("type")
		a.label(inner)
		a.do(fromX, 0)
		a.do(add, 4)
		a.do(toX, 0)
		a.need(0, linkHeader)
	}
	a.label("type")
	a.do(loadHalfAt, 12)
	a.when(ifEqual, 0x0800, "ipv4")
	a.when(ifEqual, 0x86dd, "ipv6")
	for _, tunnel := range []uint32{0x8864, 0x8847, 0x8848} { // PPPoE, MPLS
		a.when(ifEqual, tunnel, "tunnel")
	}
	a.to("other")
	a.label("tunnel")
	a.keep(linkHeader, tunnelHeader)
}

// Scratch memory of the program.
const protocol = 0

func (a *assembler) ipv4(base uint32) {
	a.label("ipv4")
	a.need(base, ipv4Least)
	a.do(loadByteAt, base+9)
	a.do(storeMemory, protocol)
	a.do(loadHalfAt, base+6)
	a.when(ifAny, 0x1fff, "fragment")
	a.do(loadByteAt, base)
	a.headerLength()
	a.do(addX, 0)
	a.do(toX, 0)
	a.to("transport")
	a.label("fragment") // not the first: only IP's own header is one
	a.do(loadByteAt, base)
	a.headerLength()
	a.do(add, base)
	a.to("kept")
}

// headerLength makes of the byte that begins an IPv4 header the length of that header.
func (a *assembler) headerLength() {
	a.do(and, 0x0f)
	a.do(shiftLeft, 2)
}

// extensions is how many extension headers of IPv6 are followed; behind more of them nothing is
// kept.
const extensions = 6

func (a *assembler) ipv6(base uint32) {
	a.label("ipv6")
	a.need(base, ipv6Header)
	a.do(loadByteAt, base+6)
	a.do(storeMemory, protocol)
	a.do(fromX, 0)
	a.do(add, ipv6Header)
	a.do(toX, 0)
	for n := range extensions {
		own := func(name string) string { return fmt.Sprint(name, n) }
		a.do(loadMemory, protocol)
		a.when(ifEqual, unix.IPPROTO_HOPOPTS, own("options"))
		a.when(ifEqual, unix.IPPROTO_ROUTING, own("options"))
		a.when(ifEqual, unix.IPPROTO_DSTOPTS, own("options"))
		a.when(ifEqual, unix.IPPROTO_FRAGMENT, own("fragment"))
		a.to("transport")

		a.label(own("fragment"))
		a.need(base, ipv6Extension)
		a.do(loadHalfAt, base+2)
		a.unless(ifAny, 0xfff8, own("first"))
		a.keep(base, ipv6Extension)
		a.label(own("first"))
		a.do(loadByteAt, base)
		a.do(storeMemory, protocol)
		a.do(loadImmediate, ipv6Extension)
		a.to(own("next"))

		a.label(own("options"))
		a.need(base, ipv6Extension)
		a.do(loadByteAt, base)
		a.do(storeMemory, protocol)
		a.do(loadByteAt, base+1)
		a.do(add, 1)
		a.do(shiftLeft, 3)
		a.label(own("next"))
		a.do(addX, 0)
		a.do(toX, 0)
	}
	a.keep(base, 0)
}

func (a *assembler) transport(base uint32) {
	a.label("transport")
	a.do(loadMemory, protocol)
	a.when(ifEqual, unix.IPPROTO_TCP, "tcp")
	for _, p := range []struct{ number, header uint32 }{
		{unix.IPPROTO_UDP, udpHeader}, {unix.IPPROTO_ICMP, icmpHeader}, {unix.IPPROTO_ICMPV6, icmpHeader}, {unix.IPPROTO_SCTP, sctpHeader},
	} {
		another := fmt.Sprint("not", p.number)
		a.unless(ifEqual, p.number, another)
		a.keep(base, p.header)
		a.label(another)
	}
	a.keep(base, 0)
	a.label("tcp")
	a.need(base, tcpLeast)
	a.do(loadByteAt, base+12)
	a.do(and, 0xf0)
	a.do(shiftRight, 2)
	a.do(add, base)
	a.to("kept")
}

// An assembler puts a program together from instructions and labels. Conditional jumps reach 255
// instructions, jumps any distance, so that a condition is followed by a jump.
type assembler struct {
	program []bpf.RawInstruction
	jumps   map[int]string // the unconditional jumps by their places
	labels  map[string]int
}

func (a *assembler) do(op uint16, k uint32) {
	a.program = append(a.program, bpf.RawInstruction{Op: op, K: k})
}

func (a *assembler) label(name string) {
	if a.labels == nil {
		a.labels = make(map[string]int)
	}
	a.labels[name] = len(a.program)
}

// to jumps to a label further down.
func (a *assembler) to(label string) {
	if a.jumps == nil {
		a.jumps = make(map[int]string)
	}
	a.jumps[len(a.program)] = label
	a.do(jump, 0)
}

// when jumps if the condition holds, unless if it does not.
func (a *assembler) when(condition uint16, k uint32, label string) {
	a.program = append(a.program, bpf.RawInstruction{Op: condition, Jf: 1, K: k})
	a.to(label)
}

func (a *assembler) unless(condition uint16, k uint32, label string) {
	a.program = append(a.program, bpf.RawInstruction{Op: condition, Jt: 1, K: k})
	a.to(label)
}

// need keeps the packet as it is if fewer than n bytes follow base + X. X stays.
func (a *assembler) need(base, n uint32) {
	// The length less X could go below zero, so X is compared first.
	a.do(loadWordLength, 0)
	a.program = append(a.program, bpf.RawInstruction{Op: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_X, Jt: 1})
	a.to("short")
	a.do(subtractX, 0)
	a.unless(ifAtLeast, base+n, "short")
}

// keep ends the headers with n bytes behind base + X.
func (a *assembler) keep(base, n uint32) {
	a.do(loadImmediate, base+n)
	a.to("kept")
}

// assemble puts the distances into the jumps.
func (a *assembler) assemble() []bpf.RawInstruction {
	for at, label := range a.jumps {
		a.program[at].K = uint32(a.labels[label] - at - 1)
	}
	return a.program
}
