package daemon

import (
	"context"
	"net/netip"
)

// HostNames are the names of those addresses whose name is remembered or found before ctx ends.
func (d *Daemon) HostNames(ctx context.Context, addresses []netip.Addr) map[netip.Addr]string {
	return d.names.Names(ctx, addresses)
}

// ForgetHostNames empties the memory of names and says how many addresses were in it.
func (d *Daemon) ForgetHostNames() int { return d.names.Forget() }
