package netstat

import (
	"context"
	"io"
	"net/netip"
	"strconv"

	"diagsh/commands/shared/tables"
	diag "diagsh/diag/sockets"
	"diagsh/internal/menu"
)

// addProcesses finds the processes of flows: by who had the conversation, and by the sockets that the
// kernel named. A socket that is closed by now has none, unless sockets are watched.
func (v *dropsView) addProcesses(ctx context.Context, rows []dropsRow) error {
	var owners *diag.Owners
	for i := range rows {
		r := &rows[i]
		if p := v.known[r.flow]; p != nil {
			r.PID, r.Process, r.User = p.PID, p.Name, p.User // or none, of several
			continue
		}
		if r.inode == 0 {
			continue
		}
		if o, ok := v.service.SocketOwner(r.cookie, r.inode); ok && o.Last.PID != 0 {
			r.PID, r.Process, r.User = o.Last.PID, o.Last.Name, o.Last.User
			continue
		}
		if owners == nil {
			var err error
			if owners, err = diag.FindOwners(ctx); err != nil {
				return err
			}
		}
		owners.Of(uint32(r.inode), func(p *diag.Process) {
			if r.PID == 0 {
				r.PID, r.Process, r.User = p.PID, p.Name, v.users.Of(p.UID)
			}
		})
	}
	return nil
}

// A dropsTable is the rows that are shown together, whose columns are as wide as they need.
type dropsTable struct {
	rows []dropsRow
	by   string
}

func (t *dropsTable) write(w io.Writer) {
	if t == nil {
		return
	}
	table := tables.Table{Head: []string{"Packets", "Per s", "Reason", "Place"}, Spare: []string{"Per s", "Place"}}
	if t.by != "reason" {
		table.Head = append(table.Head, "Interface")
	}
	if t.by == "flow" {
		table.Head = append(table.Head, "Packet", "PID/Process")
	}
	for _, r := range t.rows {
		cells := []string{strconv.FormatUint(r.Packets, 10), strconv.FormatFloat(r.Rate, 'f', 1, 64), r.Reason,
			tables.OrDash(r.Place)}
		if t.by != "reason" {
			cells = append(cells, tables.OrDash(menu.Clean(r.Interface)))
		}
		if t.by == "flow" {
			cells = append(cells, r.packet(), r.processText())
		}
		table.Add(cells...)
	}
	table.Write(w)
}

// packet says what the packets of a flow are.
func (r dropsRow) packet() string {
	switch {
	case r.SourceAddress.IsValid():
		return r.Protocol + " " + end(r.SourceAddress, r.SourcePort) + " > " + end(r.DestinationAddress, r.DestinationPort)
	case r.EtherTypeName != "":
		return r.EtherTypeName
	}
	return "-"
}

// end returns an address with its port, as the other tables write it.
func end(a netip.Addr, port uint16) string {
	if port == 0 {
		return a.String()
	}
	return a.String() + "." + strconv.Itoa(int(port))
}

func (r dropsRow) processText() string {
	if r.PID == 0 {
		return "-"
	}
	return strconv.Itoa(r.PID) + "/" + menu.Clean(r.Process)
}
