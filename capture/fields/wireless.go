package fields

import (
	"fmt"
)

// little adds a little-endian number.
func (b *builder) little(name, label string, at, size int, show format) *Field {
	if !b.has(at, size) {
		return nil
	}
	n := uint64(0)
	for i := size - 1; i >= 0; i-- {
		n = n<<8 | uint64(b.b[at+i])
	}
	return b.add(name, label, at, size, show(n))
}

func (b *builder) radiotap() {
	b.uint("radiotap.version", "Version", 0, 1, decimal)
	b.little("radiotap.length", "Header length", 2, 2, decimal)
	b.little("radiotap.present.word", "What is present", 4, 4, hex32)
}

var frameTypes = in(map[uint64]string{0: "management", 1: "control", 2: "data", 3: "extension"})

func (b *builder) wlan() {
	f := b.raw("wlan.fc", "Frame control", 0, 2)
	b.inside(f, func() {
		b.bits("wlan.fc.version", "Version", 0, 1, 0x03, decimal)
		b.bits("wlan.fc.type", "Type", 0, 1, 0x0c, frameTypes)
		b.bits("wlan.fc.subtype", "Subtype", 0, 1, 0xf0, decimal)
		b.bits("wlan.fc.ds", "To and from the distribution system", 1, 1, 0x03, decimal)
		b.bits("wlan.fc.frag", "More fragments", 1, 1, 0x04, yesNo)
		b.bits("wlan.fc.retry", "Retry", 1, 1, 0x08, yesNo)
		b.bits("wlan.fc.protected", "Protected", 1, 1, 0x40, yesNo)
		b.bits("wlan.fc.order", "HTC or order", 1, 1, 0x80, yesNo)
	})
	b.little("wlan.duration", "Duration", 2, 2, func(n uint64) string { return fmt.Sprintf("%d microseconds", n) })
	for n, name := range []string{"Receiver address", "Transmitter address", "Address 3"} {
		b.mac([]string{"wlan.ra", "wlan.ta", "wlan.address3"}[n], name, 4+6*n, "")
	}
	if len(b.b) >= 24 {
		b.little("wlan.seqfrag", "Sequence control", 22, 2, hex16)
	}
}
