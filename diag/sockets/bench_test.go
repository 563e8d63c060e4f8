package sockets

import (
	"net"
	"testing"

	"diagsh/internal/test/netnstest"
)

// connections makes n connections in the current namespace, which are twice as many sockets.
func connections(t testing.TB, network string, n int) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "tcp6" {
		address = "[::1]:0"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for range n {
		c, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		a, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(); a.Close() })
	}
}

func BenchmarkEach(b *testing.B) {
	ns := netnstest.New(b)
	ns.Do(b, func() { connections(b, "tcp4", 8000) })
	for _, detail := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "detail"}[detail], func(b *testing.B) {
			ns.Do(b, func() {
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					n = 0
					if err := Each(b.Context(), Query{Detail: detail},
						func(*Socket) error { n++; return nil }); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/socket")
			})
		})
	}
}

func BenchmarkFindOwners(b *testing.B) {
	ns := netnstest.New(b)
	ns.Do(b, func() { connections(b, "tcp4", 8000) })
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		o, err := FindOwners(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		n = len(o.first)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/socket")
}
