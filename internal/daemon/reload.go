package daemon

import (
	"fmt"

	"diagsh/internal/access"
	"diagsh/internal/daemon/people"
	"diagsh/internal/menu"
)

// What going back to factory values leaves as it is: the audit log and the logins of the past,
// because nobody may take traces away; the host keys and the certificate of its own making, because a machine that they reach is the same
// one; what its owner put beside the data: configuration file, keys of admin.

// A resetter is a room that goes back to factory values. Its method Reset takes away what it lists.
type resetter interface {
	Losses() []access.Loss
}

// ReloadLosses lists what Reload takes away. files says that the diagnostic directory is emptied
// too.
func (d *Daemon) ReloadLosses(files bool) ([]access.Loss, error) {
	list, err := d.commitsRoom.Losses()
	if err != nil {
		return nil, err
	}
	for _, r := range []resetter{d.People, d.Table, d.portlogRoom, d.Queue, d.certificatesRoom} {
		list = append(list, r.Losses()...)
	}
	aside, err := d.asideLosses()
	list = append(list, aside...)
	if !files || err != nil {
		return list, err
	}
	usage, err := d.DirectoryUse()
	if err != nil {
		return nil, err
	}
	if usage.Files > 0 {
		detail := fmt.Sprintf("%d, captures and reports, %d bytes; captures that run are ended", usage.Files, usage.Bytes)
		list = append(list, access.Loss{What: "files of the diagnostic directory", Count: usage.Files, Detail: detail})
	}
	return list, nil
}

// Reload goes back to factory values. What can be refused comes first, and the accounts last. So
// after a failure on the way the caller can still log in and try again: repeating a step that was
// done changes nothing.
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
		{"delete the certificates", d.certificatesRoom.Reset},
		{"remove the damaged files that were set aside", d.removeAside},
		{"empty the diagnostic directory", func() error {
			if !files {
				return nil
			}
			return d.deleteFiles(caller)
		}},
		{"reset the settings of the port log", d.portlogRoom.Reset},
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
	failure.Hint = "Accounts and passwords are as before, what comes before this step is reset already. " +
		"Remove the cause, which the log tells, and reload again"
	return &failure
}

// deleteFiles ends all captures and the port log, and empties the diagnostic directory.
func (d *Daemon) deleteFiles(caller menu.Caller) error {
	if err := d.DeleteCaptures(caller); err != nil {
		return err
	}
	if err := d.EndPortLog(caller); err != nil {
		return err
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
