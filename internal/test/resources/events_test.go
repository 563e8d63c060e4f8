// Package resources_test holds what the API has beside its commands to its promises: events, files,
// archives, live packets, runs in the background. Its clients are programs that people have.
package resources_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
)

// An event is what GET /v1/events told.
type event struct{ name, data string }

// An ear hears the events of one account.
type ear struct {
	t *testing.T

	mu     sync.Mutex
	events []event
}

// listen opens a stream of events for an account and waits until it is open.
func listen(t *testing.T, a *appliance.Appliance, user string) *ear {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return a.DialSocket(user) },
	}}
	request, err := http.NewRequestWithContext(t.Context(), "GET", "http://appliance/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s gets no events: %s", user, response.Status)
	}
	e := &ear{t: t}
	go e.hear(response.Body)
	e.wants("session", `"user":"`+user+`"`)
	return e
}

func (e *ear) hear(body io.ReadCloser) {
	defer body.Close()
	name := ""
	for lines := bufio.NewScanner(body); lines.Scan(); {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			name = value
		case "data":
			e.mu.Lock()
			e.events = append(e.events, event{name, value})
			e.mu.Unlock()
		}
	}
}

func (e *ear) heard(name, part string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.events, func(v event) bool { return v.name == name && strings.Contains(v.data, part) })
}

// wants waits for an event of a topic that has a text.
func (e *ear) wants(name, part string) {
	e.t.Helper()
	await.Until(e.t, "an event "+name+" with "+part, func() bool { return e.heard(name, part) })
}

// forget forgets what was heard.
func (e *ear) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = nil
}

// names are the topics that were heard.
func (e *ear) names() (names []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.events {
		names = append(names, v.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// run runs a command that must succeed.
func run(t *testing.T, a *appliance.Appliance, user, command, arguments string) {
	t.Helper()
	if status, body := a.API(user, "POST", "/v1/run/"+strings.ReplaceAll(command, " ", "/"), arguments); status != http.StatusOK {
		t.Fatalf("%s %s: %d %s", command, arguments, status, body)
	}
}

// TestEventsTellOfEachRoom changes something in each room. A user who may only read hears of what
// that role may list, and of nothing else.
func TestEventsTellOfEachRoom(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	admin, ro := listen(t, a, "admin"), listen(t, a, "ro")

	run(t, a, "op", "packetcapture start", `{"name": "e", "interfaces": ["lo"], "filter": "icmp and host 127.0.0.77"}`)
	ro.wants("captures", `"name":"e","state":"Running"`)
	run(t, a, "op", "packetcapture stop", `{"name": "e"}`)
	ro.wants("captures", `"name":"e","state":"Stopped","stopReason":"StoppedByUser"`)
	ro.wants("files", `"name":"mx1-e-`)

	run(t, a, "admin", "packetcapture target new", `{"name": "away", "url": "https://127.0.0.1:9/"}`)
	admin.wants("targets", `"name":"away"`)
	run(t, a, "op", "packetcapture export", `{"name": "e", "target": "away"}`)
	ro.wants("exports", `"target":"away"`)
	ro.wants("exports", `"tries":1`)
	run(t, a, "admin", "packetcapture target delete", `{"name": "away", "confirm": true}`)
	admin.wants("targets", `"removed":["away"]`)

	run(t, a, "op", "packetcapture delete", `{"name": "e", "confirm": true}`)
	ro.wants("captures", `"removed":["e"]`)
	ro.wants("files", `"removed":["mx1-e-`)
	if err := os.WriteFile(filepath.Join(a.Data, "diagnostic", "by-hand.pcap"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	ro.wants("files", `"name":"by-hand.pcap","bytes":1`)

	run(t, a, "op", "packetcapture setup", `{"interfaces": ["lo"]}`)
	ro.wants("settings", `"captures"`)
	run(t, a, "op", "portlog start", `{}`)
	ro.wants("portlog", `"state":"Running"`)
	run(t, a, "op", "portlog stop", `{}`)
	ro.wants("portlog", `"state":"Stopped"`)
	run(t, a, "op", "portlog setup", `{"ports": ["25"]}`)
	ro.wants("settings", `"portlog"`)
	run(t, a, "op", "diagnostic reporting new", `{"files": "NONE"}`)
	ro.wants("reports", `"owner":"op"`)

	run(t, a, "admin", "sethostname", `{"hostname": "mx2.lab.example"}`)
	admin.wants("candidate", `"changes":1`)
	run(t, a, "admin", "commit", `{"comment": "renamed", "confirm": "10m"}`)
	admin.wants("candidate", `"changes":0`)
	admin.wants("commits", `"confirmSecondsLeft":`)
	run(t, a, "admin", "commit", `{}`)
	admin.forget()
	run(t, a, "admin", "sethostname", `{"hostname": "mx1"}`)
	admin.wants("candidate", `"changes":1`)

	run(t, a, "admin", "userconfig role", `{"user": "ro", "role": "operator"}`)
	admin.wants("accounts", `"name":"ro"`)
	ro.wants("session", `"role":"operator"`)
	ro.wants("sessions", `"user":"ro","role":"operator"`)

	may := []string{"captures", "exports", "files", "portlog", "reports", "session", "sessions", "settings", "targets"}
	for _, name := range ro.names() {
		if !slices.Contains(may, name) {
			t.Errorf("a user who may only read heard of %s", name)
		}
	}
	if ro.heard("targets", "") {
		t.Error("a user heard of targets before the role allowed it")
	}
}

// TestEventsCountWhatRuns holds the counters of a running capture to those of its status.
func TestEventsCountWhatRuns(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	ro := listen(t, a, "ro")
	run(t, a, "op", "packetcapture start", `{"name": "c", "interfaces": ["lo"], "filter": "icmp and host 127.0.0.78"}`)
	run(t, a, "op", "ping", `{"host": "127.0.0.78", "count": 2, "interval": 0.1}`)
	ro.wants("captures", `"packetsReceived":4`)
	run(t, a, "op", "packetcapture stop", `{"name": "c"}`)
	var status struct{ PacketsWritten, BytesWritten uint64 }
	a.Ask("ro", "packetcapture status", `{"name": "c"}`, &status)
	text, err := json.Marshal(status.BytesWritten)
	if err != nil {
		t.Fatal(err)
	}
	ro.wants("captures", `"bytesWritten":`+string(text))
}
