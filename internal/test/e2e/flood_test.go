package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/menu"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
)

// The judge of SSH servers finds nothing that fails.
func TestAudit(t *testing.T) {
	t.Parallel()
	need(t, "ssh-audit", "ssh-audit")
	b := newBed(t)
	r := b.Exec("", "ssh-audit", "-n", "-l", "info", "-p", strconv.Itoa(b.Port), "127.0.0.1")
	if !strings.Contains(r.Out, "curve25519-sha256") {
		t.Fatalf("ssh-audit did not see the server: %+v", r)
	}
	// Its status is 3 with a failure and 2 with warnings, such as the one about its own ignorance
	// of newer algorithms.
	if strings.Contains(r.Out, "[fail]") || r.Status == 3 {
		t.Errorf("ssh-audit ends with %d:\n%s", r.Status, r.Out)
	}
}

// loginGoal is how long anybody may have to wait for a login while somebody else floods the
// appliance. A machine that is busy with other things has logins take long without a flood: there
// it is loginFactor times as long as those take.
const (
	loginGoal   = 2 * time.Second
	loginFactor = 10
)

// Nothing that one address does at the door keeps another one out.
func TestFlood(t *testing.T) {
	floods := []struct {
		name             string
		guessers, idlers int
	}{
		{"wrong passwords", 48, 0},
		{"half-open connections", 0, 96},
		{"both", 48, 96},
	}
	for _, f := range floods {
		t.Run(f.name, func(t *testing.T) {
			a := appliance.Start(t, appliance.Options{})
			before := map[string]time.Duration{}
			for _, method := range loginMethods {
				before[method] = median(loginsFrom(t, "127.0.0.3", a, method))
			}
			ctx, stop := context.WithCancel(context.Background())
			flood := newFlood(a)
			defer flood.wait()
			defer stop()
			for n := range f.guessers {
				flood.keep(ctx, func() { flood.guess(ctx, n) })
			}
			for n := range f.idlers {
				flood.keep(ctx, func() { flood.hang(ctx, n) })
			}
			await.Until(t, "the flood", func() bool { return flood.tried.Load() >= int64(f.guessers+f.idlers) })
			for _, method := range loginMethods {
				took := loginsFrom(t, "127.0.0.3", a, method)
				t.Logf("logins by %s took %v, and %v before the flood, which made %d connections", method, took, before[method], flood.tried.Load())
				if limit := max(loginGoal, loginFactor*before[method]); median(took) > limit {
					t.Errorf("logins by %s take %v, more than %v", method, median(took), limit)
				}
			}
		})
	}
}

// A flood comes from 127.0.0.2.
type flood struct {
	a     *appliance.Appliance
	tried atomic.Int64
	all   sync.WaitGroup
}

func newFlood(a *appliance.Appliance) *flood { return &flood{a: a} }

func (f *flood) wait() { f.all.Wait() }

// keep does something over and over, at a pace at which it is the appliance that is flooded and not
// the machine of the test: a thousand connections a second in all.
func (f *flood) keep(ctx context.Context, do func()) {
	f.all.Go(func() {
		pace := time.NewTicker(100 * time.Millisecond)
		defer pace.Stop()
		for ctx.Err() == nil {
			do()
			select {
			case <-pace.C:
			case <-ctx.Done():
			}
		}
	})
}

// dial opens a connection of the flood.
func (f *flood) dial(ctx context.Context) (net.Conn, error) {
	c, err := dialFrom(ctx, "127.0.0.2", f.a.Port)
	f.tried.Add(1)
	return c, err
}

// guess tries wrong passwords, for users that there are and others.
func (f *flood) guess(ctx context.Context, n int) {
	user := []string{"admin", "op", "root", "nobody" + strconv.Itoa(n)}[n%4]
	wire, err := f.dial(ctx)
	if err != nil {
		return
	}
	defer wire.Close()
	defer context.AfterFunc(ctx, func() { wire.Close() })()
	wrong := ssh.RetryableAuthMethod(ssh.PasswordCallback(func() (string, error) { return "wrong" + strconv.FormatInt(f.tried.Load(), 10), nil }), 3)
	conn, _, _, err := ssh.NewClientConn(wire, "", &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{wrong}, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err == nil {
		conn.Close()
	}
}

// hang opens a connection, says as much as nothing, and waits until it is thrown out.
func (f *flood) hang(ctx context.Context, n int) {
	wire, err := f.dial(ctx)
	if err != nil {
		return
	}
	defer wire.Close()
	defer context.AfterFunc(ctx, func() { wire.Close() })()
	switch n % 3 {
	case 1:
		fmt.Fprint(wire, "SSH-2.0-flood\r\n")
	case 2:
		fmt.Fprint(wire, "SSH-2.0-flood\r\n\x00\x00\x01\x00\x04\x14")
	}
	// A third of a second: as many come and go as a flood wants, and others are there all the time.
	wire.SetReadDeadline(time.Now().Add(time.Second / 3))
	io.Copy(io.Discard, wire)
}

func dialFrom(ctx context.Context, source string, port int) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: appliance.Patience}
	return d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

var loginMethods = []string{"key", "password"}

// loginsFrom returns the times that three logins take, in order. The flood goes on for as long.
func loginsFrom(t *testing.T, source string, a *appliance.Appliance, method string) (took []time.Duration) {
	t.Helper()
	for range 3 {
		d, err := loginFrom(source, a, method == "key")
		if err != nil {
			t.Fatalf("login by %s: %v", method, err)
		}
		took = append(took, d.Round(time.Millisecond))
	}
	slices.Sort(took)
	return took
}

// median is of an odd number of times in order: what else the machine does delays some.
func median(ordered []time.Duration) time.Duration { return ordered[len(ordered)/2] }

// loginFrom is the time from the first packet to the answer of a command, for an administrator.
func loginFrom(source string, a *appliance.Appliance, byKey bool) (time.Duration, error) {
	user := appliance.User(menu.Administrator)
	method := ssh.Password(appliance.Password(user))
	if byKey {
		method = ssh.PublicKeys(appliance.Key(user))
	}
	began := time.Now()
	wire, err := dialFrom(context.Background(), source, a.Port)
	if err != nil {
		return 0, err
	}
	defer wire.Close()
	wire.SetDeadline(began.Add(appliance.Patience))
	conn, channels, requests, err := ssh.NewClientConn(wire, "", &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{method}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return 0, fmt.Errorf("after %v: %w", time.Since(began), err)
	}
	session, err := ssh.NewClient(conn, channels, requests).NewSession()
	if err != nil {
		return 0, err
	}
	out, err := session.Output("whoami")
	if err == nil && !strings.Contains(string(out), user) {
		err = fmt.Errorf("whoami says %q", out)
	}
	return time.Since(began), err
}
