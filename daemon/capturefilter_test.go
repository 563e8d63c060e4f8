package daemon

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/bpf"

	"diagsh/capture"
	"diagsh/menu"
)

// connection is a TCP packet between two ends.
func connection(t testing.TB, from, to string) []byte {
	t.Helper()
	src, dst := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	segment := tcpSegment(0, nil)
	binary.BigEndian.PutUint16(segment, src.Port())
	binary.BigEndian.PutUint16(segment[2:], dst.Port())
	if src.Addr().Is4() {
		p := ipv4Packet(6, 0, 0, segment)
		copy(p[12:], src.Addr().AsSlice())
		copy(p[16:], dst.Addr().AsSlice())
		return ether(0x0800, p)
	}
	p := ipv6Packet(6, segment)
	copy(p[8:], src.Addr().AsSlice())
	copy(p[24:], dst.Addr().AsSlice())
	return ether(0x86dd, p)
}

func TestManagementIsLeftOut(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	expression := managementFilter([]uint16{8443, 2222, 2222}, own)
	program, err := compile(t.Context(), expression, capture.Interface{LinkType: capture.Ethernet})
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	for _, c := range []struct {
		name, from, to string
		kept           bool
	}{
		{"to the SSH port", "198.51.100.9:40000", "192.0.2.1:2222", false},
		{"from the SSH port", "192.0.2.1:2222", "198.51.100.9:40000", false},
		{"over IPv6", "[2001:db8::9]:40000", "[2001:db8::1]:8443", false},
		{"back over IPv6", "[2001:db8::1]:8443", "[2001:db8::9]:40000", false},
		{"this machine to such a port elsewhere", "192.0.2.1:40000", "198.51.100.9:8443", true},
		{"its answer", "198.51.100.9:8443", "192.0.2.1:40000", true},
		{"others among themselves", "198.51.100.8:40000", "198.51.100.9:2222", true},
		{"another port", "198.51.100.9:40000", "192.0.2.1:25", true},
	} {
		if got := kept(t, program, connection(t, c.from, c.to)) > 0; got != c.kept {
			t.Errorf("%s: kept is %v; want %v", c.name, got, c.kept)
		}
	}
	if e := managementFilter([]uint16{22}, nil); e != "not (tcp and port 22)" {
		t.Errorf("without addresses it is %q", e)
	}
	if e := managementFilter(nil, own); e != "" {
		t.Errorf("without ports it is %q", e)
	}
}

func TestEffectiveFilter(t *testing.T) {
	d := &Daemon{config: startConfig{ManagementPorts: []uint16{2222}}}
	lan := capture.Interface{Name: "lan", LinkType: capture.Ethernet}
	for _, c := range []struct {
		filter     string
		management bool
		begins     string
		ends       string
	}{
		{"port 25", true, "port 25", "port 25"},
		{"port 25 or port 465", false, "not (tcp and ", ") and (port 25 or port 465)"},
		{"", false, "not (tcp and ", ")"},
		{"", true, "", ""},
	} {
		f, err := d.buildFilter(t.Context(), capture.Spec{Filter: c.filter}, []capture.Interface{lan}, c.management)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(f.expression, c.begins) || !strings.HasSuffix(f.expression, c.ends) {
			t.Errorf("%q becomes %q", c.filter, f.expression)
		}
		if (f.programs[0] == nil) != (f.expression == "") {
			t.Errorf("%q has a program of %d instructions", f.expression, len(f.programs[0]))
		}
	}
}

func TestFilterErrors(t *testing.T) {
	d := &Daemon{config: startConfig{ManagementPorts: []uint16{2222}}}
	for _, expression := range []string{"hosst 192.0.2.1", "port", "port 25) or (port 26", "tcp and", "(", "port 99999", "\x1b[2J"} {
		err := d.CheckFilter(t.Context(), expression)
		var e *menu.Error
		if !errors.As(err, &e) || e.Kind != menu.Usage || e.Argument != "filter" || !strings.Contains(e.Message, "at character") || strings.ContainsRune(e.Error(), 0x1b) {
			t.Errorf("%q: %v", expression, err)
		}
		if _, err := d.buildFilter(t.Context(), capture.Spec{Filter: expression}, []capture.Interface{{LinkType: capture.Ethernet}}, false); kindOf(t, err) != menu.Usage {
			t.Errorf("%q is refused when checked and taken when started", expression)
		}
	}
	if err := d.CheckFilter(t.Context(), " "); err != nil {
		t.Error(err)
	}
}

func TestHeadersProgramIsValid(t *testing.T) {
	var all []bpf.RawInstruction
	for _, link := range []capture.LinkType{capture.Ethernet, capture.Raw} {
		all = cutBehindHeaders(nil, link, 96)
		for i, in := range all {
			if in.Op == jump && int(in.K) >= len(all)-i-1 {
				t.Errorf("instruction %d jumps out of the program", i)
			}
		}
	}
}
