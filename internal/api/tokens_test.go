package api

import (
	"net/http"
	"strings"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// bind makes a user of the fake one who came by a token that is bound to paths.
func (d *fakeAppliance) bind(user string, paths ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tokens[user] = paths
}

// A token bound to paths has what is below them, by whatever spelling it asks, and nothing else:
// commands, their dialogues, menus, files.
func TestPathsOfAToken(t *testing.T) {
	d := newFake(t)
	s, path := serve(t, d)
	d.as("admin")
	for _, c := range []struct {
		paths    []string
		method   string
		resource string
		body     string
		allowed  bool
	}{
		{[]string{"table"}, "POST", "run/table", "{}", true},
		{[]string{"table"}, "POST", "run/TABLE", "{}", true},
		{[]string{"tab"}, "POST", "run/table", "{}", false},
		{[]string{"table more"}, "POST", "run/table", "{}", false},
		{[]string{"table"}, "POST", "run/half", "{}", false},
		{[]string{"half", "table"}, "POST", "ask/table", "{}", true},
		{[]string{"half"}, "POST", "ask/table", "{}", false},
		{[]string{"half"}, "POST", "assist/table", "{}", false},
		{[]string{"half"}, "GET", "menu/", "", false},
		{[]string{"table"}, "POST", "complete", `{"line":"ta"}`, false},
		{[]string{"table"}, "POST", "history", `{"line":"resetconfig confirm yes"}`, false},
		{[]string{"table"}, "GET", "session", "", true},
		{[]string{"table"}, "GET", "tree", "", true},
		{[]string{"table"}, "GET", "files", "", false},
		{[]string{"table"}, "GET", "files/a.pcap", "", false},
		{[]string{"table"}, "DELETE", "files/a.pcap", "", false},
		{[]string{"peek"}, "POST", "run/peek", `{"name":"a.pcap"}`, true},
		{[]string{"peek"}, "GET", "files/a.pcap", "", false},
		{[]string{"files"}, "POST", "run/peek", `{"name":"a.pcap"}`, false},
		{[]string{"files"}, "GET", "files", "", true},
		{[]string{"files"}, "GET", "files/a.pcap", "", true},
		{[]string{"files"}, "DELETE", "files/a.pcap", "", true},
	} {
		d.bind("admin", c.paths...)
		status, text := curl(t, path, c.method, c.resource, c.body)
		if refused := status == http.StatusForbidden; refused == c.allowed {
			t.Errorf("a token for %v: %s %s: %d %s", c.paths, c.method, c.resource, status, text)
		}
		act := strings.HasPrefix(c.resource, "run/") || strings.HasPrefix(c.resource, "files/")
		if e := d.last(); act && (e.Token != "abcd1234" || (e.Act == access.ActRefused) == c.allowed) {
			t.Errorf("a token for %v: %s %s is audited as %+v", c.paths, c.method, c.resource, e)
		}
	}

	// What is done within another act, and what SFTP would do, too.
	d.bind("admin", "table")
	caller, _, _, err := d.Local(0)
	if err != nil {
		t.Fatal(err)
	}
	caller, _ = d.Current(caller.Session)
	if _, err := s.RunWithin(t.Context(), caller, []string{"half"}, nil, nil); !hasCode(err, menu.Denied) {
		t.Errorf("a command within another: %v", err)
	}
	if _, err := s.OpenWithin(caller, "headers.pcap"); !hasCode(err, menu.Denied) {
		t.Errorf("a file within a command: %v", err)
	}
	if _, err := s.Files(caller.Session).List(); !hasCode(err, menu.Denied) || s.MayFiles(caller) {
		t.Errorf("a listing: %v", err)
	}
}
