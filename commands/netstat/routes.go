package netstat

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strconv"

	"diagsh/commands/shared/tables"
	"diagsh/diag/routes"
	"diagsh/internal/menu"
)

type routesArgs struct {
	Numeric bool   `arg:"numeric" ask:"Show network addresses as numbers?" default:"no" help:"Show addresses, do not look up names."`
	Tables  string `arg:"tables" choices:"main|all|rules" default:"main" help:"The main table; all of them, with local addresses and tables for policy routing; or the rules that say which packets look in which table."`
	Family  string `arg:"family" choices:"ipv4|ipv6|all" default:"all" help:"Which routes."`
}

// A routeRow is a route as netstat shows it. A route over several gateways is several rows.
type routeRow struct {
	Family      string  `json:"family"`          // ipv4, ipv6
	Destination string  `json:"destination"`     // default, an address, or a network with the length of its prefix
	From        string  `json:"from,omitempty"`  // only for packets with such a source
	TOS         uint8   `json:"tos,omitempty"`   // only for packets with this type of service
	Encap       string  `json:"encap,omitempty"` // encapsulation of packets
	Gateway     string  `json:"gateway"`         // empty for a network that is reached directly
	Flags       string  `json:"flags"`
	Interface   string  `json:"interface"` // empty for a route that leads nowhere
	Expires     float64 `json:"expiresInSeconds,omitempty"`
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

// A ruleRow is a rule of policy routing.
type ruleRow struct {
	Family   string `json:"family"` // ipv4, ipv6
	Priority uint32 `json:"priority"`
	Rule     string `json:"rule"` // in the words of ip-rule(8)
	Table    string `json:"table,omitempty"`
	Protocol string `json:"protocol"` // who set it
}

// A routesRow is a route or a rule: what the command yields.
type routesRow interface{ isRow() }

func (routeRow) isRow() {}
func (ruleRow) isRow()  {}

func routesCommand(s Services) *menu.Command {
	return menu.Decl[routesArgs, routesRow]{
		Record: routeRow{},
		Name:   "routes",
		Help:   "Contents of routing tables.",
		Details: "Flags: U usable, G over a gateway, H to one host, S set by hand, D made by a redirect, R refused, " +
			"B dropped, T on to the next table, L own address, b broadcast, m multicast. Rules have the members " +
			"family, priority, rule, table and protocol.",
		Role:  menu.ReadOnly,
		Shows: true,
		Run: func(ctx context.Context, _ menu.Caller, a routesArgs, out *menu.Out[routesRow]) error {
			if a.Tables != "main" {
				rules, err := ruleRows(ctx, a.Family)
				if err != nil {
					return err
				}
				if a.Tables == "rules" {
					return cmp.Or(out.Records(rules), ctx.Err())
				}
				var b bytes.Buffer
				rulesTable(&b, rules)
				out.Printf("%s\n", menu.Text(b.String()))
			}
			rows, err := routeRows(ctx, a)
			if err != nil {
				return err
			}
			if !a.Numeric {
				nameRoutes(ctx, s, rows)
			}
			for _, r := range rows {
				if err := out.Record(r); err != nil {
					return err
				}
			}
			return ctx.Err()
		},
		TextTable: func(w io.Writer, list []routesRow) {
			if len(list) > 0 {
				if _, isRule := list[0].(ruleRow); isRule {
					rulesTable(w, list)
					return
				}
			}
			var rows []routeRow
			for _, r := range list {
				rows = append(rows, r.(routeRow))
			}
			routesTable(w, rows)
		},
	}.Command()
}

func ruleRows(ctx context.Context, family string) (rows []routesRow, err error) {
	list, err := routes.Rules(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		row := ruleRow{Family: "ipv4", Priority: r.Priority, Rule: r.String(), Protocol: r.SetByName()}
		if r.IPv6 {
			row.Family = "ipv6"
		}
		if r.Table != 0 {
			row.Table = routes.TableName(r.Table)
		}
		if family == "all" || family == row.Family {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// rulesTable writes the rules of each family in the order in which the kernel applies them.
func rulesTable(w io.Writer, rows []routesRow) {
	fmt.Fprintln(w, "Rules: which packets look in which table, the first that has a route decides")
	family := ""
	for _, row := range rows {
		r := row.(ruleRow)
		if r.Family != family {
			family = r.Family
			fmt.Fprintf(w, "\n%s:\n%-10s %s\n", map[string]string{"ipv4": "Internet", "ipv6": "Internet6"}[family],
				"Priority", "Rule")
		}
		fmt.Fprintf(w, "%-10d %s\n", r.Priority, menu.Clean(r.Rule))
	}
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
			Family: family, Destination: destination(r.Destination), Flags: r.Flags(),
			Interface: devices[uint32(r.Index)],
			Expires:   r.Expires.Seconds(), Table: routes.TableName(r.Table), Metric: r.Metric, Type: r.KindName(),
			Protocol: r.ProtocolName(),
			Scope:    r.ScopeName(), Weight: r.Weight, TOS: r.TOS, Encap: r.Encap, route: r, gateway: "-",
		}
		if r.From.IsValid() && r.From.Bits() > 0 {
			row.From = r.From.String()
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

// nameRoutes sets the host names that the text shows instead of addresses.
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
		writeRoutes(w, rows[:n])
		rows = rows[n:]
	}
}

// writeRoutes writes one table. It has columns for metric and weight if a route has one.
func writeRoutes(w io.Writer, rows []routeRow) {
	metric := slices.ContainsFunc(rows, func(r routeRow) bool { return r.Metric != 0 })
	weight := slices.ContainsFunc(rows, func(r routeRow) bool { return r.Weight != 0 })
	t := columns{left: 4}
	cells := func(to, gateway, flags, device, m, n, expire string) {
		row := []string{to, gateway, flags, device}
		if metric {
			row = append(row, m)
		}
		if weight {
			row = append(row, n)
		}
		t.add(append(row, expire)...)
	}
	cells("Destination", "Gateway", "Flags", "Netif", "Metric", "Weight", "Expire")
	for _, r := range rows {
		to, expire, share := r.Destination, "", "-"
		if r.resolved != "" {
			to = shortened(r.resolved, false)
		}
		if r.From != "" {
			to += " from " + r.From
		}
		if r.TOS != 0 {
			to += fmt.Sprintf(" tos %#x", r.TOS)
		}
		if r.Encap != "" {
			to += " encap " + r.Encap
		}
		if r.Expires > 0 {
			expire = strconv.Itoa(int(math.Ceil(r.Expires)))
		}
		if r.Weight > 0 {
			share = strconv.Itoa(r.Weight)
		}
		cells(to, r.gateway, r.Flags, tables.OrDash(r.Interface),
			strconv.FormatUint(uint64(r.Metric), 10), share, expire)
	}
	t.write(w)
}
