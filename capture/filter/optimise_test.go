package filter

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

// listed writes a list of alternatives: first(0) or first(1) or ...
func listed(n int, one func(i int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = one(i)
	}
	return strings.Join(parts, " or ")
}

// TestLongLists compares optimised programs, which search long lists, with unoptimised ones, whose
// jumps need relays.
func TestLongLists(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	address := func(i int) [4]byte { return [4]byte{10, byte(i % 7), byte(i % 256), byte(i / 3 % 256)} }
	for _, test := range []struct {
		expression string
		longest    int // instructions
	}{
		{listed(400, func(i int) string {
			a := address(i)
			return fmt.Sprintf("host %d.%d.%d.%d", a[0], a[1], a[2], a[3])
		}), 1700},
		{"tcp dst port (" + listed(300, func(i int) string { return fmt.Sprint(2000 + i) }) + ")", 30},
		{"not (" + listed(200, func(i int) string { return fmt.Sprintf("tcp port %d", 1000+3*i) }) + ")", 820},
		{"ip[8] = 1 or " + listed(40, func(i int) string { return fmt.Sprintf("ip[8] = %d", 7*i%41) }), 12},
		{"(" + listed(30, func(i int) string { return fmt.Sprintf("src port %d", 5*i) }) + ") and not (" +
			listed(30, func(i int) string { return fmt.Sprintf("dst port %d", 7*i) }) + ")", 200},
	} {
		optimised, err := Compile(test.expression, Target{LinkType: EN10MB})
		if err != nil {
			t.Fatal(err)
		}
		plain, err := Compile(test.expression, Target{LinkType: EN10MB, Unoptimised: true})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(optimised.Instructions); n > test.longest {
			t.Errorf("%.40s...: %d instructions, want at most %d", test.expression, n, test.longest)
		}
		matched := 0
		for range 3000 {
			src, dst := address(random.Intn(500)), address(random.Intn(500))
			src[3] += byte(random.Intn(2))
			segment := tcpPacket(uint16(random.Intn(3000)), uint16(random.Intn(3000)))
			if random.Intn(2) == 0 {
				segment = tcpPacket(uint16(random.Intn(200)), uint16(random.Intn(200)))
			}
			packet := frame(etherIP, v4Packet(ipTCP, src, dst, segment))
			packet[14+8] = byte(random.Intn(60))
			a, b := optimised.Match(packet, Metadata{}) != 0, plain.Match(packet, Metadata{}) != 0
			if a != b {
				t.Fatalf("%.40s...: optimised %v, unoptimised %v on % x", test.expression, a, b, packet)
			}
			if a {
				matched++
			}
		}
		if matched == 0 || matched == 3000 {
			t.Errorf("%.40s...: %d packets match, which shows nothing", test.expression, matched)
		}
	}
}

func TestRanges(t *testing.T) {
	yes, other := &block{}, &block{}
	at := func(k uint32, to *block) alternative { return alternative{k, k, to} }
	got := ranges([]alternative{at(5, yes), at(3, yes), at(4, yes), at(4, other), at(9, yes), at(10, other),
		at(0xffffffff, yes), at(0, yes)})
	want := []alternative{{0, 0, yes}, {3, 5, yes}, {9, 9, yes}, {10, 10, other}, {0xffffffff, 0xffffffff, yes}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("ranges: %v, want %v", got, want)
	}
}

// TestOptimiserDecidesWhatMatchesNothing holds the verdict "rejects all packets" to that of
// libpcap, which sees some contradictions and not others.
func TestOptimiserDecidesWhatMatchesNothing(t *testing.T) {
	for expression, refused := range map[string]bool{
		"arp and ip":                            true,
		"ip and vlan":                           true,
		"src host 1.2.3.4 and src host 5.6.7.8": true,
		"tcp port 80 and vlan 10":               true,
		"1 = 0":                                 true,
		"ip[8] > 300":                           false,
		"len > 100 and len < 50":                false,
		"tcp[13] & 2 = 4":                       false,
	} {
		_, err := Compile(expression, Target{LinkType: EN10MB})
		if (err != nil) != refused {
			t.Errorf("%q: %v", expression, err)
		}
		if _, err := Compile(expression, Target{LinkType: EN10MB, Unoptimised: true}); err != nil {
			t.Errorf("%q unoptimised: %v", expression, err)
		}
	}
}
