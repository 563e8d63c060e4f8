package filter

import (
	"bytes"
	"errors"
	"flag"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"diagsh/internal/netnstest"
)

var (
	differentialCount = flag.Int("expressions", 3000, "how many expressions TestDifferential compares with tcpdump")
	differentialSeed  = flag.Uint64("seed", 1, "seed of the generated expressions and packets")
)

// differentialLinks are the link types that are compared, Ethernet more than the others.
var differentialLinks = []LinkType{
	EN10MB, EN10MB, EN10MB, EN10MB, Raw, LinuxSLL, LinuxSLL2, Null, Loop, PPP, IEEE80211, IEEE80211Radio, IPv4, IPv6,
}

// paddedLength is more than any filter of the chooser looks at. On a packet that ends
// earlier the order of the tests decides, and libpcap disagrees with itself.
const paddedLength = 2000

// A libpcapProgram is what tcpdump -ddd says: a program, or why there is none.
type libpcapProgram struct {
	program *Program
	refusal string
}

func tcpdumpProgram(t testing.TB, tcpdump, expression string, link LinkType, optimise bool) libpcapProgram {
	t.Helper()
	args := []string{"-ddd", "-y", link.String()}
	if !optimise {
		args = append(args, "-O")
	}
	command := exec.Command(tcpdump, append(args, "--", expression)...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
			t.Fatalf("tcpdump: %v", err)
		}
		return libpcapProgram{refusal: strings.TrimSpace(stderr.String())}
	}
	var p Program
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	for _, line := range lines[1:] {
		p.Instructions = append(p.Instructions, parseInstruction(t, line))
	}
	return libpcapProgram{program: &p}
}

// generatedPackets are the padded packets of a link type, with their length on the wire.
func generatedPackets(g chooser, link LinkType, n int) []corpusPacket {
	packets := make([]corpusPacket, n)
	for i := range packets {
		data := g.packet(link)
		packets[i].meta.Length = uint32(len(data))
		for len(data) < paddedLength {
			data = append(data, byte(g.IntN(256)))
		}
		packets[i].data = data
	}
	return packets
}

// TestDifferential compares verdicts and programs with those of tcpdump, which
// are those of the libpcap it was linked with.
func TestDifferential(t *testing.T) {
	tcpdump := netnstest.Tool(t, "tcpdump")
	g := newChooser(*differentialSeed)
	packets := make(map[LinkType][]corpusPacket)
	for _, link := range differentialLinks {
		if packets[link] == nil {
			packets[link] = generatedPackets(g, link, 300)
		}
	}
	type question struct {
		link       LinkType
		expression string
	}
	questions := make(chan question)
	var mutex sync.Mutex
	var tally differentialTally
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for q := range questions {
				d := compareWithTcpdump(t, tcpdump, q.link, q.expression, packets[q.link])
				mutex.Lock()
				tally.count(t, d)
				mutex.Unlock()
			}
		})
	}
	for i := range *differentialCount {
		link := differentialLinks[i%len(differentialLinks)]
		questions <- question{link, g.expression(link)}
	}
	close(questions)
	workers.Wait()
	t.Logf("%d expressions, %d accepted by both, %d refused by both, %d decisions on packets, %d of them to accept; "+
		"libpcap is wrong by its own standard on %d expressions; %d differences are not explained",
		*differentialCount, tally.accepted, tally.refused, tally.decisions, tally.matches, tally.libpcapWrong, tally.unexplained)
	if tally.accepted < *differentialCount/4 || tally.matches < tally.decisions/100 {
		t.Error("too few expressions are accepted, or match, to say much")
	}
}

// A difference between tcpdump and this package on one expression.
type difference struct {
	link       LinkType
	expression string
	what       string // empty: none
	accepted   bool   // by both
	decisions  int
	matches    int
	// libpcapWrong: its optimised program decides otherwise than its unoptimised one, which
	// agrees with ours, or it takes offsets from scratch words that it has not written.
	libpcapWrong bool
}

// writesBeforeReading is false for the programs that libpcap makes of pppoes and
// geneve on 802.11: what they match depends on what was in memory.
func writesBeforeReading(p *Program) bool {
	ready, why := p.KernelReady()
	return ready || !strings.Contains(why, "scratch word")
}

func compareWithTcpdump(t testing.TB, tcpdump string, link LinkType, expression string, packets []corpusPacket) difference {
	d := difference{link: link, expression: expression}
	theirs := tcpdumpProgram(t, tcpdump, expression, link, true)
	ours, err := Compile(expression, Target{LinkType: link, SnapLength: corpusSnapLength})
	switch {
	case err == nil && theirs.program == nil:
		d.what = "accepted; tcpdump: " + theirs.refusal
		return d
	case err != nil && theirs.program != nil:
		d.what = "refused: " + err.Error()
		return d
	case err != nil:
		return d
	}
	d.accepted = true
	var unoptimised *Program
	for i := range packets {
		p := &packets[i]
		want := theirs.program.Match(p.data, p.meta)
		d.decisions++
		if want != 0 {
			d.matches++
		}
		got := ours.Match(p.data, p.meta)
		if got == want {
			continue
		}
		if unoptimised == nil {
			unoptimised = tcpdumpProgram(t, tcpdump, expression, link, false).program
		}
		if unoptimised.Match(p.data, p.meta) == got || !writesBeforeReading(theirs.program) {
			d.libpcapWrong = true
			continue
		}
		d.what = "keeps other packets than tcpdump, the first is " + hexDump(p)
		return d
	}
	return d
}

type differentialTally struct {
	accepted, refused, decisions, matches int
	libpcapWrong, unexplained             int
}

// shownDifferences is how many differences are shown in full.
const shownDifferences = 20

func (tally *differentialTally) count(t testing.TB, d difference) {
	tally.decisions += d.decisions
	tally.matches += d.matches
	switch {
	case d.what == "" && d.accepted:
		tally.accepted++
	case d.what == "":
		tally.refused++
	}
	if d.libpcapWrong {
		tally.libpcapWrong++
	}
	if d.what == "" {
		return
	}
	tally.unexplained++
	switch {
	case tally.unexplained <= shownDifferences:
		t.Errorf("%s: %s\n\t%s", d.link, d.expression, d.what)
	default:
		t.Fail()
	}
}

// optimiserTraps are expressions that an optimiser has changed the meaning of; on
// the first, libpcap's still does.
var optimiserTraps = []string{
	"src net 2001:db8::/125 and net 2001:db8::/125",
	"ip or (vlan and ip)",
	"ether proto 0x0800 or (vlan and ether proto 0x0800)",
	"ether[0] & 0xffffffff = 0",
	"src net 192.0.2.8/29 and not dst net 192.0.2.8/29 and net 192.0.2.8/29",
}

// TestOptimiserKeepsTheMeaning compares the package with itself: the optimised and the
// unoptimised program decide the same on every complete packet with all its metadata.
func TestOptimiserKeepsTheMeaning(t *testing.T) {
	g := newChooser(*differentialSeed + 1)
	const rounds = 400
	compared := 0
	for n, link := range differentialLinks {
		packets := generatedPackets(g, link, 150)
		var expressions []string
		if n == 0 {
			expressions = optimiserTraps
		}
		for range rounds {
			expressions = append(expressions, g.expression(link))
		}
		for _, expression := range expressions {
			target := Target{LinkType: link, SnapLength: corpusSnapLength, Kind: pick(g, Dead, Savefile, Live)}
			optimised, err := Compile(expression, target)
			if err != nil {
				continue
			}
			target.Unoptimised = true
			unoptimised, err := Compile(expression, target)
			if err != nil {
				t.Errorf("%s: %s: accepted only when optimised: %v", link, expression, err)
				continue
			}
			compared++
			for i := range packets {
				p := packets[i]
				p.meta = g.kernelMetadata(p)
				if got, want := optimised.Match(p.data, p.meta), unoptimised.Match(p.data, p.meta); got != want {
					t.Errorf("%s: %s (kind %d)\n\toptimised %d, unoptimised %d on %s", link, expression, target.Kind, got, want, hexDump(&p))
					break
				}
			}
		}
	}
	t.Logf("%d expressions compared", compared)
}
