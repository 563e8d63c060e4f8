package captures

import (
	"strings"
	"testing"
	"time"

	"diagsh/capture"
)

// What was on the wire is said where it is known, also when it was nothing.
func TestStatusOfAWire(t *testing.T) {
	some, none := uint64(7), uint64(0)
	for _, test := range []struct {
		seen *uint64
		want string
	}{
		{&some, "On the wire: 7 packets in and out"}, {&none, "On the wire: 0 packets in and out"}, {nil, ""},
	} {
		var text strings.Builder
		Status(&text, capture.Status{State: capture.Running, StartTime: time.Now(), PacketsReceived: 7,
			PacketsSeen: test.seen})
		if got := text.String(); strings.Contains(got, "On the wire") != (test.want != "") ||
			!strings.Contains(got, test.want) {
			t.Errorf("%q is missing, or nothing should be there:\n%s", test.want, got)
		}
	}
}

// Packets that are missing for want of room in the kernel are said, also after the end.
func TestStatusWithoutRoom(t *testing.T) {
	for _, state := range []capture.State{capture.Running, capture.Stopped} {
		var text strings.Builder
		Status(&text, capture.Status{State: state, StartTime: time.Now(), Options: capture.Options{Process: "curl"}, ProcessesNoRoom: 3})
		want := "packets are missing: no room in the kernel for 3 of its processes, sockets and ports"
		if got := strings.Join(strings.Fields(text.String()), " "); !strings.Contains(got, want) {
			t.Errorf("%q is missing:\n%s", want, text.String())
		}
	}
}
