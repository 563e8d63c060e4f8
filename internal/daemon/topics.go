package daemon

import (
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/feed"
	"diagsh/internal/menu"
)

// The topics of what is told to those who listen. Each is the Topic of the command that lists the
// same things, but for filesTopic, which is about the diagnostic directory.
const (
	capturesTopic  = "captures"
	settingsTopic  = "settings"
	exportsTopic   = "exports"
	targetsTopic   = "targets"
	notesTopic     = "notes"
	portlogTopic   = "portlog"
	filesTopic     = access.FilesTopic
	reportsTopic   = "reports"
	sessionsTopic  = "sessions"
	accountsTopic  = "accounts"
	tokensTopic    = "tokens"
	commitsTopic   = "commits"
	candidateTopic = "candidate"
)

// A named is what is told of things whose contents are not for everyone who may know that they
// changed: they are to be listed anew.
type named struct {
	Name string `json:"name"`
}

func onlyName(name string) (any, bool) { return named{name}, true }

// told makes a Read of a look-up.
func told[R any](find func(name string) (R, bool)) func(string) (any, bool) {
	return func(name string) (any, bool) {
		r, there := find(name)
		return r, there
	}
}

// addTopics tells the feed how what its rooms told is read.
func (d *Daemon) addTopics() {
	for _, t := range []feed.Topic{
		{Name: capturesTopic, Read: told(d.Brief), Running: d.RunningNames},
		{Name: settingsTopic, Read: onlyName},
		{Name: exportsTopic, Read: told(d.Copy), Running: d.Sending},
		{Name: targetsTopic, Read: func(name string) (any, bool) { return named{name}, d.CheckTarget(name) == nil }},
		{Name: notesTopic, Read: onlyName},
		{Name: portlogTopic, Read: func(string) (any, bool) { return d.PortLogStatus(), true }},
		{Name: filesTopic, Read: told(func(name string) (access.File, bool) {
			f, err := d.StatFile(name)
			return f, err == nil
		})},
		{Name: reportsTopic, Read: told(d.reportUpdate)},
		{Name: sessionsTopic, Read: told(d.Session)},
		{Name: accountsTopic, Read: func(name string) (any, bool) { return named{name}, d.known(name) }},
		{Name: tokensTopic, Private: true, Read: onlyName},
		{Name: commitsTopic, Read: func(string) (any, bool) { return d.commitUpdate(), true }},
		{Name: candidateTopic, Private: true, Read: func(user string) (any, bool) { return d.candidateUpdate(user), true }},
	} {
		d.feedRoom.Add(t)
	}
}

// tokensTeller tells users that their own tokens are others, and administrators, who list those of
// all, that something of the account is.
func (d *Daemon) tokensTeller() access.Teller {
	own, accounts := d.Teller(tokensTopic), d.Teller(accountsTopic)
	return func(users ...string) {
		own.Changed(users...)
		accounts.Changed(users...)
	}
}

func (d *Daemon) known(user string) bool {
	_, err := d.Account(user)
	return err == nil
}

// A reportUpdate is what is told of a report, with the names of access.Report.
type reportUpdate struct {
	Name  string    `json:"name"`
	Time  time.Time `json:"time"`
	Owner string    `json:"owner"`
	Bytes int64     `json:"bytes"`
	Case  string    `json:"caseNumber,omitempty"`
	Role  menu.Role `json:"role"`
}

func (d *Daemon) reportUpdate(name string) (reportUpdate, bool) {
	r, there := d.Report(name)
	return reportUpdate{r.Name, r.Time, r.Owner, r.Bytes, r.Case, r.Role}, there
}

// A commitUpdate is the last commit, with the names of config.Commit.
type commitUpdate struct {
	Number  int       `json:"number"`
	Time    time.Time `json:"time"`
	User    string    `json:"user"`
	Comment string    `json:"comment"`

	// Until is when the commit is rolled back unless it is confirmed, and SecondsLeft how far off
	// that is, for readers whose clocks differ.
	Until       *time.Time `json:"confirmUntilTime,omitempty"`
	SecondsLeft *float64   `json:"confirmSecondsLeft,omitempty"`
}

func (d *Daemon) commitUpdate() commitUpdate {
	last := d.LastCommit()
	u := commitUpdate{Number: last.Number, Time: last.Time, User: last.User, Comment: last.Comment, Until: last.Until}
	if last.Until != nil {
		left := max(0, time.Until(*last.Until).Seconds())
		u.SecondsLeft = &left
	}
	return u
}

// A candidateUpdate says how much a user has not committed yet.
type candidateUpdate struct {
	Changes    int `json:"changes"`
	Underneath int `json:"underneath"` // commits of others since the first of them
}

func (d *Daemon) candidateUpdate(user string) candidateUpdate {
	changes, underneath := d.commitsRoom.Pending(user)
	return candidateUpdate{Changes: changes, Underneath: underneath}
}
