// Package names lists the hosts that this one knows by name or address, and finds the names of
// addresses. See resolv.conf(5), hosts(5), sock_diag(7), arp(7).
package names

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/diag/dns"
	"diagsh/diag/neighbours"
	"diagsh/diag/routes"
	"diagsh/diag/sockets"
)

// A Host is a host that this one knows.
type Host struct {
	Name    string // from /etc/hosts; else empty
	Address netip.Addr
	Why     []string // how it is known, in words
}

// String returns the host as a user can type it: an address, or a name of letters, digits, dots,
// hyphens and underscores.
func (h Host) String() string { return cmp.Or(h.Name, h.Address.String()) }

// Limits. The caller is a user who pressed a key.
const (
	patience    = 500 * time.Millisecond // for all sources; on a timeout, what is known by then is listed
	lookedAt    = 20_000                 // sockets that are looked at
	hostsBytes  = 256 << 10              // of /etc/hosts that are read
	maxNameSize = 253                    // RFC 1035, section 2.3.4
)

// KnownHosts returns at most limit hosts of a family, the likeliest first. They are name servers,
// gateways of default routes, hosts with TCP connections to this one (most connections first),
// neighbours, and names of /etc/hosts. This host itself is not listed.
func KnownHosts(ctx context.Context, family dns.Family, limit int) []Host {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	l := &list{family: family, limit: limit, at: map[string]int{}, own: ownAddresses()}
	for _, source := range []func(context.Context, *list){nameServers, gateways, peers, neighbourCaches, hostsFile} {
		source(ctx, l)
	}
	return l.hosts
}

// A list collects the hosts found so far.
type list struct {
	family dns.Family
	limit  int
	hosts  []Host
	at     map[string]int
	own    map[netip.Addr]bool
}

// add adds a host, or adds a reason to a known one.
func (l *list) add(name string, a netip.Addr, why string) {
	if !l.family.Has(a) || a.IsUnspecified() || a.IsMulticast() || name == "" && l.own[a.WithZone("")] {
		return
	}
	h := Host{Name: name, Address: a, Why: []string{why}}
	if i, ok := l.at[h.String()]; ok {
		if known := &l.hosts[i]; !slices.Contains(known.Why, why) {
			known.Why = append(known.Why, why)
		}
		return
	}
	if len(l.hosts) < l.limit {
		l.at[h.String()] = len(l.hosts)
		l.hosts = append(l.hosts, h)
	}
}

func ownAddresses() map[netip.Addr]bool {
	own := map[netip.Addr]bool{}
	all, _ := net.InterfaceAddrs() // without them this host is listed too
	for _, i := range all {
		if p, err := netip.ParsePrefix(i.String()); err == nil {
			own[p.Addr()] = true
		}
	}
	return own
}

func nameServers(_ context.Context, l *list) {
	for _, a := range dns.Servers() {
		l.add("", a, "name server")
	}
}

func gateways(ctx context.Context, l *list) {
	all, _ := routes.List(ctx)
	for _, r := range all {
		if r.Table == routes.Main && r.Destination.Bits() == 0 && r.Gateway.IsValid() {
			l.add("", zoned(r.Gateway, r.Index), "default gateway")
		}
	}
}

// peers adds the hosts with connections. It looks at no more than lookedAt sockets.
func peers(ctx context.Context, l *list) {
	enough := errors.New("enough sockets were looked at")
	counts, seen := map[netip.Addr]int{}, 0
	states := slices.DeleteFunc(sockets.States(), func(s sockets.State) bool { return s == sockets.Listen })
	sockets.Each(ctx, sockets.Query{States: states}, func(s *sockets.Socket) error {
		if seen++; seen > lookedAt {
			return enough
		}
		if a := s.Remote.Addr().Unmap(); !a.IsLoopback() {
			counts[zoned(a, int(s.Device))]++
		}
		return nil
	})
	for _, a := range slices.SortedFunc(maps.Keys(counts), func(a, b netip.Addr) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), a.Compare(b))
	}) {
		why := "1 connection"
		if n := counts[a]; n > 1 {
			why = fmt.Sprintf("%d connections", n)
		}
		l.add("", a, why)
	}
}

func neighbourCaches(ctx context.Context, l *list) {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		all, _ := neighbours.List(ctx, family)
		for _, n := range all {
			const known = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | unix.NUD_PERMANENT
			if n.State&known != 0 && !n.Proxy {
				l.add("", zoned(n.Address, n.Index), "neighbour")
			}
		}
	}
}

// hostsFile adds the names of /etc/hosts.
func hostsFile(_ context.Context, l *list) {
	f, err := os.Open("/etc/hosts")
	if err != nil {
		return
	}
	defer f.Close()
	l.readHosts(f)
}

func (l *list) readHosts(r io.Reader) {
	for lines := bufio.NewScanner(io.LimitReader(r, hostsBytes)); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		a, err := netip.ParseAddr(words[0])
		if err != nil {
			continue
		}
		for _, name := range words[1:] {
			if isName(name) {
				l.add(name, a.Unmap(), a.String())
			}
		}
	}
}

// isName reports whether s can be typed without quotes and is safe on a screen.
func isName(s string) bool {
	return len(s) <= maxNameSize && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
	})
}

// zoned adds to a link-local address its interface (RFC 4007), unless the interface's name could
// not be typed.
func zoned(a netip.Addr, index int) netip.Addr {
	if !a.Is6() || !a.IsLinkLocalUnicast() {
		return a
	}
	i, err := net.InterfaceByIndex(index)
	if err != nil || !isName(i.Name) {
		return a
	}
	return a.WithZone(i.Name)
}
