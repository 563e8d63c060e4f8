package captures

import (
	"encoding/json"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

// A capture that is deleted without its files is found no more, and its name is free at once. Its
// files are known as before: what they hold, and that the retention may take them. So it is after a
// restart.
func TestForgottenCapturesLeaveFiles(t *testing.T) {
	dir := t.TempDir()
	b := newBed(t, roomOptions{Dir: dir, Hostname: "mx1"})
	first := b.mustStart(ask("one", capture.Options{HeadersOnly: true, Persistent: true}))
	roomtest.WantCode(t, b.d.ForgetCapture(roomtest.Admin, "one"), menu.State)
	roomtest.WantCode(t, b.d.ForgetCapture(roomtest.Admin, "two"), menu.NotFound)
	send(t, b.ns, testPacket, 10)
	if _, err := b.d.StopCapture(roomtest.Admin, "one"); err != nil {
		t.Fatal(err)
	}
	file := first.Files[0].Name
	roomtest.WantCode(t, b.d.ForgetCapture(roomtest.Admin, "one"), 0)
	again := b.mustStart(ask("one", capture.Options{}))
	if again.Files[0].Name == file {
		t.Errorf("the next capture of the name writes to %s too", file)
	}
	if _, err := b.d.StopCapture(roomtest.Admin, "one"); err != nil {
		t.Fatal(err)
	}
	roomtest.WantCode(t, b.d.DeleteCapture(roomtest.Admin, "one"), 0)

	look := func(when string) {
		t.Helper()
		if _, err := b.d.Capture("one"); roomtest.CodeOf(t, err) != menu.NotFound || len(b.d.Captures()) != 0 {
			t.Errorf("%s: there is a capture: %v", when, b.d.Captures())
		}
		if n, _ := roomtest.PacketsOf(t, b.d, file); n != 10 {
			t.Errorf("%s: its file has %d packets", when, n)
		}
		if f, err := b.d.StatFile(file); err != nil || f.Payload {
			t.Errorf("%s: its file is known as %+v, %v", when, f, err)
		}
		if c := b.d.Contents(file); c.Capture != "" || c.Owner != "admin" || c.Packets == nil {
			t.Errorf("%s: its contents are %+v", when, c)
		}
		if list := (captureFiles{b.d.Table}).Expendable(); len(list) != 1 || list[0].Name != file {
			t.Errorf("%s: what may go to make room is %+v", when, list)
		}
	}
	look("now")
	if err := b.d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.d = start(t, roomOptions{Dir: dir, Hostname: "mx1"})
	look("after a restart")
	roomtest.WantCode(t, b.d.RemoveFile(roomtest.Admin, file), 0)
	if len(b.d.Table.entries) != 0 {
		t.Errorf("an entry without files stays: %+v", b.d.Table.entries)
	}
}

// The identity of a capture as a resource of Azure is kept with it, over a restart; what is none is
// refused.
func TestAzureIdentityStays(t *testing.T) {
	dir := t.TempDir()
	b := newBed(t, roomOptions{Dir: dir, Hostname: "mx1"})
	q := ask("one", capture.Options{})
	for _, text := range []string{"x", "[]", "{}", `{"id":"/a","sent":[]}`, `{"id":"","sent":{}}`, `{"id":"/a","sent":{},"other":1}`,
		`{"id":"/a","sent":{}} {}`} {
		q.Azure = text
		_, err := b.start(roomtest.Admin, q)
		if e := menu.AsError(err); e == nil || e.Code != menu.Usage || e.Argument != "azure" {
			t.Errorf("%s is %v", text, err)
		}
	}
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const sent = `{"target":"/vm","filters":[{"protocol":"TCP"}]}`
	text, _ := json.Marshal(capture.Azure{ID: "/subscriptions/s/one", Sent: json.RawMessage(sent), StoragePath: "https://x/y", Created: created})
	q.Azure = string(text)
	b.mustStart(q)
	if _, err := b.d.StopCapture(roomtest.Admin, "one"); err != nil {
		t.Fatal(err)
	}
	if err := b.d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.d = start(t, roomOptions{Dir: dir, Hostname: "mx1"})
	s, err := b.d.Capture("one")
	if a := s.Azure; err != nil || a == nil || a.ID != "/subscriptions/s/one" || a.StoragePath != "https://x/y" || !a.Created.Equal(created) {
		t.Fatalf("it is %+v, %v", s.Azure, err)
	}
	var got any
	if json.Unmarshal(s.Azure.Sent, &got) != nil || got.(map[string]any)["target"] != "/vm" {
		t.Errorf("what was sent is %s", s.Azure.Sent)
	}
}
