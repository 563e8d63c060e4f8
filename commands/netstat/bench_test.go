package netstat

import (
	"context"
	"net/netip"
	"testing"

	"diagsh/diag/interfaces"
	diag "diagsh/diag/sockets"
	"diagsh/diag/users"
)

// BenchmarkLine measures what a socket costs between the kernel's answer and the text.
func BenchmarkLine(b *testing.B) {
	v := &socketsView{users: users.Names{}}
	s := &diag.Socket{State: diag.Established, Local: netip.MustParseAddrPort("10.0.202.7:10275"),
		Remote: netip.MustParseAddrPort("10.0.201.4:6025")}
	b.ReportAllocs()
	for b.Loop() {
		v.row.fill(v, s, nil)
		v.row.line()
	}
}

func BenchmarkInterfaces(b *testing.B) {
	for b.Loop() {
		if _, err := interfaces.Bare(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
