package fields

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	dnsnames "github.com/miekg/dns"
)

const dnsHeader = 12

// maxRecords limits how many records of a message are shown.
const maxRecords = 100

func (b *builder) dns() {
	b.uint("dns.id", "Transaction", 0, 2, hex16)
	f := b.uint("dns.flags", "Flags", 2, 2, hex16)
	b.inside(f, func() {
		b.bits("dns.flags.response", "Response", 2, 2, 0x8000, yesNo)
		b.bits("dns.flags.opcode", "Operation", 2, 2, 0x7800, in(map[uint64]string{0: "query", 2: "status", 4: "notify", 5: "update"}))
		b.bits("dns.flags.authoritative", "Authoritative", 2, 2, 0x0400, yesNo)
		b.bits("dns.flags.truncated", "Truncated", 2, 2, 0x0200, yesNo)
		b.bits("dns.flags.recdesired", "Recursion desired", 2, 2, 0x0100, yesNo)
		b.bits("dns.flags.recavail", "Recursion available", 2, 2, 0x0080, yesNo)
		b.bits("dns.flags.authenticated", "Authenticated", 2, 2, 0x0020, yesNo)
		b.bits("dns.flags.checkdisable", "Checking disabled", 2, 2, 0x0010, yesNo)
		b.bits("dns.flags.rcode", "Result", 2, 2, 0x000f, named(func(n uint64) string { return dnsnames.RcodeToString[int(n)] }))
	})
	b.uint("dns.count.queries", "Questions", 4, 2, decimal)
	b.uint("dns.count.answers", "Answers", 6, 2, decimal)
	b.uint("dns.count.auth_rr", "Authority records", 8, 2, decimal)
	b.uint("dns.count.add_rr", "Additional records", 10, 2, decimal)
	at := dnsHeader
	for n := range int(b.number(4, 2)) {
		if at = b.question(at); at < 0 || n == maxRecords {
			return
		}
	}
	for section, label := range []string{"Answer", "Authority", "Additional"} {
		for n := range int(b.number(6+2*section, 2)) {
			if at = b.record(label, at); at < 0 || n == maxRecords {
				return
			}
		}
	}
}

func dnsType(n uint64) string {
	if name, known := dnsnames.TypeToString[uint16(n)]; known {
		return fmt.Sprintf("%s (%d)", name, n)
	}
	return decimal(n)
}

func dnsClass(n uint64) string {
	if name, known := dnsnames.ClassToString[uint16(n)]; known {
		return fmt.Sprintf("%s (0x%04x)", name, n)
	}
	return hex16(n)
}

// name reads a name. It returns where it ends, or -1 if it is malformed.
func (b *builder) name(at int) (string, int) {
	if at >= len(b.b) {
		return "", -1
	}
	name, end, err := dnsnames.UnpackDomainName(b.b, at)
	if err != nil || end > len(b.b) {
		return "", -1
	}
	return name, end
}

// question adds a question, and returns where it ends, or -1.
func (b *builder) question(at int) int {
	name, end := b.name(at)
	if end < 0 || !b.has(end, 4) {
		return -1
	}
	f := b.add("dns.qry", "Question", at, end+4-at, fmt.Sprintf("%s %s", name, dnsType(b.number(end, 2))))
	b.inside(f, func() {
		b.add("dns.qry.name", "Name", at, end-at, name)
		b.uint("dns.qry.type", "Type", end, 2, dnsType)
		b.uint("dns.qry.class", "Class", end+2, 2, dnsClass)
	})
	return end + 4
}

// record adds a resource record, and returns where it ends, or -1.
func (b *builder) record(label string, at int) int {
	name, end := b.name(at)
	if end < 0 || !b.has(end, 10) || !b.has(end+10, int(b.number(end+8, 2))) {
		return -1
	}
	kind, size := uint16(b.number(end, 2)), int(b.number(end+8, 2))
	value := b.data(kind, end+10, size)
	f := b.add("dns.resp", label, at, end+10+size-at, fmt.Sprintf("%s %s %s", name, dnsType(uint64(kind)), value))
	b.inside(f, func() {
		b.add("dns.resp.name", "Name", at, end-at, name)
		b.uint("dns.resp.type", "Type", end, 2, dnsType)
		if kind != dnsnames.TypeOPT {
			b.uint("dns.resp.class", "Class", end+2, 2, dnsClass)
			b.uint("dns.resp.ttl", "Time to live", end+4, 4, times(1, " s"))
		}
		b.uint("dns.resp.len", "Data length", end+8, 2, decimal)
		b.add(dataNames[kind], "Data", end+10, size, value)
	})
	return end + 10 + size
}

// dataNames are the names of the data of records; others have none.
var dataNames = map[uint16]string{dnsnames.TypeA: "dns.a", dnsnames.TypeAAAA: "dns.aaaa", dnsnames.TypeCNAME: "dns.cname",
	dnsnames.TypeNS: "dns.ns", dnsnames.TypePTR: "dns.ptr.domain_name"}

// data writes the data of a record.
func (b *builder) data(kind uint16, at, size int) string {
	part := b.b[at : at+size]
	switch kind {
	case dnsnames.TypeA, dnsnames.TypeAAAA:
		if a, ok := netip.AddrFromSlice(part); ok {
			return a.String()
		}
	case dnsnames.TypeCNAME, dnsnames.TypeNS, dnsnames.TypePTR:
		if name, end := b.name(at); end == at+size {
			return name
		}
	case dnsnames.TypeMX:
		if size > 2 {
			if name, end := b.name(at + 2); end == at+size {
				return fmt.Sprintf("%d %s", binary.BigEndian.Uint16(part), name)
			}
		}
	case dnsnames.TypeTXT:
		text := ""
		for len(part) > 0 && int(part[0]) < len(part) {
			text += fmt.Sprintf("%q ", part[1:1+part[0]])
			part = part[1+part[0]:]
		}
		return text
	}
	return inHex(part)
}
