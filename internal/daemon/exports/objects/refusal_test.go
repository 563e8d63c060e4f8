package objects

import (
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
