package server

import (
	"bytes"
	"context"
	"os/exec"
	"testing"
)

// openSSH are the options by which OpenSSH's programs reach the bench with its key.
func (b *bench) openSSH() []string {
	return []string{
		"-F", "none", "-i", b.keyFile, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=" + b.dir + "/known_hosts", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes",
	}
}

// A result is what a program did.
type result struct {
	stdout, stderr string
	status         int
}

// run runs a client program.
func (b *bench) run(stdin string, program string, args ...string) result {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = b.dir
	cmd.Stdin = bytes.NewBufferString(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		b.t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

func (b *bench) ssh(stdin string, args ...string) result {
	b.t.Helper()
	program := need(b.t, "ssh", "openssh-client")
	return b.run(stdin, program, append(append(b.openSSH(), "-p", b.port, testUser+"@127.0.0.1"), args...)...)
}

func TestSmoke(t *testing.T) {
	b := newBench(t, Limits{})
	b.appliance.put("a.pcap", []byte("hello"))
	t.Log(b.ssh("", "exit 7"))
	t.Log(b.ssh("", "environment"))
	t.Log(b.ssh("", "status"))
	t.Log(b.ssh("terminal\nleave\n", "-tt"))
	t.Log(b.ssh("ls -l\nls -l diagnostic\nget diagnostic/a.pcap /dev/stdout\n", "-s", "sftp"))
	t.Log(b.run("ls -l\nls -l diagnostic\nget diagnostic/a.pcap x.pcap\nrm diagnostic/a.pcap\nput x.pcap\n", "sftp", append(b.openSSH(), "-P", b.port, testUser+"@127.0.0.1")...))
	b.appliance.put("a.pcap", []byte("hello"))
	t.Log(b.run("", "scp", append(b.openSSH(), "-O", "-P", b.port, testUser+"@127.0.0.1:diagnostic/*", "y.pcap")...))
	t.Log(b.run("", "scp", append(b.openSSH(), "-O", "-rp", "-P", b.port, testUser+"@127.0.0.1:/", "all")...))
	t.Log(b.run("", "find", "."))
}
