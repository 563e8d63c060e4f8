package netstat

import (
	"context"
	"fmt"
	"strconv"

	"diagsh/diag/processes"
	diag "diagsh/diag/sockets"
	"diagsh/diag/users"
	"diagsh/internal/menu"
)

// A filteredBy has the processes and the user whose sockets are shown.
type filteredBy struct {
	byProcess bool
	processes map[int]bool
	byUser    bool
	user      uint32
}

// findFiltered finds the processes and the user that the caller asked for. It returns an error if
// there are none: an empty list would mean that they have no sockets.
func findFiltered(ctx context.Context, process, user string) (f filteredBy, err error) {
	if process != "" {
		f.byProcess = true
		if f.processes, err = processes.Named(ctx, process); err != nil {
			return f, err
		}
		if len(f.processes) == 0 {
			return f, &menu.Error{Code: menu.NotFound, Argument: "process",
				Message: fmt.Sprintf("There is no process \"%s\"", menu.Clean(process)),
				Hint:    "A process is named by its number, by its name, or by the name of its program"}
		}
	}
	if user != "" {
		f.byUser = true
		if n, err := strconv.ParseUint(user, 10, 32); err == nil {
			f.user = uint32(n)
		} else if f.user, err = users.Number(user); err != nil {
			return f, &menu.Error{Code: menu.NotFound, Argument: "user",
				Message: fmt.Sprintf("There is no user \"%s\" on this machine", menu.Clean(user)),
				Hint:    "A user is named by name or number; those of the appliance's own accounts are others"}
		}
	}
	return f, nil
}

func (f filteredBy) has(p *diag.Process) bool {
	return (!f.byProcess || f.processes[p.PID]) && (!f.byUser || f.user == p.UID)
}
