package beside

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"diagsh/capture/owners"
)

// A table is read once for those who ask for it one after the other, anew when its file has grown, and
// not kept when nobody asks any more.
func TestReaderKeepsATable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "x.flows")
		text := owners.AppendLine(nil, owners.Line{Event: owners.Began, Time: begun, NetNS: 1})
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		var r Reader
		read := func() *owners.Table {
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			table, err := r.Read(f)
			if err != nil {
				t.Fatal(err)
			}
			return table
		}
		first := read()
		for range 3 {
			time.Sleep(keepTable * 3 / 4)
			if read() != first {
				t.Fatal("it is read again")
			}
		}
		time.Sleep(keepTable + time.Second)
		synctest.Wait()
		if r.table != nil {
			t.Error("it is kept")
		}
		if first = read(); first == nil {
			t.Fatal("it is not read again")
		}
		text = owners.AppendLine(text, owners.Line{Event: owners.Known, Time: begun.Add(time.Second)})
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if second := read(); second == first || !second.Until().After(begun) {
			t.Error("a file that has grown is not read")
		}
		r.unused.Stop()
	})
}
