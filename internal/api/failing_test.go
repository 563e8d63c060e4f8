package api

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

// The cause of a failure is in the log once, however many places of the boundary hand the error on,
// and never in an answer.
func TestCauseIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	s := NewServer(newFake(t), nil, slog.New(slog.NewTextHandler(&log, nil)))
	act := &act{server: s}
	first := act.failed(menu.Failing("keep the settings", errors.New("disk on fire")))
	w := httptest.NewRecorder()
	problem.Write(w, s.AsError("/v1/run/setup", first), "")
	if n := strings.Count(log.String(), "disk on fire"); n != 1 ||
		!strings.Contains(log.String(), "could not keep the settings") {
		t.Errorf("the log has the cause %d times: %s", n, &log)
	}
	if body := w.Body.String(); w.Code != http.StatusInternalServerError || strings.Contains(body, "disk on fire") ||
		!strings.Contains(body, "The appliance could not keep the settings") {
		t.Errorf("the answer is %s", body)
	}
}
