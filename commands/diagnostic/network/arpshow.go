package network

import (
	"fmt"
	"io"
	"math"

	"golang.org/x/sys/unix"

	"diagsh/internal/menu"
)

// arpshow returns the command that shows the ARP cache as arp(8) -an does on BSD.
func arpshow() *menu.Command {
	return menu.Decl[menu.NoArgs, neighbour]{
		Name: "arpshow",
		Help: "Show system ARP cache.",
		Details: "An entry that expires is then asked again when it is needed; one that is stale will be asked at " +
			"its next use.",
		Role:  menu.ReadOnly,
		Shows: true,
		Run:   yieldNeighbours(unix.AF_INET),
		TextTable: func(w io.Writer, rows []neighbour) {
			fmt.Fprintln(w, "ARP cache:")
			for _, r := range rows {
				at := r.LinkAddress
				if at == "" {
					at = "(incomplete)"
				}
				fmt.Fprintf(w, "(%s) at %s on %s %s [%s]\n", r.Address, at, menu.Clean(r.Interface),
					arpState(r), r.medium)
			}
			if len(rows) == 0 {
				fmt.Fprintln(w, "It is empty.")
			}
		},
	}.Command()
}

func arpState(r neighbour) string {
	switch r.State {
	case "PROXY":
		return "permanent published (proxy)"
	case "PERMANENT":
		if r.remark != "" {
			return "permanent " + r.remark
		}
		return "permanent"
	case "REACHABLE":
		return fmt.Sprintf("expires in %.0f seconds", math.Ceil(r.Expires))
	case "INCOMPLETE":
		return "expires soon"
	case "FAILED":
		return "failed"
	case "STALE":
		return "stale"
	}
	return "being asked" // DELAY, PROBE
}
