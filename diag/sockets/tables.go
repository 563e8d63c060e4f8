package sockets

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// tables is /proc/net of the calling thread's network namespace. /proc/net itself is that of the
// process's first thread.
const tables = "/proc/thread-self/net/"

// tableOf returns the name of the IPv4 table of a kind in /proc/net.
func tableOf(kind Kind) string {
	switch kind {
	case KindUDP:
		return "udp"
	case KindUDPLite:
		return "udplite"
	}
	return "raw"
}

// eachInTable lists the sockets of a kind from /proc/net. ENOENT means that the kernel has no such
// table. The kernel writes it page by page, and does not report sockets that came or went in
// between.
func eachInTable(ctx context.Context, q Query, kind Kind, family uint8, yield func(*Socket) error) error {
	name := tableOf(kind)
	if family == unix.AF_INET6 {
		name += "6"
	}
	mask := q.mask()
	return eachLine(ctx, name, func(line []byte) error {
		s, ok := parseLine(kind, family, line)
		if !ok {
			return fmt.Errorf("/proc/net/%s has a line that is not understood", name)
		}
		if mask&(1<<s.State) == 0 {
			return nil
		}
		return yield(&s)
	})
}

// eachInPacketTable is eachInTable for packet sockets.
func eachInPacketTable(ctx context.Context, yield func(*Socket) error) error {
	return eachLine(ctx, "packet", func(line []byte) error {
		s, ok := parsePacketLine(line)
		if !ok {
			return fmt.Errorf("/proc/net/packet has a line that is not understood")
		}
		return yield(&s)
	})
}

// eachLine calls yield for the lines of a table after its heading.
func eachLine(ctx context.Context, name string, yield func(line []byte) error) error {
	if _, err := os.Stat(tables); err != nil {
		return fmt.Errorf("/proc/net cannot be read: %v", err) // not %w: this is not a missing table
	}
	f, err := os.Open(tables + name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan(); lines.Scan(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := yield(lines.Bytes()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// parseLine parses a line of raw_sock_seq_show, udp4_format_sock or ip6_dgram_sock_seq_show (Linux
// 6.18):
//
//	sl: local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ref pointer drops
//
// Only drops is younger than the table (Linux 2.6.27). The table does not have the interface.
func parseLine(kind Kind, family uint8, line []byte) (s Socket, ok bool) {
	f := bytes.Fields(line)
	if len(f) < 12 {
		return s, false
	}
	s = Socket{Kind: kind, IPv6: family == unix.AF_INET6, Unknown: UnknownDevice}
	send, receive, colon := bytes.Cut(f[4], []byte(":"))
	var local, remote, state, sendQ, recvQ, uid, inode bool
	s.Local, local = parseEndpoint(family, f[1])
	s.Remote, remote = parseEndpoint(family, f[2])
	n, state := parseNumber(f[3], 16, 8)
	s.State = State(n)
	s.SendQ, sendQ = parseNumber32(send, 16)
	s.RecvQ, recvQ = parseNumber32(receive, 16)
	s.UID, uid = parseNumber32(f[7], 10)
	s.Inode, inode = parseInode(f[9])
	if !local || !remote || !state || !colon || !sendQ || !recvQ || !uid || !inode {
		return s, false
	}
	if len(f) > 12 {
		if s.Drops, s.DropsKnown = parseNumber32(f[12], 10); !s.DropsKnown {
			return s, false
		}
	}
	if kind == KindRaw {
		s.takeProtocol()
	}
	return s, true
}

// parsePacketLine parses a line of /proc/net/packet (packet_seq_show in net/packet/af_packet.c,
// Linux 6.18):
//
//	sk RefCnt Type Proto Iface R Rmem User Inode
func parsePacketLine(line []byte) (s Socket, ok bool) {
	f := bytes.Fields(line)
	if len(f) < 9 {
		return s, false
	}
	s = Socket{Kind: KindPacket, State: Closed, Unknown: UnknownSendQ}
	kind, typed := parseNumber(f[2], 10, 8)
	protocol, known := parseNumber(f[3], 16, 16)
	index, err := strconv.ParseInt(string(f[4]), 10, 32)
	s.Type, s.Protocol = PacketType(kind), uint16(protocol)
	s.boundTo(uint32(index))
	var recvQ, uid, inode bool
	s.RecvQ, recvQ = parseNumber32(f[6], 10)
	s.UID, uid = parseNumber32(f[7], 10)
	s.Inode, inode = parseInode(f[8])
	return s, typed && known && err == nil && recvQ && uid && inode
}

// parseEndpoint parses ADDRESS:PORT in hexadecimal. The address is printed as it is in memory, four
// bytes at a time as a number of this machine's byte order.
func parseEndpoint(family uint8, text []byte) (netip.AddrPort, bool) {
	digits, port, _ := bytes.Cut(text, []byte(":"))
	size := 4
	if family == unix.AF_INET6 {
		size = 16
	}
	if len(digits) != 2*size {
		return netip.AddrPort{}, false
	}
	var b [16]byte
	if _, err := hex.Decode(b[:], digits); err != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i < size; i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	var ends [2]byte
	n, ok := parseNumber(port, 16, 16)
	binary.BigEndian.PutUint16(ends[:], uint16(n))
	return endpoint(family, b[:], ends[:]), ok
}

// parseInode parses as many bits of an inode as sock_diag has.
func parseInode(text []byte) (uint32, bool) {
	n, ok := parseNumber(text, 10, 64)
	return uint32(n), ok
}

func parseNumber32(text []byte, base int) (uint32, bool) {
	n, ok := parseNumber(text, base, 32)
	return uint32(n), ok
}

func parseNumber(text []byte, base, bits int) (uint64, bool) {
	n, err := strconv.ParseUint(string(text), base, bits)
	return n, err == nil
}
