package dropped

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/drops"
	"diagsh/internal/daemon/captures/beside"
)

// A taker is a beside.Recorder that hands its file to the test.
type taker struct{ out *beside.File }

func (*taker) Kind() beside.Kind           { return beside.Drops }
func (*taker) Wanted(capture.Options) bool { return true }

func (t *taker) Begin(_ beside.Capture, out *beside.File) (func(), error) {
	t.out = out
	return func() {}, nil
}

// newWriter returns a writer that no engine tells of packets.
func newWriter(t *testing.T) *writer {
	t.Helper()
	dir, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	file := &taker{}
	set, err := beside.Begin(beside.Options{Dir: dir, File: "x.pcapng", MostBytes: 1 << 20, Room: func() error { return nil },
		Recorders: []beside.Recorder{file}}, beside.Capture{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Discard)
	w := &writer{engine: drops.New(drops.Options{}), out: file.out, recorded: map[string]uint64{}}
	if err := w.begin(Recorder{}, ""); err != nil {
		t.Fatal(err)
	}
	return w
}

// A packet is written when its processes have had the time to become known, whatever the clock of the
// day says by then.
func TestClockIsSet(t *testing.T) {
	for _, stamp := range []time.Duration{-time.Hour, 0, time.Hour} {
		w := newWriter(t)
		told := time.Now()
		w.take(&drops.Drop{Where: drops.Where{Reason: "NO_SOCKET"}, Time: told.Add(stamp), Length: 28, Data: make([]byte, 28),
			Flow: drops.Flow{Source: netip.MustParseAddrPort("127.0.0.1:1"), Destination: netip.MustParseAddrPort("127.0.0.1:9")}})
		if w.write(told); w.recorded["NO_SOCKET"] != 0 {
			t.Errorf("stamped %s later it is written before its time", stamp)
		}
		if w.write(time.Now()); w.recorded["NO_SOCKET"] != 1 {
			t.Errorf("stamped %s later it is not written", stamp)
		}
	}
}
