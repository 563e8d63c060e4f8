package dns

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An Exchanger is a host that takes the mail of a domain (RFC 5321, section 5.1).
type Exchanger struct {
	Host       string
	Preference int
}

// Exchangers looks up the mail exchangers of domains. It remembers them for as long as a dialogue
// may last, because the user chooses by their order. The zero value asks as System does.
type Exchangers struct {
	client *Client // nil: System

	mu     sync.Mutex
	memory map[string]exchangers
}

type exchangers struct {
	list  []Exchanger
	err   error
	until time.Time
}

const (
	exchangersTime   = 10 * time.Second // limit for one lookup
	exchangersMemory = time.Minute
	failureMemory    = 15 * time.Second // so that a dialogue waits only once
	exchangersLimit  = 1000
)

// ErrNoMail reports that a domain takes no mail (RFC 7505, a null MX). Even the host of that name
// must not be tried.
var ErrNoMail = errors.New("the domain takes no mail")

// An ExchangersError reports that it is unknown whether a domain has MX records. That differs from
// having none (RFC 5321, section 5.1). It matches ErrNoAnswer.
type ExchangersError struct{ Reason string }

func (e *ExchangersError) Error() string { return e.Reason }

// Is makes it match ErrNoAnswer.
func (e *ExchangersError) Is(target error) bool { return target == ErrNoAnswer }

// Of returns the exchangers of a domain, the preferred ones first. It returns none if the domain
// has no MX records. A domain may have letters of any language. The error is ErrNoMail, an
// *ExchangersError, an ErrName, or the context's.
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
	client := e.client
	if client == nil {
		client = System
	}
	reply, err := client.Ask(asking, Question{Name: domain, Type: "MX", Search: true, Recursive: true})
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, ErrName):
		return nil, err
	}
	known = exchangers{until: time.Now().Add(exchangersMemory)}
	if known.list, known.err = judge(reply, err); errors.Is(known.err, ErrNoAnswer) {
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

// judge evaluates a reply. It rejects a truncated answer, because the missing part may name a
// preferred exchanger.
func judge(r Reply, failed error) (list []Exchanger, err error) {
	server := r.Server.Addr().String()
	switch {
	case failed != nil:
		return nil, &ExchangersError{Words(failed)}
	case r.Code == "NXDOMAIN":
		return nil, nil
	case r.Code != "NOERROR":
		return nil, &ExchangersError{"the name servers answered with a failure (" + server + " with " + r.Code + ")"}
	}
	records := r.Chain("MX")
	if len(records) == 0 && len(r.Answer) == 0 && !r.Has("aa") && !r.Has("ra") {
		return nil, &ExchangersError{"the name server " + server + " knows nothing of them, and asks no other"}
	}
	null, malformed := false, false
	for _, data := range records {
		preference, host, _ := strings.Cut(data, " ")
		n, err := strconv.ParseUint(preference, 10, 16)
		switch host = strings.TrimSuffix(host, "."); {
		case host == "": // Beside other exchangers, "." has no meaning (RFC 7505, section 3).
			null = true
		case err != nil || !hostName(host):
			malformed = true
		default:
			list = append(list, Exchanger{host, int(n)})
		}
	}
	slices.SortStableFunc(list, func(a, b Exchanger) int {
		return cmp.Or(cmp.Compare(a.Preference, b.Preference), cmp.Compare(a.Host, b.Host))
	})
	switch {
	case len(list) > 0:
		return list, nil
	case null && !malformed:
		return nil, ErrNoMail
	case malformed:
		return nil, &ExchangersError{"what the name servers say of them is malformed"}
	}
	return nil, nil
}

// hostName reports whether a name has only the characters of host names, and the underscore that
// some have.
func hostName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}
