package captures

import (
	"testing"
	"time"

	"diagsh/capture/afpacket"
	"diagsh/capture/pcapfile"
)

// Memory that captures which ended left counts in the budget: it is given back if it exceeds the
// budget with that of a new capture.
func TestMemoryThatIsKeptIsInTheBudget(t *testing.T) {
	const asked = 16 << 20
	for _, test := range []struct {
		budget int64
		stays  bool
	}{{1 << 30, true}, {asked + pcapfile.DefaultBuffers + 1<<20, false}} {
		c := &Table{volume: pcapfile.NewVolume(time.Minute), rings: afpacket.NewSpare(time.Minute)}
		files, err := c.volume.NewFiles(0)
		if err != nil {
			t.Fatal(err)
		}
		files.Close()
		before := c.volume.Spare()
		if before == 0 {
			t.Fatal("nothing is kept")
		}
		if _, _, err := c.allocate(&entry{}, test.budget, asked); err != nil {
			t.Fatal(err)
		}
		if after := c.volume.Spare(); (after == before) != test.stays {
			t.Errorf("budget %d: %d bytes are kept, %d before", test.budget, after, before)
		}
		c.clearSpare()
	}
}
