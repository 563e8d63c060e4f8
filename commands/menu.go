// Package commands is the tree of menus and commands: a folder per menu, a file per command. A menu
// of verbs on one thing (packetcapture, userconfig, tcpdump) is one file named for it, or a few.
// The order of a list of items is their order on the screen.
package commands

import (
	"diagsh/commands/certificate"
	"diagsh/commands/diagnostic"
	"diagsh/commands/etherconfig"
	"diagsh/commands/netstat"
	"diagsh/commands/packetcapture"
	"diagsh/commands/portlog"
	"diagsh/commands/token"
	"diagsh/commands/userconfig"
	"diagsh/internal/menu"
)

// Services are what the commands need from the running appliance. Each part is declared by the
// command that uses it.
type Services interface {
	diagnostic.Services
	etherconfig.Services
	commitService
	clearService
	commitsService
	rollbackService
	saveService
	loadService
	resetService
	hostnameService
	netstat.Services
	packetcapture.Services
	portlog.Services
	userconfig.Services
	certificate.Services
	catalogueService
	filterService
	passwordService
	token.Services
	sessionService
	loginService
	auditService
	auditVerifier
	tailService
	statusService
	certificateTeller
}

// Tree returns the top menu. A nil s makes a tree to read, whose commands must not run.
func Tree(s Services, v Version) *menu.Menu {
	top := new(menu.Menu) // token asks which paths there are
	*top = menu.Menu{
		Help:   "The appliance's commands.",
		Others: otherWords,
		Items: []menu.Item{
			packetcapture.Menu(s),
			portlog.Menu(s),
			filterMenu(s),
			diagnostic.Menu(s),
			etherconfig.Menu(s),
			netstat.Menu(s),
			tcpservices(s),
			pingCommand(),
			ping6(),
			tracerouteCommand(),
			traceroute6(),
			nslookup(),
			dig(),
			dnsstatus(),
			telnet(),
			userconfig.Menu(s),
			certificate.Menu(s),
			passwd(s),
			token.Menu(s, top),
			whoami(),
			who(s),
			last(s),
			auditlog(s),
			auditverify(s),
			tail(s),
			status(s, v),
			supportrequest(s),
			version(s, v),
			hostname(s),
			sethostname(s),
			date(),
			commit(s),
			clearchanges(s),
			showchanges(s),
			commitlist(s),
			commitdetail(s),
			rollbackconfig(s),
			showconfig(s),
			saveconfig(s),
			loadconfig(s),
			resetconfig(s),
		},
	}
	return top
}
