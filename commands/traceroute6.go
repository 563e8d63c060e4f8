package commands

import (
	"diagsh/diag/dns"
	"diagsh/internal/menu"
)

func traceroute6() *menu.Command {
	return tracerouteSpec("traceroute6", "Display the network route to a remote host by IPv6.", dns.IPv6).Command()
}
