package records

import (
	"net/netip"

	"diagsh/diag/ports"
)

// Between reports whether a record is of a conversation between two ends, either of which may be the
// local one. A UDP socket that is bound to no address has none in its records: its port is enough.
func Between(r *ports.Record, a, b netip.AddrPort) bool {
	remote := netip.AddrPortFrom(r.RemoteAddress, r.RemotePort)
	local := func(end netip.AddrPort) bool {
		return r.LocalPort == end.Port() && (r.LocalAddress == end.Addr() || r.Protocol == ports.UDP && r.LocalAddress.IsUnspecified())
	}
	return remote == b && local(a) || remote == a && local(b)
}
