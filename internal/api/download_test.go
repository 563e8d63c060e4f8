package api

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/api/archive"
	"diagsh/internal/menu"
)

// get sends a request without a body on the socket, with header fields.
func get(t *testing.T, path, method, resource string, fields ...string) (*http.Response, string) {
	t.Helper()
	return exchange(t, path, method, resource, "", fields...)
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func TestAFileSaysWhatItIs(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	r, body := get(t, path, "GET", "files/a.pcap")
	for name, want := range map[string]string{
		"Content-Type": PcapType, "Content-Disposition": "attachment; filename=a.pcap", "Repr-Digest": "", "Content-Length": "13",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	tag := r.Header.Get("ETag")
	if body != "contents of a" || !strings.HasPrefix(tag, `"`) {
		t.Errorf("%q with the tag %s", body, tag)
	}
	if r, body := get(t, path, "GET", "files/a.pcap", "If-None-Match", tag); r.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("a file that the client has: %s %q", r.Status, body)
	}
	if r, body := get(t, path, "GET", "files/a.pcap", "Range", "bytes=9-", "If-Range", tag); r.StatusCode != http.StatusPartialContent || body != "of a"[:4] {
		t.Errorf("a part: %s %q", r.Status, body)
	}
	r, _ = get(t, path, "GET", "files/a.pcap", "Want-Repr-Digest", "sha-512=3, sha-256=10", "Range", "bytes=0-3")
	if r.Header.Get("Repr-Digest") != digestOf("contents of a") {
		t.Errorf("the digest of the whole is %s", r.Header.Get("Repr-Digest"))
	}
	// Another file under the name is not taken for the one before.
	if err := os.WriteFile(filepath.Join(d.dir, "a.pcap"), []byte("contents of a, and more"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, body = get(t, path, "GET", "files/a.pcap", "Range", "bytes=9-", "If-Range", tag)
	if r.StatusCode != http.StatusOK || body != "contents of a, and more" || r.Header.Get("Repr-Digest") != "" {
		t.Errorf("a part of a file that changed: %s %q %s", r.Status, body, r.Header.Get("Repr-Digest"))
	}
	if r, _ := get(t, path, "GET", "files/a.pcap", "Want-Repr-Digest", "sha-256=0"); r.Header.Get("Repr-Digest") != "" {
		t.Error("a digest came that was not wanted")
	}
}

func TestNamesOfFilesInHeaders(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	for name, want := range map[string]string{
		`a"b;c.pcapng`: `attachment; filename="a\"b;c.pcapng"`,
		"grün.pcap":    "attachment; filename*=utf-8''gr%C3%BCn.pcap",
		"r.tar.gz":     "attachment; filename=r.tar.gz",
	} {
		if err := os.WriteFile(filepath.Join(d.dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r, _ := get(t, path, "GET", "files/"+strings.ReplaceAll(name, `"`, "%22"))
		if got := r.Header.Get("Content-Disposition"); got != want {
			t.Errorf("%s is %s", name, got)
		}
	}
}

func TestTheHeadOfAFileIsNoDownload(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	r, _ := get(t, path, "HEAD", "files/a.pcap")
	if r.StatusCode != http.StatusOK || r.ContentLength != 13 || r.Header.Get("ETag") == "" {
		t.Errorf("its head is %s %v", r.Status, r.Header)
	}
	if e := d.last(); e.Act != "" {
		t.Errorf("the head of a file is audited as %+v", e)
	}
	d.as("sup")
	if r, _ := get(t, path, "HEAD", "files/a.pcap"); r.StatusCode != http.StatusForbidden || d.last().Act != access.ActRefused {
		t.Errorf("packet contents: %s, audited as %q", r.Status, d.last().Act)
	}
}

func TestAFileInAnotherFormat(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	r, body := get(t, path, "GET", "files/a.pcap?format=pcapng")
	if body != "a.pcap as pcapng" || r.Header.Get("Content-Type") != PcapngType || r.Header.Get("Content-Disposition") != "attachment; filename=a.pcapng" {
		t.Errorf("%q %v", body, r.Header)
	}
	if e := d.last(); e.Act != access.ActDownload || e.Arguments["bytes"] != "16" {
		t.Errorf("it is audited as %+v", e)
	}
	tag := r.Header.Get("ETag")
	for range 2 {
		if r, _ := get(t, path, "GET", "files/a.pcap?format=pcapng", "If-None-Match", `"other", `+tag); r.StatusCode != http.StatusNotModified || r.Header.Get("ETag") != tag {
			t.Errorf("what the client has: %s %v", r.Status, r.Header)
		}
	}
	d.notes = "other notes"
	if r, _ := get(t, path, "GET", "files/a.pcap?format=pcapng", "If-None-Match", tag); r.StatusCode != http.StatusOK || r.Header.Get("ETag") == tag {
		t.Errorf("with notes that changed: %s %v", r.Status, r.Header)
	}
	if r, body := get(t, path, "GET", "files/a.pcap?format=pcapng&appleblocks=yes"); body != "a.pcap as pcapng with blocks" {
		t.Errorf("with blocks of processes: %s %q", r.Status, body)
	}
	for _, wrong := range []string{"format=pcapng&appleblocks=maybe", "appleblocks=yes"} {
		if r, body := get(t, path, "GET", "files/a.pcap?"+wrong); r.StatusCode != http.StatusBadRequest || !strings.Contains(body, `"argument":"appleblocks"`) {
			t.Errorf("?%s: %s %q", wrong, r.Status, body)
		}
	}
	if _, body := get(t, path, "GET", "files/a.pcap?format=pcap"); body != "contents of a" {
		t.Errorf("the format that it has: %q", body)
	}
	if r, body := get(t, path, "GET", "files/headers.pcap?format=pcapng"); r.StatusCode != http.StatusConflict || r.Header.Get("Content-Disposition")+r.Header.Get("ETag") != "" {
		t.Errorf("what does not fit: %s %s", r.Status, body)
	}
	d.as("sup")
	if r, _ := get(t, path, "GET", "files/a.pcap?format=pcapng"); r.StatusCode != http.StatusForbidden {
		t.Errorf("packet contents in another format: %s", r.Status)
	}
}

func TestAnArchive(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	r, body := get(t, path, "GET", "archive?name=a.pcap&name=headers.pcap")
	if r.Header.Get("Content-Type") != "application/zip" || !strings.HasPrefix(r.Header.Get("Content-Disposition"), "attachment; filename=mx1-files-") {
		t.Errorf("its header is %v", r.Header)
	}
	files, err := zip.NewReader(strings.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	contents := map[string]string{}
	for _, f := range files.File {
		if f.Method != zip.Store {
			t.Errorf("%s is packed by the method %d", f.Name, f.Method)
		}
		open, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(open)
		if err != nil {
			t.Error(err)
		}
		contents[f.Name] = string(text)
	}
	var m archive.Manifest
	if err := json.Unmarshal([]byte(contents[archive.ManifestName]), &m); err != nil {
		t.Fatal(err)
	}
	if m.Hostname != "mx1" || m.User != "admin" || len(m.Files) != 2 || len(contents) != 3 {
		t.Errorf("the manifest is %+v of %v", m, contents)
	}
	for _, f := range m.Files {
		sum := sha256.Sum256([]byte(contents[f.Name]))
		if f.SHA256 != hex.EncodeToString(sum[:]) || f.Bytes != int64(len(contents[f.Name])) || f.Capture != "c-"+f.Name {
			t.Errorf("the manifest says %+v of %q", f, contents[f.Name])
		}
	}
	downloads := map[string]int{}
	for _, e := range d.events {
		if e.Act == access.ActDownload {
			downloads[e.Path+" "+e.Arguments["bytes"]]++
		}
	}
	if downloads["a.pcap -"] != 1 || downloads["a.pcap 13"] != 1 || downloads["headers.pcap 12"] != 1 {
		t.Errorf("it is audited as %v", downloads)
	}
	// The sums are known from now on.
	if r, _ := get(t, path, "GET", "files/a.pcap"); r.Header.Get("Repr-Digest") != digestOf("contents of a") {
		t.Errorf("after an archive the digest is %q", r.Header.Get("Repr-Digest"))
	}
}

func TestWhatNoArchiveHas(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	many := strings.Repeat("name=a.pcap&", maxArchived)
	for _, test := range []struct {
		user, query string
		status      int
		says        string
	}{
		{"admin", "", 400, "No file is named"},
		{"admin", "name=a.pcap&name=a.pcap", 400, "twice"},
		{"admin", "name=" + archive.ManifestName, 400, "twice"},
		{"admin", "name=a.pcap&name=no.pcap", 404, "no.pcap"},
		{"admin", "name=../config.yaml", 404, ""},
		{"admin", many, 400, "twice"},
		{"ro", "name=a.pcap", 403, "operator"},
		{"sup", "name=headers.pcap&name=a.pcap", 403, "a.pcap: This holds packet contents"},
		{"sup", "name=headers.pcap", 200, ""},
	} {
		d.as(test.user)
		r, body := get(t, path, "GET", "archive?"+test.query)
		if r.StatusCode != test.status || !strings.Contains(body, test.says) {
			t.Errorf("%s %.50s: %s %.200s", test.user, test.query, r.Status, body)
		}
		if test.status == 403 && d.last().Act != access.ActRefused {
			t.Errorf("%s %s is audited as %+v", test.user, test.query, d.last())
		}
	}
	if err := checkNames(make([]string, 1)); err != nil {
		t.Errorf("an empty name is left to the directory: %v", err)
	}
	var names []string
	for n := range maxArchived + 1 {
		names = append(names, fmt.Sprint(n))
	}
	if !hasCode(checkNames(names), menu.Usage) || checkNames(names[1:]) != nil {
		t.Error("the bound of an archive is another one")
	}
}

// A role that is lost while an archive is sent counts for the files that are left: the archive
// breaks.
func TestAnArchiveBreaksWhenTheRoleGoes(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	large := bytes.Repeat([]byte("x"), 8<<20)
	if err := os.WriteFile(filepath.Join(d.dir, "b.pcap"), large, 0o600); err != nil {
		t.Fatal(err)
	}
	request, _ := http.NewRequestWithContext(t.Context(), "GET", "http://appliance/v1/archive?name=b.pcap&name=headers.pcap", nil)
	response, err := socketClient(path).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.ReadFull(response.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.roles["admin"] = menu.ReadOnly
	d.mu.Unlock()
	if rest, err := io.ReadAll(response.Body); err == nil || len(rest) < len(large)-1000 {
		t.Errorf("after the role was lost the archive has %d more bytes and ends with %v", len(rest), err)
	}
	if e := d.last(); e.Act != access.ActRefused || e.Path != "headers.pcap" {
		t.Errorf("the file that was refused is audited as %+v", e)
	}
}

// Conditions and ranges of a file that do not hold are refused with a problem, and nothing is done.
func TestConditionsOfAFile(t *testing.T) {
	t.Parallel()
	d := newFake(t)
	_, path := serve(t, d)
	r, _ := get(t, path, "GET", "files/a.pcap")
	tag := r.Header.Get("ETag")
	for _, c := range []struct {
		method, header, value string
		status                int
		kind                  string
	}{
		{"GET", "Range", "bytes=13-", 416, "range"},
		{"GET", "Range", "bytes=x", 416, "range"},
		{"GET", "Range", "bytes=-0", 416, "range"},
		{"GET", "Range", "bytes= -00, -0", 416, "range"},
		{"GET", "Range", "bytes=-0,0-3", 206, ""},
		{"GET", "Range", "bytes=-04", 206, ""},
		{"GET", "Range", "lines=1-2", 200, ""},
		{"GET", "If-Match", `"x"`, 412, "changed"},
		{"GET", "If-Unmodified-Since", "Mon, 01 Jan 2001 00:00:00 GMT", 412, "changed"},
		{"DELETE", "If-Match", `"x"`, 412, "changed"},
		{"DELETE", "If-None-Match", "*", 412, "changed"},
		{"DELETE", "If-None-Match", tag, 412, "changed"},
		{"GET", "If-Match", tag, 200, ""},
		{"DELETE", "If-Match", `"x", ` + tag, 200, ""},
	} {
		r, body := get(t, path, c.method, "files/a.pcap", c.header, c.value)
		if r.StatusCode != c.status {
			t.Errorf("%s with %s %s: %s %q", c.method, c.header, c.value, r.Status, body)
		}
		if of := r.Header.Get("Content-Range"); c.status == 416 && of != "bytes */13" && c.value != "bytes=x" ||
			c.status == 206 && of != "bytes 0-3/13" && of != "bytes 9-12/13" {
			t.Errorf("%s with %s %s has the Content-Range %q", c.method, c.header, c.value, of)
		}
		if c.kind != "" && (r.Header.Get("Content-Type") != "application/problem+json" || r.Header.Get("Content-Disposition") != "" ||
			!strings.Contains(body, `"/v1/problems/`+c.kind+`"`)) {
			t.Errorf("%s with %s %s: %v %q", c.method, c.header, c.value, r.Header, body)
		}
	}
}
