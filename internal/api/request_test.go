package api

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"diagsh/internal/menu/problem"
)

// Whatever is refused, also what package http would refuse as text or redirect, is a problem.
func TestEveryRefusalIsAProblem(t *testing.T) {
	d := newFake(t)
	s, path := serve(t, d)
	for _, c := range []struct {
		method, resource string
		status           int
		allow, kind      string
	}{
		{"GET", "nosuch", 404, "", "notFound"},
		{"GET", "run/table", 405, "POST", "usage"},
		{"DELETE", "session", 405, "GET, HEAD", "usage"},
		{"PATCH", "files/a.pcap", 405, "DELETE, GET, HEAD", "usage"},
		{"GET", "files/..", 404, "", "notFound"},
		{"GET", "files//a.pcap", 404, "", "notFound"},
		{"GET", "menu", 404, "", "notFound"},
		{"GET", "help/nosuch", 404, "", "notFound"},
		{"POST", "run/nosuch", 404, "", "notFound"},
		{"GET", "menu/table", 404, "", "notFound"},
		{"GET", "problems/nosuch", 404, "", "notFound"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, "http://appliance/v1/"+c.resource, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := socketClient(path).Transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != c.status || response.Header.Get("Allow") != c.allow ||
			response.Header.Get("Content-Type") != problem.MediaType || !strings.Contains(string(body), `"kind":"`+c.kind+`"`) {
			t.Errorf("%s %s: %d, Allow %q, %s", c.method, c.resource, response.StatusCode, response.Header.Get("Allow"), body)
		}
	}
	if status, body := curl(t, path, "GET", "problems/tooLarge", ""); status != 200 ||
		body != `{"name":"tooLarge","status":413,"title":"The body is too large","kind":"usage","exit":2}`+"\n" {
		t.Errorf("%d %s", status, body)
	}
	// A connection that was attached for a login demands that a body is announced as JSON.
	c := d.sessionOf(t, s, "ro")
	for kind, want := range map[string]int{"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "json": 415,
		"application/json": 200, "application/json; charset=utf-8": 200} {
		request, err := http.NewRequestWithContext(t.Context(), "POST", "http://appliance/v1/run/table", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if kind != "" {
			request.Header.Set("Content-Type", kind)
		}
		response, err := c.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("Content-Type %q: %d, want %d", kind, response.StatusCode, want)
		}
	}
}

// A query that a resource does not know, or that cannot be read, is refused: nobody takes a whole list
// for a page of it, or a file for another format of it.
func TestAQueryIsKnownOrRefused(t *testing.T) {
	d := newFake(t)
	_, path := serve(t, d)
	for _, c := range []struct{ method, resource, argument string }{
		{"GET", "files?pageSize=1", "pageSize"},
		{"GET", "files/a.pcap?frmat=pcapng", "frmat"},
		{"GET", "files/a.pcap?format=pcap&format=pcapng", "format"},
		{"GET", "events?topcs=files", "topcs"},
		{"GET", "archive?name=a.pcap&nmae=b.pcap", "nmae"},
		{"HEAD", "files/a.pcap?frmat=pcapng", ""},
		{"DELETE", "files/a.pcap?confirm=no", "confirm"},
		{"POST", "run/table?count=1", "count"},
		{"POST", "run/table?columns=40&columns=80", "columns"},
		{"GET", "hostname?%zz", ""},
		{"GET", "files/a.pcap?a;format=pcap", ""},
	} {
		status, body := curl(t, path, c.method, c.resource, "")
		if status != 400 || c.argument != "" && !strings.Contains(body, `"argument":"`+c.argument+`"`) {
			t.Errorf("%s %s: %d %s", c.method, c.resource, status, body)
		}
	}
	if status, body := curl(t, path, "POST", "run/table?columns=40&characters=ascii", ""); status != 200 {
		t.Errorf("%d %s", status, body)
	}
}
