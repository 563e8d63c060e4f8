// Package digests keeps the SHA-256 of files that were read.
package digests

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"
	"sync"
)

// most bounds the digests that are kept.
const most = 1000

// Digests keep the SHA-256 of files by their entity tags. Their zero value is ready. Their methods may
// be called from any goroutine.
type Digests struct {
	making sync.Mutex // held while one is computed: two at a time would only share the disk

	mu    sync.Mutex
	known map[string][]byte
	order []string // of the tags, the oldest first
}

// Get returns the digest of a tag.
func (d *Digests) Get(tag string) (sum []byte, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	sum, known = d.known[tag]
	return sum, known
}

// Keep keeps the digest of a tag, and forgets the oldest if there are too many.
func (d *Digests) Keep(tag string, sum []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil {
		d.known = map[string][]byte{}
	}
	if _, again := d.known[tag]; !again {
		d.order = append(d.order, tag)
	}
	d.known[tag] = sum
	if len(d.order) > most {
		delete(d.known, d.order[0])
		d.order = d.order[1:]
	}
}

// Of computes the digest of an open file, whose position stays.
func (d *Digests) Of(ctx context.Context, f *os.File, tag string) ([]byte, error) {
	d.making.Lock()
	defer d.making.Unlock()
	if sum, known := d.Get(tag); known {
		return sum, nil
	}
	h := sha256.New()
	if err := sumUp(ctx, h, io.NewSectionReader(f, 0, 1<<62)); err != nil {
		return nil, err
	}
	sum := h.Sum(nil)
	d.Keep(tag, sum)
	return sum, nil
}

// sumUp adds what is read to a hash, until ctx ends.
func sumUp(ctx context.Context, h hash.Hash, from io.Reader) error {
	buffer := make([]byte, 256<<10)
	for {
		n, err := from.Read(buffer)
		h.Write(buffer[:n])
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
