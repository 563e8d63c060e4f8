package portlog

import (
	"testing"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/daemon/files"
)

// BenchmarkRecord is what a record costs from the engine to the disk.
func BenchmarkRecord(b *testing.B) {
	l := open(b, b.TempDir(), files.Options{})
	start(b, l, ports.LogOptions{SizeBytes: ports.LeastLogBytes})
	list := serials(1, 100, time.Now(), 0)
	b.ResetTimer()
	b.ReportAllocs()
	for n := uint64(0); n < uint64(b.N); n += 100 {
		l.tell(list...)
		if n%20_000 == 0 {
			l.written(b, n)
		}
	}
	l.written(b, uint64(b.N)/100*100)
}
