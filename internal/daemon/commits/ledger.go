package commits

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/config"
	"diagsh/internal/daemon/store"
	"diagsh/internal/netconf"
)

// keptCommits are those whose configurations can be brought back, beside the one that holds.
const keptCommits = 10

// A ledger is what of the configuration is on the disk. Its file is replaced as a whole, so all of
// it changes in one step. A ledger that was given away is not changed any more: clone comes first.
type ledger struct {
	file store.JSON[ledger]

	// Commits are the last ones, the oldest first. The last one's configuration holds. There is at
	// least one.
	Commits []keptCommit `json:"commits"`
	// Applying is there from before the first step of a commit until after its last: a
	// configuration of which something may be on the machine although another one holds.
	Applying *documentText `json:"applying,omitempty"`
	// Baseline is what settings of the machine were before the first commit that changed them, and
	// become when none says otherwise.
	Baseline []baselineSetting `json:"baseline"`
	// Lost is what the kernel forgot with changes that commits made. It is here before the kernel
	// forgets it, and until the machine has it again.
	Lost []loss `json:"lost,omitempty"`
}

// A documentText is a document as YAML.
type documentText string

func textOf(d config.Document) documentText { return documentText(d.YAML()) }

// document reads a text that this package wrote. What an older version wrote and this one does not
// know any more is left out.
func (t documentText) document() config.Document {
	d, _, _ := config.Parse([]byte(t))
	return d
}

type keptCommit struct {
	config.Commit
	Document documentText `json:"document"`
}

// UnmarshalJSON also takes the names that members had in ledgers of builds before 0.1.
func (k *keptCommit) UnmarshalJSON(b []byte) error {
	type members keptCommit
	former := struct {
		*members
		Number *int       `json:"commit"`
		Until  *time.Time `json:"confirmUntil"`
	}{members: (*members)(k)}
	if err := json.Unmarshal(b, &former); err != nil {
		return err
	}
	if former.Number != nil {
		k.Number = *former.Number
	}
	if former.Until != nil {
		k.Until = former.Until
	}
	return nil
}

func (k keptCommit) document() config.Document { return k.Document.document() }

type baselineSetting struct {
	Section string `json:"section"`
	Name    string `json:"name,omitempty"`
	Field   string `json:"field,omitempty"`
	Value   string `json:"value"`
}

// readLedger reads the ledger. Where there is none, the factory's configuration holds.
func readLedger(path string) (ledger, error) {
	l := ledger{file: store.JSON[ledger]{Path: path, Version: 1}}
	known, err := l.file.Load(&l)
	if err == nil && !known {
		l.Commits = []keptCommit{{Commit: config.Commit{Time: time.Now().UTC().Truncate(time.Second), User: access.System, Comment: "Factory values", Changes: []config.Change{}, Kept: true}, Document: textOf(nil)}}
		return l, nil
	}
	if err == nil && len(l.Commits) == 0 {
		err = fmt.Errorf("%s is damaged: it holds no commits", path)
	}
	return l, err
}

// write replaces the file.
func (l ledger) write() error {
	return l.file.Store(l)
}

func (l ledger) clone() ledger {
	l.Commits, l.Baseline, l.Lost = slices.Clone(l.Commits), slices.Clone(l.Baseline), slices.Clone(l.Lost)
	return l
}

// last is the commit whose configuration holds.
func (l ledger) last() *keptCommit { return &l.Commits[len(l.Commits)-1] }

func (l ledger) running() config.Document { return l.last().document() }

// append adds a commit, whose configuration holds from now on.
func (l *ledger) append(c config.Commit, d config.Document) {
	l.Commits = append(l.Commits, keptCommit{c, textOf(d)})
	if n := len(l.Commits) - (keptCommits + 1); n > 0 {
		l.Commits = l.Commits[n:]
	}
}

// rollBack makes the configuration before the last commit hold, by a commit of the appliance
// itself. comment has the number in it.
func (l *ledger) rollBack(comment string) {
	last := l.last()
	before := l.Commits[len(l.Commits)-2].document()
	last.Until = nil
	l.append(config.Commit{Number: last.Number + 1, Time: time.Now().UTC().Truncate(time.Second), User: access.System,
		Comment: fmt.Sprintf(comment, last.Number), Changes: config.Changes(last.document(), before), Kept: true}, before)
}

// baseline is what a setting becomes when the configuration does not say.
func (l ledger) baseline() config.Document {
	d := config.Document{}
	for _, b := range l.Baseline {
		d[config.Path{Section: b.Section, Name: b.Name, Field: b.Field}] = b.Value
	}
	return d
}

// remember keeps what the machine has of settings that are changed for the first time.
func (l *ledger) remember(changes []config.Change, state netconf.State) {
	known := l.baseline()
	present := presentSettings(state)
	for _, c := range changes {
		if c.Path.Field == "mtu" {
			defer l.configured(c)
		}
		if _, ok := known[c.Path]; ok || present[c.Path] == "" {
			continue
		}
		value := present[c.Path]
		if mtu := l.before(c.Path.Name); c.Path.Field == "mtu" && mtu != 0 {
			value = strconv.Itoa(mtu)
		}
		l.Baseline = append(l.Baseline, baselineSetting{c.Path.Section, c.Path.Name, c.Path.Field, value})
	}
}

// presentSettings is the machine's state as a document would have it. Whether the loopback
// interface has an address or ARP replies are rejected is nothing to come back to: the machine has
// neither by itself.
func presentSettings(state netconf.State) config.Document {
	d := config.Document{}
	for _, l := range state.Links {
		d[config.MTUOf(l.Name)] = strconv.Itoa(l.MTU)
		if l.Media != nil {
			d[config.MediaOf(l.Name)] = l.Media.Current
		}
	}
	return d
}

func makeFolder(path string) error { return os.MkdirAll(path, 0o700) }
