package rest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"diagsh/internal/menu"
)

// An Answer takes the records of a command, and is sent when that has ended.
type Answer struct {
	route   Route
	page    Page
	picked  string
	records []record
}

// A record is one record in JSON, with the member that names it.
type record struct {
	text []byte
	key  string
}

// Answer returns the answer to a request for a page, and of the records for the picked one.
func (r Route) Answer(page Page, picked string) *Answer {
	return &Answer{route: r, page: page, picked: picked}
}

// Picked returns the key of the record that a request wants, if the route picks one.
func (r Route) Picked(request *http.Request) string {
	if !r.Pick {
		return ""
	}
	words := r.Words()
	return request.PathValue(words[len(words)-1])
}

// Form implements menu.Sink.
func (a *Answer) Form() menu.Form { return menu.JSONForm }

// Record implements menu.Sink.
func (a *Answer) Record(v any, _ menu.Shape) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	one := record{text: bytes.TrimSuffix(b.Bytes(), []byte("\n"))}
	if a.route.Key != "" {
		one.key = keyOf(one.text, a.route.Key)
	}
	if a.route.Pick && one.key != a.picked {
		return nil
	}
	a.records = append(a.records, one)
	return nil
}

// keyOf returns what names a record.
func keyOf(text []byte, members string) string {
	names := strings.Split(members, ",")
	for i, name := range names {
		names[i] = member(text, name)
	}
	return strings.Join(names, ",")
}

// member returns a member of a record, as text.
func member(record []byte, name string) string {
	var object map[string]json.RawMessage
	if json.Unmarshal(record, &object) != nil {
		return ""
	}
	var text string
	if json.Unmarshal(object[name], &text) != nil {
		text = string(object[name]) // a number
	}
	return text
}

// Text, Data, Progress and View implement menu.Sink for forms that an Answer does not have.
func (a *Answer) Text([]byte) error { return nil }
func (a *Answer) Data([]byte) error { return nil }
func (a *Answer) Progress(string)   {}
func (a *Answer) View(bool)         {}

// Body returns the answer's document: the list, or the one record. It is nil if there is none.
func (a *Answer) Body() ([]byte, error) {
	switch {
	case a.route.List != "":
		return a.list()
	case len(a.records) > 0:
		return append(a.records[len(a.records)-1].text, '\n'), nil
	case a.route.Pick:
		return nil, menu.Errorf(menu.NotFound, "There is no %s", menu.Quoted(a.picked))
	}
	return nil, nil
}

func (a *Answer) list() ([]byte, error) {
	records, next := a.records, ""
	if a.route.Paged() {
		records, next = a.page.cut(a.records)
	}
	token, err := json.Marshal(next)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(`{"` + a.route.List + `":[`)
	for i, one := range records {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		b.Write(one.text)
	}
	b.WriteString("],\n\"nextPageToken\":")
	b.Write(token)
	b.WriteString("}\n")
	return b.Bytes(), nil
}

// Tag returns the ETag of a document.
func Tag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:12]) + `"`
}

// NotModified sets the ETag of an answer. If the client has what the tag names, it answers so and
// reports true.
func NotModified(w http.ResponseWriter, request *http.Request, tag string) bool {
	w.Header().Set("ETag", tag)
	none := request.Header.Get("If-None-Match")
	if none == "" || !Matches(none, tag) {
		return false
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}

// Matches reports whether a header If-Match or If-None-Match names a tag, weak or not.
func Matches(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

// Send answers a request for which the command has ended well.
func (a *Answer) Send(w http.ResponseWriter, request *http.Request) error {
	body, err := a.Body()
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	if a.route.Method == http.MethodGet && a.route.Tagged {
		w.Header().Set("Cache-Control", "private, no-cache")
		if NotModified(w, request, Tag(body)) {
			return nil
		}
	}
	status := a.route.Status
	switch {
	case body == nil || status == http.StatusNoContent:
		w.WriteHeader(http.StatusNoContent)
		return nil
	case status == http.StatusCreated:
		w.Header().Set("Location", a.location(body))
	case status == 0:
		status = http.StatusOK
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body) // a peer who has gone cannot be told
	return nil
}

var locationWord = regexp.MustCompile(`\{[A-Za-z]+\}`)

// location returns the path of what was made.
func (a *Answer) location(body []byte) string {
	return Prefix + locationWord.ReplaceAllStringFunc(a.route.Location, func(word string) string {
		return url.PathEscape(member(body, strings.Trim(word, "{}")))
	})
}
