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
	"diagsh/internal/confine"
	sshfront "diagsh/internal/front/ssh"
	"diagsh/internal/privsep"
)

// The descriptors that the front inherits: its control connection, then from firstListener on the
// listeners, in the order of its arguments.
const (
	controlDescriptor = 3
	firstListener     = 4
)

// sshListener is the name of the listener for SSH.
const sshListener = "ssh"

// front runs the process that faces the network, and returns the exit status. The process has no
// rights but the descriptors that it inherits, and ends with the appliance.
func front(names []string) int {
	nameProcess("diagsh-front")
	decode.Trim()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	inherited := os.NewFile(controlDescriptor, "appliance")
	own := ownUser(inherited)
	control, err := privsep.InheritControl(inherited, func() { os.Exit(exitFailed) })
	if err != nil || len(names) != 1 || names[0] != sshListener {
		fmt.Fprintln(os.Stderr, "diagsh: front is started by diagsh serve, with its listeners.")
		return exitUsage
	}
	handed := os.NewFile(firstListener, names[0])
	listener, err := net.FileListener(handed)
	handed.Close()
	if err == nil {
		err = confine.Front(own)
	}
	if err != nil {
		log.Error("the front could not be confined, so it did not begin", "error", err)
		return exitFailed
	}
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server, err := sshfront.New(ctx,
		sshfront.Options{Listener: listener, Appliance: sshAppliance{privsep.NewFront(control.Dial)}, Log: log})
	if err == nil {
		err = server.Serve(ctx)
	}
	if err != nil {
		log.Error("the front failed", "error", err)
		return exitFailed
	}
	return 0
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
