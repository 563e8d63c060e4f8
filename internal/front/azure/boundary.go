package azure

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

// A Boundary is the appliance's API for one caller who is logged in. Requests go to paths below
// http://appliance/v1/.
type Boundary interface {
	RoundTrip(*http.Request) (*http.Response, error)
}

// maxAnswer bounds an answer of the boundary in bytes.
const maxAnswer = 16 << 20

// errNoAnswer is of a boundary that is gone, or that answers what is no answer.
var errNoAnswer = problem.Fault.Errorf("The appliance did not answer").WithHint("Try again")

// call sends the boundary a request with body as JSON, nil for none, and reads the answer into what into
// points to, nil for nothing.
func call(ctx context.Context, b Boundary, method, path string, body, into any) *menu.Error {
	var text io.Reader = http.NoBody
	if body != nil {
		sent, err := json.Marshal(body)
		if err != nil {
			panic(err) // a body holds texts, numbers and what was JSON
		}
		text = bytes.NewReader(sent)
	}
	q, err := http.NewRequestWithContext(ctx, method, "http://appliance"+path, text)
	if err != nil {
		return errNoAnswer
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	answer, err := b.RoundTrip(q)
	if err != nil {
		return errNoAnswer
	}
	defer answer.Body.Close()
	from := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer))
	if answer.StatusCode >= http.StatusBadRequest {
		refused := new(menu.Error)
		if from.Decode(refused) != nil {
			return errNoAnswer
		}
		if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil {
			refused.RetryAfter = time.Duration(seconds) * time.Second
		}
		return refused
	}
	if into != nil && from.Decode(into) != nil {
		return errNoAnswer
	}
	return nil
}
