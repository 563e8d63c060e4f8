package daemon

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/internal/daemon/exports/sending"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
	"diagsh/internal/test/roomtest"
)

// An owner's server takes the beginning of a file, and tells when that is there and when no more
// comes.
func ownersServer(t *testing.T) (server *httptest.Server, began, ended chan struct{}) {
	began, ended = make(chan struct{}, 10), make(chan struct{}, 10)
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		io.ReadFull(r.Body, make([]byte, 1000))
		began <- struct{}{}
		// Slower than the whole would take in the time of the test.
		for piece := make([]byte, 4<<10); ; time.Sleep(5 * time.Millisecond) {
			if _, err := r.Body.Read(piece); err != nil {
				break
			}
		}
		ended <- struct{}{}
	}))
	t.Cleanup(server.Close)
	return server, began, ended
}

// The next owner of an appliance that was reset shall not send captures to the last one, nor have
// what the last one logged in with.
func TestFactoryValuesForgetTargets(t *testing.T) {
	t.Parallel()
	o := Options{Dir: roomtest.DataDir(t)}
	d := start(t, o)
	large := fileOf(t, d, "large.pcap")
	if err := os.Truncate(large, 64<<20); err != nil { // more than connections hold
		t.Fatal(err)
	}
	fileOf(t, d, "small.pcap")
	server, began, ended := ownersServer(t)
	target := capture.Target{Name: "owner1", URL: server.URL + "/", HostKey: sending.Fingerprint(server.Certificate().Raw), Auto: true}
	if _, err := d.AddTarget(t.Context(), roomtest.Admin, target, "the-last-owners-token"); err != nil {
		t.Fatal(err)
	}
	key, err := d.ExportKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"large.pcap", "small.pcap"} {
		if _, err := d.ExportPackets(roomtest.Admin, name, "owner1", false); err != nil {
			t.Fatal(err)
		}
	}
	<-began
	lost, err := d.ReloadLosses(false)
	if err != nil {
		t.Fatal(err)
	}
	said := ""
	for _, l := range lost {
		said += l.What + ": " + l.Detail + "\n"
	}
	for _, part := range []string{"targets of captures, with their secrets: owner1", "copies that wait", "keys of the appliance"} {
		if !strings.Contains(said, part) {
			t.Errorf("what will be lost does not say %q:\n%s", part, said)
		}
	}
	if _, err := d.Reload(roomtest.Admin, false); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the copy that was under way goes on")
	}
	check := func(d *Daemon, when string) {
		t.Helper()
		if targets, copies := d.Targets(), d.Exports(); len(targets) > 0 || len(copies) > 0 {
			t.Errorf("%s there are the targets %v and the copies %v", when, targets, copies)
		}
	}
	check(d, "behind it")
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := filesWith(t, o.Dir, "the-last-owners-token"); len(left) > 0 {
		t.Errorf("the secret is still in %q", left)
	}
	d = start(t, o)
	check(d, "behind a restart")
	if now, err := d.ExportKey(); err != nil || now == key {
		t.Errorf("the key is still the last owner's: %v", err)
	}
}

// A target that is deleted gets no more of the file that is being copied to it either.
func TestDeletedTargetGetsNoMore(t *testing.T) {
	t.Parallel()
	d := start(t, Options{Dir: roomtest.DataDir(t)})
	if err := os.Truncate(fileOf(t, d, "large.pcap"), 64<<20); err != nil { // more than connections hold
		t.Fatal(err)
	}
	server, began, ended := ownersServer(t)
	target := capture.Target{Name: "owner1", URL: server.URL + "/", HostKey: sending.Fingerprint(server.Certificate().Raw)}
	if _, err := d.AddTarget(t.Context(), roomtest.Admin, target, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ExportPackets(roomtest.Admin, "large.pcap", "owner1", false); err != nil {
		t.Fatal(err)
	}
	<-began
	if err := d.DeleteTarget(roomtest.Admin, "owner1"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the copy goes on")
	}
	await.Until(t, "the copy has failed", func() bool { return d.Exports()[0].State == capture.ExportFailed })
}

// filesWith lists the files below a folder that hold a text.
func filesWith(t *testing.T, dir, text string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || filepath.Ext(path) == ".pcap" {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), text) {
			list = append(list, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Factory values that cannot be reached in one go: the step is named, everybody can still come in,
// and the second try succeeds.
func TestReloadFailsMidway(t *testing.T) {
	dir := roomtest.DataDir(t)
	d := start(t, Options{Dir: dir})
	file := fileOf(t, d, "kept.pcap")
	settings := filepath.Join(dir, "settings.json")
	obstacle := filepath.Join(settings, "obstacle")
	if err := os.MkdirAll(obstacle, 0o700); err != nil { // a folder that is not empty cannot be removed as a file is
		t.Fatal(err)
	}
	before := d.Accounts()
	_, err := d.Reload(roomtest.Admin, true)
	roomtest.WantCode(t, err, menu.Failed)
	if err == nil || !strings.Contains(err.Error(), "reset the settings of captures") || !strings.Contains(err.Error(), "reload again") {
		t.Errorf("%v", err)
	}
	if now := d.Accounts(); len(now) != len(before) {
		t.Errorf("%d accounts, there were %d", len(now), len(before))
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("a step behind the one that failed was done: %v", err)
	}
	if err := os.RemoveAll(settings); err != nil {
		t.Fatal(err)
	}
	done, err := d.Reload(roomtest.Admin, true)
	if err != nil || done.Password == "" || len(d.Accounts()) != 1 {
		t.Errorf("%v, %d accounts", err, len(d.Accounts()))
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the files are still there")
	}
}
