package dns

import (
	"cmp"
	"context"
	"errors"
	"net"
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
	err   error
	until time.Time
}

const (
	exchangersTime   = 10 * time.Second // that the name servers may take
	exchangersMemory = time.Minute
	failureMemory    = 15 * time.Second // so that a dialogue waits but once
	exchangersLimit  = 1000
)

// ErrNoMail says that a domain takes no mail (RFC 7505, a null MX): not even the host of its name is to be tried.
var ErrNoMail = errors.New("the domain takes no mail")

// An ExchangersError says that nobody knows whether a domain has MX records, which is not that it has none (RFC 5321, section 5.1). It is
// ErrNoAnswer.
type ExchangersError struct{ Reason string }

func (e *ExchangersError) Error() string { return e.Reason }

// Is makes it ErrNoAnswer.
func (e *ExchangersError) Is(target error) bool { return target == ErrNoAnswer }

// Of lists the exchangers of a domain, the preferred ones first; none if it has no MX records. The error is ErrNoMail, an *ExchangersError, an
// ErrName, or the context's. A name may be in the letters of any language.
func (e *Exchangers) Of(ctx context.Context, domain string) ([]Exchanger, error) {
	domain, err := ASCII(strings.ToLower(domain))
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	known, ok := e.memory[domain]
	e.mu.Unlock()
	if ok && time.Now().Before(known.until) {
		return known.list, known.err
	}
	asking, stop := context.WithTimeout(ctx, exchangersTime)
	defer stop()
	records, err := Resolver.LookupMX(asking, domain) // with an error come those that are well formed
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	known = exchangers{until: time.Now().Add(exchangersMemory)}
	if known.list, known.err = judge(records, err); errors.Is(known.err, ErrNoAnswer) {
		known.until = time.Now().Add(failureMemory)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.memory == nil || len(e.memory) >= exchangersLimit {
		e.memory = map[string]exchangers{}
	}
	e.memory[domain] = known
	return known.list, known.err
}

// judge reads what name servers say.
func judge(records []*net.MX, failed error) (list []Exchanger, err error) {
	for _, r := range records {
		// Beside other exchangers, "." has no meaning (RFC 7505, section 3).
		if host := strings.TrimSuffix(r.Host, "."); host != "" {
			list = append(list, Exchanger{host, int(r.Pref)})
		}
	}
	slices.SortStableFunc(list, func(a, b Exchanger) int {
		return cmp.Or(cmp.Compare(a.Preference, b.Preference), cmp.Compare(a.Host, b.Host))
	})
	var answer *net.DNSError
	switch {
	case len(list) > 0:
		return list, nil
	case len(records) > 0:
		return nil, ErrNoMail
	case failed == nil, errors.As(failed, &answer) && answer.IsNotFound:
		return nil, nil
	case answer != nil && answer.IsTimeout:
		return nil, &ExchangersError{"no name server answered in time"}
	case answer != nil && strings.Contains(answer.Err, "server misbehaving"): // SERVFAIL, REFUSED and the like, net/dnsclient_unix.go
		return nil, &ExchangersError{"the name servers answered with a failure"}
	case answer != nil && strings.Contains(answer.Err, "invalid"):
		return nil, &ExchangersError{"what the name servers say of them is malformed"}
	}
	return nil, &ExchangersError{"no name server answered"}
}
