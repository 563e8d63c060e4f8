package daemon

import (
	"context"
	"net/netip"

	"diagsh/diag/ports"
	"diagsh/internal/daemon/portlog"
)

// A portsRoom is the one engine that tells which process has which socket. It stands below the
// rooms that watch it, and runs while one of them does.
type portsRoom struct{ *ports.Engine }

// Close implements room. Who watched has ended before.
func (r portsRoom) Close(context.Context) error { return r.Engine.Close() }

// openPorts makes the engine. The administrator of the machine may lower its tier.
func (d *Daemon) openPorts() {
	d.ports = portsRoom{ports.New(ports.Options{Log: d.log, Tier: ports.Tier(d.PortTier())})}
	d.opened(d.ports)
}

// openPortLog opens the port log, which watches the engine.
func (d *Daemon) openPortLog(o Options) (err error) {
	d.portlogRoom, err = portlog.Open(portlog.Options{
		Dir: o.Dir, Product: o.Product, LastSign: d.lastSign, Hostname: d.Hostname, Files: d.Directory, Engine: d.ports, Services: d.Services,
		System: d.System, SystemFailed: d.SystemFailed, Tell: d.Teller(portlogTopic), Settled: d.Teller(settingsTopic),
		SetAside: d.setAside, Log: d.log,
	})
	if err != nil {
		return err
	}
	d.opened(d.portlogRoom)
	return nil
}

// SocketOwner returns what is known of a socket by its cookie, and where that is not enough by its
// inode. It is false while nothing watches sockets.
func (d *Daemon) SocketOwner(cookie, inode uint64) (ports.Owner, bool) {
	return d.ports.Owner(cookie, inode)
}

// EndedOwner returns who had a connection whose socket is closed, by its ends.
func (d *Daemon) EndedOwner(local, remote netip.AddrPort) (ports.Owner, bool) {
	return d.ports.Ended(local, remote)
}

// PortsStatus returns how sockets are watched; it is false while they are not.
func (d *Daemon) PortsStatus() (ports.Status, bool) { return d.ports.Status() }
