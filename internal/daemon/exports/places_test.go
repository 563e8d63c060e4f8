package exports

import (
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/menu"
)

func TestPlaceOf(t *testing.T) {
	at := time.Date(2026, 3, 1, 1, 5, 9, 0, time.FixedZone("", 3600))
	e := &capture.Export{File: "mx1-web-20260301-000509.pcap", Capture: "web", CaseNumber: "../Fall 7/ä", CaptureStart: at}
	for template, want := range map[string]string{
		"{host}/{yyyy}/{mm}/{dd}/{file}":         "mx1/2026/03/01/mx1-web-20260301-000509.pcap",
		"{capture}_{HH}_{MM}_{SS}-{name}x{ext}":  "web_00_05_09-mx1-web-20260301-000509x.pcap",
		"a/{case}/{file}":                        "mx1-web-20260301-000509.pcap", // would be hidden: its name
		"c{case}/{file}":                         "c.._Fall_7__/mx1-web-20260301-000509.pcap",
		"network-watcher-logs/{capture}/{file}x": "network-watcher-logs/web/mx1-web-20260301-000509.pcapx",
	} {
		if err := checkTemplate(template); err != nil {
			t.Errorf("%s: %v", template, err)
		}
		if got := placeOf(template, "mx1", e); got != want || !capture.PlainPlace(got) {
			t.Errorf("%s: %q, want %q", template, got, want)
		}
	}
	if got := placeOf("{capture}/{case}/{file}", "mx1", &capture.Export{File: "a.pcap"}); got != "none/none/a.pcap" {
		t.Errorf("a file of no capture is at %q", got)
	}
	for _, wrong := range []string{"{host}", "all.pcap", "../{file}", "/{file}", "{file}/", "a//{file}", "{Host}/{file}", "{}/{file}", "{{file}}", "a b/{file}", "{file", ".{file}", "a\\{file}"} {
		if err := checkTemplate(wrong); menu.AsError(err).Argument != "template" {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("{host}/{yyyy}/{file}", "web", "7")
	f.Fuzz(func(t *testing.T, template, of, number string) {
		if checkTemplate(template) != nil {
			return
		}
		e := &capture.Export{File: "mx1-web-20260301-000509.pcap", Capture: of, CaseNumber: number}
		if place := placeOf(template, "mx1", e); !capture.PlainPlace(place) {
			t.Errorf("%q with %q and %q is %q", template, of, number, place)
		}
	})
}

func TestMetadata(t *testing.T) {
	m := metadata("mx1", &capture.Export{File: "a", Capture: "web", CaseNumber: "Fäll \"7\"\r\nX: y"}, "abc")
	if m["host"] != "mx1" || m["capture"] != "web" || m["sha256"] != "abc" || m["case"] != "Fäll \"7\"\r\nX: y" {
		t.Errorf("%q", m)
	}
	if m := metadata("mx1", &capture.Export{File: "a"}, "abc"); len(m) != 2 {
		t.Errorf("%q", m)
	}
}
