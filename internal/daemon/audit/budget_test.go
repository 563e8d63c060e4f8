package audit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// One user who sends lines without limit leaves the others' lines in the log, and each line that is
// left out is counted in one that is there.
func TestNobodyTurnsTheAuditLogOver(t *testing.T) {
	d := start(t, t.TempDir(), nil)
	now := time.Now()
	d.budgets.now = func() time.Time { return now }
	bytes, written, counted, told := 0, 0, 0, 0
	d.budgets.write = func(e access.Event) {
		var left int
		switch n, _ := fmt.Sscanf(e.Message, "%d further lines of op were left out", &left); {
		case e.User == "op" && n == 1:
			counted += left
			told++
			acts := []string{"command packetcapture delete", "refused, usage"}
			if e.Result != "left out" || told > 1 && (len(e.Arguments) != 2 || e.Arguments[acts[0]] == "" || e.Arguments[acts[1]] == "") {
				t.Errorf("left out: %+v", e)
			}
		case e.User == "op":
			written++
		}
		bytes += len(fmt.Sprint(e))
		d.write(e)
	}
	d.Record(access.Event{Act: access.ActCommand, User: "victim", Path: "userconfig new", Result: "ok"})
	const lines, seconds = 100_000, 600
	for n := range lines {
		e := access.Event{Act: access.ActCommand, User: "op", Path: "packetcapture delete", Result: "ok", Message: strings.Repeat("x", 1000)}
		if n%2 == 1 {
			e.Act, e.Path, e.Result, e.Exit = access.ActRefused, fmt.Sprint("nosuch", n), "usage", int(menu.Usage)
		}
		d.Record(e)
		if n%(lines/seconds) == 0 {
			now = now.Add(time.Second)
		}
	}
	d.Record(access.Event{Act: access.ActCommand, User: "victim", Path: "userconfig delete", Result: "ok"})
	d.budgets.tell(0)
	if written == 0 || counted == 0 || written+counted != lines {
		t.Errorf("of %d lines %d were written and %d counted", lines, written, counted)
	}
	if most := burst + rate*(seconds+10) + told*4<<10; bytes > most || told > seconds/60+2 {
		t.Errorf("%d bytes were written, %d times something was left out", bytes, told)
	}
	if list := events(t, d, access.EventFilter{User: "victim"}); len(list) != 2 {
		t.Errorf("of the other user are left: %+v", list)
	}
	// Whoever pauses can be read again.
	now, written = now.Add(time.Hour), 0
	if d.Record(access.Event{Act: access.ActCommand, User: "op", Path: "whoami", Result: "ok"}); written != 1 {
		t.Error("an hour later, a line is left out")
	}
}
