// Package automation_test runs what docs/automation.md shows, and reads what programs read.
package automation_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// examples are the page's blocks that a text block follows.
func examples(t *testing.T) (list []example) {
	t.Helper()
	page, err := os.ReadFile("../../../docs/automation.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	blocks := block.FindAllStringSubmatchIndex(text, -1)
	for i, b := range blocks {
		language := text[b[2]:b[3]]
		if language == "text" || language == "ssh-config" {
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

// runs are how an example of a language is run: the program, from its package, and the name of the example's file.
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

// Every example of the page does what the page says, with the programs that it names, within the patience of who reads it.
func TestEveryExampleOfThePage(t *testing.T) {
	a := appliance.Start(t, appliance.Options{})
	home := t.TempDir()
	config := fmt.Sprintf("Host mx1\n HostName 127.0.0.1\n Port %d\n User op\n IdentityFile %s\n IdentitiesOnly yes\n IdentityAgent none\n"+
		" StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n", a.Port, a.KeyFile("op"))
	// OpenSSH looks for the configuration in the home of the user id, so a program of its name passes it.
	wrapper := fmt.Sprintf("#!/bin/sh\nexec %s -F %s/config \"$@\"\n", netnstest.Tool(t, "ssh"), home)
	for name, text := range map[string]string{"config": config, "bin/ssh": wrapper} {
		path := filepath.Join(home, name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	list := examples(t)
	if len(list) < 7 {
		t.Fatalf("the page has %d examples", len(list))
	}
	t.Run("examples", func(t *testing.T) {
		for _, e := range list {
			t.Run(e.section, func(t *testing.T) {
				t.Parallel()
				how := runs[e.language]
				if _, err := os.Stat(how.args[0]); err != nil {
					netnstest.Missing(t, how.args[0]+" is not installed; it is in the Debian package "+how.pkg)
				}
				file := filepath.Join(t.TempDir(), how.file)
				code := strings.NewReplacer(`"mx1.lab.example"`, `"127.0.0.1"`, "2222", fmt.Sprint(a.Port), "SECRET", appliance.Password("op")).Replace(e.code)
				if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(context.Background(), 4*appliance.Patience)
				defer cancel()
				cmd := exec.CommandContext(ctx, how.args[0], append(how.args[1:], file)...)
				cmd.Env = append(os.Environ(), "HOME="+home, "PATH="+home+"/bin:/usr/bin:/bin", "ANSIBLE_SSH_ARGS=-o ControlMaster=no", "ANSIBLE_NOCOWS=1",
					"ANSIBLE_LOCAL_TEMP="+home+"/tmp", "LC_ALL=C.UTF-8", "TERM=xterm")
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				if missing := lacks(string(out), e.prints); missing != "" {
					t.Errorf("it does not print %q behind what comes before it, but:\n%s", missing, out)
				}
			})
		}
	})
	if r := a.Local("packetcapture list --json"); r.Out != "[\n]\n" {
		t.Errorf("the examples left captures: %s", r.Out)
	}
}

// lacks is the first line of a text that an output does not have in this order; ... stands for anything.
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
