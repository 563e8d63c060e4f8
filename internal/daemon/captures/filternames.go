package captures

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"diagsh/capture/filter"
	"diagsh/diag/dns"
)

// filterNames resolves the names in filters. Hosts are looked up as every command looks them up.
var filterNames = filter.NamesWith(func(ctx context.Context, name string) ([]netip.Addr, error) {
	list, err := dns.Addresses(ctx, name, dns.Any)
	if err != nil {
		return nil, filter.HostFault(dns.Words(err))
	}
	return list, nil
})

// FilterNames returns the names that filters may have.
func (t *Table) FilterNames() filter.Names { return filterNames }

// checkedNames remembers the hosts of filters that are checked. A dialogue checks its filter again
// at each question, and must not ask the name server each time.
type checkedNames struct {
	mu    sync.Mutex
	known filter.Names
	since time.Time
}

// checkedFor is how long an answer is remembered.
const checkedFor = 10 * time.Second

// names returns what is remembered, unless that is older than checkedFor.
func (c *checkedNames) names() filter.Names {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.known == nil || now.Sub(c.since) > checkedFor {
		c.known, c.since = filter.Remember(filterNames), now
	}
	return c.known
}
