package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"diagsh/assets"
	"diagsh/capture/decode"
	"diagsh/commands"
	"diagsh/internal/access"
	"diagsh/internal/confine"
	"diagsh/internal/front/https"
	sshfront "diagsh/internal/front/ssh"
	"diagsh/internal/privsep"
)

// The descriptors that the front inherits: its control connection, then from firstListener on the
// listeners, in the order of its arguments.
const (
	controlDescriptor = 3
	firstListener     = 4
)

// front runs the process that faces the network, and returns the exit status. The process has no
// rights but the descriptors that it inherits, and ends with the appliance.
func front(names []string) int {
	nameProcess("diagsh-front")
	decode.Trim()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	inherited := os.NewFile(controlDescriptor, "appliance")
	own := ownUser(inherited)
	control, err := privsep.InheritControl(inherited, func() { os.Exit(exitFailed) })
	var network map[string]net.Listener
	if err == nil {
		network, err = inheritListeners(names)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "diagsh: front is started by diagsh serve, with its listeners.")
		return exitUsage
	}
	err = confine.Front(own)
	if err != nil {
		log.Error("the front could not be confined, so it did not begin", "error", err)
		return exitFailed
	}
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := serveNetwork(ctx, network, privsep.NewFront(control.Dial), log); err != nil {
		log.Error("the front failed", "error", err)
		return exitFailed
	}
	return 0
}

// inheritListeners returns the listeners that the process inherited, by their names.
func inheritListeners(names []string) (map[string]net.Listener, error) {
	network := map[string]net.Listener{}
	for n, name := range names {
		handed := os.NewFile(firstListener+uintptr(n), name)
		listener, err := net.FileListener(handed)
		handed.Close()
		if err != nil {
			return nil, err
		}
		network[name] = listener
	}
	if network[sshListener] == nil {
		return nil, errors.New("there is no listener for SSH")
	}
	return network, nil
}

// serveNetwork serves SSH, and HTTPS if there is a listener for it, until ctx is done or one of them
// fails.
func serveNetwork(ctx context.Context, network map[string]net.Listener, front *privsep.Front, log *slog.Logger) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ssh, err := sshfront.New(ctx,
		sshfront.Options{Listener: network[sshListener], Appliance: sshAppliance{front}, Log: log})
	if err != nil {
		return err
	}
	serve := []func(context.Context) error{ssh.Serve}
	if listener := network[httpsListener]; listener != nil {
		azure, err := front.Azure(ctx)
		if err != nil {
			return err
		}
		web, err := https.New(https.Options{Listener: listener, Appliance: httpsAppliance{front}, Page: assets.Page(),
			Probes: commands.Senders, Azure: azure, Log: log})
		if err != nil {
			return err
		}
		serve = append(serve, web.Serve)
	}
	ended := make(chan error, len(serve))
	for _, one := range serve {
		go func() {
			ended <- one(ctx)
			stop() // the front is one process: another takes the place of all of it
		}()
	}
	var all error
	for range serve {
		all = errors.Join(all, <-ended)
	}
	return all
}

// An httpsAppliance is privsep's front with the results that front/https declares.
type httpsAppliance struct{ *privsep.Front }

func (a httpsAppliance) Client(ctx context.Context) (https.Client, error) {
	client, err := a.Front.Client(ctx)
	if err != nil {
		return nil, err
	}
	return client, nil
}

// An sshAppliance is privsep's front with the results that front/ssh declares. On an error its
// methods return a nil interface, never an interface that holds a nil pointer.
type sshAppliance struct{ *privsep.Front }

func (a sshAppliance) Spawn(ctx context.Context, login string, program access.Program) (sshfront.Running, error) {
	running, err := a.Front.Spawn(ctx, login, program)
	if err != nil {
		return nil, err
	}
	return running, nil
}

func (a sshAppliance) Files(ctx context.Context, login string) (sshfront.Files, error) {
	session, err := a.Front.Files(ctx, login)
	if err != nil {
		return nil, err
	}
	return fileSession{session}, nil
}

func (a sshAppliance) Client(ctx context.Context) (sshfront.Client, error) {
	client, err := a.Front.Client(ctx)
	if err != nil {
		return nil, err
	}
	return client, nil
}

// A fileSession is privsep's file session with the results that front/ssh declares.
type fileSession struct{ *privsep.FileSession }

func (s fileSession) List() (sshfront.Listing, error) {
	listing, err := s.FileSession.List()
	if err != nil {
		return nil, err
	}
	return listing, nil
}
