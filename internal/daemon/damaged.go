package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
)

// The appliance comes up without what a damaged file held, where that gives nobody more rights and
// takes nothing away for good: the file gets another name, and the log, the audit log and `status`
// say so. Two files end the start instead. Without users.json, an account of a directory server
// could take the place of one with fewer rights. Without commits.json, the certificates that only
// earlier commits name would be deleted, and what commits did to the machine could not be undone.

// lacking says what the appliance began without, by the name of the file that was damaged.
var lacking = map[string]string{
	"acme-account.json":   "the account at the CA",
	"captures.json":       "the captures of before, whose files are there and count as holding packet contents",
	"exports.json":        "the copies to targets that waited",
	"exportsettings.json": "the bounds of copies",
	"filters.json":        "the filters that users keep",
	"notes.json":          "the notes at packets",
	"passes.json":         "the key of passes, so that clients of Azure have to log in again",
	"reports.json":        "what is known of reports, whose files are there for administrators",
	"settings.json":       "the settings of captures",
	"targets.json":        "the targets of copies",
	"tokens.json":         "the API tokens",
	"visits.jsonl":        "the logins of its damaged lines",
}

// setAside tells of a damaged file. It is given to the rooms.
func (d *Daemon) setAside(damage store.Damage) {
	name, aside := filepath.Base(damage.Path), filepath.Base(damage.Aside)
	d.log.Error("a damaged file was set aside, and the appliance began without what it held",
		"file", name, "aside", aside, "lacking", lacking[name], "error", damage.Err)
	d.System(name, "The file was damaged and is set aside as "+aside+"; the appliance began without "+lacking[name], nil)
}

// asideFiles returns the paths of all files that were set aside and are still there. A file of
// another name is not the appliance's.
func (d *Daemon) asideFiles() ([]string, error) {
	list, err := store.AsideFiles(d.dir)
	more, e := store.AsideFiles(filepath.Join(d.dir, "certificates"))
	list = slices.DeleteFunc(append(list, more...), func(path string) bool { return lacking[store.FormerName(path)] == "" })
	return list, errors.Join(err, e)
}

// asideTrouble says in full sentences what the appliance began without. It does so until the owner
// of the machine has restored or removed the files.
func (d *Daemon) asideTrouble() (sentences []string) {
	list, err := d.asideFiles()
	if err != nil {
		d.log.Error("the data directory cannot be read", "error", err)
	}
	for _, path := range list {
		name := store.FormerName(path)
		sentences = append(sentences, name+" was damaged, and the appliance began without "+lacking[name]+
			". It is set aside as "+filepath.Base(path)+": restore it from a backup and restart, or remove that file.")
	}
	return sentences
}

// asideLosses lists the files that were set aside, for Reload, which removes them: they may hold
// secrets of who had the appliance before.
func (d *Daemon) asideLosses() ([]access.Loss, error) {
	list, err := d.asideFiles()
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return []access.Loss{{What: "damaged files that were set aside", Count: len(list)}}, nil
}

func (d *Daemon) removeAside() error {
	list, err := d.asideFiles()
	for _, path := range list {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
