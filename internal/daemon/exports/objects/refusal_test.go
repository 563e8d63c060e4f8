package objects

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"diagsh/internal/test/storage"
)

// What S3 does not say to HEAD, it is asked for in another way.
func TestRefusedByS3(t *testing.T) {
	b := newBed(t, "s3", storage.Options{})
	right := b.to.URL
	for _, size := range []int{10, 2 * piece} {
		f, _ := randomFile(1, size)
		b.to.URL = parsed(t, right.String()+"?region=eu-west-1")
		b.fails(t, "another region", f, true, "in another region")
		b.to.URL = parsed(t, strings.Replace(right.String(), storage.Account, "nobody", 1))
		b.fails(t, "another access key", f, true, "refuses the key")
	}
}

// An object that cannot be read back to its end is not told as another file.
func TestReadingBackThatBreaksOff(t *testing.T) {
	both(t, func(t *testing.T, b *bed) {
		f, content := randomFile(1, 100_000)
		b.peer.Put(t, object, content)
		b.front.Change(func(r *http.Response) error {
			r.Header.Del("X-Amz-Checksum-Crc64nvme") // else that of S3 is enough
			if r.Request.Method == http.MethodGet && !strings.Contains(r.Request.URL.RawQuery, "comp=") {
				r.Body = struct {
					io.Reader
					io.Closer
				}{io.LimitReader(r.Body, 1000), r.Body}
			}
			return nil
		})
		b.fails(t, "a connection that breaks", f, false, "broke off")
		b.front.Change(nil)
		if _, last, err := b.send(t.Context(), f); err != nil || last != f.Bytes {
			t.Errorf("then %d are safe, %v", last, err)
		}
	})
}
