package network

import (
	"fmt"
	"io"
	"math"

	"golang.org/x/sys/unix"

	"diagsh/commands/shared/tables"
	"diagsh/internal/menu"
)

// ndpshow returns the command that shows the NDP cache as ndp(8) -an does on BSD.
func ndpshow() *menu.Command {
	return menu.Decl[menu.NoArgs, neighbour]{
		Name: "ndpshow",
		Help: "Show system NDP cache.",
		Details: "State: R reachable, S stale, D delayed, P being asked, I incomplete, F failed. Flag R: the " +
			"neighbour is a router; p: this appliance answers for the address. An own address that is duplicated, " +
			"tentative or deprecated has that word there.",
		Role:  menu.ReadOnly,
		Shows: true,
		Run:   yieldNeighbours(unix.AF_INET6),
		TextTable: func(w io.Writer, rows []neighbour) {
			t := tables.Table{Head: []string{"Neighbor", "Linklayer Address", "Netif", "Expire", "S", "Flags"},
				Spare: []string{"Expire"}}
			for _, r := range rows {
				at, state, expire, flags := r.LinkAddress, r.State[:1], "-", ""
				if at == "" {
					at = "(incomplete)"
				}
				switch r.State {
				case "PERMANENT":
					expire, state = "permanent", "R"
					if r.remark != "" {
						state, flags = "-", r.remark
					}
				case "PROXY":
					expire, state = "permanent", "-"
				case "REACHABLE":
					expire = fmt.Sprintf("%.0fs", math.Ceil(r.Expires))
				}
				if r.Router {
					flags += "R"
				}
				if r.Proxy {
					flags += "p"
				}
				t.Add(zoned(r), at, menu.Clean(r.Interface), expire, state, flags)
			}
			t.Write(w)
		},
	}.Command()
}

// zoned returns the address, with its interface if it is link-local.
func zoned(r neighbour) string {
	if r.Address.IsLinkLocalUnicast() {
		return r.Address.String() + "%" + menu.Clean(r.Interface)
	}
	return r.Address.String()
}
