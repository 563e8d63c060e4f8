package daemon

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/daemon/export"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// exports are the targets that captures are copied to, and the queue of copies. Both survive a restart; a copy that was under way
// goes on where it was.
type exports struct {
	targetsFile store.JSON[targetsFile] // with the secrets, for the owner alone
	queueFile   store.JSON[exportsFile]
	keyFile     string // the appliance's own SSH key

	wake chan struct{} // the queue has changed

	storing sync.Mutex // held while a file is written; taken before mu
	mu      sync.Mutex
	targets []storedTarget
	queue   []*capture.Export
	resting map[string]time.Time // until when targets are left alone that could not be reached
	ending  *capture.Export      // is over, which the disk does not know yet
	sending string               // the target that a file is being copied to
	giveUp  context.CancelFunc   // ends that copy
}

// A storedTarget is a target with its secret.
type storedTarget struct {
	capture.Target
	Secret string `json:"secret,omitempty"`
}

type exportsFile struct {
	Exports []*capture.Export `json:"exports"`
}

type targetsFile struct {
	Targets []storedTarget `json:"targets"`
}

// What a failed copy waits for its next try, at first and at most; and how many copies that are over stay in the queue.
const (
	firstRetry  = 5 * time.Second
	lastRetry   = 10 * time.Minute
	keptExports = 1000
)

func openExports(dir string) (*exports, error) {
	x := &exports{
		targetsFile: store.JSON[targetsFile]{Path: filepath.Join(dir, "targets.json"), Version: 1},
		queueFile:   store.JSON[exportsFile]{Path: filepath.Join(dir, "exports.json"), Version: 1},
		keyFile:     filepath.Join(dir, "export.key"),
		wake:        make(chan struct{}, 1), resting: make(map[string]time.Time),
	}
	var targets targetsFile
	var queue exportsFile
	if _, err := x.targetsFile.Load(&targets); err != nil {
		return nil, err
	}
	if _, err := x.queueFile.Load(&queue); err != nil {
		return nil, err
	}
	x.targets = targets.Targets
	x.queue = slices.DeleteFunc(queue.Exports, func(e *capture.Export) bool { return e == nil })
	for _, e := range x.queue {
		if !finished(e) {
			// The oldest comes first again, also if it was the one that was tried in vain.
			e.State, e.NextTry = capture.ExportWaiting, time.Time{}
		}
	}
	return x, nil
}

// keepTargets and keepQueue write what is in memory; they return when it is safe on the disk.
func (x *exports) keepTargets() error {
	return keepFile(x, x.targetsFile, func() targetsFile { return targetsFile{x.targets} })
}

func (x *exports) keepQueue() error {
	return keepFile(x, x.queueFile, func() exportsFile {
		over := 0
		for i := len(x.queue) - 1; i >= 0; i-- {
			if finished(x.queue[i]) {
				if over++; over > keptExports {
					x.queue = slices.Delete(x.queue, i, i+1)
				}
			}
		}
		return exportsFile{x.queue}
	})
}

func keepFile[T any](x *exports, file store.JSON[T], content func() T) error {
	x.storing.Lock()
	defer x.storing.Unlock()
	x.mu.Lock()
	data, err := file.Encode(content())
	x.mu.Unlock()
	if err != nil {
		return err
	}
	return store.Replace(file.Path, data)
}

func finished(e *capture.Export) bool {
	return e.State == capture.ExportDone || e.State == capture.ExportFailed
}

// Targets lists the targets. Their secrets stay here.
func (d *Daemon) Targets() []capture.Target {
	x := d.exports
	x.mu.Lock()
	defer x.mu.Unlock()
	list := []capture.Target{}
	for _, t := range x.targets {
		list = append(list, t.Target)
	}
	return list
}

// AddTarget keeps a target. Without a secret a target for SFTP is one that the appliance proves itself to by its own key.
func (d *Daemon) AddTarget(ctx context.Context, _ menu.Caller, t capture.Target, secret menu.Secret) (capture.Target, error) {
	if !plainCaptureName(t.Name) {
		return t, menu.Wrong("name", "%s is not a name for a target", menu.Quoted(t.Name)).
			WithHint("A name has at most 64 letters, digits, dots, hyphens and underscores, and begins with a letter or digit")
	}
	u, err := export.CheckURL(t.URL)
	if err != nil {
		return t, menu.Wrong("url", "%s", menu.Sentence(err.Error()))
	}
	if u.Scheme == "sftp" && t.HostKey == "" {
		found, err := export.HostKeyOf(ctx, t.URL)
		if err != nil {
			return t, menu.Wrong("hostkey", "The fingerprint of the host's key is missing, and %s", err).WithHint("Give hostkey SHA256:..., as ssh-keygen -l prints it")
		}
		return t, menu.Wrong("hostkey", "The host's key has the fingerprint %s", found).WithHint("Make sure that it is right, and give: hostkey %s", found)
	}
	if t.HostKey != "" && (!strings.HasPrefix(t.HostKey, "SHA256:") || len(t.HostKey) != len("SHA256:")+43) {
		return t, menu.Wrong("hostkey", "%s is not a fingerprint", menu.Quoted(t.HostKey)).WithHint("It is SHA256: and 43 characters, as ssh-keygen -l prints it")
	}
	switch {
	case u.Scheme == "sftp" && secret == "":
		t.Login = "key"
	case secret == "":
		t.Login = "none"
	case u.Scheme == "https" && u.User.Username() == "":
		t.Login = "token"
	default:
		t.Login = "password"
	}
	x := d.exports
	x.mu.Lock()
	taken := slices.ContainsFunc(x.targets, func(other storedTarget) bool { return other.Name == t.Name })
	if !taken {
		x.targets = append(x.targets, storedTarget{t, string(secret)})
	}
	x.mu.Unlock()
	if taken {
		return t, &menu.Error{Kind: menu.State, Argument: "name", Message: "There is a target " + t.Name + " already", Hint: "Choose another name, or delete that one"}
	}
	if err := x.keepTargets(); err != nil {
		x.removeTarget(t.Name)
		return t, menu.Failing("keep the target", err)
	}
	return t, nil
}

func (x *exports) removeTarget(name string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	before := len(x.targets)
	x.targets = slices.DeleteFunc(x.targets, func(t storedTarget) bool { return t.Name == name })
	return len(x.targets) < before
}

// DeleteTarget forgets a target. Copies to it that wait, or are under way, fail.
func (d *Daemon) DeleteTarget(_ menu.Caller, name string) error {
	if !d.exports.removeTarget(name) {
		return d.noSuchTarget(name)
	}
	d.exports.giveUpOn(name)
	if err := d.exports.keepTargets(); err != nil {
		return menu.Failing("keep the targets", err)
	}
	d.captures.forgetTarget(name)
	d.exports.hurry() // what waited for it has nothing to wait for
	return nil
}

// giveUpOn ends the copy that is under way if it is to that target.
func (x *exports) giveUpOn(target string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.giveUp != nil && x.sending == target {
		x.giveUp()
	}
}

// hurry makes every copy try at once.
func (x *exports) hurry() {
	x.mu.Lock()
	for _, e := range x.queue {
		e.NextTry = time.Time{}
	}
	clear(x.resting)
	x.mu.Unlock()
	x.changed()
}

func (d *Daemon) noSuchTarget(name string) error {
	e := &menu.Error{Kind: menu.NotFound, Argument: "target", Message: "There is no target " + menu.Quoted(name), Hint: "packetcapture target list shows them"}
	var names []string
	for _, t := range d.Targets() {
		names = append(names, t.Name)
	}
	if near := menu.Nearest(name, names); near != "" {
		return e.WithHint("Did you mean %s?", near)
	}
	return e
}

// ExportKey is the public key by which the appliance logs in at targets, in the form of authorized_keys(5). It is made when it is
// first needed.
func (d *Daemon) ExportKey() (string, error) {
	key, err := d.exports.key()
	if err != nil {
		return "", menu.Failing("make the key for targets", err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey()))) + " diagsh@" + d.Hostname(), nil
}

func (x *exports) key() (ssh.Signer, error) {
	x.storing.Lock()
	defer x.storing.Unlock()
	data, err := store.Read(x.keyFile)
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
		if err := store.Replace(x.keyFile, data); err != nil {
			return nil, err
		}
	}
	return ssh.ParsePrivateKey(data)
}

// Exports lists the copies, the newest first.
func (d *Daemon) Exports() []capture.Export {
	x := d.exports
	x.mu.Lock()
	defer x.mu.Unlock()
	list := []capture.Export{}
	for _, e := range slices.Backward(x.queue) {
		now := *e
		if !finished(e) {
			now.NextTry = x.nextTry(e)
		}
		list = append(list, now)
	}
	return list
}

// nextTry of a copy that waits: not before that of its target. Called with mu held.
func (x *exports) nextTry(e *capture.Export) time.Time {
	if rest := x.resting[e.Target]; rest.After(e.NextTry) {
		return rest
	}
	return e.NextTry
}

// ExportPackets queues the files of a capture that has ended, or a file.
func (d *Daemon) ExportPackets(caller menu.Caller, name, target string) ([]capture.Export, error) {
	if !slices.ContainsFunc(d.Targets(), func(t capture.Target) bool { return t.Name == target }) {
		return nil, d.noSuchTarget(target)
	}
	var files []string
	of := ""
	if _, err := d.regularFile(name); err == nil {
		files = []string{name}
	} else {
		status, err := d.Capture(name)
		switch {
		case err != nil:
			return nil, err
		case status.State == capture.Running:
			return nil, &menu.Error{Kind: menu.State, Argument: "name", Message: "The capture " + name + " is running", Hint: "Stop it first"}
		case len(status.Files) == 0:
			return nil, &menu.Error{Kind: menu.State, Argument: "name", Message: "The capture " + name + " has no file any more"}
		}
		of = name
		for _, f := range status.Files {
			files = append(files, f.Name)
		}
	}
	return d.enqueue(of, files, target, caller.User)
}

// exportFile queues a file that a running capture has just closed, for the targets that want all.
func (d *Daemon) exportFile(r *record, name, file string) {
	for _, t := range d.Targets() {
		if t.Auto {
			d.enqueueAuto(r, name, []string{file}, t.Name)
		}
	}
}

// exportCapture queues the files of a capture that has just ended, for the targets that want all, unless that was done as they
// closed. If somebody goes on with the capture already, its next end is time enough. The table is to be written after it: as long as
// the disk does not know that the files are queued, the table on it says that they are not.
func (d *Daemon) exportCapture(r *record, s capture.Status) {
	queued := true
	for _, t := range d.Targets() {
		if t.Auto {
			queued = d.enqueueAuto(r, s.Name, d.captures.unqueuedFor(r, t.Name, s.Files), t.Name) && queued
		}
	}
	d.captures.mu.Lock()
	if r.ended() && queued {
		r.Unqueued = false
	}
	d.captures.mu.Unlock()
	d.trimRing(r)
}

// exportUnqueued queues the files of captures that ended while that was not possible.
func (d *Daemon) exportUnqueued() {
	unqueued := d.captures.unqueued()
	for r, status := range unqueued {
		d.exportCapture(r, status)
	}
	if len(unqueued) > 0 {
		d.keepCaptures()
	}
}

// enqueueAuto tells whether the disk knows that the files are queued.
func (d *Daemon) enqueueAuto(r *record, name string, files []string, target string) bool {
	if len(files) == 0 {
		return true
	}
	if _, err := d.enqueue(name, files, target, access.System); err != nil {
		d.log.Error("the files of a capture cannot be queued for their target", "name", name, "target", target, "error", err)
		return false
	}
	d.captures.wasQueued(r, target, files[len(files)-1])
	return true
}

// enqueue adds copies to the queue. A file that waits for the target already waits once; if a user asks, its turn comes at once.
func (d *Daemon) enqueue(of string, files []string, target, owner string) ([]capture.Export, error) {
	x := d.exports
	var added []capture.Export
	x.mu.Lock()
	if owner != access.System {
		delete(x.resting, target)
	}
	for _, f := range files {
		i := slices.IndexFunc(x.queue, func(e *capture.Export) bool { return e.File == f && e.Target == target && !finished(e) })
		if i < 0 {
			x.queue = append(x.queue, &capture.Export{File: f, Capture: of, Target: target, State: capture.ExportWaiting, Queued: time.Now(), Owner: owner})
			i = len(x.queue) - 1
		}
		if owner != access.System {
			x.queue[i].NextTry = time.Time{}
		}
		added = append(added, *x.queue[i])
	}
	x.mu.Unlock()
	if err := x.keepQueue(); err != nil {
		return nil, menu.Failing("keep the queue of copies", err)
	}
	x.changed()
	return added, nil
}

// AwaitsExport reports whether a file still has to be copied, or the disk does not know yet that it was: until then nothing but a user
// may delete it.
func (d *Daemon) AwaitsExport(file string) bool {
	x := d.exports
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.ContainsFunc(x.queue, func(e *capture.Export) bool { return e.File == file && (!finished(e) || e == x.ending) })
}

// countExports says in statuses how many of their files still have to be copied.
func (d *Daemon) countExports(list []capture.Status) {
	x := d.exports
	x.mu.Lock()
	waiting := make(map[string]bool)
	for _, e := range x.queue {
		if !finished(e) {
			waiting[e.File] = true
		}
	}
	x.mu.Unlock()
	for i := range list {
		list[i].FilesAwaitingExport = 0
		for _, f := range list[i].Files {
			if waiting[f.Name] {
				list[i].FilesAwaitingExport++
			}
		}
	}
}

func (x *exports) changed() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// runExports copies, one file at a time, until ctx ends.
func (d *Daemon) runExports(ctx context.Context) {
	for ctx.Err() == nil {
		e, wait := d.exports.due(time.Now())
		if e == nil {
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
			case <-d.exports.wake:
			case <-timer.C:
			}
			timer.Stop()
			continue
		}
		copying, giveUp := context.WithCancel(ctx)
		d.exports.copies(e.Target, giveUp)
		d.export(copying, e)
		d.exports.copies("", nil)
		giveUp()
	}
}

// copies notes which target a file is being copied to, and how that is ended.
func (x *exports) copies(target string, giveUp context.CancelFunc) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sending, x.giveUp = target, giveUp
}

// due takes the copy whose turn it is; without one, wait is how long until there may be.
func (x *exports) due(now time.Time) (_ *capture.Export, wait time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	wait = time.Hour
	for _, e := range x.queue {
		if finished(e) {
			continue
		}
		if until := x.nextTry(e).Sub(now); until > 0 {
			wait = min(wait, until)
			continue
		}
		e.State = capture.ExportSending
		return e, 0
	}
	return nil, wait
}

// export makes one try.
func (d *Daemon) export(ctx context.Context, e *capture.Export) {
	err := d.send(ctx, e)
	if ctx.Err() != nil {
		return // it goes on after the next start, or its target was taken away
	}
	x := d.exports
	var gone *menu.Error
	x.mu.Lock()
	e.Tries++
	switch {
	case err == nil:
		e.State, e.Error, e.Finished, e.Sent = capture.ExportDone, "", time.Now(), e.Bytes
		delete(x.resting, e.Target)
	case errors.As(err, &gone) && gone.Kind == menu.NotFound:
		e.State, e.Error, e.Finished = capture.ExportFailed, gone.Message, time.Now()
	default:
		e.State, e.Error, e.NextTry = capture.ExportWaiting, menu.Sentence(exportError(err)), time.Now().Add(growing(min(e.Tries, 30), firstRetry, lastRetry))
		if export.Unreachable(err) {
			// The others for it wait too, or those for other targets would have to wait for them all.
			x.resting[e.Target] = e.NextTry
		}
	}
	now := *e
	x.ending = e
	x.mu.Unlock()
	if err := x.keepQueue(); err != nil {
		d.log.Error("the queue of copies cannot be written", "error", err)
	}
	x.mu.Lock()
	x.ending = nil
	x.mu.Unlock()
	if err != nil {
		d.log.Warn("a file was not copied", "file", now.File, "target", now.Target, "try", now.Tries, "error", err, "cause", errors.Unwrap(err))
	}
	if finished(&now) {
		message := "The file was copied to the target " + now.Target
		if now.State == capture.ExportFailed {
			message = "The file was not copied to the target " + now.Target + ": " + now.Error
		}
		d.System(now.File, message, map[string]string{"target": now.Target, "sha256": now.SHA256, "owner": now.Owner})
		d.released(now.File)
	}
}

// exportError is the text for users.
func exportError(err error) string {
	var known *export.Error
	var key *export.HostKeyError
	var ours *menu.Error
	switch {
	case errors.As(err, &ours):
		return ours.Message
	case errors.As(err, &key):
		return "the host of the target has another key than it should: " + key.HostKey
	case errors.As(err, &known):
		return known.Text
	}
	return "the copy failed"
}

// send copies the file. A *menu.Error of the kind NotFound is for good.
func (d *Daemon) send(ctx context.Context, e *capture.Export) error {
	x := d.exports
	x.mu.Lock()
	i := slices.IndexFunc(x.targets, func(t storedTarget) bool { return t.Name == e.Target })
	var stored storedTarget
	if i >= 0 {
		stored = x.targets[i]
	}
	known := e.SHA256
	x.mu.Unlock()
	if i < 0 {
		return menu.Errorf(menu.NotFound, "There is no target %s any more", e.Target)
	}
	f, err := d.OpenFile(e.File)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	target := export.Target{URL: stored.URL, HostKey: stored.HostKey, Secret: stored.Secret}
	if stored.Login == "key" {
		if target.Key, err = x.key(); err != nil {
			return err
		}
	}
	sum := known
	if sum == "" || x.bytes(e) != info.Size() {
		if sum, err = export.Sum(ctx, f, info.Size()); err != nil {
			return err
		}
		x.mu.Lock()
		e.SHA256, e.Bytes = sum, info.Size()
		x.mu.Unlock()
		if err := x.keepQueue(); err != nil {
			return err
		}
	}
	return target.Copy(ctx, export.File{Name: e.File, Content: f, Bytes: info.Size(), SHA256: sum}, func(bytes int64) {
		x.mu.Lock()
		e.Sent = bytes
		x.mu.Unlock()
	})
}

func (x *exports) bytes(e *capture.Export) int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return cmp.Or(e.Bytes, -1)
}
