package certificates

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"diagsh/internal/menu"
)

// names are what a certificate is for.
type names struct {
	dns       []string // the first one is its common name
	addresses []netip.Addr
}

// parseNames reads names and addresses as people give them. A name may begin with *. for all names
// of a domain.
func parseNames(given []string) (n names, err error) {
	for _, text := range given {
		if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
			n.addresses = append(n.addresses, a.Unmap())
			continue
		}
		name := strings.ToLower(strings.TrimSuffix(text, "."))
		if !isDNSName(strings.TrimPrefix(name, "*.")) {
			return n, menu.BadArgument("names", "%s is neither a host name nor an address", menu.Quoted(text)).
				WithHint("Names are such as mx1.example.com or 192.0.2.10, separated by commas")
		}
		n.dns = append(n.dns, name)
	}
	if len(given) > mostNames {
		return n, menu.BadArgument("names", "These are %d names", len(given)).WithHint("A certificate has at most %d", mostNames)
	}
	return n, nil
}

// list returns names and addresses as people give them.
func (n names) list() []string {
	list := slices.Clone(n.dns)
	for _, a := range n.addresses {
		list = append(list, a.String())
	}
	return list
}

// Bounds of what is read of this host: bytes of /etc/hosts, and addresses that a certificate takes.
// A host of containers has hundreds, and each handshake carries the certificate.
const (
	hostsBytes    = 256 << 10
	mostAddresses = 64
	mostNames     = 100 // that a user may give
)

// hostNames returns the names and addresses by which this host can be reached: hostname, the
// machine's own name, what /etc/hosts calls these two, and the addresses of all interfaces. No name
// server is asked, because a certificate must not wait for one.
func hostNames(hostname string) names {
	known := []string{hostname}
	if own, err := os.Hostname(); err == nil {
		known = append(known, own)
	}
	if f, err := os.Open("/etc/hosts"); err == nil {
		known = append(known, alsoCalled(f, known)...)
		f.Close()
	}
	var n names
	for _, name := range append(known, "localhost") {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if isDNSName(name) && !slices.Contains(n.dns, name) {
			n.dns = append(n.dns, name)
		}
	}
	own, _ := net.InterfaceAddrs() // without them it has the names
	n.addresses = hostAddresses(own)
	return n
}

// hostAddresses returns the addresses of interfaces, and after them those of the loopback. Those
// that are valid on one link only come last, where mostAddresses leaves out some.
func hostAddresses(own []net.Addr) (list []netip.Addr) {
	loopback := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	var local []netip.Addr
	for _, a := range own {
		prefix, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		switch address, ok := netip.AddrFromSlice(prefix.IP); {
		case !ok || address.Unmap().IsLoopback():
		case address.IsLinkLocalUnicast():
			local = append(local, address.Unmap())
		default:
			list = append(list, address.Unmap())
		}
	}
	list = append(list, local...)
	list = list[:min(len(list), mostAddresses-len(loopback))]
	return append(list, loopback...)
}

// alsoCalled returns the names that stand in lines of a hosts(5) file together with a known one:
// the canonical name comes first there.
func alsoCalled(file io.Reader, known []string) (list []string) {
	for lines := bufio.NewScanner(io.LimitReader(file, hostsBytes)); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		if _, err := netip.ParseAddr(words[0]); err != nil {
			continue
		}
		if slices.ContainsFunc(words[1:], func(word string) bool { return containsFold(known, word) }) {
			list = append(list, words[1:]...)
		}
	}
	return list
}

func containsFold(list []string, word string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, word) })
}

// isDNSName reports whether a certificate can have the name: labels of letters, digits, hyphens and
// underscores.
func isDNSName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		plain := strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
		if label == "" || len(label) > 63 || !plain {
			return false
		}
	}
	return true
}
