// Package exports copies files of the diagnostic directory to other hosts. A Queue keeps the
// targets, the appliance's own key and the copies, and sends several files at a time: by a sender for
// each scheme of a URL. A copy resumes where an earlier one broke off, and counts as done only when
// the target is known to have the whole file. It knows files by their names and no capture.
package exports

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// Options are what a Queue needs of the rooms around it. Its functions are called without a lock of
// the Queue.
type Options struct {
	Dir string // the data directory
	Log *slog.Logger

	// OpenFile opens a finished file. An error of the kind NotFound ends its copy for good.
	OpenFile func(name string) (*os.File, error)
	// OpenJoined opens a copy of a file of packets that says their processes. It is gone when it is
	// closed.
	OpenJoined func(ctx context.Context, name string) (*os.File, error)
	// OpenManifest opens the list of the files of a capture, of which copies are the newest to the
	// target of e. It is gone when it is closed.
	OpenManifest func(e capture.Export, copies []capture.Export) (*os.File, error)
	// Hostname names the appliance in the comment of its key.
	Hostname func() string
	// System writes into the audit log.
	System func(path, message string, arguments map[string]string)

	// OnDone is told that the copy of a file is over, done or failed for good, when the disk knows
	// it too.
	OnDone func(file string)
	// OnAgain is told of a copy that was over and that a user begins anew. It may add copies.
	OnAgain func(e capture.Export, user string)
	// OnTargetGone is told that a target was deleted. Another one of its name has no file yet.
	OnTargetGone func(target string)

	// SetAside is told of damaged files. If it is nil, Open fails.
	SetAside func(store.Damage)

	// Tell tells of copies, by the names that copyName gives them. TellTargets tells of targets.
	Tell, TellTargets access.Teller
}

// A Queue is the targets that files are copied to, and the copies. Both survive a restart. Its
// methods may be called from any goroutine.
type Queue struct {
	o           Options
	targetsFile store.JSON[targetsFile] // with the secrets
	queueFile   store.JSON[queueFile]
	boundsFile  store.JSON[capture.ExportSettings]
	keyFile     string // the appliance's own SSH key

	wake chan struct{} // has room for one: the queue has changed
	stop context.CancelFunc
	over sync.WaitGroup // the goroutine that copies

	storing sync.Mutex // held while a file is written; taken before mu
	mu      sync.Mutex
	targets []storedTarget
	lost    bool            // a damaged file with targets was set aside: one that is not known may be in it,
	deleted map[string]bool // but for those that users deleted since
	queue   []*capture.Export
	resting map[string]time.Time // when targets that were not reachable are tried again
	running map[*capture.Export]*running

	// ending copies are over, but the disk does not know yet. furthest is how many bytes of a copy were
	// ever safe at its target, since the start of the appliance.
	ending   map[*capture.Export]bool
	furthest map[*capture.Export]int64

	setbacks map[*capture.Export]setback // of copies that made room for others
	turn     time.Duration

	bounds capture.ExportSettings
	all    *bucket            // of all copies together
	pace   map[string]*bucket // of those to one target, by its name
}

// A running copy is one that is under way.
type running struct {
	end    context.CancelCauseFunc
	meter  meter
	passed int64 // bytes that were read to be sent, or read back, since the try began
	safe   int64 // passed, when the target last had what came

	checked int64 // bytes that were read back since then

	since time.Time // when it was last seen whether it goes on, or the first bytes passed; zero: none did
	then  int64     // passed at that time
}

// firstBounds are those of a new appliance.
var firstBounds = capture.ExportSettings{Parallel: 4, PerTarget: 2, GiveUpSeconds: int64((72 * time.Hour).Seconds())}

// A storedTarget is a target with its secret.
type storedTarget struct {
	capture.Target
	Secret      string `json:"secret,omitempty"`
	ProxySecret string `json:"proxySecret,omitempty"`
}

type targetsFile struct {
	Targets []storedTarget `json:"targets"`
}

type queueFile struct {
	Exports []*capture.Export `json:"exports"`
}

// keptExports is how many copies that are over stay in the queue.
const keptExports = 1000

// Open reads the targets and the queue. Nothing is copied before Start.
func Open(o Options) (*Queue, error) {
	q := &Queue{
		o:           o,
		targetsFile: store.JSON[targetsFile]{Path: filepath.Join(o.Dir, "targets.json"), Version: 1, SetAside: o.SetAside},
		queueFile:   store.JSON[queueFile]{Path: filepath.Join(o.Dir, "exports.json"), Version: 1, SetAside: o.SetAside},
		boundsFile:  store.JSON[capture.ExportSettings]{Path: filepath.Join(o.Dir, "exportsettings.json"), Version: 1, SetAside: o.SetAside},
		keyFile:     filepath.Join(o.Dir, "export.key"),
		deleted:     map[string]bool{},
		wake:        make(chan struct{}, 1),
		stop:        func() {},
		resting:     make(map[string]time.Time),
		running:     make(map[*capture.Export]*running), ending: make(map[*capture.Export]bool), furthest: make(map[*capture.Export]int64),
		setbacks: make(map[*capture.Export]setback), turn: turn,
		bounds: firstBounds, all: &bucket{}, pace: make(map[string]*bucket),
	}
	if _, err := q.boundsFile.Load(&q.bounds); err != nil {
		return nil, err
	}
	q.all.setRate(q.bounds.BytesPerSecond)
	var targets targetsFile
	var queue queueFile
	if _, err := q.targetsFile.Load(&targets); err != nil {
		return nil, err
	}
	if _, err := q.queueFile.Load(&queue); err != nil {
		return nil, err
	}
	aside, err := store.AsideFiles(o.Dir)
	if err != nil {
		return nil, err
	}
	q.lost = slices.ContainsFunc(aside, func(path string) bool { return store.FormerName(path) == filepath.Base(q.targetsFile.Path) })
	q.targets = targets.Targets
	q.queue = slices.DeleteFunc(queue.Exports, func(e *capture.Export) bool { return e == nil })
	for _, e := range q.queue {
		if !finished(e) {
			// The oldest comes first again, even if it was tried in vain. The time that the appliance
			// was off is no time of trying.
			if e.State != capture.ExportPaused {
				e.State = capture.ExportWaiting
			}
			e.NextTry, e.Failing = time.Time{}, time.Time{}
		}
	}
	return q, nil
}

// Start begins to copy. It is called once, when what the functions of Options belong to is open.
func (q *Queue) Start() {
	ctx, stop := context.WithCancel(context.Background())
	q.stop = stop
	q.over.Go(func() { q.run(ctx) })
}

// Close ends the copies that are under way, which the next start resumes, and waits for that until ctx
// ends. Copies can still be added afterwards, for the next start.
func (q *Queue) Close(ctx context.Context) error {
	q.stop()
	over := make(chan struct{})
	go func() {
		q.over.Wait()
		close(over)
	}()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return errors.New("a copy to a target has not ended")
	}
}

// changeTargets makes the targets what edit returns of a copy of them, when the disk has them. If it
// cannot, or edit has an error, they stay as they were. edit is called with mu held.
func (q *Queue) changeTargets(edit func([]storedTarget) ([]storedTarget, error)) error {
	q.storing.Lock()
	defer q.storing.Unlock()
	q.mu.Lock()
	next, err := edit(slices.Clone(q.targets))
	q.mu.Unlock()
	if err != nil {
		return err
	}
	if err := q.targetsFile.Store(targetsFile{next}); err != nil {
		return menu.Failing("keep the targets", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.targets = next
	return nil
}

// saveQueue returns when the disk has the queue as it is now.
func (q *Queue) saveQueue() error {
	q.storing.Lock()
	defer q.storing.Unlock()
	q.mu.Lock()
	over := 0
	for i := len(q.queue) - 1; i >= 0; i-- {
		if !holds(q.queue[i]) && !q.ending[q.queue[i]] {
			if over++; over > keptExports {
				delete(q.furthest, q.queue[i])
				delete(q.setbacks, q.queue[i])
				q.queue = slices.Delete(q.queue, i, i+1)
			}
		}
	}
	data, err := q.queueFile.Encode(queueFile{q.queue})
	q.mu.Unlock()
	if err != nil {
		return err
	}
	return store.Replace(q.queueFile.Path, data)
}

// ExportKey returns the public key by which the appliance logs in at targets, in the form of
// authorized_keys(5). The first call makes it.
func (q *Queue) ExportKey() (string, error) {
	key, err := q.key()
	if err != nil {
		return "", menu.Failing("make the key for targets", err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey()))) + " diagsh@" + q.o.Hostname(), nil
}

func (q *Queue) key() (ssh.Signer, error) {
	q.storing.Lock()
	defer q.storing.Unlock()
	data, err := store.Read(q.keyFile)
	if err != nil {
		return nil, err
	}
	if data == nil {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		block, err := ssh.MarshalPrivateKey(private, "")
		if err != nil {
			return nil, err
		}
		data = pem.EncodeToMemory(block)
		if err := store.Replace(q.keyFile, data); err != nil {
			return nil, err
		}
	}
	return ssh.ParsePrivateKey(data)
}

// Losses lists what Reset takes away.
func (q *Queue) Losses() []access.Loss {
	var list []access.Loss
	q.mu.Lock()
	var targets []string
	for _, t := range q.targets {
		targets = append(targets, t.Name)
	}
	copies := 0
	for _, e := range q.queue {
		if holds(e) {
			copies++
		}
	}
	q.mu.Unlock()
	if len(targets) > 0 {
		list = append(list, access.Loss{What: "targets of captures, with their secrets", Count: len(targets), Detail: strings.Join(targets, ", ")})
	}
	if copies > 0 {
		list = append(list, access.Loss{What: "copies that wait", Count: copies, Detail: "files that are to be copied to a target"})
	}
	if _, err := os.Stat(q.keyFile); err == nil {
		list = append(list, access.Loss{What: "keys of the appliance", Count: 1, Detail: "the one that it logs in at targets by"})
	}
	return list
}

// Reset takes away the targets, the copies that wait or are under way, and the key: captures of the
// next owner are not the last one's.
func (q *Queue) Reset() error {
	q.storing.Lock()
	for _, path := range []string{q.targetsFile.Path, q.queueFile.Path, q.boundsFile.Path, q.keyFile} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			q.storing.Unlock()
			return err
		}
	}
	q.mu.Lock()
	targets, copies := q.targets, q.queue
	q.targets, q.queue, q.lost = nil, nil, false
	clear(q.deleted)
	clear(q.resting)
	clear(q.furthest)
	clear(q.setbacks)
	clear(q.pace)
	for _, r := range q.running {
		r.end(errInterrupted)
	}
	q.bounds = firstBounds
	q.all.setRate(q.bounds.BytesPerSecond)
	q.mu.Unlock()
	q.storing.Unlock()
	for _, t := range targets {
		q.o.OnTargetGone(t.Name)
		q.o.TellTargets.Changed(t.Name)
	}
	for _, e := range copies {
		q.o.Tell.Changed(copyName(e))
	}
	return nil
}
