package filter

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestReadNames(t *testing.T) {
	names, err := ReadNames(filepath.Join(corpusDir, "names"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"alpha":       {"192.0.2.10"},
		"ALPHA":       {"192.0.2.10"},
		"multi":       {"192.0.2.31", "192.0.2.32", "2001:db8:1::31"},
		"nosuch":      nil,
		"192.0.2.200": nil,
	} {
		got, err := names.Hosts(context.Background(), name)
		var addresses []string
		for _, a := range got {
			addresses = append(addresses, a.String())
		}
		if !slices.Equal(addresses, want) || (err != nil) != (want == nil) {
			t.Errorf("Hosts(%q) = %v, %v, want %v", name, got, err, want)
		}
	}
	for _, test := range []struct {
		name, proto string
		want        uint16
		ok          bool
	}{
		{"http", "tcp", 80, true},
		{"www", "tcp", 80, true},
		{"http", "udp", 0, false},
		{"HTTP", "tcp", 0, false},
		{"krb5", "udp", 88, true},
		{"syslog", "tcp", 514, true},
		{"nosuch", "tcp", 0, false},
	} {
		if got, ok := names.Port(test.name, test.proto); got != test.want || ok != test.ok {
			t.Errorf("Port(%q, %q) = %d, %v", test.name, test.proto, got, ok)
		}
	}
	for name, want := range map[string]int{"ip": 0, "TCP": 6, "Tcp": -1, "IPv6": 41, "OSPFIGP": 89, "nosuch": -1} {
		got, ok := names.Protocol(name)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("Protocol(%q) = %d, %v", name, got, ok)
		}
	}
	for name, want := range map[string]uint32{"labnet": 0xc0000200, "bignet": 0x0a000000, "default": 0,
		"onenet": 0xc6336400} {
		if got, ok := names.Network(name); got != want || !ok {
			t.Errorf("Network(%q) = %#x, %v", name, got, ok)
		}
	}
	if got, ok := names.Ether("bravo"); got != [6]byte{2, 0, 0, 0, 0, 0x14} || !ok {
		t.Errorf("Ether(bravo) = %x, %v", got, ok)
	}
	if _, ok := names.Ether("charlie"); ok {
		t.Error("Ether(charlie) is known")
	}
}

func TestReadNamesPassesOverWhatIsNotWellFormed(t *testing.T) {
	dir := t.TempDir()
	for file, text := range map[string]string{
		"hosts":     "# a comment\nnot-an-address a\n192.0.2.1\n192.0.2.2 b # a\nfe80::1%eth0 b\n",
		"services":  "a 80\nb x/tcp\nc 70000/tcp\nd 81/tcp e\nd 82/tcp\n",
		"protocols": "a b\nc 256\nd 7 D\n",
		"networks":  "a 1.2.3.4.5\nb 300\nc 10.1\n",
		"ethers":    "1:2:3 a\n1:2:3:4:5:6 b\n1:2:3:4:5:fff c\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names, err := ReadNames(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := names.Hosts(context.Background(), "a"); err == nil {
		t.Error("a is a host")
	}
	if got, _ := names.Hosts(context.Background(), "b"); !slices.Equal(got,
		[]netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("fe80::1")}) {
		t.Errorf("Hosts(b) = %v", got)
	}
	for name, want := range map[string]uint16{"a": 0, "b": 0, "c": 0, "d": 81, "e": 81} {
		if got, ok := names.Port(name, "tcp"); got != want || ok != (want != 0) {
			t.Errorf("Port(%s) = %d, %v", name, got, ok)
		}
	}
	if got, ok := names.Protocol("D"); got != 7 || !ok {
		t.Errorf("Protocol(D) = %d, %v", got, ok)
	}
	if _, ok := names.Protocol("c"); ok {
		t.Error("256 is a protocol")
	}
	if got, ok := names.Network("c"); got != 0x0a010000 || !ok {
		t.Errorf("Network(c) = %#x, %v", got, ok)
	}
	if got, ok := names.Ether("b"); got != [6]byte{1, 2, 3, 4, 5, 6} || !ok {
		t.Errorf("Ether(b) = %x, %v", got, ok)
	}
}

func TestReadNamesOfNoDirectory(t *testing.T) {
	if _, err := ReadNames(filepath.Join(t.TempDir(), "nosuch")); err == nil {
		t.Error("a directory that does not exist was read")
	}
	if _, err := ReadNames("names.go"); err == nil {
		t.Error("a file was read as a directory")
	}
	names, err := ReadNames(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := names.Protocol("tcp"); ok {
		t.Error("an empty directory names a protocol")
	}
}

func TestSystemNamesKnowLocalhost(t *testing.T) {
	addresses, err := SystemNames().Hosts(context.Background(), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(addresses, netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("localhost is %v", addresses)
	}
}

// A host may have a name in the letters of any language, and why it is not found is said in the
// words of whoever looked it up.
func TestHostsOfOtherLanguages(t *testing.T) {
	names := NamesWith(func(_ context.Context, name string) ([]netip.Addr, error) {
		switch name {
		case "a", "münchen.test", "例え.test", "fü_a-ü":
			return []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.7")}, nil
		}
		return nil, HostFault("the name server 192.0.2.53 answered SERVFAIL")
	})
	target := Target{LinkType: EN10MB, Names: names}
	want, err := Compile("host 192.0.2.7", target)
	if err != nil {
		t.Fatal(err)
	}
	for _, expression := range []string{"host münchen.test", "host 例え.test", "host fü_a-ü"} {
		got, err := Compile(expression, target)
		if err != nil || got.Listing() != want.Listing() {
			t.Errorf("%s: %v", expression, err)
		}
	}
	for expression, want := range map[string]string{
		"host ü.test":      `host "ü.test" cannot be looked up: the name server 192.0.2.53 answered SERVFAIL`,
		"host “a”":         "does not belong in a filter expression",
		"host a–b":         "does not belong in a filter expression",
		"host a\xff":       "does not belong in a filter expression",
		"münchen.test":     "qualifier",
		"ü = 1 or port 25": "",
	} {
		if _, err := Compile(expression, target); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", expression, err, want)
		}
	}
}
