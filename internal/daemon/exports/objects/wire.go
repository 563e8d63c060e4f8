package objects

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"diagsh/internal/daemon/exports/sending"
)

const (
	// What a storage says may have so many bytes: why it refuses, and the list of 50,000 parts.
	longestRefusal = 1 << 20
	longestAnswer  = 32 << 20

	// expectFrom is how large a request must be that asks first whether it may come. A storage that
	// refuses a part and closes the connection while the part is on its way would not be heard.
	expectFrom = 64 << 10
)

// A wire carries the requests of a storage's client: with whom the destination trusts alone, no
// faster than it may be, and answers of bounded size.
type wire struct {
	*sending.Client
	to       sending.Destination
	answered *atomic.Bool // the storage has answered something
}

func newWire(to sending.Destination, silence time.Duration, answered *atomic.Bool) *wire {
	return &wire{sending.NewClient(to, silence), to, answered}
}

// Do makes one request. It implements the transports of both clients.
func (w *wire) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.ContentLength > 0 {
		r = r.Clone(r.Context())
		r.Body = limitedBody{w.to.Limited(r.Body), r.Body}
		r.GetBody = nil
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1 // else Expect is sent and not waited for; the client of S3 says none
		r.Header.Del("Expect")
		if r.ContentLength >= expectFrom {
			r.Header.Set("Expect", "100-continue")
		}
	}
	response, err := w.Client.Do(r)
	if err != nil {
		return nil, err
	}
	w.answered.Store(true)
	most := int64(longestAnswer)
	switch bytes, is := r.Context().Value(reads{}).(int64); {
	case response.StatusCode >= 300:
		most = longestRefusal
	case is:
		most = bytes + 1
	}
	response.Body = limitedBody{io.LimitReader(response.Body, most), response.Body}
	return response, nil
}

// reads is the key of how many bytes of an object a request wants.
type reads struct{}

// readingBack returns a context for reading an object of so many bytes.
func readingBack(ctx context.Context, bytes int64) context.Context {
	return context.WithValue(ctx, reads{}, bytes)
}

// A limitedBody reads from one reader and closes another.
type limitedBody struct {
	io.Reader
	io.Closer
}
