package https

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// pageTypes are the types of a page's files. The process may not read those of the machine.
var pageTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".ico":  "image/x-icon",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json",
	".png":  "image/png",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
}

// A page is the files of the page, by their paths. It is public: what it shows comes by the API.
type page struct{ files map[string]*pageFile }

// A pageFile is a file of the page.
type pageFile struct {
	content []byte
	kind    string
	tag     string // the entity tag, by the content
	packed  func() []byte
}

// readPage reads the files of a page.
func readPage(from fs.FS) (*page, error) {
	p := &page{files: map[string]*pageFile{}}
	err := fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		kind, known := pageTypes[path.Ext(name)]
		if !known {
			kind = "application/octet-stream"
		}
		content, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		p.files["/"+name] = &pageFile{
			content: content,
			kind:    kind,
			tag:     base64.RawURLEncoding.EncodeToString(sum[:12]),
			packed:  sync.OnceValue(func() []byte { return pack(content) }),
		}
		return nil
	})
	if err == nil && p.files["/index.html"] == nil {
		err = errors.New("the page has no index.html")
	}
	return p, err
}

// pack compresses a file, or returns nil if that makes it no smaller.
func pack(content []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // fails only for a level that does not exist
	w.Write(content)
	w.Close()
	if b.Len() >= len(content) {
		return nil
	}
	return b.Bytes()
}

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		send(w, errMethod)
		return
	}
	name := r.URL.Path
	if strings.HasSuffix(name, "/") {
		name += "index.html"
	}
	f := p.files[name]
	if f == nil {
		send(w, errNoPage)
		return
	}
	header := w.Header()
	header.Set("Content-Type", f.kind)
	header.Set("Cache-Control", "no-cache") // asks each time, and is told that nothing has changed
	header.Set("Vary", "Accept-Encoding")
	content, tag := f.content, f.tag
	if packed := f.packed(); packed != nil && takesGzip(r) {
		header.Set("Content-Encoding", "gzip")
		content, tag = packed, tag+"-gzip"
	}
	header.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// takesGzip reports whether a client takes content that is compressed by gzip (RFC 9110 section
// 12.5.3). Who says that it takes it with a weight of zero gets it plain.
func takesGzip(r *http.Request) bool {
	for _, coding := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.TrimSpace(name) == "gzip" {
			weight = strings.ReplaceAll(weight, " ", "")
			return strings.Trim(strings.TrimPrefix(weight, "q="), "0.") != "" || weight == ""
		}
	}
	return false
}
