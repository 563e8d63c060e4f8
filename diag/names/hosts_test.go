package names

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"diagsh/diag/dns"
)

// TestReadHosts: whatever /etc/hosts contains, only names that can be typed are offered, and only
// of the requested family.
func TestReadHosts(t *testing.T) {
	const file = "# a comment\n127.0.0.1 localhost # and one behind\n192.0.2.7\tmail.lab.example mail\n2001:db8::7 mail six\n" +
		"192.0.2.8 evil\x1b[2Jname evil;reload \"evil 'evil evil\\ \u202eevil\nnonsense name\n192.0.2.9\n\n0.0.0.0 nobody\nff02::1 ip6-allnodes\n"
	for family, want := range map[dns.Family][]string{
		dns.Any:  {"localhost", "mail.lab.example", "mail", "six"},
		dns.IPv4: {"localhost", "mail.lab.example", "mail"},
		dns.IPv6: {"mail", "six"},
	} {
		l := &list{family: family, limit: 50, at: map[string]int{}}
		l.readHosts(strings.NewReader(file))
		var got []string
		for _, h := range l.hosts {
			got = append(got, h.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("IPv%s: %q, want %q", family, got, want)
		}
	}
}

// TestList: a host is listed once, with every reason. This host is not listed, nor more than the
// limit.
func TestList(t *testing.T) {
	self, other, third := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"),
		netip.MustParseAddr("192.0.2.3")
	l := &list{family: dns.Any, limit: 1, at: map[string]int{}, own: map[netip.Addr]bool{self: true}}
	for _, a := range []netip.Addr{self, other, third, other} {
		l.add("", a, "neighbour")
	}
	l.add("", other, "name server")
	if len(l.hosts) != 1 || l.hosts[0].Address != other ||
		!slices.Equal(l.hosts[0].Why, []string{"neighbour", "name server"}) {
		t.Errorf("%+v", l.hosts)
	}
}
