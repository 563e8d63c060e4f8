package exports

import (
	"net/url"
	"regexp"
	"strings"
)

// mostCause bounds what the log has of the cause of a failed try, in bytes: some of it is a
// stranger's.
const mostCause = 1000

// signatures finds the secret member of a SAS, which is part of the URL of each request.
var signatures = regexp.MustCompile(`\bsig=[^&\s"'<>]+`)

// causeOf returns the cause of a failed try for the log, without what is secret of its target; "" if
// there is none.
func (q *Queue) causeOf(cause error, target string) string {
	if cause == nil {
		return ""
	}
	q.mu.Lock()
	t, _ := q.target(target)
	q.mu.Unlock()
	text := signatures.ReplaceAllString(cause.Error(), "sig=...")
	for _, secret := range []string{t.Secret, t.ProxySecret} {
		if secret != "" {
			text = strings.NewReplacer(secret, "...", url.QueryEscape(secret), "...", url.PathEscape(secret), "...").Replace(text)
		}
	}
	if len(text) > mostCause {
		text = strings.ToValidUTF8(text[:mostCause], "") + " ..."
	}
	return text
}
