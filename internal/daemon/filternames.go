package daemon

import (
	"context"
	"net/netip"

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
func (d *Daemon) FilterNames() filter.Names { return filterNames }
