package exports

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"diagsh/capture"
	"diagsh/internal/menu"
)

// A template of places is names with slashes between them, in which words in braces stand for what
// differs: host, capture, case, file, name and ext (of the file, without and from its last dot), and
// yyyy mm dd HH MM SS, of the start of the capture in UTC. In what they stand for, each character
// that a place cannot have is an underscore.

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// placeWords are the words that a template may have in braces.
var placeWords = []string{"host", "capture", "case", "file", "name", "ext", "yyyy", "mm", "dd", "HH", "MM", "SS"}

// checkTemplate returns an error for users if a template is none. Each has the name of the file, so
// that no two files of the appliance have one place.
func checkTemplate(template string) error {
	wrong := func(format string, arguments ...any) error {
		return menu.BadArgument("template", format, arguments...).
			WithHint("Words in braces are %s; %s", strings.Join(placeWords, ", "), "all else is letters, digits and ._=@+~- with slashes between names")
	}
	for _, word := range placeholder.FindAllString(template, -1) {
		if !slices.Contains(placeWords, strings.Trim(word, "{}")) {
			return wrong("%s in the template is not known", menu.Quoted(word))
		}
	}
	if !strings.Contains(template, "{file}") && !strings.Contains(template, "{name}") {
		return wrong("The template %s has neither {file} nor {name}, so that files would have one place", menu.Quoted(template))
	}
	if !capture.PlainPlace(placeholder.ReplaceAllString(template, "x")) {
		return wrong("%s is no template of a place", menu.Quoted(template))
	}
	return nil
}

// placeOf returns the place of a copy by a template. If a value makes it no place, it is the name of
// the file.
func placeOf(template, host string, e *capture.Export) string {
	at := cmp.Or(e.CaptureStart, e.Queued)
	if at.IsZero() {
		at = time.Now()
	}
	extension := path.Ext(e.File)
	values := map[string]string{
		"host": host, "capture": cmp.Or(e.Capture, "none"), "case": cmp.Or(e.CaseNumber, "none"), "file": e.File,
		"name": strings.TrimSuffix(e.File, extension), "ext": extension,
	}
	for word, layout := range map[string]string{"yyyy": "2006", "mm": "01", "dd": "02", "HH": "15", "MM": "04", "SS": "05"} {
		values[word] = at.UTC().Format(layout)
	}
	place := placeholder.ReplaceAllStringFunc(template, func(word string) string { return safe(values[strings.Trim(word, "{}")]) })
	if !capture.PlainPlace(place) {
		return e.File
	}
	return place
}

// safe returns a text of which a place can be made.
func safe(text string) string {
	return strings.Map(func(c rune) rune {
		if c < 0x80 && (c == '.' || c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z') {
			return c
		}
		return '_'
	}, text)
}

// metadata returns what a target is told of a file, beside its name. A value may be any text: each
// sender escapes what its protocol cannot have.
func metadata(host string, e *capture.Export, sum string) map[string]string {
	m := map[string]string{"host": host, "sha256": sum}
	for name, value := range map[string]string{"capture": e.Capture, "case": e.CaseNumber} {
		if value != "" {
			m[name] = value
		}
	}
	return m
}

// contentType returns the media type of a copy, "" for packets.
func contentType(e *capture.Export) string {
	switch {
	case e.Manifest:
		return "application/json"
	case strings.HasSuffix(e.File, ".flows"):
		return "application/x-ndjson"
	}
	return ""
}
