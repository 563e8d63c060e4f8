package netstat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"diagsh/diag/netlink"
	diag "diagsh/diag/sockets"
	"diagsh/internal/menu"
)

type queuesArgs struct {
	Numeric bool `arg:"numeric" default:"no" help:"Show addresses, do not look up names."`
	Full    bool `arg:"full" default:"no" help:"Do not cut long host names."`
}

// A queueRow is a listener with its queue.
type queueRow struct {
	Protocol     string     `json:"protocol"`
	Queued       uint32     `json:"queued"`     // connections that wait for the program
	Incomplete   uint32     `json:"incomplete"` // connections whose handshake is not over
	Maximum      uint32     `json:"maximum"`
	LocalAddress netip.Addr `json:"localAddress"`
	LocalPort    uint16     `json:"localPort"`
	LocalName    string     `json:"localName,omitempty"`
	Interface    string     `json:"interface,omitempty"`
	// InterfaceGone reports that the listener is bound to an interface that was removed.
	InterfaceGone bool `json:"interfaceGone,omitempty"`

	full bool
}

func queuesCommand(s Services) *menu.Command {
	return menu.Decl[queuesArgs, queueRow]{
		Name: "queues",
		Help: "Size of the listen queues.",
		Details: "Of each listener: qlen connections wait for the program to accept them, at most maxqlen may; of " +
			"incqlen the handshake is not over.",
		Role:  menu.ReadOnly,
		Shows: true,
		Run: func(ctx context.Context, _ menu.Caller, a queuesArgs, out *menu.Out[queueRow]) error {
			rows, err := queueRows(ctx)
			if err != nil {
				return err
			}
			names := map[netip.Addr]string{}
			if !a.Numeric {
				names = queueNames(ctx, s, rows)
			}
			for _, r := range rows {
				r.LocalName, r.full = names[r.LocalAddress], a.Full
				if err := out.Record(r); err != nil {
					return err
				}
			}
			return ctx.Err()
		},
		TextTable: queuesTable,
	}.Command()
}

// queueRows returns the listeners with the number of half-open connections of each. Of listeners
// with the same address and port (SO_REUSEPORT, socket(7)) the first counts for all.
func queueRows(ctx context.Context) ([]queueRow, error) {
	devices, err := deviceNames(ctx)
	if err != nil {
		return nil, err
	}
	var rows []queueRow
	listeners := diag.Listeners{}
	at := map[*diag.Socket]int{}
	var halfOpen []halfOpenTo
	err = diag.Each(ctx, diag.Query{States: []diag.State{diag.Listen, diag.SynRcvd}}, func(s *diag.Socket) error {
		if s.State == diag.SynRcvd {
			halfOpen = append(halfOpen, halfOpenTo{s.Local, s.Device})
			return nil
		}
		port := s.Local.Port()
		listeners[port] = append(listeners[port], *s)
		local, _ := ends(s)
		device := devices.Of(s.Device)
		rows = append(rows, queueRow{Protocol: protocolOf(s), Queued: s.RecvQ, Maximum: s.SendQ, LocalAddress: local,
			LocalPort: port, Interface: device, InterfaceGone: s.Device != 0 && device == ""})
		return nil
	})
	if err != nil && !errors.Is(err, netlink.ErrChanged) {
		return nil, err
	}
	for n := range rows {
		list := listeners[rows[n].LocalPort]
		for i := range list { // in the order of the rows
			if _, taken := at[&list[i]]; !taken {
				at[&list[i]] = n
				break
			}
		}
	}
	for _, to := range halfOpen {
		if best := listeners.Of(to.local, to.device); len(best) > 0 {
			rows[at[best[0]]].Incomplete++
		}
	}
	return rows, nil
}

// A halfOpenTo is the local end of a half-open connection. The kernel does not say to which
// listener the connection belongs.
type halfOpenTo struct {
	local  netip.AddrPort
	device uint32
}

func queueNames(ctx context.Context, s Services, rows []queueRow) map[netip.Addr]string {
	looking, cancel := context.WithTimeout(ctx, nameBudget)
	defer cancel()
	var addresses []netip.Addr
	for _, r := range rows {
		addresses = append(addresses, r.LocalAddress)
	}
	return s.HostNames(looking, addresses)
}

func queuesTable(w io.Writer, rows []queueRow) {
	fmt.Fprintf(w, "Current listen queue sizes (qlen/incqlen/maxqlen)\nProto Listen         Local Address\n")
	for _, r := range rows {
		device := r.Interface
		if r.InterfaceGone {
			device = "(gone)"
		}
		at := appendEndpoint(nil, r.LocalAddress, r.LocalName, device, r.LocalPort, r.full)
		fmt.Fprintf(w, "%-5s %-14s %s\n", r.Protocol, fmt.Sprintf("%d/%d/%d", r.Queued, r.Incomplete, r.Maximum), at)
	}
}
