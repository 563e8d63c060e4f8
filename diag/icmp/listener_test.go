package icmp

import "testing"

// FuzzParseMessage: any input from the kernel or strangers is either parsed or rejected.
func FuzzParseMessage(f *testing.F) {
	f.Add([]byte{0x45, 0, 0, 28}, []byte{}, false, false)
	f.Add([]byte{0x4f}, []byte{20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0}, true, false)
	f.Fuzz(func(t *testing.T, data, control []byte, failure, v6 bool) {
		m, ok := parseMessage(data, control, failure, v6)
		switch {
		case !ok:
		case failure != (m.Error != nil):
			t.Errorf("a failure is %v, and its error %+v", failure, m.Error)
		case failure && !m.From.IsValid():
			t.Error("an error of nobody")
		case len(m.Data) > len(data):
			t.Errorf("%d bytes of %d", len(m.Data), len(data))
		}
	})
}

func TestBehindHeader(t *testing.T) {
	packet := make([]byte, 30)
	for first, want := range map[byte]int{0x45: 10, 0x46: 6, 0x47: 2, 0x48: 0, 0x44: 0, 0x40: 0, 0x4f: 0} {
		packet[0] = first
		if got := behindHeader(packet); len(got) != want {
			t.Errorf("first byte %#x: %d bytes, want %d", first, len(got), want)
		}
	}
	if behindHeader(packet[:19]) != nil {
		t.Error("a part of a header has something behind it")
	}
}
