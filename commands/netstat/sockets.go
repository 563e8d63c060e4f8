package netstat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"diagsh/commands/shared/past"
	"diagsh/diag/dns"
	"diagsh/diag/interfaces"
	"diagsh/diag/netlink"
	diag "diagsh/diag/sockets"
	"diagsh/diag/users"
	"diagsh/internal/menu"
)

type socketsArgs struct {
	Numeric   bool          `arg:"numeric" ask:"Show network addresses as numbers?" default:"no" help:"Show addresses, do not look up names."`
	Full      bool          `arg:"full" ask:"Avoid truncating the address?" default:"no" help:"Do not cut long host names."`
	State     []string      `arg:"state" choices:"ESTABLISHED|SYN_SENT|SYN_RCVD|FIN_WAIT_1|FIN_WAIT_2|TIME_WAIT|CLOSED|CLOSE_WAIT|LAST_ACK|LISTEN|CLOSING|SYN_RECV" help:"Only sockets in these states, separated by commas; SYN_RECV is another word for SYN_RCVD."`
	Port      int           `arg:"port" min:"1" max:"65535" help:"Only sockets with this port at either end."`
	Address   string        `arg:"address,bound" help:"Only sockets with this address at either end, or one of a network such as 192.0.2.0/24."`
	Process   string        `arg:"process,bound" help:"Only sockets of processes with this name or number."`
	User      string        `arg:"user,bound" help:"Only sockets of processes that run as this user."`
	Protocol  string        `arg:"protocol" choices:"tcp|udp|udplite|raw|packet|all" default:"tcp" help:"Which sockets; all is netstat -a of other systems. Raw ones send and take an IP protocol, packet ones what an interface carries."`
	Processes bool          `arg:"processes" default:"no" help:"Show the process that holds the socket, and its user."`
	Details   bool          `arg:"details" default:"no" help:"Show what TCP measured: round-trip time, retransmits, congestion window; of the other protocols the packets that a socket dropped."`
	History   bool          `arg:"history" default:"no" help:"Show since when the socket exists, who opened it and who accepted it, as far as sockets are watched."`
	Count     string        `arg:"count" choices:"state|host" help:"Show how many sockets there are per state or per remote host instead."`
	Every     time.Duration `arg:"every,stream" min:"1" max:"3600" help:"Show the list again after this many seconds, what changed marked, until it is interrupted."`
}

// A socketsRow is what the command yields: a socket or a count.
type socketsRow interface{ line() []byte }

func socketsCommand(s Services) *menu.Command {
	return menu.Decl[socketsArgs, socketsRow]{
		Name: "sockets",
		Help: "List of active sockets.",
		Details: "A raw socket shows its IP protocol where others have their port, a packet socket its EtherType " +
			"(all, or none) after the interface that it is bound to; p_raw is one that takes the header of the link " +
			"too, p_dgr one without. What a capture has in its ring is in no queue, and its drops are only in " +
			"packetcapture status. With every, + marks a socket that is new, - one that has gone, * one that " +
			"changed: its state, queues or drops, or what it is bound to. Counts have the members state, " +
			"or remoteAddress and remoteName, and count. While sockets are watched (portlog), a socket that no " +
			"process holds any more shows who had it last, and history is known.",
		Record:  socketRow{},
		Role:    menu.ReadOnly,
		Shows:   true,
		Suggest: suggestSockets,
		Check:   checkSockets,
		Run: func(ctx context.Context, _ menu.Caller, a socketsArgs, out *menu.Out[socketsRow]) error {
			v := &socketsView{socketsArgs: a, services: s, out: out, users: users.Names{}}
			if a.Every > 0 {
				return v.refresh(ctx)
			}
			return cmp.Or(v.once(ctx), ctx.Err())
		},
		Text: func(w io.Writer, r socketsRow) { w.Write(r.line()) },
	}.Command()
}

func checkSockets(_ context.Context, _ menu.Caller, a socketsArgs, name string) error {
	if name == "address" {
		if _, _, err := parseNetwork(a.Address); err != nil {
			return err
		}
	}
	if name == "count" && a.History {
		return menu.BadArgument("count", "Counts have no history").WithHint("Leave out history, or count")
	}
	if name == "count" && a.Processes {
		return menu.BadArgument("count", "Counts have no process").WithHint("Leave out processes, or count")
	}
	return nil
}

// parseNetwork parses a network or an address. The address may be in brackets, and may have a zone,
// the interface after a %.
func parseNetwork(text string) (network netip.Prefix, zone string, err error) {
	if text == "" {
		return netip.Prefix{}, "", nil
	}
	if a, err := netip.ParseAddr(dns.Unbracketed(text)); err == nil {
		if zone = a.Zone(); zone != "" {
			i, err := net.InterfaceByName(interfaces.RealName(zone))
			if err != nil {
				return netip.Prefix{}, "",
					&menu.Error{Code: menu.NotFound, Argument: "address",
						Message: fmt.Sprintf("There is no interface \"%s\"", menu.Clean(zone)),
						Hint:    "netstat interfaces lists them"}
			}
			zone = i.Name
		}
		a = a.WithZone("").Unmap()
		return netip.PrefixFrom(a, a.BitLen()), zone, nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), "", nil
	}
	return netip.Prefix{}, "",
		menu.BadArgument("address", "\"%s\" is no address", menu.Clean(text)).
			WithHint("It is such as 192.0.2.7, 2001:db8::1 or 192.0.2.0/24")
}

// A socketsView is one run of the command.
type socketsView struct {
	socketsArgs
	services Services
	out      *menu.Out[socketsRow]
	users    users.Names
	network  netip.Prefix
	zone     string // of an address that was asked for
	wanted   filteredBy
	found    bool // what was wanted was there once
	owners   *diag.Owners
	// listeners finds the processes that may accept a connection.
	listeners diag.Listeners
	devices   interfaces.Names
	earlier   interfaces.Names // of the list before, with every
	row       socketRow
	dashes    dashes    // of the list
	untold    int       // sockets of the list of which the kernel does not tell the interface
	now       time.Time // of the list, with every
}

// nameBudget is how long the names of all addresses may take together. Addresses without a name by
// then are shown as they are.
const nameBudget = 3 * time.Second

// prepare reads what all sockets need: interfaces, processes, listeners.
func (v *socketsView) prepare(ctx context.Context) (err error) {
	if v.network, v.zone, err = parseNetwork(v.Address); err != nil {
		return err
	}
	v.earlier = v.devices
	if v.devices, err = deviceNames(ctx); err != nil {
		return err
	}
	if !v.Processes && v.Process == "" && v.User == "" {
		return nil
	}
	switch wanted, err := findFiltered(ctx, v.Process, v.User); {
	case err == nil:
		v.wanted, v.found = wanted, true
	case !v.found || ctx.Err() != nil:
		return err
	default:
		v.wanted.processes = nil // it has ended since the list before
	}
	if v.listeners, err = diag.FindListeners(ctx); err != nil {
		return err
	}
	v.owners, err = diag.FindOwners(ctx)
	return err
}

// listening calls yield for each process that may accept the connection s.
func (v *socketsView) listening(s *diag.Socket, yield func(*diag.Process)) {
	seen := map[int]bool{}
	for _, l := range v.listeners.Of(s.Local, s.Device) {
		v.owners.Of(l.Inode, func(p *diag.Process) {
			if !seen[p.PID] {
				seen[p.PID] = true
				yield(p)
			}
		})
	}
}

func (v *socketsView) query() diag.Query {
	q := diag.Query{Kinds: kindsOf(v.Protocol), Detail: v.Details}
	for _, state := range diag.States() {
		for _, wanted := range v.State {
			if wanted == state.String() || wanted == "SYN_RECV" && state == diag.SynRcvd {
				q.States = append(q.States, state)
			}
		}
	}
	return q
}

// kindsOf returns the kinds of sockets that the argument protocol means.
func kindsOf(protocol string) []diag.Kind {
	switch protocol {
	case "udp":
		return []diag.Kind{diag.KindUDP}
	case "udplite":
		return []diag.Kind{diag.KindUDPLite}
	case "raw":
		return []diag.Kind{diag.KindRaw}
	case "packet":
		return []diag.Kind{diag.KindPacket}
	case "all":
		return diag.Kinds()
	}
	return []diag.Kind{diag.KindTCP}
}

// each calls yield for the sockets that the caller asked for.
func (v *socketsView) each(ctx context.Context, yield func(*diag.Socket) error) error {
	err := diag.Each(ctx, v.query(), func(s *diag.Socket) error {
		if !v.chosen(s) {
			return nil
		}
		return yield(s)
	})
	if errors.Is(err, netlink.ErrChanged) {
		return nil // sockets come and go all the time
	}
	return err
}

func (v *socketsView) chosen(s *diag.Socket) bool {
	if v.Port != 0 && int(s.Local.Port()) != v.Port && int(s.Remote.Port()) != v.Port {
		return false
	}
	if v.network.IsValid() && !v.network.Contains(s.Local.Addr().Unmap()) &&
		!v.network.Contains(s.Remote.Addr().Unmap()) {
		return false
	}
	if v.zone != "" && s.Unknown&diag.UnknownDevice == 0 && v.devices.Of(s.Device) != v.zone {
		return false
	}
	if v.Process == "" && v.User == "" {
		return true
	}
	held := false
	take := func(p *diag.Process) { held = held || v.wanted.has(p) }
	v.owners.Of(s.Inode, take)
	if s.Waits() {
		v.listening(s, take)
	}
	return held
}

// once shows the list or the counts.
func (v *socketsView) once(ctx context.Context) error {
	if err := v.prepare(ctx); err != nil {
		return err
	}
	if v.Count != "" {
		return v.count(ctx)
	}
	v.out.Printf("%s\n%s", v.title(), menu.Text(v.heading()))
	return v.list(ctx, func(show func(*diag.Socket, string) error) error {
		return v.each(ctx, func(s *diag.Socket) error { return show(s, "") })
	})
}

// list shows the sockets that walk passes to show, with their changes, and then what the dashes
// mean.
func (v *socketsView) list(ctx context.Context, walk func(show func(s *diag.Socket, change string) error) error) error {
	v.dashes, v.untold = dashes{}, 0
	if err := v.rows(ctx, walk); err != nil {
		return err
	}
	text := v.dashes.String()
	if _, watched := v.services.PortsStatus(); v.History && !watched {
		text += past.Unwatched
	}
	if v.untold > 0 {
		text += fmt.Sprintf("This kernel does not say to which interface %s bound, if to any.\n",
			plural(v.untold, "of the sockets is", "of the sockets are"))
	}
	if text != "" {
		return v.out.Printf("%s", menu.Text(text))
	}
	return nil
}

// rows yields the sockets. With names it works in pieces: a long list begins at once and takes
// little memory, and the names of a piece are looked up together.
func (v *socketsView) rows(ctx context.Context, walk func(show func(s *diag.Socket, change string) error) error) error {
	if v.Numeric {
		return walk(func(s *diag.Socket, change string) error { return v.record(s, change, nil) })
	}
	looking, cancel := context.WithTimeout(ctx, nameBudget)
	defer cancel()
	var p piece
	err := walk(func(s *diag.Socket, change string) error {
		if p.add(s, change); len(p.sockets) < pieceLength {
			return nil
		}
		return p.show(looking, v)
	})
	if err != nil {
		return err
	}
	return p.show(looking, v)
}

// record yields one socket. All sockets share one record, so a list of any length takes the memory
// of one.
func (v *socketsView) record(s *diag.Socket, change string, names map[netip.Addr]string) error {
	now := v.devices
	if change == changeGone {
		v.devices = v.earlier // its interface may be gone too
	}
	v.row.fill(v, s, names)
	v.devices = now
	if v.Processes && v.row.PID == 0 && change != changeGone {
		v.dashes.add(&v.row, s)
	}
	if s.Unknown&diag.UnknownDevice != 0 {
		v.untold++
	}
	if v.Every > 0 {
		v.row.changes, v.row.Time, v.row.Change = true, &v.now, change
	}
	return v.out.Record(&v.row)
}

// pieceLength is the number of sockets whose names are looked up together.
const pieceLength = 2048

// A piece is some sockets whose names are not known yet.
type piece struct {
	sockets []diag.Socket
	tcp     []diag.TCP // what Socket.TCP points to
	changes []string
}

func (p *piece) add(s *diag.Socket, change string) {
	var tcp diag.TCP
	if s.TCP != nil {
		tcp = *s.TCP
	}
	p.sockets, p.tcp, p.changes = append(p.sockets, *s), append(p.tcp, tcp), append(p.changes, change)
}

func (p *piece) show(ctx context.Context, v *socketsView) error {
	addresses := make([]netip.Addr, 0, 2*len(p.sockets))
	for i := range p.sockets {
		if p.sockets[i].Kind != diag.KindPacket {
			local, remote := ends(&p.sockets[i])
			addresses = append(addresses, local, remote)
		}
	}
	names := v.services.HostNames(ctx, addresses)
	for i := range p.sockets {
		if p.sockets[i].TCP != nil {
			p.sockets[i].TCP = &p.tcp[i]
		}
		if err := v.record(&p.sockets[i], p.changes[i], names); err != nil {
			return err
		}
	}
	p.sockets, p.tcp, p.changes = p.sockets[:0], p.tcp[:0], p.changes[:0]
	return nil
}
