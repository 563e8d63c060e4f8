package decode

import (
	"testing"

	"github.com/google/gopacket/layers"
)

// TestTrim: the rows that gopacket knows stay as they were, and hardly any others.
func TestTrim(t *testing.T) {
	known := map[int]layers.EnumMetadata{}
	for i, row := range layers.EthernetTypeMetadata {
		if row.Name != layers.EthernetType(0xffff).String() {
			known[i] = row
		}
	}
	numbers := numbersOf(layers.EthernetTypeMetadata[:])
	if len(numbers) != len(layers.EthernetTypeMetadata) || numbers[0x9abc] != 0x9abc {
		t.Fatalf("the decoders of unknown types point into a list of %d numbers", len(numbers))
	}
	Trim()
	if numbers[0x9abc] != 0 {
		t.Error("the list of numbers is still in memory")
	}
	left := 0
	for i, row := range layers.EthernetTypeMetadata {
		if want, is := known[i]; is && (row.LayerType != want.LayerType || row.Name != want.Name ||
			row.DecodeWith == nil) {
			t.Errorf("type %#x is now %+v, was %+v", i, row, want)
		}
		if row.Name != "" {
			left++
		}
	}
	if len(known) == 0 || left > 65536/10 {
		t.Errorf("%d rows of %d known ones are left", left, len(known))
	}
	if layers.PPPTypeMetadata[layers.PPPTypeIPv4].DecodeWith == nil || layers.PPPTypeMetadata[0x8000].Name != "" {
		t.Error("PPP is not as it should be")
	}
}
