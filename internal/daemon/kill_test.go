package daemon

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/roomtest"
)

// TestMain lets the test binary be the appliance that is killed.
func TestMain(m *testing.M) {
	if role := os.Getenv("DIAGSH_TEST_CHILD"); role != "" {
		child(role, os.Getenv("DIAGSH_TEST_DIR"))
		return
	}
	os.Exit(m.Run())
}

// child runs until it is killed. What it prints has been promised to a user.
func child(role, dir string) {
	d, err := Open(Options{Dir: dir})
	if err != nil {
		fmt.Println("cannot open:", err)
		return
	}
	switch role {
	case "capture":
		_, err := d.StartCapture(roomtest.Admin, capture.Request{Name: "torn", Partial: capture.Partial{Options: capture.Options{Interfaces: []string{"right"}}}})
		fmt.Println("started", err)
		d.Login(context.Background(), access.Credentials{User: "ops", Source: "192.0.2.1", Password: "ops-secret"})
		fmt.Println("logged in")
		select {}
	case "certificates":
		commitCertificates(d)
	case "portlog":
		logPorts(d)
	case "accounts":
		for n := 0; ; n++ {
			name := fmt.Sprintf("user%d", n)
			if err := d.CreateAccount(access.Account{User: name, Role: menu.Operator}, ""); err != nil {
				fmt.Println("failed", err)
			}
			fmt.Println(name)
		}
	}
}

// A victim is a child process whose words can be waited for, until it is killed.
type victim struct {
	*testing.T
	command *exec.Cmd
	said    *bufio.Scanner
}

func startVictim(t *testing.T, ns *netnstest.Namespace, role, dir string) *victim {
	t.Helper()
	v := &victim{T: t, command: exec.Command("/proc/self/exe")}
	v.command.Env = append(os.Environ(), "DIAGSH_TEST_CHILD="+role, "DIAGSH_TEST_DIR="+dir)
	out, err := v.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	v.said = bufio.NewScanner(out)
	begin := func() { err = v.command.Start() }
	if ns != nil {
		ns.Do(t, begin)
	} else {
		begin()
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *victim) hear() string {
	v.Helper()
	if !v.said.Scan() {
		v.Fatal("the child said nothing more")
	}
	return v.said.Text()
}

func (v *victim) kill() {
	v.command.Process.Signal(syscall.SIGKILL)
	for v.said.Scan() {
	}
	v.command.Wait()
}

func TestKillDuringACapture(t *testing.T) {
	dir := roomtest.DataDir(t)
	ns := netnstest.New(t)
	ns.Veth(t, "left", "right")
	v := startVictim(t, ns, "capture", dir)
	if s := v.hear(); s != "started <nil>" {
		t.Fatal(s)
	}
	v.hear()
	packet := netnstest.UDP(25, []byte("a packet"))
	frames := ns.Frames(t, "left")
	for range 300 {
		if err := frames.Send(packet); err != nil {
			t.Fatal(err)
		}
	}
	part := func() os.FileInfo {
		names, _ := filepath.Glob(filepath.Join(dir, "diagnostic", ".*.part"))
		if len(names) != 1 {
			return nil
		}
		info, _ := os.Stat(names[0])
		return info
	}
	await.Until(t, "the packets are in the file", func() bool { i := part(); return i != nil && i.Size() >= int64(24+300*(16+len(packet))) })
	v.kill()

	d := start(t, Options{Dir: dir})
	s, err := d.Capture("torn")
	if err != nil || s.State != capture.Stopped || s.StopReason != capture.Interrupted || len(s.Files) != 1 || s.PacketsWritten != 300 || s.PacketsDropped != nil || s.PacketsMatched != nil || s.PacketsSeen != nil || s.EndTime.Before(s.StartTime) {
		t.Fatalf("after the kill it is %+v, %v", s, err)
	}
	if n, _ := roomtest.PacketsOf(t, d, s.Files[0].Name); n != 300 {
		t.Errorf("its file has %d packets", n)
	}
	if part() != nil {
		t.Error("the file that was being written is still there")
	}
	if past := d.PastLogins(0); len(past) != 1 || past[0].Ended == nil || past[0].Reason != "appliance stopped" {
		t.Errorf("the logins are %+v", past)
	}
	if r, err := d.VerifyAudit(t.Context()); err != nil || len(r.Faults) != 0 {
		t.Errorf("the audit log: %+v, %v", r, err)
	}
}

func TestKillWhileAccountsAreWritten(t *testing.T) {
	dir := roomtest.DataDir(t)
	for range 5 {
		v := startVictim(t, nil, "accounts", dir)
		var last string
		for range 20 {
			last = v.hear()
		}
		v.kill()
		d := start(t, Options{Dir: dir})
		if _, err := d.Account(last); err != nil {
			t.Errorf("what the child promised is gone: %v", err)
		}
		if len(d.Accounts()) < 24 {
			t.Errorf("%d accounts are left", len(d.Accounts()))
		}
		if err := d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		os.WriteFile(filepath.Join(dir, "users.json"), roomtest.SeedAccounts(t), 0o600)
	}
}
