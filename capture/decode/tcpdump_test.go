package decode

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/packetfile"
)

// corpus returns the files that views are tested with: those of the filter's corpus, or all below
// the directory CAPTURES (make captures).
func corpus(t testing.TB) (files []string) {
	t.Helper()
	root := os.Getenv("CAPTURES")
	if root == "" {
		root = filepath.Join("..", "filter", "testdata", "corpus", "packets")
	}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && (os.Getenv("CAPTURES") != "" || strings.HasSuffix(path, ".pcap")) {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no files: %v", root, err)
	}
	return files
}

// shared matches what tcpdump and this package both describe. Where tcpdump has other words than
// these, the two differ.
var shared = regexp.MustCompile(
	`^(ARP, (Request|Reply) |IP6? \S+ > \S+: (\[\||Flags \[|UDP, length|ICMP |ICMP6, [^R]|truncated-udplength))`)

// TestLinesOfTheCorpusAreTcpdumps: lines are tcpdump's for every packet that both have words for,
// in every file of the corpus.
func TestLinesOfTheCorpusAreTcpdumps(t *testing.T) {
	tcpdump := netnstest.Tool(t, "tcpdump")
	compared, files := 0, 0
	for _, path := range corpus(t) {
		out, err := exec.Command(tcpdump, "-nn", "-S", "-t", "-K", "-#", "-r", path).Output()
		if err != nil && os.Getenv("CAPTURES") == "" {
			t.Fatalf("%s: %v", path, err)
		}
		lines := numbered(out)
		r, err := packetfile.Try(t, path)
		if err != nil {
			if len(out) > 0 {
				t.Errorf("%s: %v, and tcpdump reads it", path, err)
			}
			continue
		}
		files++
		for n := 1; ; n++ {
			var p capture.Packet
			err := r.Next(&p)
			line, more := lines[n]
			if err != nil {
				if more && (errors.Is(err, io.EOF) || os.Getenv("CAPTURES") == "") {
					t.Errorf("%s ends with packet %d, %v; tcpdump goes on", path, n-1, err)
				}
				break
			}
			i := r.Interfaces()[p.Interface]
			i.Name, p.Direction = "", capture.DirectionUnknown
			d := Decode(1, &p, i, Line)
			got := strings.TrimSpace(text(d)[len("15:04:05.000000 "):])
			// these link types and MACsec are tcpdump's alone
			if !shared.MatchString(line) || d.Protocol == "unknown" || strings.Contains(got, "(0x88e5)") {
				continue
			}
			compared++
			if a, b := comparable(line), comparable(got); !same(a, b) {
				t.Errorf("%s, packet %d:\n%s\nand not\n%s", path, n, b, a)
			}
		}
	}
	t.Logf("%d lines of %d files", compared, files)
}

// numbered returns the lines of packets by their numbers.
func numbered(out []byte) map[int]string {
	lines := map[int]string{}
	for line := range strings.Lines(string(out)) {
		if m := regexp.MustCompile(`^ *(\d+)  (.*)`).FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			lines[n] = strings.TrimSpace(m[2])
		}
	}
	return lines
}

var mapped = regexp.MustCompile(`(^| )::\d+\.\d+\.\d+\.\d+`)

// same reports whether tcpdump's line and ours say the same, up to tcpdump's end.
func same(theirs, ours string) bool {
	for _, end := range []string{"[|icmp6]", "[bad opt]"} {
		if before, ends := strings.CutSuffix(theirs, end); ends {
			return strings.HasPrefix(ours, strings.TrimSpace(before)) || strings.HasSuffix(ours, end)
		}
	}
	// An address that may contain an IPv4 address can be written in two ways.
	if strings.Contains(theirs, "who-are-you") { // it has two names for one type
		return strings.Contains(ours, "node information")
	}
	return theirs == ours || mapped.MatchString(theirs) || strings.HasSuffix(ours, ": [|icmp6]") ||
		strings.Contains(ours, "[|icmp]")
}

// comparable removes what only one of us writes: what tcpdump makes of a datagram's or segment's
// content by its port, and our notes after a line.
func comparable(line string) string {
	line = regexp.MustCompile(` \[cut to \d+\]$`).ReplaceAllString(line, "")
	line = regexp.MustCompile(`(Flags \[.*, length \d+)[: ].*`).ReplaceAllString(line, "$1")
	// tcpdump stops there
	if strings.Contains(line, "[bad opt]") || strings.Contains(line, "options [") && strings.Contains(line, "[|tcp]") {
		line = line[:max(strings.Index(line, ", options"), 0)] + "[bad opt]"
	}
	line = regexp.MustCompile(`, options \[.*\]`).ReplaceAllString(line, "")
	line = regexp.MustCompile(`(ICMP.*, length \d+) \[.*`).ReplaceAllString(line, "$1")
	line = regexp.MustCompile(`ICMP (router advertisement|time stamp reply|address mask).*`).ReplaceAllString(line,
		"ICMP $1")
	line = regexp.MustCompile(
		`ICMP6, (router renumbering|who-are-you|node information|ha discovery|mobile|multicast listener).*`).ReplaceAllString(line, "ICMP6, $1")
	line = regexp.MustCompile(`, urg \d+|, RPKI-RTR`).ReplaceAllString(line, "")
	// which tcpdump writes only if there are data
	line = regexp.MustCompile(`(Flags \[[^]]*\]), seq \d+,`).ReplaceAllString(line, "$1,")
	line = regexp.MustCompile(`(\[\|icmp6?\]), length \d+$`).ReplaceAllString(line, "$1")
	return strings.TrimSpace(line)
}
