package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/mattn/go-runewidth"

	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/past"
	"diagsh/commands/shared/tables"
	"diagsh/diag/interfaces"
	"diagsh/diag/netlink"
	"diagsh/diag/services"
	"diagsh/diag/sockets"
	"diagsh/diag/users"
	"diagsh/internal/menu"
)

// A catalogueService knows the services of the appliance.
type catalogueService interface {
	Services() (services.Catalogue, error)
	past.Service
}

type tcpservicesArgs struct {
	UDP     bool `arg:"udp" label:"UDP too" default:"no" help:"Show UDP and UDP-Lite too."`
	History bool `arg:"history" default:"no" help:"Show since when they wait and who opened the socket, as far as sockets are watched."`
}

// A listener is a process that waits for connections or datagrams on a port.
type listener struct {
	Command       string     `json:"command"`
	PID           int        `json:"pid,omitempty"`
	User          string     `json:"user"`
	Type          string     `json:"type"` // IPv4, IPv6
	Node          string     `json:"node"` // TCP, UDP, UDPLITE
	Address       netip.Addr `json:"address"`
	Port          uint16     `json:"port"`
	Interface     string     `json:"interface,omitempty"`     // that it is bound to
	InterfaceGone bool       `json:"interfaceGone,omitempty"` // that it was bound to
	Service       string     `json:"service,omitempty"`       // as the catalogue has it
	Description   string     `json:"description,omitempty"`

	// History is what was seen of the socket, with the argument history.
	History *past.Past `json:"history,omitempty"`

	catalogue services.Catalogue
	history   bool
}

// tcpservices returns the command that lists the processes that wait for connections.
func tcpservices(s catalogueService) *menu.Command {
	return menu.Decl[tcpservicesArgs, listener]{
		Name: "tcpservices",
		Help: "Show which processes wait for connections.",
		Details: "Services are described by a catalogue, to which a vendor can add. A process that it does not have " +
			"is listed all the same.",
		Role:  menu.ReadOnly,
		Shows: true,
		Run: func(ctx context.Context, _ menu.Caller, a tcpservicesArgs, out *menu.Out[listener]) error {
			catalogue, err := s.Services()
			if err != nil {
				return err
			}
			list, err := listeners(ctx, s, a, catalogue)
			if err != nil {
				return err
			}
			for i := range list {
				list[i].catalogue, list[i].history = catalogue, a.History
			}
			if err := out.Records(list); err != nil {
				return err
			}
			if _, watched := s.PortsStatus(); a.History && !watched {
				return out.Printf("%s", menu.Text(past.Unwatched))
			}
			return nil
		},
		TextTable: listenersTable,
	}.Command()
}

// listeners returns the listening sockets, each once for every process that holds it.
func listeners(ctx context.Context, service past.Service, a tcpservicesArgs, catalogue services.Catalogue) ([]listener, error) {
	owners, err := sockets.FindOwners(ctx)
	if err != nil {
		return nil, err
	}
	names, devices := users.Names{}, interfaces.Names{}
	var list []listener
	q := sockets.Query{States: []sockets.State{sockets.Listen, sockets.Closed}}
	if a.UDP {
		q.Kinds = []sockets.Kind{sockets.KindTCP, sockets.KindUDP, sockets.KindUDPLite}
	}
	err = sockets.Each(ctx, q, func(s *sockets.Socket) error {
		if s.Kind == sockets.KindTCP && s.State != sockets.Listen {
			return nil
		}
		l := listener{Type: "IPv4", Node: "TCP", Address: s.Local.Addr(), Port: s.Local.Port(),
			Interface: devices.Of(s.Device)}
		l.InterfaceGone = s.Device != 0 && l.Interface == ""
		switch {
		case s.Mapped():
			l.Address = l.Address.Unmap()
		case s.IPv6:
			l.Type = "IPv6"
		}
		if l.Address.Is6() && l.Address.IsLinkLocalUnicast() {
			l.Address = l.Address.WithZone(l.Interface)
		}
		switch s.Kind {
		case sockets.KindUDP:
			l.Node = "UDP"
		case sockets.KindUDPLite:
			l.Node = "UDPLITE" // as lsof(8) has it
		}
		if a.History {
			l.History = past.Of(service, s, names)
		}
		owners.Of(s.Inode, func(p *sockets.Process) {
			l.Command, l.PID, l.User = p.Name, p.PID, names.Of(p.UID)
			list = append(list, l.described(catalogue))
		})
		if l.PID == 0 {
			l.User = names.Of(s.UID)
			if last := past.Of(service, s, names).Last(); last != nil {
				l.Command, l.PID, l.User = last.Process, last.PID, last.User
			}
			list = append(list, l.described(catalogue)) // of the kernel, or of a process that cannot be seen
		}
		return nil
	})
	if err != nil && !errors.Is(err, netlink.ErrChanged) {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b listener) int {
		return cmp.Or(cmp.Compare(a.Command, b.Command), cmp.Compare(a.PID, b.PID), cmp.Compare(a.Port, b.Port))
	})
	return list, nil
}

func (l listener) described(catalogue services.Catalogue) listener {
	if s := catalogue.Of(l.Command); s != nil {
		l.Service, l.Description = s.Name, s.Description
	}
	return l
}

// describe writes what the services of the catalogue are that have a process in the list, and the
// names of the others.
func describe(w io.Writer, list []listener) {
	here := map[string]bool{}
	for _, l := range list {
		here[l.Service] = true
	}
	var others []string
	for _, part := range []struct {
		title  string
		system bool
	}{{"System Processes", true}, {"Feature Processes", false}} {
		title := part.title
		t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
		for _, s := range list[0].catalogue {
			switch {
			case s.System != part.system:
			case !here[s.Name]:
				others = append(others, menu.Clean(s.Name))
			default:
				if title != "" {
					fmt.Fprintf(t, "\n%s\n", title)
					title = ""
				}
				fmt.Fprintf(t, "%s\t- %s\n", menu.Clean(s.Name), menu.Clean(s.Description))
			}
		}
		t.Flush()
	}
	if len(others) > 0 {
		fmt.Fprintf(w, "\nNot waiting for connections, of those that the catalogue has:\n%s\n",
			wrapped(strings.Join(others, ", "), 78))
	}
}

// wrapped returns a text broken at its blanks into lines of at most that many columns.
func wrapped(text string, columns int) string {
	var b strings.Builder
	at := 0
	for i, word := range strings.Split(text, " ") {
		switch width := runewidth.StringWidth(word); {
		case i == 0:
			at = width
		case at+1+width > columns:
			b.WriteByte('\n')
			at = width
		default:
			b.WriteByte(' ')
			at += 1 + width
		}
		b.WriteString(word)
	}
	return b.String()
}

func listenersTable(w io.Writer, list []listener) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	history := len(list) > 0 && list[0].history
	heading := "COMMAND\tUSER\tTYPE\tNODE\tNAME"
	if history {
		heading += "\tSINCE (UTC)\tOPENED BY"
	}
	fmt.Fprintln(t, heading)
	for _, l := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s", tables.OrDash(menu.Clean(l.Command)), menu.Clean(l.User),
			l.Type, l.Node, l.name())
		if history {
			fmt.Fprintf(t, "\t%s\t%s", l.History.SinceText(), l.History.Opener())
		}
		fmt.Fprintln(t)
	}
	t.Flush()
	unseen := 0
	for _, l := range list {
		if l.PID == 0 {
			unseen++
		}
	}
	if unseen > 0 {
		fmt.Fprintf(w, "- means the kernel, or a process that the appliance may not see: %s.\n",
			captures.Count(unseen, "socket"))
	}
	if len(list) > 0 {
		describe(w, list)
	}
}

// name returns address and port as lsof(8) writes them.
func (l listener) name() string {
	host := l.Address.String()
	if l.Address.IsUnspecified() {
		host = "*"
	}
	switch {
	case l.InterfaceGone:
		host += "%(gone)"
	case l.Interface != "" && l.Address.Zone() == "":
		host += "%" + menu.Clean(l.Interface)
	}
	return net.JoinHostPort(host, strconv.Itoa(int(l.Port)))
}
