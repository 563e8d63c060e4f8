package conversation

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"time"

	"diagsh/diag/ports"
)

// TestPortLogOfAReport: of the port log in a report the records of a time are read, and one that cannot
// be read to its end is an error: what is behind it would be missing silently.
func TestPortLogOfAReport(t *testing.T) {
	line := func(second, cookie string) string {
		return `{"time":"2026-11-30T12:00:` + second + `Z","event":"connect","pid":0,"uid":0,"cookie":` + cookie + "}\n"
	}
	for text, wanted := range map[string]struct {
		records int
		fails   bool
	}{
		line("01", "1") + line("02", "2") + "torn\n" + line("09", "3"): {2, false},
		line("01", "1") + strings.Repeat("x", 1<<20):                   {1, true},
	} {
		var packed bytes.Buffer
		zipped := gzip.NewWriter(&packed)
		members := tar.NewWriter(zipped)
		members.WriteHeader(&tar.Header{Name: "x/portlog/log.ndjson", Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(text))})
		members.Write([]byte(text))
		members.Close()
		zipped.Close()
		open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil }
		noon, n := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC), 0
		err := readLog(t.Context(), open, "portlog/log.ndjson", noon, noon.Add(5*time.Second), func(*ports.Record) error { n++; return nil })
		if n != wanted.records || (err != nil) != wanted.fails {
			t.Errorf("%.100q: %d records, %v", text, n, err)
		}
	}
}
