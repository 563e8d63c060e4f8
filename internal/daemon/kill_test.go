package daemon

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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
	case "operations":
		startForever(d)
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

// startForever starts captures as operations, and says the name of each before it does.
func startForever(d *Daemon) {
	o := capture.Options{Interfaces: []string{"lo"}}
	filters := make([]string, 40) // so that it takes some time
	for n := range filters {
		filters[n] = fmt.Sprintf("tcp localaddress 10.0.%d.1-10.0.%d.200 remoteport %d;%d", n, n, 1+n, 100+n)
	}
	if err := o.Filters.Set(strings.Join(filters, " or ")); err != nil {
		fmt.Println("failed", err)
	}
	for n := 0; ; n++ {
		name := fmt.Sprintf("c%d", n)
		fmt.Println(name)
		end, err := d.BeginOperation(roomtest.Admin, access.Operation{ID: name, Act: access.OperationStart, Capture: name})
		if err == nil {
			_, err = d.StartCapture(roomtest.Admin, capture.Request{Name: name, Partial: capture.Partial{Options: o}})
			end(err)
		}
		if err == nil {
			_, err = d.StopCapture(roomtest.Admin, name)
		}
		if err != nil {
			fmt.Println("failed", err)
		}
	}
}

// Wherever a start is cut off, its operation has succeeded if the capture began, and has failed if it did not.
func TestKillDuringOperations(t *testing.T) {
	says := func(path string) bool {
		data, _ := os.ReadFile(path)
		return strings.Contains(string(data), `"c1"`)
	}
	for what, cut := range map[string]func(dir string) bool{
		"it is noted":   func(dir string) bool { return says(filepath.Join(dir, "operations.json")) },
		"it has a name": func(dir string) bool { return says(filepath.Join(dir, "captures.json")) },
		"it has a file": func(dir string) bool {
			parts, _ := filepath.Glob(filepath.Join(dir, "diagnostic", ".*-c1-*"))
			return len(parts) > 0
		},
		"it has stopped": func(dir string) bool {
			files, _ := filepath.Glob(filepath.Join(dir, "diagnostic", "*-c1-*"))
			return len(files) > 0
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := roomtest.DataDir(t)
			v := startVictim(t, nil, "operations", dir)
			await.Until(t, what, func() bool { return cut(dir) })
			v.kill()
			d := start(t, Options{Dir: dir})
			await.Until(t, "the operations have ended", func() bool {
				return !slices.ContainsFunc(d.Operations(), func(o access.Operation) bool { return o.State == access.OperationRunning })
			})
			if len(d.Operations()) < 2 {
				t.Fatalf("the operations are %+v", d.Operations())
			}
			for _, o := range d.Operations() {
				s, err := d.Capture(o.Capture)
				if began := err == nil && s.StopReason != capture.StartFailed; began != (o.State == access.OperationSucceeded) {
					t.Errorf("%+v of the capture %+v, %v", o, s, err)
				}
			}
		})
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
