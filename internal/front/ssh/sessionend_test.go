package ssh

import (
	"io"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
)

// A program whose client is gone is hung up; one that does not mind is killed.
func TestHangUp(t *testing.T) {
	r := newRig(t, Limits{Grace: 100 * time.Millisecond})
	for _, how := range []string{"channel", "connection"} {
		for _, terminal := range []bool{false, true} {
			for _, line := range []string{"wait", "stay"} {
				c := r.dial()
				s := r.session(c)
				if terminal {
					check(t, s.RequestPty("xterm", 24, 80, nil))
				}
				r.begin(s, line)
				process := r.appliance.lastAttached()
				if how == "channel" {
					s.Close()
				} else {
					c.Close()
				}
				process.awaitEnd(t, patience)
				c.Close()
				<-r.appliance.loggedOut
			}
		}
	}
}

// The end of the input is the client's word that it has said all. A connection that is lost, in the
// middle of it, is not.
func TestLostConnectionIsNoEndOfInput(t *testing.T) {
	r := newRig(t, Limits{})
	for _, lost := range []bool{false, true} {
		for range 20 {
			c := r.dial()
			s := r.session(c)
			input, err := s.StdinPipe()
			check(t, err)
			r.begin(s, "end")
			process := r.appliance.lastAttached()
			io.WriteString(input, "a part")
			if lost {
				c.Close()
			} else {
				input.Close()
			}
			check(t, process.peer.SetReadDeadline(time.Now().Add(patience)))
			if said, err := io.ReadAll(process.peer); (string(said) == "end") == lost {
				t.Errorf("connection lost: %v; the program, told of its input, said %q (%v)", lost, said, err)
			}
			c.Close()
		}
	}
}

// A failure of the appliance reaches the user in words and in the exit status.
func TestAttachRefused(t *testing.T) {
	r := newRig(t, Limits{})
	c := r.dial()
	r.appliance.logOut("login-1")
	<-r.appliance.loggedOut
	for _, start := range [][]string{{"exec", "echo"}, {"exec", "scp -f diagnostic/x"}, {"subsystem", "sftp"}, {"shell"}} {
		channel, requests, err := c.OpenChannel("session", nil)
		check(t, err)
		var payload []byte
		if len(start) > 1 {
			payload = ssh.Marshal(struct{ Text string }{start[1]})
		}
		if ok, err := channel.SendRequest(start[0], true, payload); !ok || err != nil {
			t.Fatalf("%s: %v, %v", start, ok, err)
		}
		complaint, err := io.ReadAll(channel.Stderr())
		check(t, err)
		if string(complaint) != "The login has ended.\n" {
			t.Errorf("%s: %q", start, complaint)
		}
		if status := <-requests; status.Type != "exit-status" || status.Payload[3] != byte(menu.Denied) {
			t.Errorf("%s: %s %v", start, status.Type, status.Payload)
		}
	}
	// The server will log out again; the fake takes that for a mistake of the test otherwise.
	r.appliance.mu.Lock()
	r.appliance.logins["login-1"] = access.Login{}
	r.appliance.mu.Unlock()
}

func TestShutdown(t *testing.T) {
	r := newRig(t, Limits{Grace: 50 * time.Millisecond})
	var processes []*attached
	for _, line := range []string{"wait", "stay"} {
		r.begin(r.session(r.dial()), line)
		processes = append(processes, r.appliance.lastAttached())
	}
	hammered := r.session(r.dial())
	r.begin(hammered, "stay")
	var hammer sync.WaitGroup
	hammer.Go(func() {
		for hammered.WindowChange(1, 1) == nil {
		}
	})
	defer hammer.Wait()
	counted := &countingConn{Conn: rawDial(t, r, "127.0.0.1")}
	conn, channels, requests, err := ssh.NewClientConn(counted, r.address, r.config())
	check(t, err)
	unread := r.session(ssh.NewClient(conn, channels, requests))
	_, err = unread.StdoutPipe()
	check(t, err)
	check(t, unread.Start("flood 100000000"))
	await.Until(t, "a full window", func() bool { return counted.read.Load() > 2<<20 })
	processes = append(processes, r.appliance.lastAttached())
	sftp := r.session(r.dial())
	check(t, sftp.RequestSubsystem("sftp"))
	waiting := rawDial(t, r, "127.0.0.1") // has not logged in
	check(t, r.server.Shutdown(t.Context()))
	for _, p := range processes {
		p.awaitEnd(t, time.Second)
	}
	if _, err := io.Copy(io.Discard, waiting); err != nil {
		t.Logf("a connection before login: %v", err)
	}
	if n := r.appliance.open(); n != 0 {
		t.Errorf("%d logins are still open", n)
	}
}
