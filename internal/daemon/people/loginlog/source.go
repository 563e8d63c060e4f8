package loginlog

import "net/netip"

// SourceKey returns what counts as one source: an IPv4 address, the /64 of an IPv6 address, or the
// text itself.
func SourceKey(text string) string {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return text
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, _ := addr.Prefix(64)
	return prefix.String()
}
