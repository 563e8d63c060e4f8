package main

import (
	"context"
	"os"

	"diagsh/internal/access"
	"diagsh/internal/api"
	sshfront "diagsh/internal/front/ssh"
	"diagsh/internal/spawn"
)

// frontEnd is api's front end as front/ssh declares it.
type frontEnd struct{ *api.FrontEnd }

func (f frontEnd) Spawn(ctx context.Context, login string, program access.Program) (sshfront.Running, error) {
	return f.FrontEnd.Spawn(ctx, login, program)
}

func (f frontEnd) Files(ctx context.Context, login string) (sshfront.Files, error) {
	session, err := f.FrontEnd.Files(ctx, login)
	return fileSession{session}, err
}

func (f frontEnd) Client(ctx context.Context) (sshfront.Client, error) { return f.FrontEnd.Client(ctx) }

type fileSession struct{ *api.FileSession }

func (s fileSession) List() (sshfront.Listing, error) { return s.FileSession.List() }

// spawner is spawn's spawner as api declares it.
type spawner struct{ *spawn.Spawner }

func (s spawner) Start(program access.Program, connection *os.File) (api.Child, error) {
	return s.Spawner.Start(program, connection)
}
