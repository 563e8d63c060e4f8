package exports

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/menu"
)

// The log says why a copy failed, but nothing secret of its target: a SAS is part of each URL.
func TestCausesHaveNothingSecret(t *testing.T) {
	r := newRig(t)
	var log bytes.Buffer
	r.o.Log = slog.New(slog.NewTextHandler(&log, nil))
	r.open()
	const sas = "?sv=2021-08-06&se=2030-01-01&sr=c&sp=rcw&sig=ab%2Bcd%3D"
	if _, err := r.q.AddTarget(t.Context(), menu.Caller{}, capture.Target{Name: "dead", URL: "azblob://acct@127.0.0.1:1/captures?tls=no"}, sas); err != nil {
		t.Fatal(err)
	}
	r.file("a.pcap")
	r.add("anna", "dead", "a.pcap")
	r.q.Start()
	for end := time.Now().Add(20 * time.Second); r.state("a.pcap", "dead").Tries == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	r.q.Close(t.Context())
	if text := log.String(); !strings.Contains(text, "connection refused") || strings.Contains(text, "ab+cd") || strings.Contains(text, "ab%2Bcd") {
		t.Errorf("the log is %s", text)
	}
	said := errors.New("GET /?sig=ab%2bcd%3d " + sas + strings.Repeat("\x1b", 1<<20))
	if text := r.q.causeOf(said, "dead"); strings.Contains(text, "ab%2") || len(text) > 2*mostCause {
		t.Errorf("of what a stranger says it has %q", text)
	}
}
