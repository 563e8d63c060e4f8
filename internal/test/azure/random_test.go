package azure

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"diagsh/capture"
)

// TestRandomFilters has the newest client make captures with random filters, several at a time, and judges
// what is in their files by the oracle. Filters that no packet can match, such as one of addresses of both
// families, are refused.
func TestRandomFilters(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.sdk("newest")
	const rounds, captures = 6, 6
	some := 0
	for round := range rounds {
		random := rand.New(rand.NewPCG(13, uint64(round)))
		asked := map[string][]filter{}
		for n := range captures {
			name := fmt.Sprintf("random-%d-%d", round, n)
			for range 1 + random.IntN(3) {
				asked[name] = append(asked[name], randomFilter(random))
			}
			p := properties{Target: machineID, Storage: storage{File: "/var/captures/random.cap"}, Filters: asked[name]}
			made, err := c.create(name, p)
			if err != nil && strings.Contains(strings.ToLower(err.Error()), "no packet can") {
				if slices.ContainsFunc(traffic(0), func(f []byte) bool { return matches(asked[name], f) }) {
					t.Errorf("%+v: %v", asked[name], err)
				}
				delete(asked, name)
				continue
			}
			if err != nil || made.Properties.State != "Succeeded" {
				t.Fatalf("%+v: %+v, %v", asked[name], made, err)
			}
		}
		sent := traffic(uint64(round))
		b.send(sent)
		for name, filters := range asked {
			if err := c.stop(name); err != nil {
				t.Fatal(err)
			}
			var seen capture.Status
			if b.Ask("op", "packetcapture status", `{"name":"`+name+`"}`, &seen); len(seen.Files) != 1 {
				t.Fatalf("%+v", seen)
			}
			if n := exactly(t, b.file(seen.Files[0].Name), filters, sent); n > 0 && n < len(sent) {
				some++
			}
		}
	}
	// Filters that match nothing, or everything, would show nothing.
	if some < rounds*captures/2 {
		t.Errorf("only %d captures have some of the packets", some)
	}
}

// randomFilter returns a filter in each of whose fields there may be any form of the grammar, with bounds
// at what the traffic has.
func randomFilter(random *rand.Rand) filter {
	one := func(words ...string) string { return words[random.IntN(len(words))] }
	of := func(some func() string) string { // mostly nothing, so that some packets match
		if random.IntN(3) > 0 {
			return ""
		}
		return some()
	}
	list := func(words ...string) string {
		random.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		return strings.Join(words[:1+random.IntN(len(words))], ";") + one("", ";")
	}
	address := func() string {
		switch random.IntN(4) {
		case 0:
			return one("10.0.0.3", "1.1.1.1", "8.8.8.8", "2001:db8::7", "2001:db8::3")
		case 1:
			return list("10.0.0.3", "10.0.0.4", "1.1.1.0", "2001:db8::7", "255.255.255.254")
		case 2:
			return one("2001:db8::4-2001:db8::ffff", "2001:db8::-2001:db8::3", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
		}
		return one("1.1.1.1", "1.1.1.0", "8.8.8.7", "0.0.0.0", "10.0.0.4") + "-" + one("10.0.0.4", "255.255.255", "255.255.255.254", "255.255.255.255")
	}
	port := func() string {
		switch random.IntN(3) {
		case 0:
			return one("20", "21", "80", "443", "444", "1", "40000", "65535")
		case 1:
			return list("20", "80", "443", "1", "65535")
		}
		return one("1", "20", "22", "80") + "-" + one("80", "443", "444", "40000", "65535")
	}
	return filter{Protocol: one("TCP", "UDP", "Any", ""), Local: of(address), Remote: of(address), LocalPort: of(port), RemotePort: of(port)}
}
