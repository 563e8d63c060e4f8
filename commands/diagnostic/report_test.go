package diagnostic_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/net/html"

	"diagsh/internal/access"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/vt"
)

const top = appliance.Host + "> "

func start(t *testing.T) *appliance.Appliance {
	t.Helper()
	network := netnstest.New(t)
	network.Veth(t, "eth0", "eth1")
	return appliance.Start(t, appliance.Options{Network: network})
}

// make asks for a report as root, who sees everything, or by SSH.
func makeReport(t *testing.T, a *appliance.Appliance, user, line string) access.Report {
	t.Helper()
	result := a.Local
	if user != "root" {
		result = func(line string) appliance.Result { return a.SSH(user, line) }
	}
	r := result(line + " --json")
	var report access.Report
	if err := json.Unmarshal([]byte(r.Out), &report); r.Status != 0 || err != nil {
		t.Fatalf("%+v %v", r, err)
	}
	return report
}

// fetch gets a file as people do.
func fetch(t *testing.T, a *appliance.Appliance, user, name string) ([]byte, error) {
	t.Helper()
	client, err := sftp.NewClient(a.Login(user))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	f, err := client.Open("diagnostic/" + name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// unpack reads the archive: its files by their names below the one folder that it has.
func unpack(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	folder := ""
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		first, rest, ok := strings.Cut(h.Name, "/")
		if !ok || folder != "" && first != folder || h.Typeflag != tar.TypeReg || path.Clean(h.Name) != h.Name ||
			files[rest] != nil {
			t.Errorf("%q in the archive", h.Name)
		}
		folder = first
		if files[rest], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// allowed are the elements that a page may have: none of them fetches or runs anything.
var allowed = strings.Fields("html head meta title style body h1 h2 p a table tbody tr th td pre span")

// checkPage looks at a page as a browser does: what elements it has, and where its links lead.
func checkPage(t *testing.T, name string, files map[string][]byte) {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(files[name]))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if !slices.Contains(allowed, n.Data) {
			t.Errorf("%s has an element %s", name, n.Data)
		}
		for _, a := range n.Attr {
			switch a.Key {
			case "href":
				to, err := url.PathUnescape(a.Val)
				if target := path.Join(path.Dir(name), to); err != nil || files[target] == nil {
					t.Errorf("%s leads to %q, which is not there", name, a.Val)
				}
			case "class", "lang", "charset", "content", "http-equiv", "name":
			default:
				t.Errorf("%s has an attribute %s=%q", name, a.Key, a.Val)
			}
		}
	}
	harmful := func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == '\u202e' }
	if strings.ContainsFunc(string(files[name]), harmful) {
		t.Errorf("%s has control characters", name)
	}
}

// A report has what it says, can be read with nothing else, and tells no secrets.
func TestReport(t *testing.T) {
	t.Parallel()
	a := start(t)
	if r := a.Local("packetcapture start c1 interface eth0; packetcapture stop c1; whoami"); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	names, err := os.ReadDir(filepath.Join(a.Data, "diagnostic"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	capture := names[0].Name()
	const hostile = `</pre></td><script src="http://192.0.2.1/x"></script>&amp; <img src=x onerror=alert(1)>`
	report := makeReport(t, a, "root",
		"supportrequest 47'"+hostile+"' contact \"Ada \u202e<b>\" description '"+hostile+"' files "+capture)
	archive, err := fetch(t, a, "admin", report.Name)
	if err != nil || int64(len(archive)) != report.Bytes {
		t.Fatalf("%d bytes of %d, %v", len(archive), report.Bytes, err)
	}
	files := unpack(t, archive)
	for name := range files {
		if strings.HasSuffix(name, ".html") {
			checkPage(t, name, files)
		}
	}
	if got := string(files["index.html"]); strings.Count(got, "&lt;script src=") != 2 {
		t.Errorf("the index lacks what was said of the case:\n%s", got)
	}
	of, err := os.ReadFile(filepath.Join(a.Data, "diagnostic", capture))
	if err != nil || !bytes.Equal(files["captures/"+capture], of) {
		t.Errorf("the capture in the report is another one: %v", err)
	}
	for _, c := range report.Contents {
		if c.Result != "ok" && !(c.Title == "RAID" && c.Result == "unsupported") {
			t.Errorf("%+v", c)
		}
		if c.Data == "" {
			continue
		}
		records := 0
		decoder := json.NewDecoder(bytes.NewReader(files[c.Data]))
		for decoder.More() {
			var v any
			if err := decoder.Decode(&v); err != nil {
				t.Fatalf("%s: %v", c.Data, err)
			}
			if list, ok := v.([]any); ok {
				records += len(list)
			} else {
				records++
			}
		}
		if records != c.Records || records == 0 {
			t.Errorf("%s has %d records, not %d", c.Data, records, c.Records)
		}
	}
	for name, wanted := range map[string]string{"03-netstat-sockets": "LISTEN", "04-netstat-interfaces": "eth1",
		"12-diagnostic-disk_usage": capture,
		"14-packetcapture-list":    "c1", "19-auditlog": "packetcapture start", "20-tail": "audit log goes on"} {
		if !strings.Contains(string(files["pages/"+name+".html"]), wanted) ||
			!strings.Contains(string(files["data/"+name+".json"]), wanted) {
			t.Errorf("%s does not show %q", name, wanted)
		}
	}
	for name, content := range files {
		for _, secret := range []string{"argon2", "PRIVATE KEY", "correct horse"} {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s holds %q", name, secret)
			}
		}
	}
	// The tar of Debian, and so of every Windows from 10 on, which has that of BSD, takes it.
	tarball := filepath.Join(t.TempDir(), report.Name)
	if err := os.WriteFile(tarball, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(netnstest.Tool(t, "tar"), "-tzf", tarball).CombinedOutput()
	if listed := strings.Fields(string(out)); err != nil || len(listed) != len(files) {
		t.Errorf("tar: %v, %d files of %d\n%s", err, len(listed), len(files), out)
	}
}

// A user who may not read a part alone may not read it in a report.
func TestReportForWhom(t *testing.T) {
	t.Parallel()
	a := start(t)
	if r := a.Local("packetcapture start c1 interface eth0; packetcapture stop c1"); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	names, _ := os.ReadDir(filepath.Join(a.Data, "diagnostic"))
	capture := names[0].Name()
	full := makeReport(t, a, "root", "diagnostic reporting new").Name
	plain := makeReport(t, a, "op", "diagnostic reporting new").Name
	payload := makeReport(t, a, "op", "diagnostic reporting new files "+capture).Name
	for _, c := range []struct {
		user, file string
		may        bool
	}{
		{"admin", full, true}, {"op", full, false}, {"sup", full, false},
		{"op", plain, true}, {"sup", plain, true}, {"ro", plain, false},
		{"op", payload, true}, {"sup", payload, false},
	} {
		status, _ := a.API(c.user, "GET", "/v1/files/"+c.file, "")
		if (status == http.StatusOK) != c.may {
			t.Errorf("%s reads %s: %d", c.user, c.file, status)
		}
		if c.user == "ro" {
			continue // has no SFTP at all
		}
		if _, err := fetch(t, a, c.user, c.file); (err == nil) != c.may {
			t.Errorf("%s fetches %s: %v", c.user, c.file, err)
		}
	}
	if r := a.SSH("sup", "diagnostic reporting new files "+capture); r.Status != 3 ||
		!strings.Contains(r.Err, "packet contents") {
		t.Errorf("a report with packet contents for who may not see them: %+v", r)
	}
	// Its own file is what says who may read it: one that the table does not know is for
	// administrators.
	a.Stop()
	if err := os.Remove(filepath.Join(a.Data, "reports.json")); err != nil {
		t.Fatal(err)
	}
	a.Restart()
	if status, _ := a.API("op", "GET", "/v1/files/"+plain, ""); status != http.StatusForbidden {
		t.Errorf("op reads a report of which nothing is known: %d", status)
	}
}

// Ctrl-C leaves nothing behind, and neither does a crash.
func TestReportInterrupted(t *testing.T) {
	a := start(t)
	term := a.Terminal("op", 100, 30)
	term.Prompted(top)
	term.Type("diagnostic reporting new\r")
	term.Reads("Packet traffic")
	term.Type("\x03")
	term.Wait("the prompt", func(s *vt.Screen) bool { return s.Before() == top && s.Row() > 3 })
	left := func() []os.DirEntry {
		list, err := os.ReadDir(filepath.Join(a.Data, "diagnostic"))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if list := left(); len(list) > 0 {
		t.Errorf("left behind: %v", list)
	}
	if r := a.SSH("op", "diagnostic reporting list"); r.Out != "There are no reports.\n" {
		t.Errorf("%+v", r)
	}
	term.Type("diagnostic reporting new\r")
	term.Wait("a file that is being written", func(*vt.Screen) bool { return len(left()) > 0 })
	a.Kill()
	a.Restart()
	if list := left(); len(list) > 0 {
		t.Errorf("left behind by a crash: %v", list)
	}
}
