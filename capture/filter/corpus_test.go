package filter

import (
	"bufio"
	"bytes"
	"compress/gzip"
	endian "encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const corpusDir = "testdata/corpus"

// A corpusContext is one way the corpus was compiled by libpcap: see
// testdata/corpus/contexts.tsv.
type corpusContext struct {
	name    string
	packets string // the file without .pcap
	target  Target
}

// corpusSnapLength is the snapshot length of all contexts but one.
const corpusSnapLength = 262144

var corpusContexts = []corpusContext{
	{"en10mb", "en10mb", Target{LinkType: EN10MB}},
	{"raw", "raw", Target{LinkType: Raw}},
	{"sll2", "sll2", Target{LinkType: LinuxSLL2}},
	{"radiotap", "radiotap", Target{LinkType: IEEE80211Radio}},
	{"en10mb-live", "en10mb-live", Target{LinkType: EN10MB, Kind: Live}},
	{"sll", "sll", Target{LinkType: LinuxSLL}},
	{"null", "null", Target{LinkType: Null}},
	{"null-file", "null", Target{LinkType: Null, Kind: Savefile}},
	{"loop", "loop", Target{LinkType: Loop}},
	{"ppp", "ppp", Target{LinkType: PPP}},
	{"ieee802_11", "ieee802_11", Target{LinkType: IEEE80211}},
	{"en10mb-file", "en10mb", Target{LinkType: EN10MB, Kind: Savefile}},
	{"sll2-file", "sll2", Target{LinkType: LinuxSLL2, Kind: Savefile}},
	{"en10mb-mask24", "en10mb", Target{LinkType: EN10MB, Netmask: 0xffffff00}},
	{"en10mb-nomask", "en10mb", Target{LinkType: EN10MB, NetmaskUnknown: true}},
	{"en10mb-snap96", "en10mb", Target{LinkType: EN10MB, SnapLength: 96}},
	{"compile-ipv4", "raw", Target{LinkType: IPv4}},
	{"compile-ipv6", "raw", Target{LinkType: IPv6}},
}

// corpusTarget returns the target of a context with the names of the corpus.
func (c corpusContext) corpusTarget(names Names) Target {
	t := c.target
	t.Names = names
	if t.SnapLength == 0 {
		t.SnapLength = corpusSnapLength
	}
	return t
}

func corpusNames(tb testing.TB) Names {
	tb.Helper()
	names, err := ReadNames(filepath.Join(corpusDir, "names"))
	if err != nil {
		tb.Fatal(err)
	}
	return names
}

// An expression of the corpus, with what it is for.
type corpusExpression struct {
	id, class, family, text string
}

// A corpusPacket is a packet with its metadata, and how it came about: whole,
// snapped (cut by a snapshot length between headers), mutated or cut anywhere.
type corpusPacket struct {
	data []byte
	meta Metadata
	kind string
}

// A corpusResult is what libpcap made of an expression in one context.
type corpusResult struct {
	ID    string `json:"id"`
	OK    bool   `json:"ok"`
	OK0   *bool  `json:"ok0"`
	Nopt  int    `json:"nopt"`
	Acc   int    `json:"acc"`
	Steps int    `json:"steps"`
	Bits  string `json:"bits"`
	Udiff []int  `json:"udiff"`

	Uninitialised bool   `json:"uninit"`
	Optimised     string `json:"opt"`
	Unoptimised   string `json:"uno"`
}

func readCorpusExpressions(tb testing.TB) map[string]corpusExpression {
	tb.Helper()
	expressions := make(map[string]corpusExpression)
	for _, line := range strings.Split(string(readGzip(tb, filepath.Join(corpusDir, "expressions.tsv.gz"))), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.SplitN(line, "\t", 4)
		if len(fields) != 4 {
			tb.Fatalf("bad line in expressions.tsv.gz: %q", line)
		}
		expressions[fields[0]] = corpusExpression{fields[0], fields[1], fields[2], corpusUnescape(tb, fields[3])}
	}
	return expressions
}

// corpusUnescape undoes \\, \t, \n, \r and \xNN; nothing else is an escape.
func corpusUnescape(tb testing.TB, s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case '\\':
			b.WriteByte('\\')
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'x':
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				tb.Fatalf("bad escape in %q", s)
			}
			b.WriteByte(byte(n))
			i += 2
		default:
			tb.Fatalf("bad escape in %q", s)
		}
	}
	return b.String()
}

func readCorpusResults(tb testing.TB, context string) []corpusResult {
	tb.Helper()
	data := readGzip(tb, filepath.Join(corpusDir, "results", context+".jsonl.gz"))
	var results []corpusResult
	for d := json.NewDecoder(bytes.NewReader(data)); ; {
		var r corpusResult
		if err := d.Decode(&r); err == io.EOF {
			return results
		} else if err != nil {
			tb.Fatalf("%s: %v", context, err)
		}
		results = append(results, r)
	}
}

// accepted returns the set of packets that libpcap's program accepts. The contexts without packets
// have only the program itself, which is then run here.
func (r corpusResult) accepted(tb testing.TB, packets []corpusPacket) (accepted packetSet, disagree []int) {
	tb.Helper()
	if r.Bits != "" {
		return parsePacketSet(tb, r.Bits), r.Udiff
	}
	accepted, _ = acceptedPackets(parseCorpusProgram(tb, r.Optimised), packets)
	unoptimised, _ := acceptedPackets(parseCorpusProgram(tb, r.Unoptimised), packets)
	for i := range packets {
		if accepted.has(i) != unoptimised.has(i) {
			disagree = append(disagree, i)
		}
	}
	return accepted, disagree
}

func readGzip(tb testing.TB, path string) []byte {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func readCorpusPackets(tb testing.TB, c corpusContext) []corpusPacket {
	tb.Helper()
	path := filepath.Join(corpusDir, "packets", c.packets)
	packets := readPcap(tb, path+".pcap")
	readPacketKinds(tb, path+".kind", packets)
	if c.target.Kind == Live {
		readPacketMetadata(tb, path+".aux", packets)
	}
	return packets
}

// readPcap reads a little-endian pcap file with microseconds.
func readPcap(tb testing.TB, path string) []corpusPacket {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if len(data) < 24 || endian.LittleEndian.Uint32(data) != 0xa1b2c3d4 {
		tb.Fatalf("%s is not a little-endian pcap file", path)
	}
	var packets []corpusPacket
	for data = data[24:]; len(data) > 0; {
		captured, length := endian.LittleEndian.Uint32(data[8:]), endian.LittleEndian.Uint32(data[12:])
		packets = append(packets, corpusPacket{data: data[16 : 16+captured : 16+captured],
			meta: Metadata{Length: length}})
		data = data[16+captured:]
	}
	return packets
}

// readPacketKinds reads lines "first-last kind".
func readPacketKinds(tb testing.TB, path string, packets []corpusPacket) {
	for _, fields := range readLines(tb, path) {
		var first, last int
		if _, err := fmt.Sscanf(fields[0], "%d-%d", &first, &last); err != nil {
			tb.Fatalf("%s: %v", path, err)
		}
		for i := first; i <= last; i++ {
			packets[i].kind = fields[1]
		}
	}
}

// readPacketMetadata reads lines "vlan_present vlan_tci pkttype ifindex".
func readPacketMetadata(tb testing.TB, path string, packets []corpusPacket) {
	for i, fields := range readLines(tb, path) {
		var n [4]int
		for j := range n {
			var err error
			if n[j], err = strconv.Atoi(fields[j]); err != nil {
				tb.Fatalf("%s: %v", path, err)
			}
		}
		p := &packets[i]
		p.meta.Kernel = true
		p.meta.VLANPresent, p.meta.VLANTCI = n[0] != 0, uint16(n[1])
		p.meta.PacketType, p.meta.Interface = uint8(n[2]), uint32(n[3])
		if len(p.data) >= 14 {
			p.meta.Protocol = endian.BigEndian.Uint16(p.data[12:])
		}
	}
}

func readLines(tb testing.TB, path string) [][]string {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var lines [][]string
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, strings.Fields(s.Text()))
	}
	return lines
}

// parseCorpusProgram reads "code jt jf k;code jt jf k…".
func parseCorpusProgram(tb testing.TB, s string) *Program {
	tb.Helper()
	var p Program
	for line := range strings.SplitSeq(s, ";") {
		p.Instructions = append(p.Instructions, parseInstruction(tb, line))
	}
	return &p
}

// parseInstruction reads "code jt jf k", the numbers of `tcpdump -ddd`.
func parseInstruction(tb testing.TB, s string) Instruction {
	tb.Helper()
	var n [4]uint64
	fields := strings.Fields(s)
	if len(fields) != len(n) {
		tb.Fatalf("not an instruction: %q", s)
	}
	for i, bits := range []int{16, 8, 8, 32} {
		var err error
		if n[i], err = strconv.ParseUint(fields[i], 10, bits); err != nil {
			tb.Fatalf("not an instruction: %q: %v", s, err)
		}
	}
	return Instruction{uint16(n[0]), uint8(n[1]), uint8(n[2]), uint32(n[3])}
}

// A packetSet has a bit for every packet of a file.
type packetSet []byte

func newPacketSet(n int) packetSet { return make(packetSet, (n+7)/8) }
func (s packetSet) has(i int) bool { return s[i/8]&(1<<(i%8)) != 0 }
func (s packetSet) add(i int)      { s[i/8] |= 1 << (i % 8) }
func (s packetSet) flip(i int)     { s[i/8] ^= 1 << (i % 8) }
func parsePacketSet(tb testing.TB, s string) packetSet {
	tb.Helper()
	set, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}
