package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// hostname is what the prompt of the measured appliance shows.
const hostname = "mx1"

// user is the account that logs in at the appliance. At sshd it is root, who runs the benchmark.
const user = "admin"

// patience bounds the wait for anything that should happen at once.
const patience = 30 * time.Second

// A bed is an appliance, two of OpenSSH's servers that accept the same key, and the options by
// which OpenSSH's clients reach all of them.
type bed struct {
	dir    string // everything that the benchmark writes
	data   string // of the appliance
	binary string // that is measured
	rounds int

	appliance *server
	sshd      map[bool]*server // by UsePAM
	close     func()
}

// A server is a running program that listens for SSH, an appliance also for HTTPS.
type server struct {
	cmd  *exec.Cmd
	port string
	user string
	page string // the URL of its page, without a slash at its end
}

func (s *server) target() string { return s.user + "@127.0.0.1" }

func newBed(ctx context.Context, binary, parent string, rounds int) (b *bed, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("it needs root, as the appliance and sshd do")
	}
	dir, err := os.MkdirTemp(parent, "diagsh-bench-")
	if err != nil {
		return nil, err
	}
	b = &bed{dir: dir, binary: binary, data: filepath.Join(dir, "data"), rounds: rounds, sshd: map[bool]*server{}}
	b.close = func() {
		b.appliance.stop()
		for _, s := range b.sshd {
			s.stop()
		}
		os.RemoveAll(dir)
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if err := command(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", b.key()); err != nil {
		return nil, err
	}
	if b.appliance, err = b.startAppliance(ctx, b.data); err != nil {
		return nil, err
	}
	for _, pam := range []bool{false, true} {
		if b.sshd[pam], err = b.startSSHD(ctx, pam); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *bed) path(name string) string { return filepath.Join(b.dir, name) }
func (b *bed) key() string             { return b.path("key") }

// often returns n, or the number of rounds that the command line gives.
func (b *bed) often(n int) int {
	if b.rounds > 0 {
		return b.rounds
	}
	return n
}

// options returns the options of OpenSSH's clients, the same for every client and server.
func (b *bed) options() []string {
	return []string{
		"-F", "none", "-i", b.key(), "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=" + b.path("known_hosts"), "-o", "LogLevel=ERROR",
	}
}

// ssh returns OpenSSH's client, not yet started, with s as its host.
func (b *bed) ssh(ctx context.Context, s *server, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ssh", append(append(b.options(), "-p", s.port, s.target()), args...)...)
}

var (
	announcedPort = regexp.MustCompile(`ssh -p (\d+) `)
	announcedPage = regexp.MustCompile(`(https://\S+?)/?$`)
)

// startAppliance starts an appliance that keeps its data in a folder and listens for SSH and HTTPS.
func (b *bed) startAppliance(ctx context.Context, data string) (*server, error) {
	config := b.path("config.yaml")
	text := "hostname: " + hostname + "\nlimits:\n  sessionsPerUser: 200\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, b.binary, "serve", "--data", data, "--ssh", "127.0.0.1:0", "--https", "127.0.0.1:0",
		"--config", config, "--admin-key", b.key()+".pub", "--log", data+".log")
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, user: user}
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if m := announcedPort.FindStringSubmatch(lines.Text()); m != nil {
			s.port = m[1]
		}
		if m := announcedPage.FindStringSubmatch(lines.Text()); m != nil {
			s.page = m[1]
			return s, nil
		}
	}
	s.stop()
	return nil, errors.New("the appliance did not start")
}

// sshdConfig is /etc/ssh/sshd_config of Debian 12, with another address, other keys and UsePAM as a
// parameter.
const sshdConfig = `Port %s
ListenAddress 127.0.0.1
PidFile none
HostKey %s
AuthorizedKeysFile %s
StrictModes no
UsePAM %s
KbdInteractiveAuthentication no
X11Forwarding yes
PrintMotd no
AcceptEnv LANG LC_*
Subsystem sftp /usr/lib/openssh/sftp-server
`

func (b *bed) startSSHD(ctx context.Context, pam bool) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	// Debian's unit file makes this folder at boot.
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		return nil, err
	}
	answer := map[bool]string{false: "no", true: "yes"}[pam]
	config, hostKey := b.path("sshd-"+answer), b.path("hostkey-"+answer)
	if err := command(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", hostKey); err != nil {
		return nil, err
	}
	if err := os.WriteFile(config, fmt.Appendf(nil, sshdConfig, port, hostKey, b.key()+".pub", answer),
		0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "/usr/sbin/sshd", "-D", "-e", "-f", config)
	log, err := os.Create(b.path("sshd-log-" + answer))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, port: port, user: "root"}
	if err := awaitListener(ctx, port); err != nil {
		s.stop()
		return nil, fmt.Errorf("sshd: %w", err)
	}
	return s, nil
}

// stop ends a server by SIGTERM and waits for it; after patience it kills it. s may be nil.
func (s *server) stop() {
	if s == nil {
		return
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	ended := make(chan struct{})
	go func() { s.cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(patience):
		s.cmd.Process.Kill()
		<-ended
	}
}

// command runs a program for its effect.
func command(ctx context.Context, name string, args ...string) error {
	return silent(exec.CommandContext(ctx, name, args...))
}

// silent runs cmd without output. If cmd fails, its output is in the error.
func silent(cmd *exec.Cmd) error {
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, strings.TrimSpace(said.String()))
	}
	return nil
}
