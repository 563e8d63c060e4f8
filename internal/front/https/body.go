package https

import (
	"diagsh/internal/menu/problem"
	"net/http"
	"time"
)

// bounded gives the body of each request problem.BodyTime, also one that is refused before it is read: package
// http reads the rest of it before it sends the answer.
func bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			http.NewResponseController(w).SetReadDeadline(time.Now().Add(problem.BodyTime))
		}
		h.ServeHTTP(w, r)
	})
}
