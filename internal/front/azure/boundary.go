package azure

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"diagsh/internal/access"
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

// A naming is a boundary that is told which program the requests are from.
type naming struct {
	Boundary
	client string
}

// RoundTrip implements Boundary. Clients look again and again by themselves: what only looks is one line of
// the audit log for a session.
func (n naming) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet {
		r.Header.Set(access.BackgroundHeader, "true")
	}
	if n.client != "" {
		r.Header.Set(access.ClientHeader, n.client)
	}
	return n.Boundary.RoundTrip(r)
}

// mayNot returns the refusal of a caller who may not use a command of the appliance, by its path. The
// boundary decides that as for the command itself, when it is asked for the first question of its dialogue.
func mayNot(ctx context.Context, b Boundary, command string) *menu.Error {
	refused := call(ctx, b, http.MethodPost, "/v1/ask/"+command, map[string]any{"mode": 0}, nil)
	if refused == nil || refused.Code != menu.Denied && refused.Type == "" {
		return nil // the rest of what a dialogue refuses is that the arguments lack
	}
	return refused
}
