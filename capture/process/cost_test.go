package process_test

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkOthers: what a datagram on the loopback interface takes of the processor while nothing is
// captured, and while the packets of another process are. All that the kernel does for it, on its way
// out and in, happens in the call that sends it. Nobody reads it: its receiver's buffer is full.
func BenchmarkOthers(b *testing.B) {
	for _, captured := range []bool{false, true} {
		name := "plain"
		if captured {
			name = "captured"
		}
		b.Run(name, func(b *testing.B) {
			bed := newBed(b)
			if captured {
				bed.record(wanted, "lo")
			}
			bed.near.Do(b, func() { sendToNobody(b) })
		})
	}
}

func sendToNobody(b *testing.B) {
	to, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	defer to.Close()
	from, err := net.DialUDP("udp4", nil, to.LocalAddr().(*net.UDPAddr))
	if err != nil {
		b.Fatal(err)
	}
	defer from.Close()
	data := make([]byte, 36)
	now := func() int64 {
		var t unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
			b.Fatal(err)
		}
		return t.Nano()
	}
	b.ResetTimer()
	before := now()
	for range b.N {
		if _, err := from.Write(data); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(now()-before)/float64(b.N), "cpu-ns/op")
}
