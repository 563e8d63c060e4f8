package commands

import (
	"bytes"
	"testing"
	"time"

	"diagsh/internal/access"
)

// A sheet is a writer of a width.
type sheet struct {
	bytes.Buffer
	columns int
}

func (s *sheet) Columns() int { return s.columns }

// What runs is a row each, whose name and details stand below it, also where a terminal is narrow and
// names are those of files.
func TestWhatRunsIsNeverNarrow(t *testing.T) {
	since := time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)
	list := []access.Activity{
		{Name: "c1", Type: "capture", State: "running", Since: since, Bytes: 1 << 20, Owner: "op", Detail: "12 packets, 0 dropped"},
		{Name: "mail-relay-1-portlog-20260301-123000.ndjson", Type: "port log", State: "paused", Since: since, Bytes: 300, Owner: "op",
			Detail: "The disk is full: it goes on when there is room"},
		{Name: "mail-relay-1-c0-20260301-120000-report.tar.gz", Type: "report", State: "being made", Since: since, Owner: "administrator"},
		{Name: "packetcapture watch", Type: "live view", State: "running", Owner: "op", Detail: "for 192.0.2.1"},
	}
	for columns, want := range map[int]string{80: `
RUNS       STATE       SINCE (UTC)       SIZE    BY
capture    running     2026-03-01 12:30  1.0 MB  op
  c1: 12 packets, 0 dropped
port log   paused      2026-03-01 12:30  300 B   op
  mail-relay-1-portlog-20260301-123000.ndjson: The disk is full: it goes on when
    there is room
report     being made  2026-03-01 12:30  -       administrator
  mail-relay-1-c0-20260301-120000-report.tar.gz
live view  running     -                 -       op
  packetcapture watch: for 192.0.2.1
`, 60: `
RUNS      STATE      SINCE (UTC)      SIZE   BY
capture   running    2026-03-01 12:30 1.0 MB op
  c1: 12 packets, 0 dropped
port log  paused     2026-03-01 12:30 300 B  op
  mail-relay-1-portlog-20260301-123000.ndjson: The disk is
    full: it goes on when there is room
report    being made 2026-03-01 12:30 -      administrator
  mail-relay-1-c0-20260301-120000-report.tar.gz
live view running    -                -      op
  packetcapture watch: for 192.0.2.1
`} {
		s := &sheet{columns: columns}
		activitiesText(s, list)
		if s.String() != want {
			t.Errorf("in %d columns it is%snot%s", columns, s.String(), want)
		}
	}
}
