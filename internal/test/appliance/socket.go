package appliance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// API asks the appliance over its own socket, as `curl --unix-socket` run by the user of this
// machine that is the account. An empty user is the user of this process. It returns the status and
// the body of the answer.
func (a *Appliance) API(user, method, path, body string) (int, string) {
	a.t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return a.DialSocket(user) },
	}}
	request, err := http.NewRequest(method, "http://appliance"+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// Ask runs a command over the socket and puts its answer into a value. arguments are a JSON object. A
// test that waits must ask so: by SSH or the program, each question takes 30 ms of the processor for
// processes of its own.
func (a *Appliance) Ask(user, command, arguments string, answer any) {
	a.t.Helper()
	status, body := a.API(user, http.MethodPost, "/v1/run/"+strings.ReplaceAll(command, " ", "/"), arguments)
	if err := json.Unmarshal([]byte(body), answer); status != http.StatusOK || err != nil {
		a.t.Fatalf("%s %s: %d %s (%v)", command, arguments, status, body, err)
	}
}

// DialSocket connects to the appliance's socket as an account.
//
// The kernel tells the appliance the effective user of whoever calls connect (SO_PEERCRED,
// unix(7)), and on Linux that belongs to the thread. So one thread of this process becomes the user
// for one call.
func (a *Appliance) DialSocket(user string) (net.Conn, error) {
	if user == "" {
		return net.Dial("unix", a.Socket)
	}
	i := slices.IndexFunc(accounts, func(x account) bool { return x.user == user })
	if i < 0 {
		return nil, fmt.Errorf("the bench has no account %s", user)
	}
	if os.Geteuid() != 0 {
		netnstest.Missing(a.t, "to be several users on the socket needs root")
	}
	runtime.LockOSThread()
	if err := setThreadUser(accounts[i].uid); err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	c, dialErr := net.Dial("unix", a.Socket)
	if err := setThreadUser(0); err != nil {
		return nil, err // the thread stays locked and ends with its goroutine
	}
	runtime.UnlockOSThread()
	return c, dialErr
}

// setThreadUser changes the effective user of this thread alone; syscall.Setresuid would change all
// threads.
func setThreadUser(uid int) error {
	const keep = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(uid), keep); errno != 0 {
		return os.NewSyscallError("setresuid", errno)
	}
	return nil
}

// Tree is the appliance's tree of commands, as it describes itself.
func (a *Appliance) Tree() []menu.Node {
	a.t.Helper()
	status, body := a.API("", "GET", "/v1/tree", "")
	var nodes []menu.Node
	if err := json.Unmarshal([]byte(body), &nodes); status != http.StatusOK || err != nil {
		a.t.Fatalf("GET /v1/tree: %d %v", status, err)
	}
	return nodes
}

// Logouts counts how often a user has logged out.
func (a *Appliance) Logouts(user string) (n int) {
	a.t.Helper()
	for _, e := range a.Audit() {
		if e.Act == access.ActLogout && e.User == user {
			n++
		}
	}
	return n
}

// WaitLogouts waits until a user has logged out so many times. A client that has hung up does not
// see when the appliance knows of it, but the audit log does.
func (a *Appliance) WaitLogouts(user string, n int) {
	a.t.Helper()
	await.Until(a.t, "the appliance to see that "+user+" has gone", func() bool { return a.Logouts(user) >= n })
}

// Audit is the audit log as it stands in its file, the oldest line first. It waits for the end of a line
// that is being written: who reads meanwhile may see a part of it.
func (a *Appliance) Audit() []access.Event {
	a.t.Helper()
	var text []byte
	await.Until(a.t, "whole lines of the audit log", func() (whole bool) {
		var err error
		if text, err = os.ReadFile(filepath.Join(a.Data, "audit", "audit.jsonl")); err != nil {
			a.t.Fatal(err)
		}
		return len(text) == 0 || text[len(text)-1] == '\n'
	})
	var events []access.Event
	for line := range strings.Lines(string(text)) {
		var e access.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			a.t.Fatalf("a line of the audit log: %v\n%s", err, line)
		}
		events = append(events, e)
	}
	return events
}
