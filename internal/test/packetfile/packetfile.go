// Package packetfile opens files of packets in tests.
package packetfile

import (
	"os"
	"testing"

	"diagsh/capture/pcapfile"
)

// Open opens a file of packets. The file is closed when the test ends.
func Open(t testing.TB, path string) *pcapfile.Reader {
	t.Helper()
	r, err := Try(t, path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return r
}

// Try is Open for a file that the reader may refuse. A file that is not there fails the test.
func Try(t testing.TB, path string) (*pcapfile.Reader, error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return pcapfile.NewReader(f)
}
