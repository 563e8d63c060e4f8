package e2e_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pkg/sftp"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/appliance"
)

// A user of this machine without an account reads so, with the name of the setting, in the program
// and in HTTP. Who is refused at the door for another reason than the key reads that. A download is
// in the audit log even if the appliance dies before it ends.
func TestDoor(t *testing.T) {
	need(t, "curl", "curl")
	need(t, "ssh", "openssh-client")
	t.Parallel()
	a := appliance.Start(t, appliance.Options{Config: "limits: {sessionsPerUser: 1}\n"})

	program, err := os.Open(appliance.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	stranger := func(path string, args ...string) (string, int) {
		cmd := &exec.Cmd{Path: path, Args: append([]string{path}, args...), Dir: "/", Env: []string{"HOME=/"},
			ExtraFiles:  []*os.File{program}, // descriptor 3: the folder of the file is closed to others
			SysProcAttr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 60999, Gid: 60999}}}
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	const why = "The user id 60999 of this machine has no account on the appliance. Name it under localUsers in the configuration, or use sudo."
	if text, status := stranger("/proc/self/fd/3", "--socket", a.Socket, "-c", "whoami"); status != int(menu.Denied) || text != "diagsh: "+why+"\n" {
		t.Errorf("diagsh: status %d, %s", status, text)
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal(err)
	}
	text, status := stranger(curl, "-sS", "-w", "%{http_code}", "--unix-socket", a.Socket, "http://appliance/v1/session")
	if status != 0 || !strings.HasSuffix(text, "403") || !strings.Contains(text, "localUsers") {
		t.Errorf("curl: status %d, %s", status, text)
	}

	client, err := sftp.NewClient(a.Login("op"))
	if err != nil {
		t.Fatal(err)
	}
	if r := a.Exec("", "ssh", append(append([]string{"-o", "LogLevel=INFO"}, a.OpenSSH("op")...), "whoami")...); r.Status != 255 || !strings.Contains(r.Err, "op has 1 sessions, which is the most. End one of them first.") {
		t.Errorf("one session too many: %+v", r)
	}

	if err := os.WriteFile(filepath.Join(a.Data, "diagnostic", "a.pcap"), []byte("packets"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := client.Open("diagnostic/a.pcap")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(f); err != nil || string(text) != "packets" {
		t.Fatalf("%q, %v", text, err)
	}
	a.Kill()
	found := false
	for _, e := range a.Audit() {
		found = found || e.Act == access.ActDownload && e.User == "op" && e.Path == "a.pcap" && e.Result == "ok" && e.Arguments["bytes"] == "-"
	}
	if !found {
		t.Error("a download is not in the audit log of an appliance that died in the middle of it")
	}
	a.Restart()
}
