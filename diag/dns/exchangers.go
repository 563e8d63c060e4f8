package dns

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// An Exchanger is a host that takes the mail of a domain (RFC 5321, section 5.1).
type Exchanger struct {
	Host       string
	Preference int
}

// Exchangers knows the mail exchangers of domains, and remembers them for as long as a dialogue about them may last: a person chooses by
// their order.
type Exchangers struct {
	mu     sync.Mutex
	memory map[string]exchangers
}

type exchangers struct {
	list  []Exchanger
	until time.Time
}

const (
	exchangersTime   = 3 * time.Second // that a name server may take
	exchangersMemory = time.Minute
	exchangersLimit  = 1000
)

// Of lists the exchangers of a domain, the preferred ones first; none if it has no MX records or no name server says so.
func (e *Exchangers) Of(ctx context.Context, domain string) []Exchanger {
	domain = strings.ToLower(domain)
	e.mu.Lock()
	known, ok := e.memory[domain]
	e.mu.Unlock()
	if ok && time.Now().Before(known.until) {
		return known.list
	}
	asking, stop := context.WithTimeout(ctx, exchangersTime)
	defer stop()
	records, _ := Resolver.LookupMX(asking, domain) // with an error come those that are well formed
	if ctx.Err() != nil {
		return nil
	}
	var list []Exchanger
	for _, r := range records {
		if host := strings.TrimSuffix(r.Host, "."); host != "" { // "." says that it takes no mail (RFC 7505)
			list = append(list, Exchanger{host, int(r.Pref)})
		}
	}
	slices.SortStableFunc(list, func(a, b Exchanger) int {
		return cmp.Or(cmp.Compare(a.Preference, b.Preference), cmp.Compare(a.Host, b.Host))
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.memory == nil || len(e.memory) >= exchangersLimit {
		e.memory = map[string]exchangers{}
	}
	e.memory[domain] = exchangers{list, time.Now().Add(exchangersMemory)}
	return list
}
