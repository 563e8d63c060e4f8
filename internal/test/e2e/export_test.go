package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/internal/test/await"
)

// An sshd is OpenSSH's server in the network of the bed.
type sshd struct {
	b       *bed
	folder  string
	process *exec.Cmd
}

const sshdPort = 2200

func newSshd(b *bed) *sshd {
	b.t.Helper()
	need(b.t, "sshd", "openssh-server")
	s := &sshd{b: b, folder: b.t.TempDir()}
	key := filepath.Join(s.folder, "host.key")
	tool(b.t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	config := fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nUsePAM no\nSubsystem sftp internal-sftp\nPidFile none\n",
		sshdPort, key, s.path("authorized"))
	for name, content := range map[string]string{"config": config, "authorized": ""} {
		if err := os.WriteFile(s.path(name), []byte(content), 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := os.Mkdir(s.path("to"), 0o700); err != nil {
		b.t.Fatal(err)
	}
	os.MkdirAll("/run/sshd", 0o755) // sshd's own, which Debian makes when the service starts
	b.t.Cleanup(s.stop)
	return s
}

func (s *sshd) path(name string) string { return filepath.Join(s.folder, name) }

func (s *sshd) start() {
	s.b.t.Helper()
	path, err := exec.LookPath("sshd")
	if err != nil {
		s.b.t.Fatal(err)
	}
	s.process = exec.Command(path, "-D", "-e", "-f", s.path("config"))
	s.b.ns.Do(s.b.t, func() { err = s.process.Start() })
	if err != nil {
		s.b.t.Fatal(err)
	}
	await.Until(s.b.t, "sshd", func() bool { return s.b.Exec("", "ssh-keyscan", "-p", fmt.Sprint(sshdPort), "127.0.0.1").Out != "" })
}

func (s *sshd) stop() {
	if s.process != nil {
		s.process.Process.Kill()
		s.process.Wait()
		s.process = nil
	}
}

func (b *bed) exports() (list []capture.Export) {
	b.t.Helper()
	b.Ask("op", "packetcapture exports", "{}", &list)
	return list
}

// What closes is copied to OpenSSH's own server, by the appliance's own key, to a host whose key
// was asked for and given; while that host is away it waits, also over a kill -9.
func TestExportToOpenSSH(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	host := newSshd(b)
	host.start()
	url := fmt.Sprintf("sftp://root@127.0.0.1:%d%s", sshdPort, host.path("to"))
	asked := b.SSH("admin", "packetcapture target new vault manifest no auto yes url "+url)
	key := regexp.MustCompile(`SHA256:[A-Za-z0-9+/]{43}`).FindString(asked.Err)
	if printed := tool(t, "ssh-keygen", "-lf", host.path("host.key.pub")); asked.Status != 2 || key == "" || !strings.Contains(printed, key) {
		t.Fatalf("%+v; the key is %s", asked, printed)
	}
	made := b.SSH("admin", "packetcapture target new vault manifest no auto yes url "+url+" hostkey "+key)
	own := regexp.MustCompile(`(?m)^ssh-ed25519 .*$`).FindString(made.Out)
	if made.Status != 0 || own == "" {
		t.Fatalf("%+v", made)
	}
	if err := os.WriteFile(host.path("authorized"), []byte(own+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	host.stop()

	right := b.ns.Frames(t, "right")
	b.do("op", "packetcapture start first interface left filter 'udp port 9999'")
	load(t, right, 500)
	b.do("op", "packetcapture stop first")
	await.Until(b.t, "a try that fails", func() bool {
		list := b.exports()
		return len(list) == 1 && list[0].State == capture.ExportWaiting && list[0].Tries > 0 && list[0].Error != ""
	})
	b.Kill()
	b.Restart()
	if list := b.exports(); len(list) != 1 || list[0].State == capture.ExportDone {
		t.Fatalf("after kill -9 the queue is %+v", list)
	}
	host.start()
	name := b.capture("first").Files[0].Name
	b.SSH("op", "packetcapture export first target vault") // its turn comes at once
	await.Until(b.t, "the copy", func() bool { return b.exports()[0].State == capture.ExportDone })
	e := b.exports()[0]
	copied, here := read(t, filepath.Join(host.path("to"), name)), read(t, b.file(name))
	if !bytes.Equal(copied, here) || e.Bytes != int64(len(here)) || e.Sent != e.Bytes || e.Error != "" || len(b.exports()) != 1 {
		t.Errorf("%d bytes of %d; %+v", len(copied), len(here), b.exports())
	}
	check := exec.Command("sha256sum", "-c", name+".sha256")
	check.Dir = host.path("to")
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("sha256sum: %v %s", err, out)
	}
	if got := payloads(t, filepath.Join(host.path("to"), name)); len(got) != 500 || !slices.IsSorted(got) {
		t.Errorf("the copy has %d packets", len(got))
	}

	// The next one is copied without being asked for.
	b.do("op", "packetcapture start second interface left; packetcapture stop second")
	await.Until(b.t, "the second copy", func() bool { list := b.exports(); return len(list) == 2 && list[0].State == capture.ExportDone })

	// Secrets are for the appliance alone.
	for _, file := range []string{"targets.json", "export.key", "exports.json"} {
		if info, err := os.Stat(filepath.Join(b.Data, file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	// A host that is another one gets nothing.
	host.stop()
	os.Remove(host.path("host.key"))
	tool(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host.path("host.key"))
	host.start()
	b.do("op", "packetcapture start third interface left; packetcapture stop third")
	await.Until(b.t, "a refusal of the other host", func() bool { return strings.Contains(b.exports()[0].Error, "another key") })
	if entries, _ := os.ReadDir(host.path("to")); len(entries) != 4 {
		t.Errorf("the other host has %v", entries)
	}
}

// The secret of a target is in no answer, no audit line, no log and no history.
func TestSecretOfATargetStaysSecret(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	const hidden = "xyzzy-plugh-42"
	if r := b.SSH("admin", "packetcapture target new web manifest no url https://127.0.0.1:1/x secret "+hidden); r.Status != 0 || strings.Contains(r.Out, hidden) {
		t.Fatalf("%+v", r)
	}
	if r := b.SSH("admin", "packetcapture target new other url sftp://me:"+hidden+"@127.0.0.1/"); r.Status != 2 || strings.Contains(r.Err, hidden) {
		t.Fatalf("%+v", r)
	}
	if r := b.SSH("admin", "packetcapture target new other url https://127.0.0.1:1/?token="+hidden); r.Status != 2 || strings.Contains(r.Err, hidden) {
		t.Fatalf("%+v", r)
	}
	b.do("op", "packetcapture start a interface left; packetcapture stop a; packetcapture export a target web")
	await.Until(b.t, "a try", func() bool { return b.exports()[0].Tries > 0 })
	said := b.do("op", "packetcapture target list; packetcapture target list --json; packetcapture exports --json") + b.SSH("admin", "auditlog --json").Out + b.Log()
	if strings.Contains(said, hidden) {
		t.Error("the secret was said")
	}
	found := ""
	filepath.WalkDir(b.Data, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && bytes.Contains(read(t, path), []byte(hidden)) {
			found += " " + d.Name()
		}
		return nil
	})
	if found != " targets.json" {
		t.Errorf("the secret is in%s", found)
	}
}

// What users did to copies holds over kill -9, as soon as they were answered.
func TestActsOnCopiesSurviveKill(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	line := func(user, line string) {
		t.Helper()
		if r := b.SSH(user, line); r.Status != 0 {
			t.Fatalf("%s: %+v", line, r)
		}
	}
	again := func() {
		t.Helper()
		b.Kill()
		b.Restart()
	}
	line("admin", "packetcapture target new vault manifest no url https://127.0.0.1:1/")
	line("op", "packetcapture start web interface left; packetcapture stop web; packetcapture export web target vault; packetcapture copies pause vault web")
	again()
	if list := b.exports(); len(list) != 1 || list[0].State != capture.ExportPaused || b.capture("web").FilesAwaitingExport != 1 {
		t.Errorf("a paused copy is %+v", list)
	}
	line("op", "packetcapture copies pause vault")
	line("op", "packetcapture copies resume vault web")
	line("admin", "packetcapture copies setup bytespersecond 1MB giveupseconds 1h")
	again()
	if list := b.exports(); list[0].State != capture.ExportPaused || list[0].Tries > 0 {
		t.Errorf("a copy to a paused target is %+v", list)
	}
	if r := b.SSH("op", "packetcapture target list; packetcapture copies settings"); !strings.Contains(r.Out, "paused") || !strings.Contains(r.Out, "1.0 MB/s") || !strings.Contains(r.Out, "after 1h") {
		t.Errorf("%+v", r)
	}
	line("op", "packetcapture copies cancel vault")
	line("op", "packetcapture copies resume vault")
	again()
	if list := b.exports(); list[0].State != capture.ExportCancelled || b.capture("web").FilesAwaitingExport != 0 {
		t.Errorf("a cancelled copy is %+v", list)
	}
	line("op", "packetcapture copies again vault web")
	again()
	await.Until(b.t, "a try", func() bool { return b.exports()[0].Tries > 0 })
	line("op", "packetcapture delete web confirm yes")
	await.Until(b.t, "the end of a copy without a file", func() bool {
		b.SSH("op", "packetcapture copies again vault")
		return b.exports()[0].State == capture.ExportFailed && !b.exports()[0].Held
	})
}
