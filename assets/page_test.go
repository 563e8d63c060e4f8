package assets

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"
)

// eachPageFile calls do for each file of the page.
func eachPageFile(t *testing.T, do func(name, text string)) {
	t.Helper()
	err := fs.WalkDir(Page(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(Page(), name)
		do(name, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Nothing is in the page but what browsers fetch, and index.html is there.
func TestPageHasOnlyItsFiles(t *testing.T) {
	t.Parallel()
	known := map[string]bool{".html": true, ".css": true, ".js": true, ".svg": true, ".txt": true, "": true}
	names := map[string]bool{}
	eachPageFile(t, func(name, _ string) {
		names[name] = true
		if !known[path.Ext(name)] || path.Ext(name) == "" && name != "vendor/VERSIONS" {
			t.Errorf("%s does not belong into the page", name)
		}
	})
	for _, name := range []string{"index.html", "app.js", "app.css", "vendor/preact.js", "vendor/LICENSES.txt"} {
		if !names[name] {
			t.Errorf("the page has no %s", name)
		}
	}
}

// Files of others are as vendor.sh made them: the list has each, with its hash.
func TestPageVendorFiles(t *testing.T) {
	t.Parallel()
	list, err := fs.ReadFile(Page(), "vendor/VERSIONS")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for line := range strings.Lines(string(list)) {
		if fields := strings.Split(strings.TrimSpace(line), "\t"); len(fields) == 3 {
			listed["vendor/"+fields[0]] = fields[2]
		}
	}
	eachPageFile(t, func(name, text string) {
		if !strings.HasPrefix(name, "vendor/") || name == "vendor/VERSIONS" {
			return
		}
		sum := sha256.Sum256([]byte(text))
		if hex.EncodeToString(sum[:]) != listed[name] {
			t.Errorf("%s is not what VERSIONS says; run assets/vendor.sh", name)
		}
		delete(listed, name)
	})
	if len(listed) > 0 {
		t.Errorf("VERSIONS has files that are not there: %v", listed)
	}
}

// What the policy of the page forbids, or what Trusted Types refuse, is not written at all; and no
// address leads to another host.
func TestPageIsStrict(t *testing.T) {
	t.Parallel()
	elsewhere := regexp.MustCompile(`https?://[^\s"'` + "`" + `)>]+`)
	forbidden := map[string]*regexp.Regexp{
		"an element with style":    regexp.MustCompile(`<style|\sstyle="`),
		"a handler in markup":      regexp.MustCompile(`\son[a-z]+="`),
		"a script in markup":       regexp.MustCompile(`<script(?:>|\s[^>]*>[^<])`),
		"HTML from text":           regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySetInnerHTML|srcdoc|DOMParser`),
		"code from text":           regexp.MustCompile(`\beval\(|new Function\(|javascript:`),
		"an import of a bare name": regexp.MustCompile(`(?m)^import [^;]*from '[^.]`),
		// Preact sets a property, and there every text but the empty one is true.
		"a text for yes or no":     regexp.MustCompile(`\s(?:spellcheck|hidden|disabled|checked|required|readonly|multiple|draggable)="`),
		"an import map":            regexp.MustCompile(`importmap`),
		"a syntax that is too new": regexp.MustCompile(`:has\(|light-dark\(|Promise\.withResolvers|Object\.groupBy|\.toSorted\(|Array\.fromAsync`),
	}
	eachPageFile(t, func(name, text string) {
		for _, address := range elsewhere.FindAllString(text, -1) {
			if !strings.HasPrefix(address, "http://www.w3.org/") && name != "vendor/LICENSES.txt" {
				t.Errorf("%s has the address %s", name, address)
			}
		}
		if strings.HasPrefix(name, "vendor/") {
			return
		}
		for what, pattern := range forbidden {
			if found := pattern.FindString(text); found != "" {
				t.Errorf("%s has %s: %q", name, what, found)
			}
		}
	})
}

// The start page names all modules that it begins with, so that the browser asks for them at once and
// not one after the other as it reads them.
func TestPagePreloads(t *testing.T) {
	t.Parallel()
	imports := regexp.MustCompile(`(?m)^(?:import|export)\b[^;]*?\bfrom '\./([^']+)'`)
	needed := map[string]bool{}
	var follow func(name string)
	follow = func(name string) {
		if needed[name] {
			return
		}
		needed[name] = true
		text, err := fs.ReadFile(Page(), name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(name, "vendor/") {
			return // is one file
		}
		for _, m := range imports.FindAllStringSubmatch(string(text), -1) {
			follow(m[1])
		}
	}
	follow("app.js")
	follow("captures.js")
	index, err := fs.ReadFile(Page(), "index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?:modulepreload" href|script type="module" src)="([^"]+)"`).FindAllStringSubmatch(string(index), -1) {
		if !needed[m[1]] {
			t.Errorf("index.html loads %s, which the start page does not need", m[1])
		}
		delete(needed, m[1])
	}
	for name := range needed {
		t.Errorf("index.html does not preload %s", name)
	}
}

// All files together are small enough for a slow link.
func TestPageIsSmall(t *testing.T) {
	t.Parallel()
	const most = 200 << 10
	total := 0
	eachPageFile(t, func(name, text string) {
		var packed bytes.Buffer
		w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		w.Write([]byte(text))
		w.Close()
		total += packed.Len()
	})
	t.Logf("%d bytes compressed", total)
	if total > most {
		t.Errorf("the page has %d bytes compressed, more than %d", total, most)
	}
}
