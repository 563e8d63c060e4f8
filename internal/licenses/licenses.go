// Package licenses gathers the licenses of what the program is made of.
package licenses

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Text is the license texts and notices of the modules that the program in the current folder is
// linked from, and of Go's own library, as their folders in the module cache have them.
func Text() ([]byte, error) {
	list, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{if .Replace}} (changed here){{end}} {{.Dir}}{{end}}{{end}}", ".").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	modules := slices.Compact(slices.Sorted(strings.Lines(string(list))))
	modules = append([]string{"Go's standard library, of the version that the program is built with " + strings.TrimSpace(string(root))}, modules...)
	var out bytes.Buffer
	out.WriteString("diagsh is licensed under Apache-2.0. It contains:\n")
	for _, m := range modules {
		m = strings.TrimSpace(m)
		if m == "" { // packages of Go itself have no module
			continue
		}
		at := strings.LastIndexByte(m, ' ')
		if err := add(&out, m[:at], m[at+1:]); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// legal are the files that say under what terms a module may be passed on.
var legal = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^(licen[sc]e|copying|notice|patents)(\.(md|txt))?$`)
})

func add(out *bytes.Buffer, name, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	license := false
	for _, e := range entries {
		if !legal().MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		license = license || e.Name()[0]|0x20 != 'n' && e.Name()[0]|0x20 != 'p'
		fmt.Fprintf(out, "\n%s\n%s, %s\n%s\n\n", strings.Repeat("=", 80), name, e.Name(), strings.Repeat("=", 80))
		for line := range strings.Lines(strings.NewReplacer("\r", "", "\f", "", "\t", "    ").Replace(string(text))) {
			fmt.Fprintln(out, strings.TrimRight(line, " \n"))
		}
	}
	if !license {
		return fmt.Errorf("%s has no license", name)
	}
	return nil
}
