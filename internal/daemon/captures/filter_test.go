package captures

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"diagsh/capture"
	"diagsh/capture/headers"
	"diagsh/capture/tuples"
	"diagsh/internal/daemon/captures/management"
	"diagsh/internal/daemon/captures/programs"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
	"diagsh/internal/test/slowness"
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
	expression := management.Filter([]uint16{8443, 2222, 2222}, own)
	program, err := programs.Compile(t.Context(), expression, programs.Target{Layer: capture.Ethernet}, filterNames)
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
	// Without addresses the ports alone count.
	expression = management.Filter([]uint16{22}, nil)
	program, err = programs.Compile(t.Context(), expression, programs.Target{Layer: capture.Ethernet}, filterNames)
	if err != nil || kept(t, program, connection(t, "198.51.100.9:40000", "192.0.2.1:22")) > 0 ||
		kept(t, program, connection(t, "198.51.100.9:40000", "192.0.2.1:25")) == 0 {
		t.Errorf("without addresses it is wrong, %v", err)
	}
	if e := management.Filter(nil, own); e != "" {
		t.Errorf("without ports it is %q", e)
	}
}

// A packet that ends before its ports belongs to no management session. If it is shorter than what
// the exclusion reads it is captured, whatever it claims to be, and so is what the user's own
// filter takes of it.
func TestRuntsAreCaptured(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	four := connection(t, "198.51.100.9:40000", "192.0.2.1:2222")
	six := connection(t, "[2001:db8::9]:40000", "[2001:db8::1]:2222")
	options := slices.Clone(four)
	options[14] = 0x4f // 60 bytes of header
	fragment := slices.Clone(six)
	fragment[20] = 44
	for _, addresses := range [][]netip.Addr{own, nil, own[:1], own[1:]} {
		for _, c := range []struct {
			link   capture.LinkType
			filter string
			data   []byte
			whole  bool // also as a whole it is none
		}{
			{capture.Ethernet, "", four, false},
			{capture.Ethernet, "", six, false},
			{capture.Ethernet, "less 100", four, false},
			{capture.Ethernet, "not udp", options[:54], true},
			{capture.Ethernet, "", options, true},
			{capture.Ethernet, "", fragment, true},
			{capture.Ethernet, "", ether(0x8100, append([]byte{0, 5, 8, 0}, options[14:]...)), true},
			{capture.Raw, "", four[14:], false},
			{capture.Raw, "less 100", six[14:], false},
		} {
			d := managed(t, 2222)
			expression := management.Filter(d.settings.ManagementPorts(), addresses)
			if c.filter != "" {
				expression += " and (" + c.filter + ")"
			}
			program, err := programs.Compile(t.Context(), expression, programs.Target{Layer: c.link}, filterNames)
			if err != nil {
				t.Fatal(err)
			}
			ports := 38
			if c.link == capture.Raw {
				ports -= 14
			}
			for n := 1; n <= len(c.data); n++ {
				if strings.Contains(c.filter, "udp") && n < 24 {
					continue // there the user's own filter reads beyond the end
				}
				if got := kept(t, program, c.data[:n:n]) > 0; !got && (n < ports || c.whole) {
					t.Errorf("link type %d, %q, %d bytes of %x: not captured", c.link, expression, n, c.data)
				}
			}
		}
	}
}

func TestEffectiveFilter(t *testing.T) {
	d := managed(t, 2222)
	lan := capture.Interface{Name: "lan", LinkType: capture.Ethernet}
	for _, c := range []struct {
		filter     string
		management bool
		begins     string
		ends       string
	}{
		{"port 25", true, "port 25", "port 25"},
		{"port 25 or port 465", false, "not ((len >= 38 and ", ") and (port 25 or port 465)"},
		{"", false, "not ((len >= 38 and ", ")"},
		{"", true, "", ""},
	} {
		spec := capture.Spec{Options: capture.Options{Filter: c.filter, Management: c.management}}
		f, err := d.buildFilter(t.Context(), spec, []capture.Interface{lan})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(f.Expression, c.begins) || !strings.HasSuffix(f.Expression, c.ends) {
			t.Errorf("%q becomes %q", c.filter, f.Expression)
		}
		if p, err := f.Program(t.Context(), lan); err != nil || (p == nil) != (f.Expression == "") {
			t.Errorf("%q has a program of %d instructions, %v", f.Expression, len(p), err)
		}
	}
}

func TestFilterErrors(t *testing.T) {
	d := managed(t, 2222)
	for _, expression := range []string{
		"hosst 192.0.2.1", "port", "port 25) or (port 26", "tcp and", "(", "port 99999", "\x1b[2J",
	} {
		err := d.CheckFilter(t.Context(), expression)
		var e *menu.Error
		if !errors.As(err, &e) || e.Code != menu.Usage || e.Argument != "filter" ||
			!strings.Contains(e.Message, "at character") || strings.ContainsRune(e.Error(), 0x1b) {
			t.Errorf("%q: %v", expression, err)
		}
		spec := capture.Spec{Options: capture.Options{Filter: expression}}
		_, err = d.buildFilter(t.Context(), spec, []capture.Interface{{LinkType: capture.Ethernet}})
		if roomtest.CodeOf(t, err) != menu.Usage {
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
		all = headers.Cut(nil, link, 96)
		for i, in := range all {
			if in.Op == unix.BPF_JMP|unix.BPF_JA && int(in.K) >= len(all)-i-1 {
				t.Errorf("instruction %d jumps out of the program", i)
			}
		}
	}
}

// Of all interfaces those are left out, and told, that cannot match the filter, also one that
// appears later. One that is named is refused.
func TestInterfacesThatAFilterIsOfNoUseFor(t *testing.T) {
	d := managed(t, 2222)
	lan := capture.Interface{Name: "lan", Index: 1, LinkType: capture.Ethernet}
	tun := capture.Interface{Name: "tun0", Index: 2, LinkType: capture.Raw}
	for _, expression := range []string{
		"ether host 02:00:00:00:00:01", "vlan 100", "not ether broadcast", "port 25 and ether multicast",
	} {
		all := capture.Spec{Options: capture.Options{Filter: expression, Interfaces: []string{capture.All}}}
		f, err := d.buildFilter(t.Context(), all, []capture.Interface{tun, lan})
		if err != nil || len(f.Interfaces) != 1 || f.Interfaces[0] != lan {
			t.Fatalf("%s: %+v, %v", expression, f, err)
		}
		left := f.LeftOut()
		if len(left) != 1 || left[0].Interface != "tun0" || !strings.Contains(left[0].Reason, "on link type RAW") {
			t.Errorf("%s: %+v are left out", expression, left)
		}
		later := tun
		later.Name, later.Index = "tun1", 3
		if _, err := f.Program(t.Context(), later); err == nil || len(f.LeftOut()) != 2 {
			t.Errorf("%s: one that appears later: %v, %+v", expression, err, f.LeftOut())
		}
		all.Interfaces = []string{"tun0", "lan"}
		_, err = d.buildFilter(t.Context(), all, []capture.Interface{tun, lan})
		if roomtest.CodeOf(t, err) != menu.Usage {
			t.Errorf("%s on tun0 by name: %v", expression, err)
		}
		all.Interfaces = []string{capture.All}
		if _, err := d.buildFilter(t.Context(), all, []capture.Interface{tun}); roomtest.CodeOf(t, err) != menu.Usage {
			t.Errorf("%s with nothing but tun0: %v", expression, err)
		}
	}
}

// managed returns a table whose appliance has no more than ports of its own.
func managed(t *testing.T, ports ...uint16) *Table {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := settings.Open(settings.Options{Dir: t.TempDir(), ManagementPorts: ports, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return &Table{settings: s}
}

// A capture with as many filters in fields as there may be, each of them long, begins at once: also where
// one of them is any packet, so that the filter of the kernel has none of it.
func TestManyLongFiltersBeginAtOnce(t *testing.T) {
	b := newBed(t, roomOptions{Dir: t.TempDir()})
	filters := tuples.List{{}}
	for n := range 63 {
		var local, remote, ports, ranges []string
		for i := range 20 {
			local = append(local, fmt.Sprintf("10.%d.%d.1-10.%d.%d.200", n, 3*i, n, 3*i))
			remote = append(remote, fmt.Sprintf("192.%d.%d.7", n, 5*i))
			ports = append(ports, fmt.Sprint(1000+20*n+7*i))
			ranges = append(ranges, fmt.Sprintf("%d-%d", 20000+20*n+7*i, 20003+20*n+7*i))
		}
		filters = append(filters, tuples.Filter{Protocol: "tcp", LocalAddress: strings.Join(local, ";"), RemoteAddress: strings.Join(remote, ";"),
			LocalPort: strings.Join(ports, ";"), RemotePort: strings.Join(ranges, ";")})
	}
	watch, begin := slowness.Start(t), time.Now()
	b.mustStart(ask("many", capture.Options{Filters: filters}))
	if took, limit := time.Since(begin), watch.Limit(500*time.Millisecond); took > limit {
		t.Errorf("it took %v to begin; want at most %v", took, limit)
	}
}
