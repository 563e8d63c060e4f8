package capture

import (
	"encoding/json"
	"testing"
	"time"
)

// A queue of a build before 0.1 is read with its times, and written with their present names.
func TestExportOfFormerBuilds(t *testing.T) {
	at := time.Date(2026, 11, 20, 10, 15, 2, 0, time.UTC)
	var e Export
	former := `{"file":"a.pcap","target":"vault","state":"done","bytes":5,"queued":"2026-11-20T10:15:02Z","nextTry":"2026-11-20T10:16:02Z","finished":"2026-11-20T10:17:02Z","owner":"op"}`
	if err := json.Unmarshal([]byte(former), &e); err != nil {
		t.Fatal(err)
	}
	if e.File != "a.pcap" || e.Bytes != 5 || e.Owner != "op" || !e.Queued.Equal(at) ||
		!e.NextTry.Equal(at.Add(time.Minute)) || !e.Finished.Equal(at.Add(2*time.Minute)) {
		t.Errorf("%+v", e)
	}
	text, err := json.Marshal(&e)
	if err != nil {
		t.Fatal(err)
	}
	var again Export
	if err := json.Unmarshal(text, &again); err != nil || again != e {
		t.Errorf("%s: %v\n%+v\nwant %+v", text, err, again, e)
	}
}
