package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"diagsh/commands/shared/probes"
	"diagsh/diag/dns"
	"diagsh/diag/interfaces"
	"diagsh/diag/routes"
	"diagsh/diag/source"
	"diagsh/internal/menu"
)

type routegetArgs struct {
	Host      string `arg:"host,positional:1,required" ask:"Host to which the route is asked for" help:"Name or address of the host."`
	Source    string `arg:"source" alias:"from" help:"Own address that packets have as their source; chosen by the route, if not given."`
	Interface string `arg:"interface" help:"Interface that packets must leave by."`
	Mark      string `arg:"mark" help:"Mark that a firewall gives to packets, for rules with fwmark: a number such as 7 or 0x10."`
	Family    string `arg:"family" flag:"-4=4 -6=6" choices:"any|4|6" default:"any" help:"Version of IP."`
}

// A routegetRecord is a route, or why there is none. Type says which members there are.
type routegetRecord struct {
	Host      string `json:"host"`
	Address   string `json:"address"`
	Type      string `json:"type"` // as ip-route(8) names it: unicast, local, ...; none where no route fits
	Interface string `json:"interface,omitempty"`
	Gateway   string `json:"gateway,omitempty"`
	Source    string `json:"source,omitempty"`
	Table     string `json:"table,omitempty"`
	Metric    uint32 `json:"metric,omitempty"`
	MTU       int    `json:"mtu,omitempty"` // where a route or the path has its own
}

func routeget() *menu.Command {
	return menu.Decl[routegetArgs, routegetRecord]{
		Name: "routeget",
		Help: "Show the route to a host.",
		Details: "It asks the kernel and sends nothing to the host. Types are those of ip-route(8): unreachable, " +
			"prohibit and blackhole routes drop packets, none is no route at all.",
		Role:    menu.Operator,
		Shape:   menu.Object,
		Suggest: suggestForRoute,
		Check: func(_ context.Context, _ menu.Caller, a routegetArgs, _ string) error {
			_, err := a.query()
			return err
		},
		Run: func(ctx context.Context, _ menu.Caller, a routegetArgs, out *menu.Out[routegetRecord]) error {
			query, err := a.query()
			if err != nil {
				return err
			}
			from := source.Source{Interface: query.Interface, Address: query.From}
			if query.To, err = probes.Address(ctx, "host", a.Host, dns.Family(a.Family), from); err != nil {
				return err
			}
			if query.From.IsValid() && query.From.Is4() != query.To.Is4() {
				return menu.BadArgument("source", "%s and %s are of different versions of IP", query.From, query.To)
			}
			route, err := routes.Get(query)
			switch {
			case errors.Is(err, routes.ErrFrom):
				return menu.BadArgument("source", "%s is no address of this appliance", query.From).
					WithHint("netstat interfaces lists its addresses")
			case err != nil && !errors.Is(err, unix.ENETUNREACH):
				return probes.Failure(err, "The route to %s is not known", query.To)
			}
			if !route.Source.IsValid() {
				route.Source = query.From // which the kernel does not repeat
			}
			return out.Record(routegetRecordOf(a.Host, query.To, route, err))
		},
		Text: routegetText,
	}.Command()
}

// query returns the question to the kernel, without the address of the host.
func (a routegetArgs) query() (q routes.Query, err error) {
	if a.Source != "" {
		if q.From, err = netip.ParseAddr(a.Source); err != nil {
			return q, menu.BadArgument("source", "%q is not an address", menu.Clean(a.Source)).
				WithHint("Give an IPv4 or IPv6 address of this appliance")
		}
		q.From = q.From.Unmap()
	}
	if a.Interface != "" {
		q.Interface = interfaces.RealName(a.Interface)
		if _, err := net.InterfaceByName(q.Interface); err != nil {
			return q, menu.BadArgument("interface", "There is no interface %q", menu.Clean(a.Interface)).
				WithHint("netstat interfaces lists them")
		}
	}
	if a.Mark != "" {
		mark, err := strconv.ParseUint(a.Mark, 0, 32)
		if err != nil {
			return q, menu.BadArgument("mark", "%q is not a mark", menu.Clean(a.Mark)).
				WithHint("It is a number from 0 to 4294967295, such as 7 or 0x10")
		}
		q.Mark = uint32(mark)
	}
	return q, nil
}

// suggestForRoute offers hosts that were seen, and the interfaces.
func suggestForRoute(ctx context.Context, caller menu.Caller, a routegetArgs, name, begun string) (list []menu.Choice) {
	if name != "interface" {
		return probes.SuggestHosts[routegetArgs](dns.Any, "host")(ctx, caller, a, name, begun)
	}
	found, err := source.Interfaces()
	if err != nil {
		return nil // without a suggestion the user types
	}
	for _, i := range found {
		list = append(list, menu.Choice{Value: i.Name, Help: "An interface."})
	}
	return list
}

func routegetRecordOf(host string, to netip.Addr, route routes.Route, none error) routegetRecord {
	r := routegetRecord{Host: host, Address: to.String(), Type: "none"}
	if none != nil {
		return r
	}
	r.Type = route.KindName()
	if route.Err() != nil {
		return r
	}
	r.Interface, r.Metric, r.MTU = interfaces.Names{}.Of(uint32(route.Index)), route.Metric, route.MTU
	if route.Gateway.IsValid() {
		r.Gateway = route.Gateway.String()
	}
	if route.Source.IsValid() {
		r.Source = route.Source.String()
	}
	if route.Table != unix.RT_TABLE_UNSPEC { // unspecified for a given interface without a route
		r.Table = routes.TableName(route.Table)
	}
	return r
}

// nowhere has, by type of route, what happens to packets that are not forwarded.
var nowhere = map[string]string{
	"unreachable": "a route answers packets with host unreachable",
	"prohibit":    "a route or a rule answers packets with administratively prohibited",
	"blackhole":   "a route drops packets without a word",
	"none":        "there is no route",
}

func routegetText(w io.Writer, r routegetRecord) {
	line := func(label, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-12s %s\n", label+":", value)
		}
	}
	to := r.Address
	if r.Host != r.Address {
		to = fmt.Sprintf("%s (%s)", menu.Clean(r.Host), r.Address)
	}
	line("Route to", to)
	if why, ok := nowhere[r.Type]; ok {
		line("Type", r.Type+" ("+why+")")
		return
	}
	line("Type", r.Type)
	line("Interface", menu.Clean(r.Interface))
	line("Gateway", r.Gateway)
	line("Source", r.Source)
	line("Table", r.Table)
	if r.Metric > 0 {
		line("Metric", strconv.FormatUint(uint64(r.Metric), 10))
	}
	if r.MTU > 0 {
		line("MTU", strconv.Itoa(r.MTU))
	}
}
