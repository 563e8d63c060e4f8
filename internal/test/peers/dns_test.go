package peers_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/nameserver"
	"diagsh/internal/test/netnstest"
)

// A dnsReply is an answer as dig --json has it, or as it was read from what BIND's dig writes.
type dnsReply struct {
	Protocol, Status              string
	Bytes                         int
	Flags                         []string
	Answer, Authority, Additional []dnsRecord
}

type dnsRecord struct {
	Name  string
	TTL   int
	Class string
	Type  string
	Data  string
}

var (
	digStatus = regexp.MustCompile(`status: (\w+), id: \d+\n;; flags: ([a-z ]+);`)
	digServer = regexp.MustCompile(`;; SERVER: .* \((UDP|TCP)\)`)
	digSize   = regexp.MustCompile(`;; MSG SIZE +rcvd: (\d+)`)
	digRecord = regexp.MustCompile(`^(\S+)\s+(\d+)\s+(\S+)\s+(\S+)\s+(.*)$`)
)

// bind asks BIND's dig, as ours asks: with the same size of datagrams and without the options of
// its own.
func (b *bed) bind(name, kind string) (r dnsReply) {
	b.t.Helper()
	text := b.run("dig", "@127.0.0.1", name, kind, "+nocookie", "+noadflag", "+bufsize=1232", "+noidnin", "+noidnout", "+tries=1")
	status, server, size := digStatus.FindStringSubmatch(text), digServer.FindStringSubmatch(text), digSize.FindStringSubmatch(text)
	if status == nil || server == nil || size == nil {
		b.t.Fatalf("dig %s %s: %s", name, kind, text)
	}
	r.Status, r.Flags, r.Protocol = status[1], strings.Fields(status[2]), strings.ToLower(server[1])
	fmt.Sscan(size[1], &r.Bytes)
	var section *[]dnsRecord
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch line {
		case ";; ANSWER SECTION:":
			section = &r.Answer
		case ";; AUTHORITY SECTION:":
			section = &r.Authority
		case ";; ADDITIONAL SECTION:":
			section = &r.Additional
		case "":
			section = nil
		}
		// Both are ways to write the same (RFC 1035, section 5.1; RFC 6698, section 2.2).
		line = strings.ReplaceAll(line, `\032`, `\ `)
		if m := digRecord.FindStringSubmatch(line); m != nil && section != nil && !strings.HasPrefix(line, ";") {
			record := dnsRecord{Name: m[1], Class: m[3], Type: m[4], Data: m[5]}
			fmt.Sscan(m[2], &record.TTL)
			if record.Type == "TLSA" {
				f := strings.Fields(strings.ToLower(record.Data))
				record.Data = strings.Join(append(f[:3], strings.Join(f[3:], "")), " ")
			}
			*section = append(*section, record)
		}
	}
	return r
}

// dnsZone has every type that people ask for, an answer that fits no datagram, and one made to harm
// whoever shows it.
func dnsZone() []string {
	zone := []string{
		"lab.example. 3600 SOA ns1.lab.example. hostmaster.lab.example. 2026112101 7200 900 1209600 300",
		"lab.example. 86400 NS ns1.lab.example.", "lab.example. 86400 NS ns2.lab.example.",
		"lab.example. 5400 MX 10 mx.lab.example.", "lab.example. 5400 MX 20 backup.lab.example.",
		`lab.example. 60 TXT "v=spf1 mx -all"`, `lab.example. 60 TXT "two" "strings; with \"quotes\" and \\ backslash"`,
		"mx.lab.example. 3600 A 192.0.2.25", "mx.lab.example. 3600 A 192.0.2.26", "mx.lab.example. 3600 AAAA 2001:db8::25", "mx.lab.example. 3600 AAAA ::ffff:192.0.2.1",
		"ns1.lab.example. 86400 A 192.0.2.53", "alias.lab.example. 300 CNAME mx.lab.example.", "chain.lab.example. 10 CNAME alias.lab.example.",
		"_sip._tcp.lab.example. 120 SRV 5 10 5060 sip.lab.example.", "_25._tcp.mx.lab.example. 120 TLSA 3 1 1 " + strings.Repeat("0a", 32),
		`lab.example. 120 CAA 0 issue "ca.example; policy=ev"`, "25.2.0.192.in-addr.arpa. 86400 PTR mx.lab.example.",
		"5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 86400 PTR mx.lab.example.",
		`hostile.lab.example. 60 TXT "\027[2J\027]0;owned\007\155\226\128\174\255\000\127"`, `evil\027\[2J\;\"\(\@.lab.example. 60 A 192.0.2.66`,
		`ptr.lab.example. 60 PTR \027\[31mred\010line\032two.lab.example.`,
	}
	for n := range 60 {
		zone = append(zone, fmt.Sprintf(`big.lab.example. 60 TXT "%02d%s"`, n, strings.Repeat("x", 240)))
	}
	return zone
}

// What dig shows is what BIND's dig shows, record by record, and nslookup the part of it that it
// was asked for.
func TestAnswersEqualBIND(t *testing.T) {
	t.Parallel()
	netnstest.Tool(t, "dig")
	ns := netnstest.New(t)
	zone := nameserver.Zone(t, dnsZone()...)
	glue, err := dns.NewRR("ns1.lab.example. 86400 A 192.0.2.53")
	if err != nil {
		t.Fatal(err)
	}
	nameserver.Serve(t, ns, dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		switch q.Question[0].Name {
		case "broken.lab.example.":
			m.Rcode = dns.RcodeServerFailure
		case "refused.lab.example.":
			m.Rcode = dns.RcodeRefused
		case "signed.lab.example.":
			m.RecursionAvailable, m.AuthenticatedData, m.Ns, m.Extra, m.Compress = true, true, []dns.RR{glue}, []dns.RR{glue, glue}, true
			m.Answer = []dns.RR{glue}
		default:
			zone(w, q)
			return
		}
		nameserver.Reply(w, q, m)
	}))
	b := &bed{appliance.Start(t, appliance.Options{Network: ns, Files: map[string]string{"/etc/resolv.conf": nameserver.ResolvConf}}), t, ns}
	for _, c := range []struct{ name, kind string }{
		{"mx.lab.example", "A"}, {"mx.lab.example", "AAAA"}, {"lab.example", "MX"}, {"lab.example", "TXT"}, {"lab.example", "SOA"}, {"lab.example", "NS"},
		{"25.2.0.192.in-addr.arpa", "PTR"}, {"alias.lab.example", "CNAME"}, {"alias.lab.example", "A"}, {"chain.lab.example", "AAAA"}, {"_sip._tcp.lab.example", "SRV"},
		{"_25._tcp.mx.lab.example", "TLSA"}, {"lab.example", "CAA"}, {"MX.Lab.Example", "A"},
		{"nosuch.lab.example", "A"}, {"mx.lab.example", "SRV"}, {"broken.lab.example", "A"}, {"refused.lab.example", "A"}, {"signed.lab.example", "A"},
		{"big.lab.example", "TXT"}, {"hostile.lab.example", "TXT"}, {"ptr.lab.example", "PTR"}, {`evil\027\[2J\;\"\(\@.lab.example`, "A"},
	} {
		theirs := b.bind(c.name, c.kind)
		r := b.Local("dig '" + c.name + "' type " + c.kind + " --json")
		var ours dnsReply
		if err := json.Unmarshal([]byte(r.Out), &ours); err != nil || r.Status != 0 {
			t.Errorf("dig %s %s: %+v", c.name, c.kind, r)
			continue
		}
		if ours.Protocol != theirs.Protocol || ours.Status != theirs.Status || ours.Bytes != theirs.Bytes || !slices.Equal(ours.Flags, theirs.Flags) {
			t.Errorf("%s %s: ours %s %s %d %v, BIND's %s %s %d %v", c.name, c.kind, ours.Protocol, ours.Status, ours.Bytes, ours.Flags,
				theirs.Protocol, theirs.Status, theirs.Bytes, theirs.Flags)
		}
		for section, pair := range map[string][2][]dnsRecord{"answer": {ours.Answer, theirs.Answer}, "authority": {ours.Authority, theirs.Authority},
			"additional": {ours.Additional, theirs.Additional}} {
			if !slices.Equal(pair[0], pair[1]) {
				t.Errorf("%s %s, %s:\nours   %+v\nBIND's %+v", c.name, c.kind, section, pair[0], pair[1])
			}
		}
		for _, line := range []string{"dig '" + c.name + "' type " + c.kind, "nslookup '" + c.name + "' type " + c.kind} {
			if text := b.Local(line); strings.ContainsFunc(text.Out+text.Err, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f }) {
				t.Errorf("%s lets through what could harm a terminal: %q", line, text.Out)
			}
		}
		if slices.Contains([]string{"SRV", "TLSA", "CAA"}, c.kind) {
			continue // which nslookup does not offer
		}
		b.nslookupEquals(c.name, c.kind, theirs)
	}
	if theirs := b.bind("big.lab.example", "TXT"); theirs.Protocol != "tcp" || len(theirs.Answer) != 60 {
		t.Errorf("the large answer came over %s with %d records", theirs.Protocol, len(theirs.Answer))
	}
}

// nslookupEquals compares nslookup with an answer of BIND's dig.
func (b *bed) nslookupEquals(name, kind string, theirs dnsReply) {
	b.t.Helper()
	r := b.Local("nslookup '" + name + "' type " + kind + " --json")
	status := map[string]int{"NOERROR": 0, "NXDOMAIN": 4}
	want, known := status[theirs.Status]
	if !known {
		want = 1
	}
	if want == 0 && len(theirs.Answer) == 0 {
		want = 4
	}
	if r.Status != want {
		b.t.Errorf("nslookup %s %s ends with %d, not %d: %s", name, kind, r.Status, want, r.Err)
	}
	if want != 0 {
		return
	}
	var rows []struct {
		Name, Type, Value string
		TTL               int
	}
	if err := json.Unmarshal([]byte(r.Out), &rows); err != nil {
		b.t.Fatalf("nslookup %s %s: %v", name, kind, err)
	}
	mine, peer := map[string]int{}, map[string]int{}
	for _, r := range rows {
		mine[row(r.Name, r.Type, r.TTL, r.Value)]++
	}
	for _, r := range theirs.Answer {
		peer[row(r.Name, r.Type, r.TTL, r.Data)]++
	}
	if !maps.Equal(mine, peer) {
		b.t.Errorf("nslookup %s %s: %v, BIND's dig %v", name, kind, mine, peer)
	}
}
