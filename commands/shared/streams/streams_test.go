package streams

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"diagsh/capture"
)

// A growing source counts one more packet each time that it is asked.
type growing struct{ asked uint64 }

func (g *growing) Read([]capture.Packet, time.Time) (int, error) { return 0, io.EOF }
func (g *growing) Finish() error                                 { return nil }
func (g *growing) Wake()                                         {}
func (g *growing) Close() error                                  { return nil }

func (g *growing) Counters() []capture.Counters {
	g.asked++
	return []capture.Counters{{Received: 10 * g.asked, Dropped: g.asked}}
}

// accepted returns how many packets passed the filter, as the statistics of a pcapng stream say
// (isb_filteraccept).
func accepted(t *testing.T, stream []byte) uint64 {
	t.Helper()
	for len(stream) >= 12 {
		kind, length := binary.LittleEndian.Uint32(stream), binary.LittleEndian.Uint32(stream[4:])
		options := stream[8 : length-4]
		if stream = stream[length:]; kind != 5 {
			continue
		}
		for options = options[12:]; len(options) >= 4; {
			code, size := binary.LittleEndian.Uint16(options), binary.LittleEndian.Uint16(options[2:])
			if code == 6 {
				return binary.LittleEndian.Uint64(options[4:])
			}
			options = options[4+(size+3)&^3:]
		}
	}
	t.Fatal("the stream has no statistics")
	return 0
}

// What a stream says of its packets at its end, and what its file says, are the numbers of one
// moment, however many packets come after it.
func TestEndTellsTheCountersThatItWrites(t *testing.T) {
	on := []capture.Interface{{Name: "eth0", LinkType: capture.Ethernet, Index: 1}}
	var out bytes.Buffer
	w, err := New(&out, Options{Header: capture.FileHeader{Format: capture.PCAPNG, Interfaces: on}, Source: &growing{},
		Present: func() []capture.Interface { return on }})
	if err != nil {
		t.Fatal(err)
	}
	told, err := w.End(t.Context())
	if err != nil || len(told) != 1 {
		t.Fatalf("%+v, %v", told, err)
	}
	if got, want := accepted(t, out.Bytes()), told[0].Received+told[0].Dropped; got != want || want == 0 {
		t.Errorf("the stream says that %d packets passed the filter, and the sentence after it %d", got, want)
	}
}
