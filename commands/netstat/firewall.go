package netstat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"diagsh/diag/firewall"
	"diagsh/diag/netlink"
	"diagsh/internal/menu"
)

// A firewallRow is a table, a set, a chain or a rule, as Type says.
type firewallRow struct {
	Type   string `json:"type"`
	Family string `json:"family"` // of the table: inet, ip, ip6, arp, bridge or netdev
	Table  string `json:"table"`

	Dormant bool `json:"dormant,omitempty"` // of a table: its rules do not hold

	Set      string   `json:"set,omitempty"`
	Map      bool     `json:"map,omitempty"`
	Elements []string `json:"elements,omitempty"`

	// Hook, its type, priority and policy are of a chain that packets come through by themselves.
	Chain    string `json:"chain,omitempty"`
	HookType string `json:"hookType,omitempty"`
	Hook     string `json:"hook,omitempty"`
	Priority *int32 `json:"priority,omitempty"`
	Policy   string `json:"policy,omitempty"`
	Device   string `json:"device,omitempty"`

	Handle  uint64  `json:"handle,omitempty"` // of a rule
	Rule    string  `json:"rule,omitempty"`
	Packets *uint64 `json:"packets,omitempty"` // of its counter
	Bytes   *uint64 `json:"bytes,omitempty"`
	Comment string  `json:"comment,omitempty"`
}

func firewallCommand() *menu.Command {
	return menu.Decl[struct{}, firewallRow]{
		Name: "firewall",
		Help: "Rules of the firewall, with their counters.",
		Details: "The tables, sets, chains and rules of nftables, in the words of nft(8), and those of iptables where it " +
			"uses nftables. What a rule has that the appliance does not read stands in brackets, such as [socket]. Of tables of " +
			"the older interface of iptables there are only the names. Named counters, quotas and flow tables are left out. It changes " +
			"none.",
		Role:  menu.Operator,
		Shows: true,
		Run: func(ctx context.Context, _ menu.Caller, _ struct{}, out *menu.Out[firewallRow]) error {
			r, err := firewall.Read(ctx)
			switch {
			case errors.Is(err, firewall.ErrForbidden):
				return menu.Errorf(menu.Unsupported, "The appliance may not read the rules of the firewall: CAP_NET_ADMIN is missing")
			case errors.Is(err, firewall.ErrUnsupported):
				return menu.Errorf(menu.Unsupported, "This kernel has no nftables")
			case err != nil && !errors.Is(err, netlink.ErrChanged):
				return err
			}
			rows := firewallRows(r)
			for _, row := range rows {
				if err := out.Record(row); err != nil {
					return err
				}
			}
			if err != nil {
				return out.Printf("The rules changed while they were read: some may be missing.\n")
			}
			if len(rows) == 0 {
				return out.Printf("There are no rules.\n")
			}
			return nil
		},
		Text: firewallText,
	}.Command()
}

// firewallRows returns the rows in their order: each table with its sets and its chains, each of these
// with its rules.
func firewallRows(r firewall.Ruleset) (rows []firewallRow) {
	for _, t := range r.Tables {
		rows = append(rows, firewallRow{Type: "table", Family: t.Family, Table: t.Name, Dormant: t.Dormant})
		for _, s := range r.Sets {
			if s.Family == t.Family && s.Table == t.Name {
				rows = append(rows, firewallRow{Type: "set", Family: t.Family, Table: t.Name, Set: s.Name, Map: s.Map, Elements: s.Elements})
			}
		}
		for _, c := range r.Chains {
			if c.Family != t.Family || c.Table != t.Name {
				continue
			}
			chain := firewallRow{Type: "chain", Family: t.Family, Table: t.Name, Chain: c.Name, HookType: c.Type, Hook: c.Hook, Policy: c.Policy, Device: c.Device}
			if c.Hook != "" {
				chain.Priority = &c.Priority
			}
			rows = append(rows, chain)
			for _, rule := range c.Rules {
				rows = append(rows, firewallRow{Type: "rule", Family: t.Family, Table: t.Name, Chain: c.Name, Handle: rule.Handle,
					Rule: rule.Text, Packets: rule.Packets, Bytes: rule.Bytes, Comment: rule.Comment})
			}
		}
	}
	for _, name := range r.Legacy {
		family, table, _ := strings.Cut(name, " ")
		rows = append(rows, firewallRow{Type: "iptables", Family: family, Table: table})
	}
	return rows
}

// firewallText writes a row in a line.
func firewallText(w io.Writer, r firewallRow) {
	clean := menu.Clean
	switch r.Type {
	case "table":
		fmt.Fprintf(w, "table %s %s%s\n", r.Family, clean(r.Table), map[bool]string{true: ", dormant: its rules do not hold"}[r.Dormant])
	case "set":
		fmt.Fprintf(w, "  %s %s { %s }\n", map[bool]string{true: "map", false: "set"}[r.Map], clean(r.Set), clean(strings.Join(r.Elements, ", ")))
	case "chain":
		fmt.Fprintf(w, "  chain %s", clean(r.Chain))
		if r.Hook != "" {
			fmt.Fprintf(w, ": %s, hook %s", r.HookType, r.Hook)
			if r.Device != "" {
				fmt.Fprintf(w, " of %s", clean(r.Device))
			}
			fmt.Fprintf(w, ", priority %d, policy %s", *r.Priority, r.Policy)
		}
		fmt.Fprintln(w)
	case "rule":
		fmt.Fprintf(w, "    %s", clean(r.Rule))
		if r.Packets != nil && r.Bytes != nil {
			fmt.Fprintf(w, "  (%d packets, %d bytes)", *r.Packets, *r.Bytes)
		}
		if r.Comment != "" {
			fmt.Fprintf(w, "  # %s", clean(r.Comment))
		}
		fmt.Fprintln(w)
	default:
		fmt.Fprintf(w, "table %s %s of the older iptables: its rules are not read\n", r.Family, clean(r.Table))
	}
}
