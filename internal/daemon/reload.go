package daemon

import (
	"fmt"
	"strings"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/daemon/people"
	"diagsh/internal/menu"
)

// What going back to factory values leaves as it is: the audit log and the logins of the past,
// because nobody may take traces away; the host keys, because a machine that they reach is the same
// one; what its owner put beside the data: configuration file, keys of admin.

// ReloadLosses lists what Reload takes away. files says that the diagnostic directory is emptied
// too.
func (d *Daemon) ReloadLosses(files bool) ([]access.Loss, error) {
	var list []access.Loss
	add := func(what string, count int, detail string) {
		if count > 0 {
			list = append(list, access.Loss{What: what, Count: count, Detail: detail})
		}
	}
	changed, err := d.commitsRoom.Losses()
	if err != nil {
		return nil, err
	}
	list = append(list, changed...)
	var names []string
	for _, a := range d.Accounts() {
		names = append(names, a.User)
	}
	add("accounts, with passwords, keys and histories", len(names), strings.Join(names, ", ")+"; "+people.FirstAdministrator+" is made anew with another password")
	list = append(list, d.Table.Losses()...)
	list = append(list, d.Queue.Losses()...)
	if files {
		usage, err := d.DirectoryUse()
		if err != nil {
			return nil, err
		}
		add("files of the diagnostic directory", usage.Files, fmt.Sprintf("%d, captures and reports, %d bytes; captures that run are ended", usage.Files, usage.Bytes))
	}
	return list, nil
}

// Reload goes back to factory values. What can be refused comes first, and the accounts last, so
// that whoever meets a failure on the way can still come in and try again: every step that was done
// is done, and doing it again changes nothing.
func (d *Daemon) Reload(caller menu.Caller, files bool) (access.Reload, error) {
	lost, err := d.ReloadLosses(files)
	if err != nil {
		return access.Reload{}, err
	}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"reset the configuration", func() error { return d.commitsRoom.Reset(caller) }},
		{"delete the saved configurations", d.DeleteSaved},
		{"reset the settings of captures", d.Table.Reset},
		{"forget the targets of captures", d.Queue.Reset},
		{"empty the diagnostic directory", func() error {
			if !files {
				return nil
			}
			return d.deleteFiles(caller)
		}},
	} {
		if err := step.do(); err != nil {
			return access.Reload{}, d.halfway(step.what, err)
		}
	}
	password, err := d.People.Reset(caller)
	if err != nil {
		return access.Reload{}, d.halfway("reset the accounts", err)
	}
	return access.Reload{Lost: lost, User: people.FirstAdministrator, Password: password}, nil
}

// halfway says that the appliance is between its values and the factory's, and how to go on.
func (d *Daemon) halfway(step string, err error) error {
	failure := *menu.AsError(menu.Failing(step, err))
	failure.Hint = "Accounts and passwords are as before, what comes before this step is reset already. Remove the cause, which the log tells, and reload again"
	return &failure
}

// deleteFiles ends all captures and empties the diagnostic directory.
func (d *Daemon) deleteFiles(caller menu.Caller) error {
	for _, s := range d.Captures() {
		if s.State == capture.Running {
			if _, err := d.StopCapture(caller, s.Name); err != nil {
				return err
			}
		}
		if err := d.DeleteCapture(caller, s.Name); err != nil {
			return err
		}
	}
	list, err := d.ListFiles()
	if err != nil {
		return err
	}
	for _, f := range list {
		if err := d.RemoveFile(caller, f.Name); err != nil {
			return err
		}
	}
	return nil
}
