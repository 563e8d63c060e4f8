// Package automation_test runs what the pages of docs show, and reads what programs read.
package automation_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// An example is a block of the page, and the text that it prints.
type example struct {
	section, language, code, prints string
}

var (
	heading = regexp.MustCompile(`(?m)^## (.*)$`)
	block   = regexp.MustCompile("(?ms)^```([a-z-]+)\n(.*?)^```$")
)

// examples returns the blocks of a page in the given languages. Each is followed by a block of text
// with what it prints.
func examples(t *testing.T, page string, languages ...string) (list []example) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("../../../docs", page))
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	blocks := block.FindAllStringSubmatchIndex(text, -1)
	for i, b := range blocks {
		language := text[b[2]:b[3]]
		if !slices.Contains(languages, language) {
			continue
		}
		e := example{language: language, code: text[b[4]:b[5]]}
		for _, h := range heading.FindAllStringSubmatch(text[:b[0]], -1) {
			e.section = h[1]
		}
		if i+1 == len(blocks) || text[blocks[i+1][2]:blocks[i+1][3]] != "text" {
			t.Fatalf("an example of %q says not what it prints", e.section)
		}
		e.prints = text[blocks[i+1][4]:blocks[i+1][5]]
		list = append(list, e)
	}
	return list
}

// runs are how an example of a language is run: the program, from its package, and the name of the
// example's file.
var runs = map[string]struct {
	file string
	args []string
	pkg  string
}{
	"sh":     {"example.sh", []string{"/bin/sh"}, "dash"},
	"tcl":    {"example.exp", []string{"/usr/bin/expect"}, "expect"},
	"python": {"example.py", []string{"/usr/bin/python3"}, "python3-netmiko and python3-pexpect"},
	"yaml":   {"example.yml", []string{"/usr/bin/ansible-playbook", "-i", "mx1,"}, "ansible-core"},
}

// TestEveryExampleOfAutomation holds the programs of docs/automation.md to what the page says of
// them.
func TestEveryExampleOfAutomation(t *testing.T) { testPrograms(t, "automation.md", 7) }

// TestEveryExampleOfTheAPI does so for docs/api/README.md.
func TestEveryExampleOfTheAPI(t *testing.T) { testPrograms(t, "api/README.md", 7) }

// testPrograms runs the examples of a page side by side on one appliance, at least as many as there
// were.
func testPrograms(t *testing.T, page string, least int) {
	r := newReader(t)
	list := examples(t, page, "sh", "tcl", "python", "yaml")
	if len(list) < least {
		t.Fatalf("the page has %d examples", len(list))
	}
	t.Run("examples", func(t *testing.T) {
		for _, e := range list {
			t.Run(e.section, func(t *testing.T) {
				t.Parallel()
				r.follows(t, e)
			})
		}
	})
	r.leavesNothing(t)
}

// TestTheGuides plays the first hour and the operator's guide, each page from its top on an
// appliance of its own.
func TestTheGuides(t *testing.T) {
	pages, err := filepath.Glob("../../../docs/operators-guide/*.md")
	if err != nil || len(pages) < 8 {
		t.Fatalf("there are %d pages of the guide: %v", len(pages), err)
	}
	played := 0
	for _, page := range append(pages, "../../../docs/getting-started.md") {
		page, _ := filepath.Rel("../../../docs", page)
		list := examples(t, page, "sh")
		played += len(list)
		if len(list) == 0 {
			continue
		}
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			r := newReader(t)
			for _, e := range list {
				r.follows(t, e)
			}
			r.leavesNothing(t)
		})
	}
	if played < 11 {
		t.Errorf("the pages have %d examples that are played", played)
	}
}

// A reader is somebody with a page, a computer and an appliance that ssh calls mx1.
type reader struct {
	appliance *appliance.Appliance
	home      string
}

func newReader(t *testing.T) *reader {
	r := &reader{appliance.Start(t, appliance.Options{}), t.TempDir()}
	a := r.appliance
	config := fmt.Sprintf("Host mx1\n HostName 127.0.0.1\n Port %d\n User op\n IdentityFile %s\n IdentityFile %s\n IdentitiesOnly yes\n IdentityAgent none\n"+
		" StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n", a.Port, a.KeyFile("op"), a.KeyFile("admin"))
	files := map[string]string{"config": config}
	// OpenSSH looks for the configuration in the home of the user id, so a program of its name
	// passes it.
	for _, tool := range []string{"ssh", "sftp", "scp"} {
		files["bin/"+tool] = fmt.Sprintf("#!/bin/sh\nexec %s -F %s/config \"$@\"\n", netnstest.Tool(t, tool), r.home)
	}
	for name, text := range files {
		path := filepath.Join(r.home, name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// follows runs an example as the page has it, within the patience of who reads it.
func (r *reader) follows(t *testing.T, e example) {
	t.Helper()
	how := runs[e.language]
	if _, err := os.Stat(how.args[0]); err != nil {
		netnstest.Missing(t, how.args[0]+" is not installed; it is in the Debian package "+how.pkg)
	}
	folder := t.TempDir()
	file := filepath.Join(folder, how.file)
	code := strings.NewReplacer(`"mx1.lab.example"`, `"127.0.0.1"`, "2222", fmt.Sprint(r.appliance.Port), "SECRET", appliance.Password("op"),
		"/var/lib/diagsh/api.sock", r.appliance.Socket, "https://mx1:8443", r.appliance.URL(), "--cacert mx1.pem", "--insecure").Replace(e.code)
	if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*appliance.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, how.args[0], append(slices.Clone(how.args[1:]), file)...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "HOME="+r.home, "PATH="+r.home+"/bin:/usr/bin:/bin", "ANSIBLE_SSH_ARGS=-o ControlMaster=no", "ANSIBLE_NOCOWS=1",
		"ANSIBLE_LOCAL_TEMP="+r.home+"/tmp", "LC_ALL=C.UTF-8", "TERM=xterm")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", e.section, err, out)
	}
	if missing := lacks(string(out), e.prints); missing != "" {
		t.Errorf("%s: it does not print %q after what comes before it, but:\n%s", e.section, missing, out)
	}
}

// leavesNothing fails if the examples left a capture.
func (r *reader) leavesNothing(t *testing.T) {
	t.Helper()
	if a := r.appliance.Local("packetcapture list --json"); a.Out != "[\n]\n" {
		t.Errorf("the examples left captures: %s", a.Out)
	}
}

// lacks is the first line of a text that an output does not have in this order; ... stands for
// anything.
func lacks(output, text string) string {
	lines := strings.Split(strings.ReplaceAll(output, "\r", ""), "\n")
	for _, want := range strings.Split(strings.TrimSpace(text), "\n") {
		if want == "..." {
			continue
		}
		parts := strings.Split(want, "...")
		for i, p := range parts {
			parts[i] = regexp.QuoteMeta(p)
		}
		pattern := regexp.MustCompile("^" + strings.Join(parts, ".*") + "$")
		for len(lines) > 0 && !pattern.MatchString(lines[0]) {
			lines = lines[1:]
		}
		if len(lines) == 0 {
			return want
		}
		lines = lines[1:]
	}
	return ""
}
