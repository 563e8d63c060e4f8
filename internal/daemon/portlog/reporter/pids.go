package reporter

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"diagsh/diag/ports"
	"diagsh/diag/processes"
	"diagsh/diag/users"
	"diagsh/internal/menu"
)

// describeAll writes PR-PIDS until the set ends. Blocks are in the order in which PR-PORTS names
// the processes first.
func (s *Set) describeAll() error {
	names := users.Names{}
	var head bytes.Buffer
	fmt.Fprintf(&head, "Processes of %s, in the order in which it names them first\n", s.names[portsFile])
	member(&head, "Host", s.reporter.o.Hostname())
	head.WriteByte('\n')
	failed := s.background(pidsFile, head.Bytes())
	for {
		list := s.next()
		if len(list) == 0 {
			return failed
		}
		var b bytes.Buffer
		for _, seen := range list {
			b.Reset()
			short := s.files[pidsFile].size.Load() >= s.reporter.o.Bytes
			s.describe(&b, seen, names, short)
			if err := s.background(pidsFile, b.Bytes()); err != nil {
				failed = err
			}
		}
	}
}

// describe writes the block of one process. short leaves out what is long, when the file is full.
func (s *Set) describe(b *bytes.Buffer, seen sighting, names users.Names, short bool) {
	if seen.PID == 0 {
		fmt.Fprintf(b, "Records are missing at %s\n", s.local(seen.at))
		if seen.lost > 0 {
			member(b, "Events", fmt.Sprint(seen.lost))
		}
		member(b, "Why", seen.gap)
		b.WriteByte('\n')
		return
	}
	fmt.Fprintf(b, "Process %d, first seen %s\n", seen.PID, s.local(seen.at))
	d, err := processes.ReadDetail(seen.PID, seen.at)
	if err == nil && !same(seen.Process, d) {
		err = processes.ErrEnded // or it became another program
	}
	if err != nil {
		member(b, "File", seen.Exe)
		member(b, "Name", seen.Name)
		member(b, "User", userText(seen.User, seen.UID))
		if errors.Is(err, processes.ErrEnded) {
			b.WriteString("  It ended before it could be read.\n\n")
		} else {
			b.WriteString("  It could not be read.\n\n")
		}
		return
	}
	user := seen.User
	if user == "" || seen.UID != d.UID {
		user = names.Of(d.UID)
	}
	b.WriteString(s.detail(d, user, short))
}

// same reports whether what was read is the process that a record names. Its number may have been
// given to another one, or it may have become another program.
func same(p ports.Process, d processes.Detail) bool {
	if p.Exe != "" && d.Exe != "" {
		return deleted(p.Exe) == deleted(d.Exe) || p.Name == d.Name && path.Base(p.Exe) == path.Base(d.Exe)
	}
	return p.Name == "" || p.Name == d.Name
}

// deleted removes what the kernel appends to the path of a file that is not there any more.
func deleted(exe string) string { return strings.TrimSuffix(exe, " (deleted)") }

// detail is what was read of a process.
func (s *Set) detail(d processes.Detail, user string, short bool) string {
	b := &bytes.Buffer{}
	member(b, "File", d.Exe)
	member(b, "Name", d.Name)
	member(b, "User", userText(user, d.UID))
	member(b, "Started", s.local(d.Started))
	member(b, "Parent", fmt.Sprint(d.Parent))
	member(b, "Cgroup", d.Cgroup)
	if short {
		b.WriteString("  The file is full, so arguments and modules are left out.\n\n")
		return b.String()
	}
	var words []string
	for _, word := range d.Arguments {
		words = append(words, menu.Quote(word))
	}
	if d.Cut {
		words = append(words, "...")
	}
	member(b, "Arguments", strings.Join(words, " "))
	if len(d.Modules) > 0 {
		b.WriteString("  Modules:\n")
	}
	for _, m := range d.Modules {
		fmt.Fprintf(b, "    0x%016x  %s\n", m.Address, menu.Clean(m.Path))
	}
	if d.Left > 0 {
		fmt.Fprintf(b, "    and %d more\n", d.Left)
	}
	b.WriteByte('\n')
	return b.String()
}

// member writes a line of a block, if there is something to say.
func member(b *bytes.Buffer, name, text string) {
	if text != "" {
		fmt.Fprintf(b, "  %-11s%s\n", name+":", menu.Clean(text))
	}
}

func userText(name string, uid uint32) string {
	if name == "" || name == fmt.Sprint(uid) {
		return fmt.Sprint(uid)
	}
	return fmt.Sprintf("%s (%d)", name, uid)
}

func (s *Set) local(t time.Time) string {
	return t.In(s.reporter.o.Zone).Format("2006-01-02 15:04:05")
}
