package decode

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"

	"diagsh/capture"
	"diagsh/internal/test/packetfile"
)

// TestNothingIsSaidOfWhatIsCut: wherever a packet is cut, nothing is said about it that the whole
// packet contradicts, on any level, in text and in records.
func TestNothingIsSaidOfWhatIsCut(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of cases, or a peer for each")
	}
	check := func(name string, p *capture.Packet, i capture.Interface) {
		whole := Decode(1, p, i, All)
		for n := range min(len(p.Data), 300) {
			short := *p
			short.Data = p.Data[:n:n]
			got := Decode(1, &short, i, All)
			if fault := contradiction(p, &short, i, whole, got); fault != "" {
				t.Errorf("%s (%x) cut to %d bytes: %s\n%sand whole:\n%s", name, p.Data, n, fault, text(got),
					text(whole))
				return
			}
		}
	}
	for name, data := range packets(t) {
		check(name, packet(data), ethernet)
	}
	for _, name := range []string{"en10mb", "raw", "sll", "sll2", "null", "ppp", "loop", "ieee802_11", "radiotap"} {
		eachPacket(t, filepath.Join("..", "filter", "testdata", "corpus", "packets", name+".pcap"),
			func(n int, p *capture.Packet, i capture.Interface) {
				if n%corpusStep == 0 {
					check(fmt.Sprintf("%s, packet %d", name, n), p, i)
				}
			})
	}
	if os.Getenv("CAPTURES") == "" {
		return
	}
	for _, path := range corpus(t) {
		eachPacket(t, path, func(n int, p *capture.Packet, i capture.Interface) {
			if n <= 40 {
				check(fmt.Sprintf("%s, packet %d", path, n), p, i)
			}
		})
	}
}

// corpusStep selects one of so many packets of the filter's corpus, which is cut everywhere.
const corpusStep = 25

// eachPacket reads a file of the corpus.
func eachPacket(t testing.TB, path string, see func(int, *capture.Packet, capture.Interface)) {
	t.Helper()
	r, err := packetfile.Try(t, path)
	if err != nil {
		if os.Getenv("CAPTURES") == "" {
			t.Fatal(err)
		}
		return
	}
	var p capture.Packet
	for n := 1; r.Next(&p) == nil; n++ {
		kept := p
		kept.Data = bytes.Clone(p.Data)
		see(n, &kept, r.Interfaces()[p.Interface])
	}
}

// contradiction returns a statement about a cut packet that is not made about the whole one, or "".
func contradiction(p, short *capture.Packet, i capture.Interface, whole, got *Packet) string {
	if got.Length != whole.Length || !strings.HasPrefix(whole.Bytes, got.Bytes) {
		return "its length, or its bytes"
	}
	if what := layersContradict(whole, got); what != "" {
		return what
	}
	// The line is compared with that of the whole packet, described as deep as the cut one is.
	full, part := &stack{packet: p}, &stack{packet: short}
	full.decode(i.LinkType)
	part.decode(i.LinkType)
	deep := min(len(part.layers), len(full.layers))
	switch part.cut {
	case layers.LayerTypeDNS:
		if got.Protocol == "DNS" {
			deep = min(deep+1, len(full.layers)) // its question
		}
	case layers.LayerTypeTCP, layers.LayerTypeUDP, layers.LayerTypeSCTP:
		deep = min(deep+1, len(full.layers)) // its ports
	}
	if part.cut == layers.LayerTypeDNS && got.Protocol == "DNS" && deep == len(part.layers) {
		return "" // the whole one is too long to be decoded
	}
	if full.cut != 0 && deep == len(full.layers) || full.bad != 0 && full.bad == part.cut {
		return "" // the whole one is cut there, or wrong, too
	}
	at := &stack{packet: p, layers: full.layers[:deep], lengths: full.lengths[:deep], wire: full.wire}
	if deep < len(full.lengths) {
		at.wire = full.lengths[deep]
	} else {
		at.bad, at.fault, at.rest = full.bad, full.fault, full.rest
	}
	of := &Packet{Length: got.Length, Captured: whole.Captured}
	of.describe(at)
	if part.cut == 0 && got.Protocol != of.Protocol && got.Protocol != "unknown" {
		return fmt.Sprintf("it is %s, and not %s", got.Protocol, of.Protocol)
	}
	for _, pair := range [][2]any{{got.Source, of.Source}, {got.Destination, of.Destination},
		{got.SourcePort, of.SourcePort}, {got.DestinationPort, of.DestinationPort}} {
		if pair[0] != "" && pair[0] != 0 && pair[0] != pair[1] && whole.Fault == "" {
			return fmt.Sprintf("it is from or to %v, and not %v", pair[0], pair[1])
		}
	}
	if got.Protocol == "unknown" || part.cut != 0 && !part.kept && !optional[part.cut] {
		return ""
	}
	return lineContradicts(of.Info, got.Info, part.bad != 0, p.Data)
}

// layersContradict compares the layers and fields of a cut packet with those of the whole one.
func layersContradict(whole, got *Packet) string {
	for n, l := range got.Layers {
		if n == len(whole.Layers) {
			if l.Name != got.CutIn && whole.Fault == "" {
				return "the layer " + l.Name
			}
			continue
		}
		of := whole.Layers[n]
		summary, _, _ := strings.Cut(l.Summary, "[|")
		if l.Name != of.Name || !strings.HasPrefix(of.Summary, strings.TrimSpace(summary)) {
			return fmt.Sprintf("the layer %s: %s, and not %s: %s", l.Name, l.Summary, of.Name, of.Summary)
		}
		said := map[string]string{}
		for _, f := range of.Fields {
			said[f.Name] = f.Value
		}
		for _, f := range l.Fields {
			if value, is := said[f.Name]; !is || value != f.Value {
				return fmt.Sprintf("%s.%s is %q, and not %q", l.Name, f.Name, f.Value, value)
			}
		}
	}
	return ""
}

// lineContradicts compares the line of a cut packet with that of the whole one, clause by clause.
// bad reports that a header is wrong, so that no data follow.
func lineContradicts(whole, line string, bad bool, packet []byte) string {
	// Data of a connection are shown if they are text: their beginning may be text, and the whole
	// not.
	told, data, _ := strings.Cut(line, ": ")
	if bad {
		told, data = line, ""
	}
	if !bytes.Contains(packet, []byte(strings.TrimSuffix(data, "..."))) {
		return "it does not carry " + data
	}
	clauses := strings.Split(whole, ", ")
	for _, clause := range strings.Split(told, ", ") {
		clause, _, _ = strings.Cut(clause, "[|")
		clause = strings.TrimSpace(clause)
		said := false
		for _, c := range clauses {
			said = said || strings.HasPrefix(c, clause) || words(c, clause)
		}
		if !said {
			return fmt.Sprintf("its line says %q; whole it is: %s", clause, whole)
		}
	}
	return ""
}

// words reports whether all words of a clause are in another one.
func words(in, clause string) bool {
	for _, w := range strings.Fields(clause) {
		if !slices.Contains(strings.Fields(in), w) {
			return false
		}
	}
	return true
}
