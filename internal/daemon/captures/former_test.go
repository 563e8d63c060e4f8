package captures

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/test/roomtest"
)

// What a former build has written is read: options that had other names, and forms without a
// version.
func TestFormerFilesOfCaptures(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"settings.json": `{"interfaces":["lo"],"onInterfaceGone":"","filter":"port 25","direction":"",
			"notPromiscuous":true,"snapLength":96,"headersOnly":false,"format":"","timePrecision":"","mode":"ring",
			"limits":{"sizeBytes":0,"durationSeconds":60,"packets":0,"files":0},
			"rotation":{"fileBytes":1048576,"fileSeconds":0,"keepFiles":3},"persistent":false,"keep":true,
			"comment":"c","caseNumber":"1","ringBytes":0,"rings":0,"cpus":null,"management":true}`,
		"captures.json": `{"version":1,"captures":[
			{"status":{"name":"kept","state":"Stopped","stopReason":"StoppedByUser","interfaces":["lo"],
				"filter":"","effectiveFilter":"","keep":true,"startTime":"2026-11-20T10:00:00Z","owner":"admin",
				"files":[],"promiscuous":true},
			 "spec":{"name":"kept","interfaces":["ALL"],"promiscuous":true,"keep":true,"limits":{"sizeBytes":1048576}},
			 "management":true,"file":"h-kept.pcap","payload":true},
			{"status":{"name":"later","state":"NotStarted","stopReason":"","interfaces":["lo"],
				"startAt":"2099-01-01T00:00:00Z","owner":"admin","files":null},
			 "spec":{"name":"later","interfaces":["lo"],"startAt":"2099-01-01T00:00:00Z",
				"limits":{"sizeBytes":1048576}},
			 "management":false,"file":"h-later.pcap","payload":true}]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // as it was, and as it is written now
		d := start(t, roomOptions{Dir: dir})
		s := d.CaptureSettings()
		if s.Promiscuous || !s.Protect || !s.Management || s.SnapLength != 96 || s.Mode != capture.Ring ||
			s.Rotation.KeepFiles != 3 || s.Limits.DurationSeconds != 60 {
			t.Errorf("the settings are %+v", s)
		}
		kept, err := d.Capture("kept")
		if err != nil || !kept.Protect || !kept.Management || !kept.Promiscuous || kept.Owner != "admin" {
			t.Errorf("the one that is kept is %+v, %v", kept, err)
		}
		if shown, err := json.Marshal(kept); err != nil || !bytes.Contains(shown, []byte(`"filters":[]`)) {
			t.Errorf("it is shown as %s, %v", shown, err)
		}
		later, err := d.Capture("later")
		if err != nil || later.State != capture.NotStarted || later.Protect ||
			!later.Start.Equal(time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("the planned one is %+v, %v", later, err)
		}
		r, _ := d.Table.find("kept")
		if !r.Spec.Protect || !r.Spec.Management || !slices.Equal(r.Spec.Interfaces, []string{capture.All}) {
			t.Errorf("it was begun with %+v", r.Spec)
		}
		given := capture.Partial{Options: capture.Options{SnapLength: 96}}
		if err := d.SetCaptureSettings(roomtest.Admin, given); err != nil {
			t.Fatal(err)
		}
		d.saveCaptures()
		if err := d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
