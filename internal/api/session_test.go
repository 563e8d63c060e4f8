package api

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
)

func TestSessionOfALogin(t *testing.T) {
	d := newFake(t)
	s, _ := serve(t, d)
	c := d.sessionOf(t, s, "op")
	g, err := c.Greeting(t.Context())
	if err != nil || g.Caller.User != "op" {
		t.Fatal(g, err)
	}
	if name, err := c.Hostname(t.Context()); err != nil || name != "mx1" {
		t.Errorf("the host is called %q, %v", name, err)
	}
	if notice, err := c.Leaving(t.Context()); err != nil || notice != "Nothing of op's is committed." {
		t.Errorf("who leaves is told %q, %v", notice, err)
	}
	// A role that is changed counts in the session that is open.
	d.mu.Lock()
	d.roles["op"] = menu.ReadOnly
	d.mu.Unlock()
	failure, _ := c.Run(t.Context(), t.Context(), []string{"stream"}, nil, menu.TextForm, unseen)
	if failure == nil || failure.Code != menu.Denied {
		t.Errorf("a demoted operator ran stream: %v", failure)
	}
	// A session that must end is cut.
	d.mu.Lock()
	close(d.ended[g.Caller.Session])
	d.mu.Unlock()
	for {
		if _, err := c.Greeting(t.Context()); Gone(err) {
			break
		}
	}
	await.Until(t, "the end of the session", func() bool { return !d.has("op") })
}

// Each act on files has the caller's role as of then, and is audited.
func TestFilesOfASession(t *testing.T) {
	d := newFake(t)
	s, _ := serve(t, d)
	op := d.filesOf(t, s, "op")
	_, f, err := op.Open("a.pcap")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(f)
	if err != nil || string(text) != "contents of a" {
		t.Errorf("read %q, %v", text, err)
	}
	if e := d.last(); e.Act != access.ActDownload || e.Path != "a.pcap" || e.Result != "ok" ||
		e.Arguments["bytes"] != "-" {
		t.Errorf("at the beginning of the download: %+v", e)
	}
	if err := op.Done("a.pcap", 13); err != nil {
		t.Error(err)
	}
	if e := d.last(); e.Act != access.ActDownload || e.Path != "a.pcap" || e.User != "op" ||
		e.Arguments["bytes"] != "13" {
		t.Errorf("audited as %+v", e)
	}
	if err := op.Done("a.pcap", 13); !hasCode(err, menu.State) {
		t.Errorf("done twice: %v", err)
	}
	if _, _, err := op.Open("../../etc/passwd"); !hasCode(err, menu.NotFound) {
		t.Errorf("an escape: %v", err)
	}

	for _, c := range []struct {
		user, name string
		allowed    bool
	}{{"ro", "a.pcap", false}, {"sup", "a.pcap", false}, {"sup", "headers.pcap", true}, {"admin", "a.pcap", true}} {
		_, f, err := d.filesOf(t, s, c.user).Open(c.name)
		if (err == nil) != c.allowed {
			t.Errorf("%s opens %s: %v", c.user, c.name, err)
		}
		if err == nil {
			f.Close()
		} else if e := d.last(); e.Act != access.ActRefused || e.User != c.user {
			t.Errorf("the refusal is audited as %+v", e)
		}
	}
	ro := d.filesOf(t, s, "ro")
	listing, err := ro.List()
	if err != nil {
		t.Fatal(err)
	}
	if list, err := listing.Next(10); err != nil || len(list) != 2 || list[0].Name != "a.pcap" {
		t.Errorf("readonly lists %v, %v", list, err)
	}
	if list, err := listing.Next(10); err != io.EOF {
		t.Errorf("then it lists %v, %v", list, err)
	}
	if info, err := ro.Stat("a.pcap"); err != nil || info.Bytes != 13 {
		t.Errorf("readonly has %+v, %v", info, err)
	}
	if err := ro.Remove("a.pcap"); !hasCode(err, menu.Denied) {
		t.Errorf("readonly removes: %v", err)
	}
	if err := op.Remove("a.pcap"); err != nil {
		t.Error(err)
	}
	if e := d.last(); e.Act != access.ActDelete || e.Path != "a.pcap" {
		t.Errorf("audited as %+v", e)
	}
	if s.MayFiles(menu.Caller{Role: "nobody"}) || !s.MayFiles(menu.Caller{Role: menu.ReadOnly}) {
		t.Error("files are offered to the wrong callers")
	}
}

// An account that is gone in the middle of a download can do nothing more, and the download is
// audited all the same.
func TestFilesOfASessionThatHasEnded(t *testing.T) {
	d := newFake(t)
	s, _ := serve(t, d)
	files := d.filesOf(t, s, "op")
	listing, err := files.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.pcap", "headers.pcap"} {
		_, f, err := files.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	d.mu.Lock()
	clear(d.session)
	d.mu.Unlock()
	denied := func(what string, err error) {
		t.Helper()
		if !hasCode(err, menu.Denied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = files.List()
	denied("a listing", err)
	_, err = listing.Next(1)
	denied("a page", err)
	_, err = files.Stat("a.pcap")
	denied("stat", err)
	_, _, err = files.Open("a.pcap")
	denied("open", err)
	denied("remove", files.Remove("a.pcap"))
	if err := files.Done("a.pcap", 5); err != nil {
		t.Error(err)
	}
	if e := d.last(); e.Act != access.ActDownload || e.User != "op" || e.Path != "a.pcap" ||
		e.Arguments["bytes"] != "5" {
		t.Errorf("audited as %+v", e)
	}
	files.Close()
	if e := d.last(); e.Act != access.ActDownload || e.User != "op" || e.Path != "headers.pcap" ||
		e.Arguments["bytes"] != "not known" {
		t.Errorf("audited as %+v", e)
	}
}

// The role counts at every page of a listing.
func TestListingOfARole(t *testing.T) {
	d := newFake(t)
	s, _ := serve(t, d)
	listing, err := d.filesOf(t, s, "op").List()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listing.Next(1); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.roles["op"] = "nobody"
	d.mu.Unlock()
	if files, err := listing.Next(1); !hasCode(err, menu.Denied) {
		t.Errorf("without a role: %d files, %v", len(files), err)
	}
}

func TestFilesOverHTTP(t *testing.T) {
	d := newFake(t)
	_, path := serve(t, d)
	if status, text := curl(t, path, "GET", "files", ""); status != 200 || !strings.Contains(text, `"name":"a.pcap"`) {
		t.Error(status, text)
	}
	if status, text := curl(t, path, "GET", "files/a.pcap", ""); status != 200 || text != "contents of a" {
		t.Error(status, text)
	}
	for _, name := range []string{"..%2f..%2fetc%2fpasswd", "nosuch", "%00"} {
		if status, text := curl(t, path, "GET", "files/"+name, ""); status != 404 {
			t.Error(name, status, text)
		}
	}
	d.as("ro")
	if status, text := curl(t, path, "GET", "files/a.pcap", ""); status != 403 || strings.Contains(text, "contents") {
		t.Error(status, text)
	}
	if status, _ := curl(t, path, "DELETE", "files/a.pcap", ""); status != 403 {
		t.Error(status)
	}
}

// A folder of many files is listed whole, and half a list does not look like a whole one.
func TestManyFilesOverHTTP(t *testing.T) {
	d := newFake(t)
	_, path := serve(t, d)
	for i := range 700 {
		if err := os.WriteFile(filepath.Join(d.dir, fmt.Sprintf("c-%05d.pcapng", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var list []access.File
	if status, text := curl(t, path, "GET", "files", ""); status != 200 ||
		json.Unmarshal([]byte(text), &list) != nil || len(list) != 702 {
		t.Errorf("listed: %d, %d files", status, len(list))
	}
	os.WriteFile(filepath.Join(d.dir, "broken.pcap"), nil, 0o600)
	if status, text := curl(t, path, "GET", "files", ""); status == 200 && !strings.HasPrefix(text, "broken off: ") {
		t.Errorf("a folder that cannot be read: %d, %d bytes", status, len(text))
	}
}

// A download is in the audit log before its first byte, and again with what it was when it ends.
func TestDownloadsAreAuditedTwice(t *testing.T) {
	d := newFake(t)
	_, path := serve(t, d)
	if status, text := curl(t, path, "GET", "files/a.pcap", ""); status != 200 {
		t.Fatal(status, text)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.events)
	if d.events[n-2].Arguments["bytes"] != "-" || d.events[n-1].Arguments["bytes"] != "13" ||
		d.events[n-1].Path != "a.pcap" {
		t.Errorf("over HTTP: %+v", d.events[n-2:])
	}
}
