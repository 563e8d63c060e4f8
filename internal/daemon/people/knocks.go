package people

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// Connections that ended without a login have a line each in the audit log: knockBurst at once,
// then one in knockEvery. To offer keys costs a client nothing. So this is less than the budget of
// all that are not logged in: no line about a wrong password may be left out for it.
const (
	knockBurst = 100
	knockEvery = 10 * time.Second
)

// knocks bounds those lines.
type knocks struct {
	mu      sync.Mutex
	used    float64 // lines of the burst
	at      time.Time
	leftOut int // since the last line
}

// due reports whether a line may be written now, and how many were left out before it.
func (k *knocks) due(now time.Time) (leftOut int, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.used = max(0, k.used-float64(now.Sub(k.at))/float64(knockEvery))
	k.at = now
	if k.used > knockBurst-1 {
		k.leftOut++
		return 0, false
	}
	k.used++
	leftOut, k.leftOut = k.leftOut, 0
	return leftOut, true
}

// Knocked implements api.Logins.
func (p *People) Knocked(k access.Knock) {
	leftOut, ok := p.knocks.due(time.Now())
	if !ok {
		return
	}
	var tried []string
	if k.Keys > 0 {
		tried = append(tried, plural(k.Keys, "key that is", "keys that are")+" not the user's")
	}
	if k.Other > 0 {
		tried = append(tried, plural(k.Other, "attempt", "attempts")+" that could not be looked at")
	}
	message := "Connection ended without a login: " + strings.Join(tried, ", ")
	if leftOut > 0 {
		message += fmt.Sprintf(" (%d more such connections since the last such line)", leftOut)
	}
	p.audit.Refused(p.known(k.User), access.Event{Act: access.ActRefused, User: nameForAudit(k.User), Source: k.Source,
		Result: menu.Denied.String(), Exit: int(menu.Denied), Message: message})
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
