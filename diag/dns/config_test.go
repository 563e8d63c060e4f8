package dns

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestParseConfig(t *testing.T) {
	addresses := func(text string) (list []netip.Addr) {
		for _, w := range strings.Fields(text) {
			list = append(list, netip.MustParseAddr(w))
		}
		return list
	}
	plain := Config{Ndots: 1, Timeout: 5 * time.Second, Attempts: 2}
	for text, change := range map[string]func(*Config){
		"": func(c *Config) { c.Servers, c.Default = addresses("127.0.0.1 ::1"), true },
		"# nameserver 192.0.2.1\n;nameserver 192.0.2.2\n nameserver 192.0.2.3\nnameserver\n": func(c *Config) {
			c.Servers, c.Default = addresses("127.0.0.1 ::1"), true
		},
		"nameserver 192.0.2.1 # office\nnameserver fe80::1%eth0\nnameserver 2001:db8::53\nnameserver 192.0.2.4\nnameserver ns.test\nnameserver 300.1.1.1": func(c *Config) {
			c.Servers, c.Unused, c.Wrong = addresses("192.0.2.1 fe80::1%eth0 2001:db8::53"), addresses("192.0.2.4"),
				[]string{"ns.test", "300.1.1.1"}
		},
		"nameserver\t192.0.2.1\ndomain a.test\nsearch b.test  c.test\n": func(c *Config) {
			c.Servers, c.Search = addresses("192.0.2.1"), []string{"b.test", "c.test"}
		},
		"nameserver 192.0.2.1\nsearch b.test c.test\ndomain a.test\nsearch\n": func(c *Config) {
			c.Servers, c.Search = addresses("192.0.2.1"), []string{"a.test"}
		},
		"nameserver 192.0.2.1\nsearch .\noptions rotate use-vc edns0 timeout:99 attempts:0 ndots:20 nosuch\noptions timeout:x\n": func(c *Config) {
			c.Servers, c.Search = addresses("192.0.2.1"), []string{}
			c.Rotate, c.TCP, c.Timeout, c.Attempts, c.Ndots = true, true, 30*time.Second, 1, 15
			c.Options = []string{"rotate", "use-vc", "edns0", "timeout:99", "attempts:0", "ndots:20", "nosuch",
				"timeout:x"}
		},
	} {
		want := plain
		change(&want)
		got := parseConfig(strings.NewReader(text))
		if want.Search == nil {
			want.Search = got.Search // of this machine's name
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n%+v, want\n%+v", text, got, want)
		}
	}
}

// TestConfigIsHeeded: with options rotate each server is sometimes asked first, and use-vc uses TCP
// from the start.
func TestConfigIsHeeded(t *testing.T) {
	t.Parallel()
	list := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:53"), netip.MustParseAddrPort("192.0.2.2:53"),
		netip.MustParseAddrPort("192.0.2.3:53")}
	first := map[netip.AddrPort]bool{}
	for range 200 {
		l := slices.Clone(list)
		rotate(l)
		first[l[0]] = true
		if i := slices.Index(list, l[0]); l[1] != list[(i+1)%3] || l[2] != list[(i+2)%3] {
			t.Fatalf("%v is no rotation", l)
		}
	}
	if len(first) != 3 {
		t.Errorf("it begins with %v", first)
	}
}

// files writes a directory that stands in for /etc.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range content {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// addressZone returns the answers of the name server that the tests of addresses ask.
func addressZone(t *testing.T) func(q *dns.Msg, _ int64) [][]byte {
	zone := map[string][]string{
		"two.test. A": {"two.test. 60 CNAME alias.test.", "alias.test. 60 A 127.0.0.2",
			"other.test. 60 A 127.0.0.9"},
		"two.test. AAAA":         {"alias.test. 60 AAAA ::1", "two.test. 60 CNAME alias.test."},
		"v6.test. A":             {},
		"v6.test. AAAA":          {"v6.test. 60 AAAA ::1"},
		"none.test. A":           {},
		"none.test. AAAA":        {},
		"file.test. A":           {"file.test. 60 A 127.0.0.7"},
		"half.test. A":           {"half.test. 60 A 127.0.0.8"},
		"xn--mnchen-3ya.test. A": {"xn--mnchen-3ya.test. 60 A 127.0.0.5"},
	}
	return func(q *dns.Msg, _ int64) [][]byte {
		asked := q.Question[0]
		records, ok := zone[asked.Name+" "+dns.TypeToString[asked.Qtype]]
		return [][]byte{wire(t, q, func(m *dns.Msg) {
			switch {
			case asked.Name == "half.test." && !ok, asked.Name == "broken.test.":
				m.Rcode = dns.RcodeServerFailure
			case !ok:
				m.Rcode = dns.RcodeNameError
			}
		}, records...)}
	}
}

// addressClient returns a Client of the peer, with a file of hosts.
func addressClient(t *testing.T, p *peer, nsswitch string) *Client {
	c := &Client{Config: func() Config {
		return Config{Servers: []netip.Addr{p.address.Addr()}, Ndots: 1, Timeout: patience, Attempts: 1}
	}, port: p.address.Port()}
	c.Files = files(t, map[string]string{"nsswitch.conf": nsswitch,
		"hosts": "127.0.0.3 File.Test file # office\n::1 file.test\n127.0.0.4 münster.test\n127.0.0.6 six.test.\nbad line\n"})
	return c
}

// TestAddresses: hosts are found in the file and by name servers in the order of nsswitch.conf, for
// both versions of IP, through aliases.
func TestAddresses(t *testing.T) {
	t.Parallel()
	p := newPeer(t, addressZone(t), nil)
	failing := errors.New("a name server fails")
	for _, c := range []struct {
		nsswitch, host string
		family         Family
		want           string
		err            error
	}{
		{"", "two.test", Any, "127.0.0.2 ::1", nil},
		{"", "two.test", IPv6, "::1", nil},
		{"", "v6.test", Any, "::1", nil},
		{"", "v6.test", IPv4, "", ErrFamily},
		{"", "none.test", Any, "", ErrFamily},
		{"", "nosuch.test", Any, "", ErrNotFound},
		{"", "half.test", Any, "127.0.0.8", nil},
		{"", "half.test", IPv6, "", failing},
		{"", "broken.test", Any, "", failing},
		{"", "FILE.test", Any, "127.0.0.3 ::1", nil},
		{"", "file.test.", IPv4, "127.0.0.3", nil},
		{"", "six.test", IPv6, "", ErrFamily},
		{"hosts: dns files", "file.test", IPv4, "127.0.0.7", nil},
		{"hosts: dns files", "six.test", IPv4, "127.0.0.6", nil},
		{"hosts: files", "two.test", Any, "", ErrNotFound},
		{"passwd: files\nhosts: mymachines resolve [!UNAVAIL=return] files", "file.test", IPv4, "127.0.0.7", nil},
		{"", "MÜNCHEN.test", IPv4, "127.0.0.5", nil},
		{"", "münster.test", IPv4, "127.0.0.4", nil},
		{"", "::ffff:127.0.0.1", Any, "127.0.0.1", nil},
		{"", "127.0.0.1", IPv6, "", ErrFamily},
		{"", "a..b", Any, "", ErrName},
		{"", "", Any, "", ErrName},
		{"", "[192.0.2.1]", Any, "192.0.2.1", nil},
		{"", "[2001:db8::1]", Any, "2001:db8::1", nil},
		{"", "[IPv6:fe80::1%eth0]", IPv6, "fe80::1%eth0", nil},
		{"", "[192.0.2.1]", IPv6, "", ErrFamily},
		{"", "[192.0.2.300]", Any, "", ErrName},
		{"", "[mail]", Any, "", ErrName},
		{"", "[2001:db8::1]:25", Any, "", ErrName},
		{"", "[2001:db8::1", Any, "", ErrName},
	} {
		list, err := addressClient(t, p, c.nsswitch).Addresses(t.Context(), c.host, c.family)
		var got []string
		for _, a := range list {
			got = append(got, a.String())
		}
		if c.err == failing {
			var code *CodeError
			if !errors.As(err, &code) || code.Reply.Code != "SERVFAIL" || code.Reply.Server != p.address {
				t.Errorf("%q %s: %v, want SERVFAIL and who said so", c.host, c.family, err)
			}
			continue
		}
		if strings.Join(got, " ") != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q %s with %q: %v, %v; want %q, %v", c.host, c.family, c.nsswitch, got, err, c.want, c.err)
		}
	}
}

// TestNamesOfAddresses: the first name of an address is its own, and a changed file of hosts is
// read again.
func TestNamesOfAddresses(t *testing.T) {
	t.Parallel()
	c := addressClient(t, newPeer(t, addressZone(t), nil), "")
	if names, err := c.NamesOf(t.Context(), netip.MustParseAddr("127.0.0.3")); err != nil ||
		strings.Join(names, " ") != "File.Test file" {
		t.Errorf("the names of 127.0.0.3: %v, %v", names, err)
	}
	if names, err := c.NamesOf(t.Context(), netip.MustParseAddr("127.0.0.99")); !errors.Is(err, ErrNotFound) {
		t.Errorf("the names of 127.0.0.99: %v, %v", names, err)
	}
	if err := os.WriteFile(filepath.Join(c.Files, "hosts"), []byte("127.0.0.33 file.test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := c.Addresses(t.Context(), "file.test", Any); err != nil || len(list) != 1 ||
		list[0].String() != "127.0.0.33" {
		t.Errorf("after the file changed: %v, %v", list, err)
	}
}

// TestLookupsLetGo: lookups of names and addresses return when their context ends.
func TestLookupsLetGo(t *testing.T) {
	t.Parallel()
	asked := make(chan bool, 8)
	p := newPeer(t, func(*dns.Msg, int64) [][]byte { asked <- true; return nil }, nil)
	c := &Client{Config: func() Config {
		return Config{Servers: []netip.Addr{p.address.Addr()}, Ndots: 1, Timeout: time.Hour, Attempts: 1}
	}, port: p.address.Port(), Files: t.TempDir()}
	for what, look := range map[string]func(context.Context) error{
		"a name": func(ctx context.Context) error {
			_, err := c.NamesOf(ctx, netip.MustParseAddr("192.0.2.1"))
			return err
		},
		"addresses": func(ctx context.Context) error { _, err := c.Addresses(ctx, "nosuch.test", IPv4); return err },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		asking.Go(func() {
			if err := look(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", what, err)
			}
		})
		<-asked
		cancel()
		asking.Wait()
	}
}
