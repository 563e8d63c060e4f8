package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"diagsh/capture/decode"
	"diagsh/internal/access"
	"diagsh/internal/api"
	"diagsh/internal/confine"
	sshfront "diagsh/internal/front/ssh"
	"diagsh/internal/spawn"
)

// The descriptors that the front inherits: its control connection, and from firstListener on the
// listeners that its arguments name.
const (
	controlDescriptor = 3
	firstListener     = 4
)

// sshListener is the name of the listener for SSH.
const sshListener = "ssh"

// front runs the process that faces the network. It has no rights but those that it inherits by
// descriptors, and ends with the appliance.
func front(names []string) int {
	nameProcess("diagsh-front")
	decode.Trim()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	inherited := os.NewFile(controlDescriptor, "appliance")
	own := ownUser(inherited)
	control, err := api.InheritControl(inherited, func() { os.Exit(exitFailed) })
	if err != nil || len(names) != 1 || names[0] != sshListener {
		fmt.Fprintln(os.Stderr, "diagsh: front is started by diagsh serve, for its listeners.")
		return exitUsage
	}
	handed := os.NewFile(firstListener, names[0])
	listener, err := net.FileListener(handed)
	handed.Close()
	if err == nil {
		err = confine.Front(own)
	}
	if err != nil {
		log.Error("what listens on the network could not be confined, so it does not begin", "error", err)
		return exitFailed
	}
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server, err := sshfront.New(ctx,
		sshfront.Options{Listener: listener, FrontEnd: frontEnd{api.NewFrontEnd(control.Dial)}, Log: log})
	if err == nil {
		err = server.Serve(ctx)
	}
	if err != nil {
		log.Error("what listens on the network failed", "error", err)
		return exitFailed
	}
	return 0
}

// frontEnd is api's front end as front/ssh declares it. What could not be had is nil, and no
// interface that holds a nil pointer.
type frontEnd struct{ *api.FrontEnd }

func (f frontEnd) Spawn(ctx context.Context, login string, program access.Program) (sshfront.Running, error) {
	running, err := f.FrontEnd.Spawn(ctx, login, program)
	if err != nil {
		return nil, err
	}
	return running, nil
}

func (f frontEnd) Files(ctx context.Context, login string) (sshfront.Files, error) {
	session, err := f.FrontEnd.Files(ctx, login)
	if err != nil {
		return nil, err
	}
	return fileSession{session}, nil
}

func (f frontEnd) Client(ctx context.Context) (sshfront.Client, error) {
	client, err := f.FrontEnd.Client(ctx)
	if err != nil {
		return nil, err
	}
	return client, nil
}

type fileSession struct{ *api.FileSession }

func (s fileSession) List() (sshfront.Listing, error) {
	listing, err := s.FileSession.List()
	if err != nil {
		return nil, err
	}
	return listing, nil
}

// spawner is spawn's spawner as api declares it.
type spawner struct{ *spawn.Spawner }

func (s spawner) Start(program access.Program, connection *os.File) (api.Child, error) {
	process, err := s.Spawner.Start(program, connection)
	if err != nil {
		return nil, err
	}
	return process, nil
}
