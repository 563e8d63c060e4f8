package commands

import (
	"diagsh/diag/dns"
	"diagsh/internal/menu"
)

func ping6() *menu.Command {
	return pingSpec("ping6", "Ping a host on the network by IPv6.", dns.IPv6).Command()
}
