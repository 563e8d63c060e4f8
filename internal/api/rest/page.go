package rest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"diagsh/internal/menu"
)

// The query of a page of a list.
const (
	sizeQuery  = "pageSize"
	tokenQuery = "pageToken"
)

// MaxPage is the largest number of records of a page, and the one without pageSize.
const MaxPage = 1000

// A Page says which records of a list are wanted.
type Page struct {
	size  int
	after cursor
	list  string // what the list is of, for the token
}

// A cursor is what a pageToken says, which is opaque for clients.
type cursor struct {
	Next  string `json:"n"` // key of the record that the page begins with
	Last  string `json:"k"` // key of the last record of the page before, if the next one has gone
	Index int    `json:"i"` // of the next record, if both have gone
	List  string `json:"l"` // hash of what the list is of
}

// PageOf returns the page that a request wants of the list with these arguments.
func (r Route) PageOf(request *http.Request, args menu.Arguments) (Page, error) {
	p := Page{size: MaxPage, list: r.listOf(args)}
	query := request.URL.Query()
	if text := query.Get(sizeQuery); query.Has(sizeQuery) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > MaxPage {
			return p, menu.BadArgument(sizeQuery, "%s %s is not right", sizeQuery, menu.Quoted(text)).
				WithHint("It is a whole number from 1 to %d", MaxPage)
		}
		p.size = n
	}
	if text := query.Get(tokenQuery); text != "" {
		decoded, err := base64.RawURLEncoding.DecodeString(text)
		if err == nil {
			err = json.Unmarshal(decoded, &p.after)
		}
		if err != nil || p.after.Index < 0 || p.after.List == "" {
			return p, menu.BadArgument(tokenQuery, "The %s is none of this appliance", tokenQuery).
				WithHint("Give the nextPageToken of the page before")
		}
		if p.after.List != p.list {
			return p, menu.BadArgument(tokenQuery, "The %s belongs to another list", tokenQuery).
				WithHint("Give the same arguments as for the page before")
		}
	}
	return p, nil
}

// listOf returns a hash of the resource and its arguments.
func (r Route) listOf(args menu.Arguments) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q", r.Pattern())
	for _, name := range slices.Sorted(maps.Keys(args)) {
		fmt.Fprintf(h, "%q %q", name, args[name])
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:9])
}

// cut returns the records of the page, and the token of the next one; it is empty for the last.
func (p Page) cut(records []record) (page []record, next string) {
	from := 0
	if p.after.List != "" {
		from = min(p.after.Index, len(records))
		if i := indexOf(records, p.after.Next); i >= 0 {
			from = i
		} else if i := indexOf(records, p.after.Last); i >= 0 {
			from = i + 1
		}
	}
	to := min(from+p.size, len(records))
	if to == len(records) {
		return records[from:to], ""
	}
	text, err := json.Marshal(cursor{Next: records[to].key, Last: records[to-1].key, Index: to, List: p.list})
	if err != nil {
		panic(err) // it holds texts and a number only
	}
	return records[from:to], base64.RawURLEncoding.EncodeToString(text)
}

func indexOf(records []record, key string) int {
	return slices.IndexFunc(records, func(r record) bool { return r.key == key })
}
