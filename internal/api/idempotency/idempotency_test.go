package idempotency

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"diagsh/internal/menu"
)

// The answers of an account take so much memory and no more: the oldest of its own go first.
func TestAnswersAreBounded(t *testing.T) {
	var m Memory
	done := 0
	ask := func(user, key string) {
		t.Helper()
		r := httptest.NewRequest("POST", "/v1/run/x", strings.NewReader("{}"))
		r.Header.Set(Header, key)
		err := m.Once(httptest.NewRecorder(), r, menu.Caller{User: user}, func(w http.ResponseWriter) error {
			done++
			_, err := w.Write(make([]byte, maxAnswer))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	ask("other", "kept")
	const most = maxOwnBytes / maxAnswer
	for n := range most + 1 {
		ask("op", fmt.Sprint(n))
	}
	before := done
	ask("other", "kept")
	ask("op", fmt.Sprint(most))
	ask("op", "1")
	if done != before {
		t.Errorf("%d of the answers that fit were not kept", done-before)
	}
	if ask("op", "0"); done != before+1 {
		t.Error("the oldest answer did not make room")
	}
}
