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
	"diagsh/capture/pcapfile"
	"diagsh/internal/test/netnstest"
)

// corpus are the files that views are tried on: those of the filter's corpus, or all below the directory CAPTURES (make captures).
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

// What tcpdump and we both say of a packet is the same: what tcpdump has other words for than these is its own.
var shared = regexp.MustCompile(`^(ARP, (Request|Reply) |IP6? \S+ > \S+: (\[\||Flags \[|UDP, length|ICMP |ICMP6, [^R]|truncated-udplength))`)

// Lines are tcpdump's for every packet that both have words for, of every file of the corpus.
func TestLinesOfTheCorpusAreTcpdumps(t *testing.T) {
	tcpdump := netnstest.Tool(t, "tcpdump")
	compared, files := 0, 0
	for _, path := range corpus(t) {
		out, err := exec.Command(tcpdump, "-nn", "-S", "-t", "-K", "-#", "-r", path).Output()
		if err != nil && os.Getenv("CAPTURES") == "" {
			t.Fatalf("%s: %v", path, err)
		}
		lines := numbered(out)
		in, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := pcapfile.NewReader(in)
		if err != nil {
			in.Close()
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
			if !shared.MatchString(line) || d.Protocol == "unknown" || strings.Contains(got, "(0x88e5)") { // link types and MACsec are tcpdump's
				continue
			}
			compared++
			if a, b := comparable(line), comparable(got); !same(a, b) {
				t.Errorf("%s, packet %d:\n%s\nand not\n%s", path, n, b, a)
			}
		}
		in.Close()
	}
	t.Logf("%d lines of %d files", compared, files)
}

// numbered are the lines of packets by their numbers.
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

// same tells whether tcpdump's line and ours say the same, as far as tcpdump goes on.
func same(theirs, ours string) bool {
	for _, end := range []string{"[|icmp6]", "[bad opt]"} {
		if before, ends := strings.CutSuffix(theirs, end); ends {
			return strings.HasPrefix(ours, strings.TrimSpace(before)) || strings.HasSuffix(ours, end)
		}
	}
	// An address in which an IPv4 address may be meant can be written in two ways.
	if strings.Contains(theirs, "who-are-you") { // it has two names for one type
		return strings.Contains(ours, "node information")
	}
	return theirs == ours || mapped.MatchString(theirs) || strings.HasSuffix(ours, ": [|icmp6]") || strings.Contains(ours, "[|icmp]")
}

// comparable leaves out what is ours or tcpdump's alone: what it makes of the contents of a datagram or a segment by its port, and our
// notes behind a line.
func comparable(line string) string {
	line = regexp.MustCompile(` \[cut to \d+\]$`).ReplaceAllString(line, "")
	line = regexp.MustCompile(`(Flags \[.*, length \d+)[: ].*`).ReplaceAllString(line, "$1")
	if strings.Contains(line, "[bad opt]") || strings.Contains(line, "options [") && strings.Contains(line, "[|tcp]") { // tcpdump stops there
		line = line[:max(strings.Index(line, ", options"), 0)] + "[bad opt]"
	}
	line = regexp.MustCompile(`, options \[.*\]`).ReplaceAllString(line, "")
	line = regexp.MustCompile(`(ICMP.*, length \d+) \[.*`).ReplaceAllString(line, "$1")
	line = regexp.MustCompile(`ICMP (router advertisement|time stamp reply|address mask).*`).ReplaceAllString(line, "ICMP $1")
	line = regexp.MustCompile(`ICMP6, (router renumbering|who-are-you|node information|ha discovery|mobile|multicast listener).*`).ReplaceAllString(line, "ICMP6, $1")
	line = regexp.MustCompile(`, urg \d+|, RPKI-RTR`).ReplaceAllString(line, "")
	line = regexp.MustCompile(`(Flags \[[^]]*\]), seq \d+,`).ReplaceAllString(line, "$1,") // which tcpdump writes only where there are data
	line = regexp.MustCompile(`(\[\|icmp6?\]), length \d+$`).ReplaceAllString(line, "$1")
	return strings.TrimSpace(line)
}
