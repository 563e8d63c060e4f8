package records

import (
	"net/netip"
	"testing"

	"diagsh/diag/ports"
)

func TestBetween(t *testing.T) {
	client, server := netip.MustParseAddrPort("192.0.2.1:5000"), netip.MustParseAddrPort("192.0.2.2:53")
	for _, test := range []struct {
		protocol      ports.Protocol
		local, remote string
		want          bool
	}{
		{ports.TCP, "192.0.2.1:5000", "192.0.2.2:53", true},
		{ports.TCP, "192.0.2.2:53", "192.0.2.1:5000", true},
		{ports.TCP, "192.0.2.1:5001", "192.0.2.2:53", false},
		{ports.TCP, "192.0.2.1:5000", "192.0.2.2:54", false},
		{ports.TCP, "192.0.2.1:5000", "192.0.2.1:5000", false},
		{ports.UDP, "0.0.0.0:5000", "192.0.2.2:53", true}, // sendto(2) without bind(2)
		{ports.UDP, "[::]:53", "192.0.2.1:5000", true},
		{ports.UDP, "0.0.0.0:5001", "192.0.2.2:53", false},
		{ports.UDP, "192.0.2.3:5000", "192.0.2.2:53", false},
		{ports.TCP, "0.0.0.0:5000", "192.0.2.2:53", false},
	} {
		local, remote := netip.MustParseAddrPort(test.local), netip.MustParseAddrPort(test.remote)
		r := ports.Record{Protocol: test.protocol, LocalAddress: local.Addr(), LocalPort: local.Port(), RemoteAddress: remote.Addr(), RemotePort: remote.Port()}
		if Between(&r, client, server) != test.want {
			t.Errorf("%s %s > %s: %t", test.protocol, local, remote, !test.want)
		}
	}
	if Between(&ports.Record{Protocol: ports.UDP, LocalPort: 53}, client, server) {
		t.Error("a record without a remote end is of a conversation")
	}
}
