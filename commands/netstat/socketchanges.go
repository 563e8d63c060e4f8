package netstat

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	diag "diagsh/diag/sockets"
	"diagsh/internal/menu"
)

const (
	changeNew   = "new"
	changeGone  = "gone"
	changeOther = "changed"
)

// An identity is what does not change during a socket's life. Listeners on one port, each in a
// process of its own, differ only by the inode. So do sockets without ports; the interface that
// these are bound to may change.
type identity struct {
	kind          diag.Kind
	local, remote netip.AddrPort
	inode         uint32
}

func identityOf(s *diag.Socket) identity {
	id := identity{kind: s.Kind, local: s.Local, remote: s.Remote}
	if s.State == diag.Listen || s.Kind != diag.KindTCP {
		id.inode = s.Inode
	}
	return id
}

// A sighting is a socket as the last list showed it.
type sighting struct {
	socket diag.Socket
	round  int
}

// refresh shows the list every interval until ctx ends. Its memory grows with the number of
// sockets.
func (v *socketsView) refresh(ctx context.Context) error {
	seen := map[identity]sighting{}
	tick := time.NewTicker(v.Every)
	defer tick.Stop()
	for round := 0; ; round++ {
		if err := v.out.View(func() error { return v.round(ctx, seen, round) }); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (v *socketsView) round(ctx context.Context, seen map[identity]sighting, round int) error {
	if err := v.prepare(ctx); err != nil {
		return err
	}
	v.now = time.Now().UTC().Truncate(time.Millisecond)
	if v.Count != "" {
		v.out.Printf("%s\n", menu.UTC(v.now))
		return v.count(ctx)
	}
	v.out.Printf("%s, %s\n%s", v.title(), menu.UTC(v.now), menu.Text(v.heading()))
	return v.list(ctx, func(show func(*diag.Socket, string) error) error {
		err := v.each(ctx, func(s *diag.Socket) error {
			id := identityOf(s)
			was, known := seen[id]
			change := ""
			switch {
			case round == 0:
			case !known:
				change = changeNew
			case v.changed(&was.socket, s):
				change = changeOther
			}
			kept := sighting{*s, round}
			kept.socket.TCP = nil
			seen[id] = kept
			return show(s, change)
		})
		if err != nil {
			return err
		}
		for id, s := range seen {
			if s.round != round {
				delete(seen, id)
				if err := show(&s.socket, changeGone); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// changed reports whether two sightings of a socket differ in what the list shows.
func (v *socketsView) changed(was, is *diag.Socket) bool {
	return was.State != is.State || was.RecvQ != is.RecvQ || was.SendQ != is.SendQ || was.Drops != is.Drops ||
		v.earlier.Of(was.Device) != v.devices.Of(is.Device) || was.DeviceGone != is.DeviceGone ||
		was.Protocol != is.Protocol
}

// A countRow is the number of sockets in one state, or with one remote host.
type countRow struct {
	State   string      `json:"state,omitempty"`
	Address *netip.Addr `json:"remoteAddress,omitempty"`
	Name    string      `json:"remoteName,omitempty"`
	Count   int         `json:"count"`

	full bool
}

func (r countRow) line() []byte {
	b := append(number(nil, uint64(r.Count), 8), ' ')
	if r.Address == nil {
		return append(append(b, r.State...), '\n')
	}
	b = r.Address.AppendTo(b)
	if r.Name != "" {
		b = append(append(append(b, " ("...), shortened(r.Name, r.full)...), ')')
	}
	return append(b, '\n')
}

// count shows the number of sockets for each state or remote host, the largest first.
func (v *socketsView) count(ctx context.Context) error {
	states, hosts := map[string]int{}, map[netip.Addr]int{}
	err := v.each(ctx, func(s *diag.Socket) error {
		switch {
		case v.Count == "state" && s.Kind != diag.KindTCP && s.State == diag.Closed:
			states["UNCONNECTED"]++
		case v.Count == "state":
			states[s.State.String()]++
		case s.Remote.IsValid() && !s.Remote.Addr().IsUnspecified():
			hosts[s.Remote.Addr().Unmap()]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	var rows []countRow
	for state, n := range states {
		rows = append(rows, countRow{State: state, Count: n})
	}
	var addresses []netip.Addr
	for a, n := range hosts {
		rows = append(rows, countRow{Address: &a, Count: n, full: v.Full})
		addresses = append(addresses, a)
	}
	slices.SortFunc(rows, func(a, b countRow) int {
		if c := cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.State, b.State)); c != 0 || a.Address == nil {
			return c
		}
		return a.Address.Compare(*b.Address)
	})
	names := map[netip.Addr]string{}
	if !v.Numeric && len(addresses) > 0 {
		looking, cancel := context.WithTimeout(ctx, nameBudget)
		defer cancel()
		names = v.services.HostNames(looking, addresses)
	}
	v.out.Printf("   Count %s\n", map[string]string{"state": "(state)", "host": "Foreign Address"}[v.Count])
	for _, r := range rows {
		if r.Address != nil {
			r.Name = names[*r.Address]
		}
		if err := v.out.Record(r); err != nil {
			return err
		}
	}
	return nil
}
