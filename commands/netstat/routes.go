package netstat

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strconv"

	"diagsh/diag/routes"
	"diagsh/menu"
)

type routesArgs struct {
	Numeric bool   `arg:"numeric" ask:"Show network addresses as numbers?" default:"no" help:"Show addresses, do not look up names."`
	Tables  string `arg:"tables" choices:"main|all" default:"main" help:"The main table, or all: local addresses and tables for policy routing too."`
	Family  string `arg:"family" choices:"ipv4|ipv6|all" default:"all" help:"Which routes."`
}

// A routeRow is a route as netstat shows it. A route over several gateways is several rows.
type routeRow struct {
	Family      string  `json:"family"`      // ipv4, ipv6
	Destination string  `json:"destination"` // default, an address, or a network with the length of its prefix
	Gateway     string  `json:"gateway"`     // empty for a network that is reached directly
	Flags       string  `json:"flags"`
	Interface   string  `json:"interface"`         // empty for a route that leads nowhere
	Expires     float64 `json:"expires,omitempty"` // seconds from now
	Table       string  `json:"table"`
	Metric      uint32  `json:"metric"`
	Type        string  `json:"type"`
	Protocol    string  `json:"protocol"`
	Scope       string  `json:"scope"`
	Source      string  `json:"source,omitempty"`
	Weight      int     `json:"weight,omitempty"`

	route    routes.Route
	gateway  string // as the text shows it
	resolved string // name of the destination
}

func routesCommand(s Services) *menu.Command {
	return menu.Spec[routesArgs, routeRow]{
		Name: "routes",
		Help: "Contents of routing tables.",
		Details: "Flags: U usable, G over a gateway, H to one host, S set by hand, D made by a redirect, R refused, B dropped, L own address, " +
			"b broadcast, m multicast.",
		Role: menu.ReadOnly,
		Run: func(ctx context.Context, _ menu.Caller, a routesArgs, out *menu.Out[routeRow]) error {
			rows, err := routeRows(ctx, a)
			if err != nil {
				return err
			}
			if !a.Numeric {
				nameRoutes(ctx, s, rows)
			}
			if err := out.Records(rows); err != nil {
				return err
			}
			return ctx.Err()
		},
		TextTable: routesTable,
	}.Command()
}

func routeRows(ctx context.Context, a routesArgs) ([]routeRow, error) {
	list, err := routes.List(ctx)
	if err != nil {
		return nil, err
	}
	devices, err := deviceNames(ctx)
	if err != nil {
		return nil, err
	}
	var rows []routeRow
	for _, r := range list {
		family := "ipv4"
		if r.Destination.Addr().Is6() {
			family = "ipv6"
		}
		if a.Tables == "main" && r.Table != routes.Main || a.Family != "all" && a.Family != family {
			continue
		}
		row := routeRow{
			Family: family, Destination: destination(r.Destination), Flags: r.Flags(), Interface: devices[uint32(r.Index)],
			Expires: r.Expires.Seconds(), Table: routes.TableName(r.Table), Metric: r.Metric, Type: r.KindName(), Protocol: r.ProtocolName(),
			Scope: r.ScopeName(), Weight: r.Weight, route: r, gateway: "-",
		}
		switch {
		case r.Gateway.IsValid():
			row.Gateway = r.Gateway.String()
			row.gateway = row.Gateway
		case r.Index != 0:
			row.gateway = "link#" + strconv.Itoa(r.Index)
		}
		if r.Source.IsValid() {
			row.Source = r.Source.String()
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func destination(p netip.Prefix) string {
	switch {
	case p.Bits() == 0:
		return "default"
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}

// nameRoutes puts names for hosts in the place of their addresses, in the text.
func nameRoutes(ctx context.Context, s Services, rows []routeRow) {
	looking, cancel := context.WithTimeout(ctx, nameBudget)
	defer cancel()
	var addresses []netip.Addr
	for _, r := range rows {
		if r.route.Destination.IsSingleIP() {
			addresses = append(addresses, r.route.Destination.Addr())
		}
		if r.route.Gateway.IsValid() {
			addresses = append(addresses, r.route.Gateway)
		}
	}
	names := s.HostNames(looking, addresses)
	for i := range rows {
		r := &rows[i]
		if name := names[r.route.Gateway]; name != "" && r.route.Gateway.IsValid() {
			r.gateway = menu.Clean(name)
		}
		if r.route.Destination.IsSingleIP() {
			r.resolved = menu.Clean(names[r.route.Destination.Addr()])
		}
	}
}

// routesTable writes a section for each family, and for each table beside the main one.
func routesTable(w io.Writer, rows []routeRow) {
	fmt.Fprintln(w, "Routing tables")
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].Family == rows[0].Family && rows[n].Table == rows[0].Table {
			n++
		}
		title := map[string]string{"ipv4": "Internet", "ipv6": "Internet6"}[rows[0].Family]
		if rows[0].Table != "main" {
			title += " (table " + rows[0].Table + ")"
		}
		fmt.Fprintf(w, "\n%s:\n", title)
		t := columns{left: 4}
		t.add("Destination", "Gateway", "Flags", "Netif", "Expire")
		for _, r := range rows[:n] {
			to, expire := r.Destination, ""
			if r.resolved != "" {
				to = shortened(r.resolved, false)
			}
			if r.Expires > 0 {
				expire = strconv.Itoa(int(math.Ceil(r.Expires)))
			}
			t.add(to, r.gateway, r.Flags, orDash(r.Interface), expire)
		}
		t.write(w)
		rows = rows[n:]
	}
}
