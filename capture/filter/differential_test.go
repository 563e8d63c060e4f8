package filter

import (
	"bytes"
	"flag"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"diagsh/internal/test/netnstest"
)

var (
	differentialCount = flag.Int("expressions", 3000, "how many expressions TestDifferential compares with tcpdump")
	differentialSeed  = flag.Uint64("seed", 1, "seed of generated expressions and packets")
)

// differentialHandles are what expressions are compiled for, Ethernet more often
// than others: a link type alone, or a capture file of that type.
var differentialHandles = []handle{
	{Target{LinkType: EN10MB}, []string{"-y", "EN10MB"}},
	{Target{LinkType: EN10MB}, []string{"-y", "EN10MB"}},
	{Target{LinkType: EN10MB}, []string{"-y", "EN10MB"}},
	{Target{LinkType: EN10MB, Kind: Savefile}, []string{"-r", corpusDir + "/packets/en10mb.pcap"}},
	{Target{LinkType: Raw}, []string{"-y", "RAW"}},
	{Target{LinkType: LinuxSLL}, []string{"-y", "LINUX_SLL"}},
	{Target{LinkType: LinuxSLL2}, []string{"-y", "LINUX_SLL2"}},
	{Target{LinkType: LinuxSLL2, Kind: Savefile}, []string{"-r", corpusDir + "/packets/sll2.pcap"}},
	{Target{LinkType: Null}, []string{"-y", "NULL"}},
	{Target{LinkType: Null, Kind: Savefile}, []string{"-r", corpusDir + "/packets/null.pcap"}},
	{Target{LinkType: Loop}, []string{"-y", "LOOP"}},
	{Target{LinkType: PPP}, []string{"-y", "PPP"}},
	{Target{LinkType: IEEE80211}, []string{"-y", "IEEE802_11"}},
	{Target{LinkType: IEEE80211Radio}, []string{"-y", "IEEE802_11_RADIO"}},
	{Target{LinkType: IPv4}, []string{"-y", "IPV4"}},
	{Target{LinkType: IPv6}, []string{"-y", "IPV6"}},
}

// A handle is what tcpdump compiles an expression for, and the same for us.
type handle struct {
	target Target
	args   []string
}

func (h handle) String() string { return fmt.Sprintf("%s (%s)", h.target.LinkType, h.target.Kind) }

// tcpdump asks tcpdump for its program; refusal is its answer if there is none.
func (h handle) tcpdump(tb testing.TB, expression string, optimise bool) (program *Program, refusal string) {
	tb.Helper()
	args := append([]string{"-ddd"}, h.args...)
	if !optimise {
		args = append(args, "-O")
	}
	command := exec.Command("tcpdump", append(args, "--", expression)...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return nil, strings.TrimSpace(stderr.String() + " (" + err.Error() + ")")
	}
	program = &Program{}
	for _, line := range strings.Split(strings.TrimSpace(stdout.String()), "\n")[1:] {
		program.Instructions = append(program.Instructions, parseInstruction(tb, line))
	}
	return program, ""
}

// paddedLength is more than any filter of the chooser looks at. On a packet that ends
// earlier the order of the tests decides, and libpcap disagrees with itself.
const paddedLength = 2000

// explanations are differences that no packet shows to be libpcap's mistake.
var explanations = []struct {
	reason string
	shows  func(expression, difference string) bool
}{
	{
		"after libpcap has turned a test round it goes on with what it knew about its sides before, " +
			"and does not see, or sees wrongly, what a net of IPv6 says about the same net",
		func(expression, _ string) bool { return strings.Count(expression, "net 2001:db8::/125") > 1 },
	},
	{
		"libpcap's optimiser loses the end of a jump in its test for a VLAN tag in metadata",
		func(_, difference string) bool {
			return strings.Contains(difference, "no destination found for block-local relative jump")
		},
	},
}

// generatedPackets returns the padded packets of a link type, with their length on the wire.
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

// TestDifferential compares verdicts and programs with those of libpcap, which tcpdump is linked with.
func TestDifferential(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of cases, or a peer for each")
	}
	t.Parallel()
	netnstest.Tool(t, "tcpdump")
	g := newChooser(*differentialSeed)
	packets := make(map[LinkType][]corpusPacket)
	for _, h := range differentialHandles {
		if link := h.target.LinkType; packets[link] == nil {
			packets[link] = generatedPackets(g, link, 300)
		}
	}
	type question struct {
		handle
		expression string
	}
	questions := make(chan question)
	differences := make(chan difference)
	var workers sync.WaitGroup
	for range 2 {
		peer := newLibpcap(t)
		workers.Go(func() {
			for q := range questions {
				differences <- q.compare(peer.ask, q.expression, packets[q.target.LinkType])
			}
		})
	}
	go func() {
		for i := range *differentialCount {
			h := differentialHandles[i%len(differentialHandles)]
			questions <- question{h, g.expression(h.target.LinkType)}
		}
		close(questions)
		workers.Wait()
		close(differences)
	}()
	var tally differentialTally
	for d := range differences {
		tally.count(t, d)
	}
	tally.report(t)
}

// TestDifferentialLive compares what is compiled for an interface, where VLAN tags and
// more are metadata of a packet.
//
// It mostly waits for the kernel to open and close devices, as the live captures do.
func TestDifferentialLive(t *testing.T) {
	t.Parallel()
	netnstest.Tool(t, "tcpdump")
	ns := netnstest.New(t)
	ns.Veth(t, "left", "right")
	g := newChooser(*differentialSeed + 2)
	packets := generatedPackets(g, EN10MB, 300)
	for i := range packets {
		packets[i].meta = g.kernelMetadata(packets[i])
	}
	var tally differentialTally
	live := handle{Target{LinkType: EN10MB, Kind: Live}, []string{"-i", "left"}}
	tcpdump := func(h handle, expression string, optimise bool) (*Program, string) {
		return h.tcpdump(t, expression, optimise)
	}
	ns.Do(t, func() {
		for range *differentialCount / 12 {
			e := g.expression(EN10MB)
			if g.chance(2) {
				e = g.encapsulation() + " " + g.connective() + " " + e
			}
			tally.count(t, live.compare(tcpdump, e, packets))
		}
	})
	tally.report(t)
}

// A difference between tcpdump and this package on one expression.
type difference struct {
	handle
	expression string
	what       string // empty: none
	accepted   bool   // by both
	decisions  int
	matches    int
	// libpcapWrong: its optimised program decides otherwise than its unoptimised one, which agrees
	// with ours, or it takes offsets from scratch words that it has not written, or on 802.11 from
	// one that it has overwritten.
	libpcapWrong bool
}

// changesMeaning reports whether libpcap's optimiser decides otherwise on a packet than the
// expression says; no optimised program is one that it thinks rejects all packets.
func changesMeaning(optimised, unoptimised *Program, packets []corpusPacket) bool {
	for _, p := range packets {
		matches := optimised != nil && optimised.Match(p.data, p.meta) != 0
		if matches != (unoptimised.Match(p.data, p.meta) != 0) {
			return true
		}
	}
	return false
}

// writesBeforeReading is false for the programs that libpcap makes of pppoes and
// geneve on 802.11: what they match depends on what was in memory.
func writesBeforeReading(p *Program) bool {
	ready, why := p.KernelReady()
	return ready || !strings.Contains(why, "scratch word")
}

// headerFirst returns the same expression with a look after the header in front that changes
// nothing. On 802.11 libpcap then takes the scratch word for the header's length before arithmetic
// does; where it does so afterwards, arithmetic overwrites it.
func headerFirst(expression string) string { return "(ip or not ip) and (" + expression + ")" }

// An asker returns what a peer compiles an expression to, and its refusal if there is no program.
type asker func(h handle, expression string, optimise bool) (program *Program, refusal string)

func (h handle) compare(ask asker, expression string, packets []corpusPacket) difference {
	d := difference{handle: h, expression: expression}
	theirs, refusal := ask(h, expression, true)
	ours, err := Compile(expression, h.target)
	if (err == nil) != (theirs != nil) {
		unoptimised, _ := ask(h, expression, false)
		switch {
		case unoptimised != nil && changesMeaning(theirs, unoptimised, packets):
			d.libpcapWrong = true
		case err == nil:
			d.what = "accepted; " + refusal
		default:
			d.what = "refused: " + err.Error()
		}
		return d
	}
	if err != nil {
		return d
	}
	d.accepted = true
	var unoptimised *Program
	for i := range packets {
		p := &packets[i]
		want := theirs.Match(p.data, p.meta)
		d.decisions++
		if want != 0 {
			d.matches++
		}
		got := ours.Match(p.data, p.meta)
		if got == want {
			continue
		}
		if unoptimised == nil {
			unoptimised, _ = ask(h, expression, false)
		}
		if unoptimised.Match(p.data, p.meta) == got || !writesBeforeReading(theirs) {
			d.libpcapWrong = true
			continue
		}
		if link := h.target.LinkType; link == IEEE80211 || link == IEEE80211Radio {
			if turned, _ := ask(h, headerFirst(expression), true); turned != nil &&
				(turned.Match(p.data, p.meta) != 0) == (got != 0) {
				d.libpcapWrong = true
				continue
			}
		}
		d.what = "keeps other packets than tcpdump, the first is " + hexDump(p)
		return d
	}
	return d
}

type differentialTally struct {
	accepted, refused, decisions, matches int
	libpcapWrong, explained, unexplained  int
}

func (tally *differentialTally) report(t testing.TB) {
	expressions := tally.accepted + tally.refused + tally.explained + tally.unexplained
	t.Logf("%d expressions, %d accepted by both, %d refused by both, %d decisions on packets, %d of them to accept; "+
		"libpcap is wrong by its own standard on %d expressions; %d other differences are explained, %d are not",
		expressions, tally.accepted, tally.refused, tally.decisions, tally.matches, tally.libpcapWrong, tally.explained,
		tally.unexplained)
	if tally.accepted < expressions/4 || tally.matches < tally.decisions/100 {
		t.Error("too few expressions are accepted, or match, to say much")
	}
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
	for _, e := range explanations {
		if e.shows(d.expression, d.what) {
			tally.explained++
			t.Logf("%s: %s\n\t%s: %s", d.handle, d.expression, d.what, e.reason)
			return
		}
	}
	tally.unexplained++
	if tally.unexplained <= shownDifferences {
		t.Errorf("%s: %s\n\t%s", d.handle, d.expression, d.what)
	} else {
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
	if testing.Short() {
		t.Skip("thousands of cases, or a peer for each")
	}
	t.Parallel()
	g := newChooser(*differentialSeed + 1)
	const rounds = 400
	compared := 0
	for n, h := range differentialHandles {
		link := h.target.LinkType
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
					t.Errorf("%s: %s (kind %d)\n\toptimised %d, unoptimised %d on %s", link, expression, target.Kind,
						got, want, hexDump(&p))
					break
				}
			}
		}
	}
	t.Logf("%d expressions compared", compared)
}
