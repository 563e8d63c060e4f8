package filter

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// turning is a name server whose answers change: its n-th has an address that ends in n. It knows
// no name that begins with "no".
type turning struct {
	tableNames
	asked []string
}

func (t *turning) Hosts(ctx context.Context, name string) ([]netip.Addr, error) {
	t.asked = append(t.asked, name)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if strings.HasPrefix(name, "no") {
		return nil, errors.New("no such host")
	}
	n := byte(len(t.asked))
	return []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, n}), netip.MustParseAddr("2001:db8::" + string('0'+n))}, nil
}

func TestRememberAsksOnce(t *testing.T) {
	server := &turning{}
	names := Remember(server)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := names.Hosts(cancelled, "mail"); err == nil {
		t.Fatal("a look-up whose time is over has an answer")
	}
	first, err := names.Hosts(t.Context(), "mail")
	if err != nil {
		t.Fatalf("the end of another caller's time was remembered: %v", err)
	}
	for range 3 {
		again, err := names.Hosts(t.Context(), "mail")
		if err != nil || again[0] != first[0] {
			t.Errorf("the answer is %v, %v and was %v", again, err, first)
		}
		if _, err := names.Hosts(t.Context(), "nowhere"); err == nil {
			t.Error("a name that does not exist has an address")
		}
	}
	if want := "mail mail nowhere"; strings.Join(server.asked, " ") != want {
		t.Errorf("asked for %v; want %s", server.asked, want)
	}
}

func TestWithAddresses(t *testing.T) {
	for expression, want := range map[string]string{
		"host mail":                      "host (192.0.2.1 or 2001:db8::1)",
		"not host mail and port 25":      "not host (192.0.2.1 or 2001:db8::1) and port 25",
		"ip src host mail or mail":       "ip src host 192.0.2.1 or 192.0.2.1",
		"ip6 host mail":                  "ip6 host 2001:db8::1",
		`host \mail`:                     "host (192.0.2.1 or 2001:db8::1)",
		"host (mail or 10.0.0.1)":        "host (192.0.2.1 or 2001:db8::1 or 10.0.0.1)",
		"host (10.0.0.1 or mail)":        "host (10.0.0.1 or (192.0.2.1 or 2001:db8::1))",
		"host 10.0.0.1 and not mail":     "host 10.0.0.1 and not (192.0.2.1 or 2001:db8::1)",
		"dst web or dst mail or dst web": "dst (192.0.2.1 or 2001:db8::1) or dst (192.0.2.2 or 2001:db8::2) or dst (192.0.2.1 or 2001:db8::1)",
		"port smtp and host 192.0.2.7":   "port smtp and host 192.0.2.7",
		"host nowhere":                   "host nowhere",
		"ether host mail":                "ether host mail",
		"net mail":                       "net mail",
		"host mail and":                  "host mail and",
		"":                               "",
	} {
		server := &turning{}
		if got := WithAddresses(t.Context(), expression, Remember(server)); got != want {
			t.Errorf("%q becomes %q; want %q", expression, got, want)
		}
		if len(server.asked) > 2 {
			t.Errorf("%q asks for %v", expression, server.asked)
		}
	}
}

// twoHosts knows names for addresses that the generated packets have.
type twoHosts struct{ tableNames }

func (twoHosts) Hosts(_ context.Context, name string) ([]netip.Addr, error) {
	switch name {
	case "mail":
		return []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.20"), netip.MustParseAddr("2001:db8::10")}, nil
	case "web":
		return []netip.Addr{netip.MustParseAddr("198.51.100.7")}, nil
	}
	return nil, errors.New("no such host")
}

// What stands for a name matches the same packets: both compile, on every link type, and no packet
// tells them apart.
func TestWithAddressesIsTheSameFilter(t *testing.T) {
	const runs = 3000
	names := twoHosts{}
	replaced := 0
	for seed := range uint64(runs) {
		g := newChooser(seed)
		link := pick(g, EN10MB, Raw, LinuxSLL2)
		// Some addresses become names, of one address or of several.
		expression := strings.NewReplacer("192.0.2.10", "mail", "192.0.2.20", "mail", "10.0.0.1", "mail", "172.16.5.4", "mail",
			"198.51.100.7", "web", "2001:db8::10", "mail", "2001:db8::20", "mail").Replace(g.expression(link))
		target := Target{LinkType: link, Kind: Savefile, Names: names}
		named, err := Compile(expression, target)
		written := WithAddresses(t.Context(), expression, names)
		if err != nil {
			continue
		}
		if written != expression {
			replaced++
		}
		addressed, err := Compile(written, target)
		if err != nil {
			t.Fatalf("seed %d: %q becomes %q: %v", seed, expression, written, err)
		}
		for range 20 {
			packet := g.packet(link)
			meta := Metadata{Length: uint32(len(packet))}
			if named.Match(packet, meta) != addressed.Match(packet, meta) {
				t.Fatalf("seed %d: %q and %q differ over %x", seed, expression, written, packet)
			}
		}
	}
	if replaced < runs/10 {
		t.Errorf("only %d of %d expressions had a name", replaced, runs)
	}
}
