package ssh

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/test/await"
)

// These compare with OpenSSH's own server in one run, by OpenSSH's client with its default
// settings:
//
//	go test -run '^$' -bench . -benchtime 5x ./server

// startSSHD starts OpenSSH's server for the rig's key and returns its port.
func (r *rig) startSSHD() string {
	r.t.Helper()
	sshd := need(r.t, "/usr/sbin/sshd", "openssh-server")
	if os.Geteuid() == 0 {
		check(r.t, os.MkdirAll("/run/sshd", 0o755)) // where it locks itself up
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(r.t, err)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	r.file("authorized_keys", string(ssh.MarshalAuthorizedKey(r.key.PublicKey())))
	config := r.file("sshd_config", strings.Join([]string{
		"ListenAddress 127.0.0.1:" + port,
		"HostKey " + filepath.Join(hostKeyDir, "host", "ssh_host_ed25519_key"),
		"AuthorizedKeysFile " + filepath.Join(r.dir, "authorized_keys"),
		"StrictModes no", "PermitRootLogin yes", "UsePAM no", "PidFile none",
		"Subsystem sftp /usr/lib/openssh/sftp-server",
	}, "\n")+"\n")
	cmd := exec.Command(sshd, "-D", "-f", config)
	check(r.t, cmd.Start())
	r.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	await.Until(r.t, "OpenSSH's server", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	known, err := os.ReadFile(filepath.Join(r.dir, "known_hosts"))
	check(r.t, err)
	r.file("known_hosts", string(known)+strings.ReplaceAll(string(known), "]:"+r.port+" ", "]:"+port+" "))
	return port
}

// localUser is who may log in at OpenSSH's server: whoever runs it.
func localUser(t testing.TB) string {
	out, err := exec.Command("id", "-un").Output()
	check(t, err)
	return strings.TrimSpace(string(out))
}

func BenchmarkDownload(b *testing.B) {
	sftp := need(b, "sftp", "openssh-client")
	r := newRig(b, Limits{})
	const size = 1 << 30
	r.appliance.put("big.pcap", nil)
	big := filepath.Join(r.appliance.dir, "big.pcap")
	check(b, os.Truncate(big, size))
	warm, err := os.Open(big) // or the first to send it would pay for its way into memory
	check(b, err)
	_, err = io.Copy(io.Discard, warm)
	check(b, errors.Join(err, warm.Close()))
	to := filepath.Join(r.dir, "got")
	for _, peer := range []struct{ name, port, from string }{
		{"diagsh", r.port, testUser + "@127.0.0.1:diagnostic/big.pcap"},
		{"OpenSSH", r.startSSHD(), localUser(b) + "@127.0.0.1:" + big},
	} {
		b.Run(peer.name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				if got := r.run("", sftp, append(r.openSSH(), "-q", "-P", peer.port, peer.from, to)...); got.status != 0 {
					b.Fatal(got)
				}
			}
		})
	}
}

// BenchmarkLogin is the time to the first prompt of a shell, and to the end of `ssh HOST true` at
// OpenSSH's server.
func BenchmarkLogin(b *testing.B) {
	program := need(b, "ssh", "openssh-client")
	r := newRig(b, Limits{})
	port := r.startSSHD()
	b.Run("diagsh", func(b *testing.B) {
		for b.Loop() {
			cmd := exec.Command(program, append(r.openSSH(), "-tt", "-p", r.port, testUser+"@127.0.0.1")...)
			in, err := cmd.StdinPipe() // open, so that the session does not end by itself
			check(b, err)
			out, err := cmd.StdoutPipe()
			check(b, err)
			check(b, cmd.Start())
			if text, err := bufio.NewReader(out).ReadString('>'); !strings.HasSuffix(text, "fake>") {
				b.Fatalf("%q, %v", text, err)
			}
			b.StopTimer()
			fmt.Fprintln(in, "leave")
			check(b, cmd.Wait())
			b.StartTimer()
		}
	})
	b.Run("OpenSSH", func(b *testing.B) {
		for b.Loop() {
			if got := r.run("", program, append(r.openSSH(), "-p", port, localUser(b)+"@127.0.0.1", "true")...); got.status != 0 {
				b.Fatal(got)
			}
		}
	})
}
