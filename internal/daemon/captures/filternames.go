package captures

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"diagsh/capture/filter"
	"diagsh/diag/dns"
)

// filterNames are the names in filters: hosts are looked up as every command looks them up.
var filterNames = filter.NamesWith(func(ctx context.Context, name string) ([]netip.Addr, error) {
	list, err := dns.Addresses(ctx, name, dns.Any)
	if err != nil {
		return nil, filter.HostFault(dns.Words(err))
	}
	return list, nil
})

// FilterNames are the names that filters may have.
func (t *Table) FilterNames() filter.Names { return filterNames }

// checkedNames remembers the hosts of filters that are checked. A dialogue checks a filter again at each of its questions,
// which shall not ask the name server again.
type checkedNames struct {
	mu    sync.Mutex
	known filter.Names
	since time.Time
}

// checkedFor is how long an answer is remembered.
const checkedFor = 10 * time.Second

func (c *checkedNames) names() filter.Names {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.known == nil || now.Sub(c.since) > checkedFor {
		c.known, c.since = filter.Remember(filterNames), now
	}
	return c.known
}
