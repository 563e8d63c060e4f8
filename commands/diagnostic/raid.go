package diagnostic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"diagsh/commands/shared/captures"
	"diagsh/diag/raid"
	"diagsh/internal/menu"
)

// raidMenu returns diagnostic > raid. It is hidden on a machine without arrays.
func raidMenu(system raid.System) *menu.Menu {
	return &menu.Menu{
		Name:   "raid",
		Help:   "Disk Verify Utility.",
		Choice: "Choose the operation you want to perform",
		Hidden: func(context.Context) bool { return !system.Present() },
		Status: func(context.Context, menu.Caller, io.Writer) error {
			if !system.Present() {
				return noArrays()
			}
			return nil
		},
		Items: []menu.Item{
			raidVerify(system),
			raidTasks(system),
			raidStatus(system),
			raidCancel(system),
		},
	}
}

type raidVerifyArgs struct {
	Array   string       `arg:"name,positional:1,bound" alias:"array" ask:"Choose the array to verify" help:"Name of the array; may be left out when there is only one."`
	Confirm menu.Confirm `arg:"confirm" ask:"Verifying slows the disks down. Begin?" help:"Say yes: all disks are read from end to end."`
	Wait    bool         `arg:"wait" default:"yes" help:"Show the progress until it ends; interrupted, it goes on unseen."`
}

func raidVerify(system raid.System) *menu.Command {
	return menu.Decl[raidVerifyArgs, raid.Array]{
		Name:    "verify",
		Help:    "Run verify: compare the members of an array.",
		Details: "Nothing is changed. Status shows the verdict, cancel ends it early.",
		Role:    menu.Operator,
		Shape:   menu.Stream,
		Ask: func(_ context.Context, _ menu.Caller, _ raidVerifyArgs, q *menu.Question) error {
			return chooseArray(system, q)
		},
		Run: func(ctx context.Context, _ menu.Caller, a raidVerifyArgs, out *menu.Out[raid.Array]) error {
			array, err := chosenArray(system, a.Array)
			if err != nil {
				return err
			}
			if err := system.Verify(ctx, array.Name); err != nil {
				return raidError(array.Name, err)
			}
			out.Printf("%s is being verified.\n", array.Name)
			if !a.Wait {
				return nil
			}
			return watchArray(ctx, system, array, out)
		},
		Text: raidVerdict,
	}.Command()
}

// watchEvery is how often the progress of an array is read.
const watchEvery = time.Second

// watchArray shows the progress of an array's verification, and yields the array when it has ended.
// An interrupt ends only the watching. watchArray gives a verdict only if the verification came to
// its end with the members of its start.
func watchArray(ctx context.Context, system raid.System, began raid.Array, out *menu.Out[raid.Array]) error {
	ticks := time.NewTicker(watchEvery)
	defer ticks.Stop()
	for {
		a, err := system.Array(began.Name)
		if err != nil {
			return raidError(began.Name, err)
		}
		switch {
		case a.Degraded > began.Degraded:
			return menu.Errorf(menu.Failed, "%s lost a member while it was verified, so there is no verdict", a.Name).
				WithHint("See which with: diagnostic raid status")
		case a.Action != "idle":
			out.Progress("%s", raidTask(a))
		case a.LastAction != "" && a.LastAction != "check":
			return menu.Errorf(menu.Failed, "The verification of %s gave way to %s, so there is no verdict", a.Name,
				menu.Clean(a.LastAction))
		case a.EndedAt > 0:
			return menu.Errorf(menu.Failed, "The verification of %s was ended early, so there is no verdict", a.Name)
		default:
			return out.Record(a)
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			out.Printf("It continues: %s.\n", raidTask(a))
			return ctx.Err()
		}
	}
}

// raidTask returns the progress of an array's task in words.
func raidTask(a raid.Array) string {
	text := fmt.Sprintf("%s %s %.1f%%", a.Name, a.Action, a.Progress*100)
	if a.Finish > 0 {
		text += fmt.Sprintf(", %s left at %s/s", menu.FormatDuration(time.Duration(a.Finish)*time.Second),
			captures.Bytes(int64(a.Speed)))
	}
	return text
}

func raidVerdict(w io.Writer, a raid.Array) {
	missing := ""
	if a.Degraded > 0 {
		missing = fmt.Sprintf(", as far as there are two copies to compare: %d of its %d members are missing",
			a.Degraded, a.Disks)
	}
	if a.Mismatches > 0 {
		fmt.Fprintf(w, "%s: its members differ in %d sectors%s.\n", a.Name, a.Mismatches, missing)
		return
	}
	fmt.Fprintf(w, "%s: its members are alike%s.\n", a.Name, missing)
}

// raidTasks returns the command that shows the arrays with a running task.
func raidTasks(system raid.System) *menu.Command {
	return menu.Decl[menu.NoArgs, raid.Array]{
		Name: "tasks",
		Help: "Watch tasks: what the arrays are doing.",
		Role: menu.ReadOnly,
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[raid.Array]) error {
			list, err := arrays(system)
			if err != nil {
				return err
			}
			return out.Records(slices.DeleteFunc(list,
				func(a raid.Array) bool { return !a.Verifiable() || a.Action == "idle" }))
		},
		TextTable: func(w io.Writer, list []raid.Array) {
			for _, a := range list {
				fmt.Fprintf(w, "%s\n", raidTask(a))
			}
			if len(list) == 0 {
				fmt.Fprintln(w, "No array is doing anything.")
			}
		},
	}.Command()
}

func raidStatus(system raid.System) *menu.Command {
	return menu.Decl[menu.NoArgs, raid.Array]{
		Name: "status",
		Help: "Show verdict: the state of the arrays and their members.",
		Role: menu.ReadOnly,
		Run: func(_ context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[raid.Array]) error {
			list, err := arrays(system)
			if err != nil {
				return err
			}
			return out.Records(list)
		},
		TextTable: raidTable,
	}.Command()
}

// arrays returns the arrays, or an error if there is none.
func arrays(system raid.System) ([]raid.Array, error) {
	list, err := system.List()
	if err == nil && len(list) == 0 {
		err = noArrays()
	}
	return list, err
}

func raidTable(w io.Writer, list []raid.Array) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ARRAY\tLEVEL\tSTATE\tSIZE\tDISKS\tDOES\tDIFFERING SECTORS")
	for _, a := range list {
		disks := fmt.Sprintf("%d of %d", a.Disks-a.Degraded, a.Disks)
		if a.Degraded > 0 {
			disks += " (degraded)"
		}
		does, mismatches := a.Action, fmt.Sprint(a.Mismatches)
		if !a.Verifiable() {
			does, mismatches = "-", "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", a.Name, menu.Clean(a.Level), menu.Clean(a.State),
			captures.Bytes(int64(a.Bytes)), disks, does, mismatches)
	}
	fmt.Fprintln(t, "\t\t\t\t\t\t")
	fmt.Fprintln(t, "ARRAY\tMEMBER\tPLACE\tSTATE\tERRORS\t\t")
	for _, a := range list {
		for _, m := range a.Members {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t\t\n", a.Name, menu.Clean(m.Device), m.Slot, m.State, m.Errors)
		}
	}
	t.Flush()
}

type raidCancelArgs struct {
	Array string `arg:"name,positional:1,bound" alias:"array" ask:"Choose the array" help:"Name of the array; may be left out when there is only one."`
}

func raidCancel(system raid.System) *menu.Command {
	return menu.Decl[raidCancelArgs, raid.Array]{
		Name:  "cancel",
		Help:  "End a verification early.",
		Role:  menu.Operator,
		Shape: menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, _ raidCancelArgs, q *menu.Question) error {
			return chooseArray(system, q)
		},
		Run: func(ctx context.Context, _ menu.Caller, a raidCancelArgs, out *menu.Out[raid.Array]) error {
			array, err := chosenArray(system, a.Array)
			if err != nil {
				return err
			}
			if err := system.Cancel(ctx, array.Name); err != nil {
				return raidError(array.Name, err)
			}
			if array, err = system.Array(array.Name); err != nil {
				return err
			}
			return out.Record(array)
		},
		Text: func(w io.Writer, a raid.Array) { fmt.Fprintf(w, "The verification of %s has ended.\n", a.Name) },
	}.Command()
}

// chooseArray offers the arrays. If there is only one it skips the question.
func chooseArray(system raid.System, q *menu.Question) error {
	if q.Name != "name" {
		return nil
	}
	list, err := arrays(system)
	if err != nil {
		return err
	}
	for _, a := range list {
		q.Choices = append(q.Choices,
			menu.Choice{Value: a.Name,
				Label: fmt.Sprintf("%s (%s, %s)", a.Name, a.Level, captures.Bytes(int64(a.Bytes)))})
	}
	q.Open, q.Skip, q.Required, q.Default = true, len(list) == 1, len(list) > 1, list[0].Name
	return nil
}

// chosenArray returns the array with a name. With the name "" it returns the only array.
func chosenArray(system raid.System, name string) (raid.Array, error) {
	list, err := arrays(system)
	if err != nil {
		return raid.Array{}, err
	}
	if name == "" && len(list) == 1 {
		return list[0], nil
	}
	array, err := system.Array(name)
	return array, raidError(name, err)
}

func noArrays() error {
	return menu.Errorf(menu.Unsupported, "This machine has no RAID array that Linux manages").
		WithHint("The disks behind a RAID controller are the controller's to verify")
}

func raidError(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raid.ErrNoArray):
		return &menu.Error{Code: menu.NotFound, Argument: "name",
			Message: fmt.Sprintf("There is no array %q", menu.Clean(name))}
	case errors.Is(err, raid.ErrCannot):
		return &menu.Error{Code: menu.Unsupported, Argument: "name",
			Message: name + " has no redundancy, so there is nothing to compare"}
	case errors.Is(err, raid.ErrBusy):
		return menu.Errorf(menu.State, "%s is not in the state for that", name).
			WithHint("See what it does with: diagnostic raid tasks")
	case errors.Is(err, raid.ErrReadOnly):
		return menu.Errorf(menu.State, "%s is not open for writing, and then the kernel compares nothing", name).
			WithHint("Its state is shown by: diagnostic raid status")
	case errors.Is(err, raid.ErrDegraded):
		return menu.Errorf(menu.State, "%s lacks too many members: there is nothing left to compare", name).
			WithHint("See which with: diagnostic raid status")
	case errors.Is(err, raid.ErrNotBegun):
		return menu.Errorf(menu.Failed, "The kernel did not begin to verify %s", name).WithHint("Its log says why")
	case errors.Is(err, raid.ErrForbidden):
		return menu.Errorf(menu.Unsupported,
			"The appliance runs without the right to have arrays verified (CAP_SYS_ADMIN)").
			WithHint("Under systemd the unit diagsh-raid@.service, which has it, must be installed beside " +
				"diagsh.service")
	}
	return err
}
