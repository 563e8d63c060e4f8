package main

import (
	"context"

	"diagsh/internal/api"
	sshfront "diagsh/internal/front/ssh"
)

// frontEnd is api's front end as front/ssh declares it.
type frontEnd struct{ *api.FrontEnd }

func (f frontEnd) Files(ctx context.Context, login string) (sshfront.Files, error) {
	session, err := f.FrontEnd.Files(ctx, login)
	return fileSession{session}, err
}

type fileSession struct{ *api.FileSession }

func (s fileSession) List() (sshfront.Listing, error) { return s.FileSession.List() }
