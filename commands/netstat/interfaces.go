package netstat

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"diagsh/commands/shared/tables"
	"diagsh/diag/interfaces"
	"diagsh/internal/menu"
)

// allInterfaces is the name that means every interface.
const allInterfaces = "ALL"

type interfacesArgs struct {
	Interface string `arg:"interface,positional:1" ask:"Choose the interface" default:"ALL" help:"Name of an interface, or ALL."`
	Bytes     bool   `arg:"bytes" ask:"Show the number of bytes in and out?" default:"no" help:"Show bytes too."`
	Dropped   bool   `arg:"dropped" ask:"Show the number of dropped packets?" default:"no" help:"Show dropped packets too."`
}

// An interfaceRow is an interface with its counters.
type interfaceRow struct {
	Name        string   `json:"name"`
	Index       int      `json:"index"`
	Up          bool     `json:"up"`
	Running     bool     `json:"running"`
	MTU         int      `json:"mtu"`
	LinkAddress string   `json:"linkAddress"`
	Addresses   []string `json:"addresses"` // with the length of the prefix
	// States lists the addresses that may not be used.
	States   []addressState `json:"addressStates,omitempty"`
	Receive  received       `json:"receive"`
	Transmit delivered      `json:"transmit"`

	link           interfaces.Interface
	bytes, dropped bool
}

// An addressState is an address with the reasons why it may not be used: dadfailed, tentative or
// deprecated, as ip-address(8) calls them.
type addressState struct {
	Address string   `json:"address"` // with the length of the prefix
	States  []string `json:"states"`
}

type received struct {
	Packets    uint64 `json:"packets"`
	Bytes      uint64 `json:"bytes"`
	Errors     uint64 `json:"errors"`
	Dropped    uint64 `json:"dropped"`
	Missed     uint64 `json:"missed"`
	Multicast  uint64 `json:"multicast"`
	Length     uint64 `json:"lengthErrors"`
	Over       uint64 `json:"overErrors"`
	CRC        uint64 `json:"crcErrors"`
	Frame      uint64 `json:"frameErrors"`
	FIFO       uint64 `json:"fifoErrors"`
	Compressed uint64 `json:"compressed"`
	NoHandler  uint64 `json:"noHandler"`
}

type delivered struct {
	Packets    uint64 `json:"packets"`
	Bytes      uint64 `json:"bytes"`
	Errors     uint64 `json:"errors"`
	Dropped    uint64 `json:"dropped"`
	Collisions uint64 `json:"collisions"`
	Aborted    uint64 `json:"abortedErrors"`
	Carrier    uint64 `json:"carrierErrors"`
	FIFO       uint64 `json:"fifoErrors"`
	Heartbeat  uint64 `json:"heartbeatErrors"`
	Window     uint64 `json:"windowErrors"`
	Compressed uint64 `json:"compressed"`
}

func interfacesCommand() *menu.Command {
	return menu.Decl[interfacesArgs, interfaceRow]{
		Name: "interfaces",
		Help: "State of network interfaces.",
		Details: "The kernel counts per interface, not per address, so the lines of the addresses have no counters. " +
			"An address that is duplicated is another host's too and is not used; of one that is tentative that is " +
			"not known yet; one that is deprecated is used no more for new connections.",
		Role:  menu.ReadOnly,
		Shows: true,
		Ask: func(ctx context.Context, _ menu.Caller, _ interfacesArgs, q *menu.Question) error {
			if q.Name == "interface" {
				return chooseInterface(ctx, q)
			}
			return nil
		},
		Run: func(ctx context.Context, _ menu.Caller, a interfacesArgs, out *menu.Out[interfaceRow]) error {
			list, err := interfaces.List(ctx)
			if err != nil {
				return err
			}
			a.Interface = interfaces.RealName(a.Interface)
			named := func(l interfaces.Interface) bool { return l.Name == a.Interface }
			if a.Interface != allInterfaces && !slices.ContainsFunc(list, named) {
				return &menu.Error{Code: menu.NotFound, Argument: "interface",
					Message: fmt.Sprintf("There is no interface %q", menu.Clean(a.Interface)),
					Hint:    "netstat interfaces lists them"}
			}
			for _, l := range list {
				if a.Interface != allInterfaces && a.Interface != l.Name {
					continue
				}
				r := rowOf(l)
				r.bytes, r.dropped = a.Bytes, a.Dropped
				if err := out.Record(r); err != nil {
					return err
				}
			}
			return nil
		},
		TextTable: interfacesTable,
	}.Command()
}

// chooseInterface offers ALL and the interfaces.
func chooseInterface(ctx context.Context, q *menu.Question) error {
	list, err := interfaces.Bare(ctx)
	if err != nil {
		return err
	}
	q.Choices = []menu.Choice{{Value: allInterfaces, Label: "ALL", AnyCase: true}}
	for _, l := range list {
		q.Choices = append(q.Choices, menu.Choice{Value: l.Name, Help: "mtu " + strconv.Itoa(l.MTU)})
	}
	q.Open = len(interfaces.AltNames()) > 0 // alternative names are accepted too
	return nil
}

func rowOf(l interfaces.Interface) interfaceRow {
	c := l.Counters
	r := interfaceRow{
		Name: l.Name, Index: l.Index, Up: l.Up, Running: l.Running, MTU: l.MTU, LinkAddress: l.Address.String(),
		Addresses: []string{},
		Receive: received{c.RxPackets, c.RxBytes, c.RxErrors, c.RxDropped, c.RxMissed, c.Multicast, c.RxLength,
			c.RxOver, c.RxCRC, c.RxFrame, c.RxFIFO, c.RxCompressed, c.RxNoHandler},
		Transmit: delivered{c.TxPackets, c.TxBytes, c.TxErrors, c.TxDropped, c.Collisions, c.TxAborted, c.TxCarrier,
			c.TxFIFO, c.TxHeartbeat, c.TxWindow, c.TxCompressed},
		link: l,
	}
	for _, p := range l.Addresses {
		r.Addresses = append(r.Addresses, p.String())
		if states := l.States(p.Addr()); len(states) > 0 {
			r.States = append(r.States, addressState{p.String(), states})
		}
	}
	return r
}

// interfacesTable writes a line for each interface and one for each of its addresses, as netstat(1)
// does on BSD.
func interfacesTable(w io.Writer, rows []interfaceRow) {
	t := columns{left: 4}
	head := []string{"Name", "Mtu", "Network", "Address", "Ipkts", "Ierrs", "Idrop", "Ibytes", "Opkts", "Oerrs",
		"Obytes", "Coll", "Drop"}
	t.add(head...)
	count := func(wanted bool, n uint64) string {
		if !wanted {
			return "-"
		}
		return strconv.FormatUint(n, 10)
	}
	for _, r := range rows {
		name := r.Name
		if !r.Up {
			name += "*"
		}
		t.add(name, strconv.Itoa(r.MTU), fmt.Sprintf("<Link#%d>", r.Index), tables.OrDash(r.LinkAddress),
			count(true, r.Receive.Packets), count(true, r.Receive.Errors), count(r.dropped, r.Receive.Dropped),
			count(r.bytes, r.Receive.Bytes), count(true, r.Transmit.Packets), count(true, r.Transmit.Errors),
			count(r.bytes, r.Transmit.Bytes), count(true, r.Transmit.Collisions),
			count(r.dropped, r.Transmit.Dropped))
		for _, p := range r.link.Addresses {
			address := p.Addr().String()
			if state := r.link.StateText(p.Addr()); state != "" {
				address += " (" + state + ")"
			}
			cells := append([]string{name, "-", networkOf(p), address}, slices.Repeat([]string{"-"}, len(head)-4)...)
			t.add(cells...)
		}
	}
	t.fit(menu.Columns(w))
	t.write(w)
}

// networkOf returns the network of an address as netstat(1) of BSD writes it: with the length of
// the prefix only for IPv6.
func networkOf(p netip.Prefix) string {
	if m := p.Masked(); m.Addr().Is6() {
		return m.String()
	}
	return p.Masked().Addr().String()
}

// columns is a table with its first columns aligned to the left, and numbers to the right.
type columns struct {
	left int
	rows [][]string
}

func (c *columns) add(cells ...string) { c.rows = append(c.rows, cells) }

// fit makes a table narrower if it is wider than limit. It drops empty columns, and the columns of
// a row without any number end with its text, however long that is.
func (c *columns) fit(limit int) {
	width := len(c.widths()) - 1
	for _, n := range c.widths() {
		width += n
	}
	if limit == 0 || width <= limit {
		return
	}
	for i := len(c.rows[0]) - 1; i >= c.left; i-- {
		if !slices.ContainsFunc(c.rows[1:], func(row []string) bool { return row[i] != "-" }) {
			for r := range c.rows {
				c.rows[r] = slices.Delete(c.rows[r], i, i+1)
			}
		}
	}
	for r, row := range c.rows {
		if !slices.ContainsFunc(row[c.left:], func(cell string) bool { return cell != "-" }) {
			c.rows[r] = row[:c.left]
		}
	}
}

// widths returns the width of each column. A row that ends with its text may be longer.
func (c *columns) widths() (widths []int) {
	for _, row := range c.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if len(row) > c.left || i < c.left-2 {
				widths[i] = max(widths[i], len(cell))
			}
		}
	}
	return widths
}

func (c *columns) write(w io.Writer) {
	widths := c.widths()
	for _, row := range c.rows {
		var b strings.Builder
		for i, cell := range row {
			if i > 0 {
				b.WriteByte(' ')
			}
			if i < c.left {
				fmt.Fprintf(&b, "%-*s", widths[i], cell)
			} else {
				fmt.Fprintf(&b, "%*s", widths[i], cell)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// deviceNames returns the names of the interfaces.
func deviceNames(ctx context.Context) (interfaces.Names, error) {
	list, err := interfaces.Bare(ctx)
	if err != nil {
		return nil, err
	}
	names := make(interfaces.Names, len(list))
	for _, l := range list {
		names[uint32(l.Index)] = l.Name
	}
	return names, nil
}
