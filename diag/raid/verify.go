package raid

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"diagsh/diag/systemd"
)

// Errors of Verify and Cancel.
var (
	ErrNoArray   = errors.New("there is no such array")
	ErrCannot    = errors.New("an array of this level has nothing to compare")
	ErrBusy      = errors.New("the array does something else")
	ErrReadOnly  = errors.New("the kernel compares only arrays that may be written to")
	ErrDegraded  = errors.New("too many members are missing to compare the others")
	ErrForbidden = errors.New("the appliance may not write there")
	ErrNotBegun  = errors.New("the kernel took the order and did not begin")
)

// Verify starts to compare the members of an array, which changes nothing. It returns when the
// kernel has started. Cancel ends it.
func (s System) Verify(ctx context.Context, name string) error {
	a, err := s.Array(name)
	switch {
	case err != nil:
		return err
	case !a.Verifiable():
		return ErrCannot
	case a.Action != "idle":
		return ErrBusy
	case !a.writable():
		return ErrReadOnly
	case !a.comparable():
		return ErrDegraded
	}
	return s.act(ctx, "check", name)
}

// Cancel ends a verification.
func (s System) Cancel(ctx context.Context, name string) error {
	a, err := s.Array(name)
	switch {
	case err != nil:
		return err
	case !a.Verifiable():
		return ErrCannot
	case a.Action != "check":
		return ErrBusy
	}
	return s.act(ctx, "idle", name)
}

// writable reports whether the kernel compares an array in this state. In others, such as readonly,
// it accepts the order and does nothing. In read-auto the order would make the array writable,
// which nobody asked for (md(4), array_state).
func (a Array) writable() bool {
	return slices.Contains([]string{"clean", "active", "active-idle", "write-pending"}, a.State)
}

// comparable reports whether the remaining members have something to compare: another copy, or
// parity. In a raid10 that lacks members the others are compared.
func (a Array) comparable() bool {
	switch a.Level {
	case "raid4", "raid5":
		return a.Degraded == 0
	case "raid6":
		return a.Degraded <= 1
	}
	return a.Disks-a.Degraded >= 2
}

// act starts an action on an array. The kernel wants CAP_SYS_ADMIN for every attribute of md;
// without it, the order goes to System.Order.
func (s System) act(ctx context.Context, action, name string) error {
	md := filepath.Join(s.Block, name, "md")
	var err error
	if action == "check" && number(md, "sync_min") > 0 {
		// A cancelled one would resume where it ended, and the result would cover only the rest.
		err = os.WriteFile(filepath.Join(md, "sync_min"), []byte("0\n"), 0)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(md, "sync_action"), []byte(action+"\n"), 0)
	}
	switch {
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS):
		if s.Order == nil {
			return ErrForbidden
		}
		return s.Order(ctx, action+":"+name)
	case errors.Is(err, unix.EBUSY):
		return ErrBusy
	case err != nil:
		return err
	case action == "check" && text(md, "sync_action") != action:
		return ErrNotBegun
	}
	return nil
}

// unit is the template unit that carries out an order: assets/diagsh-raid@.service. systemd accepts
// the names of arrays unescaped.
const unit = "diagsh-raid@%s.service"

// orderUnit has systemd carry out an order, in a process with the right to.
func orderUnit(ctx context.Context, order string) error {
	m, err := systemd.Open(ctx)
	if err != nil {
		return ErrForbidden
	}
	defer m.Close()
	var job *systemd.JobError
	switch err = m.Start(ctx, fmt.Sprintf(unit, order)); {
	case errors.Is(err, systemd.ErrNoUnit), errors.Is(err, systemd.ErrForbidden):
		return ErrForbidden
	case errors.As(err, &job):
		return ErrNotBegun
	}
	return err
}

// Carry carries out an order, ACTION:ARRAY, in a process that was started for it.
func Carry(order string) error {
	own := Kernel
	own.Order = nil
	switch action, name, _ := strings.Cut(order, ":"); action {
	case "check":
		return own.Verify(context.Background(), name)
	case "idle":
		return own.Cancel(context.Background(), name)
	}
	return fmt.Errorf("%q is no order", order)
}
