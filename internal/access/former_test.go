package access

import (
	"encoding/json"
	"testing"
	"time"
)

// A table of reports of a build before 0.1 is read, and written with the present names.
func TestReportOfFormerBuilds(t *testing.T) {
	const former = `{"name":"r.tar.gz","time":"2026-01-01T00:00:00Z","owner":"op","bytes":1,"case":"4711",
		"files":[{"name":"a.pcap","bytes":6,"modified":"2026-01-02T03:04:05Z","payload":true}],
		"payload":true,"role":"operator","contents":[]}`
	const present = `{"name":"r.tar.gz","time":"2026-01-01T00:00:00Z","owner":"op","bytes":1,"caseNumber":"4711",` +
		`"files":[{"name":"a.pcap","bytes":6,"modifiedTime":"2026-01-02T03:04:05Z","payload":true}],` +
		`"payload":true,"role":"operator","contents":[]}`
	for _, text := range []string{former, present} {
		var r Report
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		if r.Case != "4711" || len(r.Files) != 1 || !r.Files[0].Payload ||
			!r.Files[0].Modified.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
			t.Errorf("%s is read as %+v", text, r)
		}
		if written, err := json.Marshal(r); err != nil || string(written) != present {
			t.Errorf("it is written as %s, %v", written, err)
		}
	}
}
