package main

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	mdLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdHeading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	mdPath    = regexp.MustCompile("`((?:shell|commands|capture|diag|assets|internal|bench|docs)/[\\w./*-]+)`")
	noAnchor  = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
)

// roomsToCome is the section of a page that names folders which are not there yet.
const roomsToCome = "Rooms to come"

// TestLinks fails for a page that leads nowhere: a relative link, its heading, or a path of this
// tree in backquotes.
func TestLinks(t *testing.T) {
	links, paths := 0, 0
	for _, page := range pages(t) {
		text := read(t, page)
		for _, found := range mdLink.FindAllStringSubmatch(text, -1) {
			if link := found[1]; !strings.Contains(link, ":") {
				links++
				checkLink(t, page, link)
			}
		}
		for _, found := range mdPath.FindAllStringSubmatch(without(text, roomsToCome), -1) {
			paths++
			if matches, err := filepath.Glob(found[1]); err != nil || matches == nil {
				t.Errorf("%s names %s, which is not there", page, found[1])
			}
		}
	}
	if links < 60 || paths < 60 {
		t.Errorf("only %d links and %d paths were found", links, paths)
	}
}

// checkLink fails if a relative link of a page leads to no file or heading.
func checkLink(t *testing.T, page, link string) {
	t.Helper()
	file, heading, _ := strings.Cut(link, "#")
	if file = path.Join(path.Dir(page), file); strings.HasPrefix(link, "#") {
		file = page
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("%s links to %s, which is not there", page, link)
		return
	}
	if heading == "" {
		return
	}
	isIt := func(found []string) bool { return anchor(found[1]) == heading }
	if !slices.ContainsFunc(mdHeading.FindAllStringSubmatch(read(t, file), -1), isIt) {
		t.Errorf("%s links to %s, which has no such heading", page, link)
	}
}

// anchor returns what a link has after its # for a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(noAnchor.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// without returns text without the section under a heading.
func without(text, heading string) string {
	before, section, found := strings.Cut(text, "# "+heading+"\n")
	if !found {
		return text
	}
	next := mdHeading.FindStringIndex(section)
	if next == nil {
		return before
	}
	return before + section[next[0]:]
}

// pages returns all pages of the tree, but for those of other people's modules.
func pages(t *testing.T) (all []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == "internal/third_party/crypto", d.IsDir() && d.Name() != "." && strings.HasPrefix(d.Name(), "."),
			name == "bin", name == "var":
			return fs.SkipDir
		case strings.HasSuffix(name, ".md"):
			all = append(all, name)
		}
		return nil
	})
	if err != nil || len(all) < 40 {
		t.Fatalf("%d pages: %v", len(all), err)
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
