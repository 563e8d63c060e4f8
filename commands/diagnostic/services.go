package diagnostic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"time"

	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/tables"
	"diagsh/diag/processes"
	"diagsh/diag/services"
	"diagsh/diag/systemd"
	"diagsh/internal/menu"
)

// A catalogueService knows the services of the appliance.
type catalogueService interface {
	Services() (services.Catalogue, error)
	Logger() *slog.Logger
}

// servicesMenu returns diagnostic > services.
func servicesMenu(s catalogueService) *menu.Menu {
	return &menu.Menu{
		Name: "services",
		Help: "Service Utilities.",
		Items: []menu.Item{
			serviceStatus(s),
			serviceRestart(s),
		},
	}
}

// A serviceState is a service as it is now.
type serviceState struct {
	Name        string     `json:"name"`
	Description string     `json:"description"`
	System      bool       `json:"system"`
	State       string     `json:"state"`          // running, stopped, failed, starting, stopping
	Unit        string     `json:"unit,omitempty"` // of systemd; none: the state is that of the processes
	Since       *time.Time `json:"sinceTime,omitempty"`
	PIDs        []int      `json:"pids"`
	Memory      int64      `json:"memory"`             // resident, in bytes, of the processes together
	Restarts    int        `json:"restarts,omitempty"` // that systemd did by itself
}

type serviceStatusArgs struct {
	Service string `arg:"name,positional:1" alias:"service" help:"Name of a service; without it, those that are there."`
	All     bool   `arg:"all" default:"no" help:"Those too that are neither installed nor running."`
}

func serviceStatus(s catalogueService) *menu.Command {
	return menu.Decl[serviceStatusArgs, serviceState]{
		Name: "status",
		Help: "Show the state of the services.",
		Details: "Where systemd runs, the state is that of the service's unit; elsewhere it is that of the processes " +
			"of its name.",
		Role:    menu.ReadOnly,
		Shows:   true,
		Suggest: suggestServices(s),
		Run: func(ctx context.Context, _ menu.Caller, a serviceStatusArgs, out *menu.Out[serviceState]) error {
			catalogue, err := s.Services()
			if err != nil {
				return err
			}
			chosen := catalogue
			if a.Service != "" {
				one, err := named(catalogue, a.Service)
				if err != nil {
					return err
				}
				chosen = services.Catalogue{*one}
			}
			for _, state := range serviceStates(ctx, chosen) {
				if a.Service == "" && !a.All && state.Unit == "" && len(state.PIDs) == 0 {
					continue
				}
				if err := out.Record(state); err != nil {
					return err
				}
			}
			return ctx.Err()
		},
		TextTable: servicesTable,
	}.Command()
}

func named(catalogue services.Catalogue, name string) (*services.Service, error) {
	if one := catalogue.Named(name); one != nil {
		return one, nil
	}
	var names []string
	for _, s := range catalogue {
		names = append(names, s.Name)
	}
	e := &menu.Error{Code: menu.NotFound, Argument: "name",
		Message: fmt.Sprintf("There is no service %q in the catalogue", menu.Clean(name))}
	if near := menu.Nearest(name, names); near != "" {
		return nil, e.WithHint("Did you mean %s?", near)
	}
	return nil, e.WithHint("diagnostic services status all yes lists all")
}

func suggestServices(
	s catalogueService,
) func(context.Context, menu.Caller, serviceStatusArgs, string, string) []menu.Choice {
	return func(_ context.Context, _ menu.Caller, _ serviceStatusArgs, name, _ string) (list []menu.Choice) {
		catalogue, err := s.Services()
		if name != "name" || err != nil {
			return nil
		}
		for _, one := range catalogue {
			list = append(list, menu.Choice{Value: one.Name, Help: one.Description})
		}
		return list
	}
}

// serviceStates returns the states of services, from units and processes. If one of these two
// sources does not answer, it takes what the other one knows.
func serviceStates(ctx context.Context, catalogue services.Catalogue) []serviceState {
	var manager unitManager
	if m, err := systemd.Open(ctx); err == nil {
		defer m.Close()
		manager = m
	}
	running, _ := processes.List(ctx)
	var list []serviceState
	for i := range catalogue {
		list = append(list, stateOf(ctx, &catalogue[i], manager, running))
	}
	slices.SortStableFunc(list, func(a, b serviceState) int {
		if a.System != b.System {
			return map[bool]int{true: -1, false: 1}[a.System]
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return list
}

func stateOf(ctx context.Context, s *services.Service, manager unitManager, running []processes.Process) serviceState {
	state := serviceState{Name: s.Name, Description: s.Description, System: s.System, State: "stopped", PIDs: []int{}}
	for _, p := range running {
		if !s.Has(p.Name) || p.State == 'Z' {
			continue
		}
		state.State = "running"
		state.PIDs = append(state.PIDs, p.PID)
		state.Memory += p.Memory
		if since := p.Started.UTC().Truncate(time.Second); state.Since == nil || since.Before(*state.Since) {
			state.Since = &since
		}
	}
	slices.Sort(state.PIDs)
	if manager == nil {
		return state
	}
	found, err := manager.Find(ctx, s.Units)
	if err != nil || len(found) == 0 {
		return state
	}
	u := found[0]
	state.Unit, state.Restarts, state.Since = u.Name, u.Restarts, nil
	if !u.Since.IsZero() {
		since := u.Since.UTC().Truncate(time.Second)
		state.Since = &since
	}
	if u.Memory > 0 {
		state.Memory = u.Memory
	}
	state.State = cmp.Or(map[string]string{"active": "running", "reloading": "running", "inactive": "stopped",
		"failed": "failed", "activating": "starting", "deactivating": "stopping"}[u.Active], state.State)
	return state
}

func servicesTable(w io.Writer, list []serviceState) {
	t := tables.Table{Head: []string{"SERVICE", "STATE", "SINCE", "PROCESSES", "MEMORY", "UNIT", "DESCRIPTION"},
		Spare: []string{"UNIT"}}
	for _, s := range list {
		since, unit, memory := "-", "-", "-"
		if s.Since != nil {
			since = tables.Whole(menu.UTC(*s.Since))
		}
		if s.Unit != "" {
			unit = s.Unit
		}
		if s.Memory > 0 {
			memory = tables.Whole(captures.Bytes(s.Memory))
		}
		t.Add(menu.Clean(s.Name), s.State, since, strconv.Itoa(len(s.PIDs)), memory, menu.Clean(unit),
			menu.Clean(s.Description))
	}
	t.Write(w)
}

type serviceRestartArgs struct {
	Service string       `arg:"name,positional:1,required" alias:"service" ask:"Choose the service to restart" help:"Name of the service."`
	Confirm menu.Confirm `arg:"confirm" ask:"Restart it?" help:"Say yes: users of the service are cut off."`
}

func serviceRestart(s catalogueService) *menu.Command {
	return menu.Decl[serviceRestartArgs, serviceState]{
		Name:    "restart",
		Help:    "Restart a service.",
		Details: "Only systemd can do that; where it does not run, services are not the appliance's to restart.",
		Role:    menu.Administrator,
		Shape:   menu.Object,
		Ask: func(ctx context.Context, _ menu.Caller, a serviceRestartArgs, q *menu.Question) error {
			return askRestart(ctx, s, a, q)
		},
		Run: func(ctx context.Context, _ menu.Caller, a serviceRestartArgs, out *menu.Out[serviceState]) error {
			return restart(ctx, s, a.Service, out)
		},
		TextTable: servicesTable,
	}.Command()
}

// askRestart offers the services that have a unit. It returns an error before the first question if
// no service can be restarted.
func askRestart(ctx context.Context, s catalogueService, a serviceRestartArgs, q *menu.Question) error {
	if q.Name == "confirm" {
		q.Text = fmt.Sprintf("Restart %s? Its users are cut off.", menu.Clean(a.Service))
		if a.Service == ownService {
			q.Text = "Restart the appliance itself? This ends all sessions and captures."
		}
		return nil
	}
	manager, catalogue, err := openServices(ctx, s)
	if err != nil {
		return err
	}
	defer manager.Close()
	for _, one := range catalogue {
		if found, err := manager.Find(ctx, one.Units); err == nil && len(found) > 0 {
			q.Choices = append(q.Choices,
				menu.Choice{Value: one.Name, Label: fmt.Sprintf("%s (%s)", one.Name, found[0].Active)})
		}
	}
	q.Open = true
	return nil
}

// ownService is the name of the appliance in the catalogue.
const ownService = "diagsh"

// A unitManager restarts units. It is systemd, except in tests.
type unitManager interface {
	Find(ctx context.Context, names []string) ([]systemd.Unit, error)
	Restart(ctx context.Context, name string) error
}

func openServices(ctx context.Context, s catalogueService) (*systemd.Manager, services.Catalogue, error) {
	catalogue, err := s.Services()
	if err != nil {
		return nil, nil, err
	}
	manager, err := systemd.Open(ctx)
	if err != nil {
		return nil, nil, menu.Errorf(menu.Unsupported,
			"No systemd answers on this machine, so services cannot be restarted from here").
			WithHint("Restart it the way it was started")
	}
	return manager, catalogue, nil
}

func restart(ctx context.Context, s catalogueService, name string, out *menu.Out[serviceState]) error {
	manager, catalogue, err := openServices(ctx, s)
	if err != nil {
		return err
	}
	defer manager.Close()
	one, err := named(catalogue, name)
	if err != nil {
		return err
	}
	return restartUnit(ctx, manager, one, s.Logger(), out)
}

func restartUnit(ctx context.Context, manager unitManager, one *services.Service, log *slog.Logger,
	out *menu.Out[serviceState]) error {
	found, err := manager.Find(ctx, one.Units)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return &menu.Error{Code: menu.NotFound, Argument: "name",
			Message: "The service " + one.Name + " is not installed as a unit of systemd"}
	}
	unit := found[0].Name
	if found[0].PID == os.Getpid() {
		return restartOurselves(ctx, unit, one, manager, log, out)
	}
	out.Progress("Restarting %s", unit)
	if err := manager.Restart(ctx, unit); err != nil {
		return restartError(one.Name, err)
	}
	if err := stays(ctx, manager, one.Name, unit, out); err != nil {
		return err
	}
	running, err := processes.List(ctx)
	if err != nil {
		return err
	}
	out.Printf("%s was restarted.\n", one.Name)
	return out.Record(stateOf(ctx, one, manager, running))
}

const (
	// settleTime is how long a restarted unit is watched. systemd calls most units started as soon
	// as there is a process, which may find a fault in its configuration a moment later.
	settleTime  = 2 * time.Second
	settleEvery = 100 * time.Millisecond
)

// stays returns an error unless a restarted unit keeps running for settleTime. A unit that has done
// its work and ended well counts as running. If systemd has started a failed unit again, the reason
// of its end is lost with that start, so stays waits until it ends once more.
func stays(ctx context.Context, manager unitManager, name, unit string, out *menu.Out[serviceState]) error {
	out.Progress("Watching whether %s stays", unit)
	ticks := time.NewTicker(settleEvery)
	defer ticks.Stop()
	end := time.After(settleTime)
	restarts, ended := -1, false
	for {
		found, err := manager.Find(ctx, []string{unit})
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return menu.Errorf(menu.Failed, "%s is not installed as a unit of systemd any more", name)
		}
		u := found[0]
		if restarts < 0 {
			restarts = u.Restarts
		}
		if u.Active == "failed" || u.Sub == "auto-restart" || u.Restarts > restarts {
			ended = true
			if u.Result != "" && u.Result != "success" {
				return endedAtOnce(name, fmt.Sprintf(" (%s)", menu.Clean(u.Result)))
			}
		}
		select {
		case <-ticks.C:
		case <-end:
			if ended {
				return endedAtOnce(name, "")
			}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func endedAtOnce(name, why string) error {
	return menu.Errorf(menu.Failed, "%s was restarted and ended at once%s", name, why).
		WithHint("The journal of this machine says why")
}

// answerTime is how long the answer to the user who restarts the appliance may take on its way.
const answerTime = 500 * time.Millisecond

// restartOurselves has systemd restart the appliance after answerTime, because the restart would
// cut this command off before its answer.
func restartOurselves(ctx context.Context, unit string, one *services.Service, manager unitManager, log *slog.Logger,
	out *menu.Out[serviceState]) error {
	running, err := processes.List(ctx)
	if err != nil {
		return err
	}
	out.Printf("The appliance is restarted now. All sessions end; persistent captures continue when it is back.\n")
	if err := out.Record(stateOf(ctx, one, manager, running)); err != nil {
		return err
	}
	context.AfterFunc(ctx, func() {
		time.AfterFunc(answerTime, func() {
			if err := restartLater(unit); err != nil {
				log.Error("systemd did not restart the appliance, as an administrator had asked", "error", err)
			}
		})
	})
	return nil
}

// restartLater asks systemd over a connection of its own, because the command's is closed by then.
func restartLater(unit string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	manager, err := systemd.Open(ctx)
	if err != nil {
		return err
	}
	defer manager.Close()
	return manager.RestartLater(ctx, unit)
}

func restartError(name string, err error) error {
	var job *systemd.JobError
	switch {
	case errors.Is(err, systemd.ErrForbidden):
		return menu.Errorf(menu.Failed, "systemd does not let the appliance restart services").
			WithHint("The appliance must run as root for that")
	case errors.Is(err, systemd.ErrMasked):
		return menu.Errorf(menu.State, "%s is masked: it cannot be started", name).
			WithHint("The administrator of this machine unmasks it with: systemctl unmask")
	case errors.Is(err, systemd.ErrNoUnit):
		return menu.Errorf(menu.NotFound, "%s is not installed as a unit of systemd", name)
	case errors.As(err, &job):
		return menu.Errorf(menu.Failed, "The restart of %s ended with %q", name, menu.Clean(job.Result)).
			WithHint("The journal of this machine says why")
	}
	return err
}
