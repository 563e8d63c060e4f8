package reporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/diag/netlink"
	"diagsh/diag/processes"
	"diagsh/diag/sockets"
	"diagsh/diag/system"
	"diagsh/diag/users"
	"diagsh/internal/menu"
)

const (
	// initialPiece is from how many bytes on PR-INITIAL is written to the disk.
	initialPiece = 64 << 10

	// mostWaiting is how many connections in TIME_WAIT are listed: a busy machine has tens of
	// thousands, and no process has them.
	mostWaiting = 100
)

// writeInitial writes PR-INITIAL: the machine as it is now.
func (s *Set) writeInitial(ctx context.Context) error {
	f := &s.files[initialFile]
	var b bytes.Buffer
	flush := func() error {
		defer b.Reset()
		return s.background(initialFile, b.Bytes())
	}
	s.head(&b)
	names := users.Names{}
	err := s.listSockets(ctx, &b, flush, names)
	if e := flush(); e != nil {
		return e
	}
	running, listing := processes.List(ctx)
	err = errors.Join(err, listing)
	fmt.Fprintf(&b, "\nProcesses: %d\n\n", len(running))
	blocks := s.reporter.blocks.next(time.Now())
	for _, p := range running {
		text := blocks.of(p, s.local)
		if full := f.size.Load()+int64(b.Len()) >= s.reporter.o.Bytes; text == "" || full {
			began := time.Now()
			d, e := processes.ReadDetail(p.PID, began)
			if e != nil {
				continue // it ended
			}
			text = s.detail(d, names.Of(d.UID), full)
			if !full {
				blocks.keep(p, d.Exe, text, began)
			}
			text = fmt.Sprintf("Process %d\n", p.PID) + text
		}
		b.WriteString(text)
		if b.Len() >= initialPiece {
			if e := flush(); e != nil {
				return e
			}
		}
	}
	err = errors.Join(err, s.services(&b, running))
	return errors.Join(flush(), err)
}

// head writes what the machine is, and how it sees sockets.
func (s *Set) head(b *bytes.Buffer) {
	o := s.reporter.o
	fmt.Fprintf(b, "Port log in the form of Port Reporter, by %s\n\n", o.Product)
	member(b, "Begun", s.begin.Format("2006-01-02 15:04:05 -07:00 (MST)"))
	member(b, "Host", o.Hostname())
	member(b, "Kernel", kernel())
	member(b, "Clock", clock())
	if status, runs := o.Status(); runs {
		member(b, "Tier", status.Tier.InWords())
		member(b, "Cgroup", status.Cgroup)
		for _, blind := range status.Blind {
			member(b, "Not seen", blind)
		}
	}
	member(b, "Files", strings.Join(s.names, " "))
	fmt.Fprintf(b, "\nColumns of %s:\n%s\n", s.names[portsFile], strings.Join(Columns, ","))
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return strings.Join([]string{unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]),
		unix.ByteSliceToString(u.Version[:]), unix.ByteSliceToString(u.Machine[:])}, " ")
}

func clock() string {
	c, err := system.ReadClock()
	switch {
	case err != nil:
		return "not known"
	case !c.Synchronised:
		return "not synchronised"
	}
	return fmt.Sprintf("synchronised, wrong by at most %s", c.Error)
}

// socketRow is a row of the sockets. No row waits for those after it, of which there may be hundreds of
// thousands.
const socketRow = "%-5s  %6v  %6v  %-23s  %-23s  %-11s  %-24s  %s\n"

// listSockets writes the sockets of TCP and UDP as netstat does, until the file is full. flush brings
// what is in b to the file.
func (s *Set) listSockets(ctx context.Context, b *bytes.Buffer, flush func() error, names users.Names) error {
	owners, err := sockets.FindOwners(ctx)
	if err != nil {
		return err
	}
	b.WriteString("\nSockets\n\n")
	fmt.Fprintf(b, socketRow, "Proto", "Recv-Q", "Send-Q", "Local Address", "Foreign Address", "(state)", "PID/Process", "User")
	waiting, left := 0, 0
	err = sockets.Each(ctx, sockets.Query{Kinds: []sockets.Kind{sockets.KindTCP, sockets.KindUDP}},
		func(one *sockets.Socket) error {
			if one.State == sockets.TimeWait {
				if waiting++; waiting > mostWaiting {
					return nil
				}
			}
			if s.files[initialFile].size.Load()+int64(b.Len()) >= s.reporter.o.Bytes {
				left++
				return nil
			}
			writeSocket(b, one, owners, names)
			if b.Len() < initialPiece {
				return nil
			}
			return flush()
		})
	if errors.Is(err, netlink.ErrChanged) {
		err = nil // sockets come and go all the time
	}
	if left > 0 {
		fmt.Fprintf(b, "and %d more\n", left)
	}
	if waiting > mostWaiting {
		fmt.Fprintf(b, "and %d more in TIME_WAIT, which no process has\n", waiting-mostWaiting)
	}
	return err
}

// writeSocket writes a row for each process that has a socket.
func writeSocket(b *bytes.Buffer, s *sockets.Socket, owners *sockets.Owners, names users.Names) {
	state := s.State.String()
	if s.Kind == sockets.KindUDP {
		state = ""
	}
	row := func(who, user string) {
		fmt.Fprintf(b, socketRow, protocol(s), s.RecvQ, s.SendQ, endpoint(s.Local), endpoint(s.Remote), state,
			menu.Clean(who), menu.Clean(user))
	}
	held := false
	owners.Of(s.Inode, func(p *sockets.Process) {
		held = true
		row(fmt.Sprintf("%d/%s", p.PID, p.Name), names.Of(p.UID))
	})
	if !held {
		row("-", "-")
	}
}

func protocol(s *sockets.Socket) string {
	name := "tcp"
	if s.Kind == sockets.KindUDP {
		name = "udp"
	}
	if s.IPv6 {
		return name + "6"
	}
	return name + "4"
}

// endpoint is an address and a port; a star is any.
func endpoint(a netip.AddrPort) string {
	host, port := a.Addr().Unmap().String(), strconv.Itoa(int(a.Port()))
	if a.Addr().IsUnspecified() {
		host = "*"
	}
	if a.Port() == 0 {
		port = "*"
	}
	return net.JoinHostPort(host, port)
}

// services writes which services of the catalogue have processes.
func (s *Set) services(b *bytes.Buffer, running []processes.Process) error {
	catalogue, err := s.reporter.o.Services()
	if err != nil {
		return err
	}
	b.WriteString("Services that run, by the names of their processes\n\n")
	for i := range catalogue {
		var pids []string
		for _, p := range running {
			if catalogue[i].Has(p.Name) {
				pids = append(pids, strconv.Itoa(p.PID))
			}
		}
		if len(pids) > 0 {
			slices.Sort(pids)
			fmt.Fprintf(b, "%s: %s (process %s)\n", menu.Clean(catalogue[i].Name), menu.Clean(catalogue[i].Description),
				strings.Join(pids, ", "))
		}
	}
	return nil
}
