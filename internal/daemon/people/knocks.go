package people

import (
	"fmt"
	"strings"
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

// Knocked implements api.Logins.
func (p *People) Knocked(k access.Knock) {
	leftOut, ok := p.knocks.Due(time.Now())
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
