package privsep

import (
	"bytes"
	"errors"
	"testing"

	"diagsh/internal/menu"
)

// Whatever comes instead of frames, reading ends, takes no more than its bound and gives nothing
// twice.
func FuzzFrames(f *testing.F) {
	f.Add(append(frame(`{"number":1,"do":"stat","name":"a"}`), frame(`{"number":2,"do":"list"}`)...))
	f.Add([]byte("\xff\xff\xff\xff{}"))
	f.Add([]byte("{\"do\":\"banner\"}\n"))
	f.Add(frame("null"))
	f.Add(append(frame(`{"number":1,"do":"client"}`), frame(`{"number":2,"do":"sign","algorithm":"a","hash":"SHA-256","exchange":"AAAA"}`)...))
	f.Add(frame(`{"number":2,"do":"login","credentials":{"user":"op","key":"AAAA","algorithm":"a","signature":"AAAA"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := bytes.NewReader(text)
		for last := uint64(0); ; last++ {
			before := r.Len()
			q, err := readRequest(r, last, maxRequestFrame)
			if err != nil {
				break
			}
			if q.Number != last+1 || before-r.Len() < 4 {
				t.Fatalf("question %d behind %d, of %d bytes", q.Number, last, before-r.Len())
			}
		}
		ours, theirs, err := pair()
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		go func() {
			var q request
			readFrame(ours, maxRequestFrame, &q)
			ours.Write(text)
			ours.Close()
		}()
		c := &connection{conn: theirs}
		a, file, err := c.ask(request{Do: "stat", Name: "a.pcap"})
		if file != nil || err == nil && (a.File == nil || a.File.Name != "a.pcap") {
			t.Fatalf("answered with %+v, %v", a, err)
		}
		var known *menu.Error
		if err != nil && !errors.As(err, &known) {
			if _, _, again := c.ask(request{Do: "banner"}); again == nil {
				t.Fatal("a connection at fault answers")
			}
		}
	})
}
