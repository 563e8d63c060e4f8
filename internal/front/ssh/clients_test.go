package ssh

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/test/netnstest"
)

// openSSH are the options by which OpenSSH's programs reach the rig with its key.
func (r *rig) openSSH() []string {
	return []string{
		"-F", "none", "-i", r.keyFile, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "StrictHostKeyChecking=yes",
		"-o", "UserKnownHostsFile=" + r.dir + "/known_hosts", "-o", "LogLevel=ERROR",
	}
}

// A result is what a program did.
type result struct {
	stdout, stderr string
	status         int
}

// run runs a client program in the client's folder.
func (r *rig) run(stdin string, program string, args ...string) result {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = r.dir
	cmd.Stdin = strings.NewReader(stdin)
	// The password comes from a program, as where there is no terminal (ssh(1), SSH_ASKPASS).
	cmd.Env = append(os.Environ(), "SSH_ASKPASS="+filepath.Join(r.dir, "askpass"), "SSH_ASKPASS_REQUIRE=force", "HOME="+r.dir, "LC_ALL=C.UTF-8")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		r.t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// ssh runs OpenSSH's client; args are further options, then the command.
func (r *rig) ssh(stdin string, args ...string) result {
	r.t.Helper()
	program := need(r.t, "ssh", "openssh-client")
	return r.run(stdin, program, append(append(r.openSSH(), "-p", r.port, "-l", testUser, "127.0.0.1"), args...)...)
}

func (r *rig) answerPassword(password string) {
	r.t.Helper()
	check(r.t, os.WriteFile(filepath.Join(r.dir, "askpass"), []byte("#!/bin/sh\necho '"+password+"'\n"), 0o700))
}

// got compares what a file of the client's folder holds, and removes it.
func (r *rig) got(name string, want []byte) {
	r.t.Helper()
	content, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		r.t.Error(err)
		return
	}
	os.Remove(filepath.Join(r.dir, name))
	if !bytes.Equal(content, want) {
		r.t.Errorf("%s: %d bytes, not the %d that were served", name, len(content), len(want))
	}
}

func (r result) String() string {
	return fmt.Sprintf("status %d, %q, %q", r.status, r.stdout, r.stderr)
}

func expect(t *testing.T, what string, got, want result) {
	t.Helper()
	if got != want {
		t.Errorf("%s\n got: %v\nwant: %v", what, got, want)
	}
}

func contains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q:\n%s", what, part, text)
		}
	}
}

// pcap is content that no transfer in text mode would leave alone, larger than a channel's window.
func pcap() []byte {
	content := make([]byte, 5<<20+4321)
	for i := range content {
		content[i] = byte(i * i >> 7)
	}
	return content
}

func TestOpenSSH(t *testing.T) {
	r := newRig(t, Limits{})
	expect(t, "exec", r.ssh("", "exit 7"), result{"leaving\n", "with a word\n", 7})
	expect(t, "exec with input", r.ssh("a\nb\n", "copy"), result{"a\nb\n", "", 0})
	expect(t, "exec on a terminal", r.ssh("", "-tt", "exit 7"), result{"leaving\r\nwith a word\r\n", "", 7})
	expect(t, "killed", r.ssh("", "die"), result{"", "", 255})
	expect(t, "identity", r.ssh("", "identity"), result{"login-5 exec\n", "", 0})
	expect(t, "shell without terminal", r.ssh("echo x\nleave\n", "-T"), result{"hello login-6 shell\nfake> x\nfake> ", "", 0})

	shell := r.ssh("echo typed\nleave\n", "-tt")
	if shell.status != 0 {
		t.Errorf("shell: %v", shell)
	}
	contains(t, "shell", shell.stdout, "hello login-7 shell\r\n", "\r\nfake> ", "typed\r\n")

	flood := r.ssh("", "flood 20000000")
	if len(flood.stdout) != 20000000 || flood.status != 0 {
		t.Errorf("flood: %d bytes, status %d", len(flood.stdout), flood.status)
	}
	banner := r.run("", need(t, "ssh", "openssh-client"), append(append([]string{"-o", "LogLevel=INFO"}, r.openSSH()...),
		"-p", r.port, "-l", testUser, "127.0.0.1", "exit 0")...)
	contains(t, "banner", banner.stderr, "Authorised users only.")
}

func TestOpenSSHPassword(t *testing.T) {
	r := newRig(t, Limits{})
	for _, method := range []string{"password", "keyboard-interactive"} {
		options := []string{"-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=" + method, "-o", "NumberOfPasswordPrompts=1"}
		r.answerPassword(testPassword)
		expect(t, method, r.ssh("", append(options, "echo in")...), result{"in\n", "", 0})
		r.answerPassword("wrong")
		refused := r.ssh("", append(options, "echo in")...)
		if refused.status != 255 || refused.stdout != "" {
			t.Errorf("%s: a wrong password gave %v", method, refused)
		}
		contains(t, method, refused.stderr, "Permission denied (password,publickey,keyboard-interactive).")
	}
}

// Whatever a client's key exchange, cipher or known host key is, it gets in; what is broken is not
// there to be chosen.
func TestOpenSSHAlgorithms(t *testing.T) {
	r := newRig(t, Limits{})
	for _, option := range []string{
		"KexAlgorithms=curve25519-sha256", "KexAlgorithms=ecdh-sha2-nistp256", "HostKeyAlgorithms=ecdsa-sha2-nistp256",
		"HostKeyAlgorithms=rsa-sha2-256", "Ciphers=chacha20-poly1305@openssh.com", "Ciphers=aes256-ctr", "RekeyLimit=100K",
		"MACs=hmac-sha2-256 -c aes128-ctr", "MACs=hmac-sha2-512 -c aes256-ctr", "MACs=hmac-sha2-256 -c aes128-ctr,chacha20-poly1305@openssh.com",
	} {
		args := append(strings.Fields("-o "+option), "copy")
		text := strings.Repeat("some text\n", 50000)
		if got := r.ssh(text, args...); got.stdout != text || got.status != 0 {
			t.Errorf("%s: status %d, %d bytes, %s", option, got.status, len(got.stdout), got.stderr)
		}
	}
	for _, option := range []string{
		"KexAlgorithms=diffie-hellman-group14-sha1", "HostKeyAlgorithms=ssh-rsa", "Ciphers=aes128-cbc", "MACs=hmac-sha1",
	} {
		args := []string{"-v", "-o", option, "-o", "Ciphers=aes128-ctr", "exit 0"}
		if got := r.ssh("", args...); got.status != 255 || !strings.Contains(got.stderr, "no match") {
			t.Errorf("%s: %v", option, got)
		}
	}
}

func TestOpenSSHFiles(t *testing.T) {
	sftp, scp := need(t, "sftp", "openssh-client"), need(t, "scp", "openssh-client")
	r := newRig(t, Limits{})
	content := pcap()
	r.appliance.put("one.pcap", content)
	r.appliance.put("two.pcapng", []byte("2"))
	host := testUser + "@127.0.0.1:"
	options := append(r.openSSH(), "-P", r.port)

	batch := "pwd\nls\nls -l diagnostic\nget diagnostic/one.pcap\nget diagnostic/*.pcapng\nreget diagnostic/two.pcapng\n" +
		"-get diagnostic/none\n-get ../../etc/passwd\n-put id\n-put id diagnostic/id\n-mkdir x\n-rename diagnostic/one.pcap x\n" +
		"-symlink diagnostic/one.pcap x\n-chmod 777 diagnostic/one.pcap\n-rmdir diagnostic\nrm diagnostic/two.pcapng\n-ls -l diagnostic/two.pcapng\ndf\n"
	got := r.run("", sftp, append(options, "-q", "-b", r.file("batch", batch), host)...)
	contains(t, "sftp", got.stdout, "Remote working directory: /\n", "\ndiagnostic", " one.pcap", "-rw-r-----")
	contains(t, "sftp's refusals", got.stderr, `dest open "/id": Permission denied`, `dest open "/diagnostic/id": Permission denied`,
		`remote mkdir "/x": Permission denied`, `remote rename "/diagnostic/one.pcap"`, `remote symlink file`, `remote setstat`, `remote rmdir`,
		`File "/diagnostic/none" not found`, `File "/../../etc/passwd" not found`, `"/diagnostic/two.pcapng" not found`)
	r.got("one.pcap", content)
	r.got("two.pcapng", []byte("2"))

	for _, protocol := range []string{"-s", "-O"} {
		r.appliance.put("two.pcapng", []byte("2"))
		expect(t, "scp "+protocol, r.run("", scp, append(options, protocol, "-p", host+"diagnostic/one.pcap", "got.pcap")...), result{})
		r.got("got.pcap", content)
		expect(t, "scp of a pattern", r.run("", scp, append(options, protocol, host+"/diagnostic/*", ".")...), result{})
		r.got("one.pcap", content)
		r.got("two.pcapng", []byte("2"))
		expect(t, "scp of the folder", r.run("", scp, append(options, protocol, "-r", host+"diagnostic", ".")...), result{})
		r.got("diagnostic/one.pcap", content)
		r.got("diagnostic/two.pcapng", []byte("2"))
		for _, path := range []string{"none.pcap", "diagnostic/none.pcap", "/etc/passwd", "../../etc/passwd", "diagnostic/../../etc/*", "diagnostic"} {
			if got := r.run("", scp, append(options, protocol, host+path, "x")...); got.status == 0 ||
				got.stderr == "" {
				t.Errorf("scp %s %s: %v", protocol, path, got)
			}
		}
		if got := r.run("", scp, append(options, protocol, r.keyFile, host+"diagnostic/")...); got.status == 0 ||
			got.stderr == "" {
			t.Errorf("scp %s uploads: %v", protocol, got)
		}
	}
	if n := len(r.appliance.downloaded()); n < 9 {
		t.Errorf("%d downloads were recorded: %v", n, r.appliance.downloaded())
	}
}

// file makes a file of the client's and returns its path.
func (r *rig) file(name, content string) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	check(r.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestPuTTY(t *testing.T) {
	plink, psftp, pscp := need(t, "plink", "putty-tools"), need(t, "psftp", "putty-tools"), need(t, "pscp", "putty-tools")
	puttygen := need(t, "puttygen", "putty-tools")
	r := newRig(t, Limits{})
	content := pcap()
	r.appliance.put("one.pcap", content)
	options := []string{"-batch", "-P", r.port, "-l", testUser, "-pw", testPassword, "-hostkey", ssh.FingerprintSHA256(r.server.HostKeys()[0])}

	exec := r.run("", plink, append(options, "127.0.0.1", "exit 7")...)
	contains(t, "plink", exec.String(), "status 7", "leaving\\n", "with a word\\n")
	shell := r.run("echo typed\nleave\n", plink, append(options, "-t", "127.0.0.1")...)
	contains(t, "plink's shell", shell.stdout, "hello login-2 shell\r\n", "typed\r\n")

	check(t, os.Chmod(r.keyFile, 0o600))
	if got := r.run("", puttygen, r.keyFile, "-o", r.keyFile+".ppk"); got.status != 0 {
		t.Fatal(got.stderr)
	}
	byKey := []string{"-batch", "-P", r.port, "-l", testUser, "-i", r.keyFile + ".ppk", "-hostkey", options[len(options)-1]}
	if got := r.run("", plink, append(byKey, "127.0.0.1", "echo key")...); got.stdout != "key\n" || got.status != 0 {
		t.Errorf("plink with a key: %v", got)
	}

	got := r.run("", psftp, append(options, "-b", r.file("batch", "ls diagnostic\nget diagnostic/one.pcap psftp.pcap\n"), "127.0.0.1")...)
	contains(t, "psftp", got.stdout, "one.pcap", "Remote working directory is /")
	r.got("psftp.pcap", content)
	for _, protocol := range []string{"-sftp", "-scp"} {
		if got := r.run("", pscp, append(options, protocol, "127.0.0.1:diagnostic/one.pcap", "pscp.pcap")...); got.status != 0 {
			t.Errorf("pscp %s: %v", protocol, got)
		}
		r.got("pscp.pcap", content)
	}
}

func TestLftp(t *testing.T) {
	lftp := need(t, "lftp", "lftp")
	r := newRig(t, Limits{})
	content := pcap()
	r.appliance.put("one.pcap", content)
	connect := "ssh -a -x " + strings.Join(r.openSSH(), " ")
	script := fmt.Sprintf("set sftp:connect-program '%s'; set net:max-retries 1; open -u %s, sftp://127.0.0.1:%s; cls -l diagnostic; "+
		"pget -n 3 diagnostic/one.pcap; bye", connect, testUser, r.port)
	got := r.run("", lftp, "--norc", "-c", script)
	if got.status != 0 {
		t.Errorf("lftp: %v", got)
	}
	contains(t, "lftp", got.stdout, "one.pcap")
	r.got("one.pcap", content)
}

// needParamiko is Debian's own Python, with paramiko: another interpreter that is first in PATH has
// not Debian's modules.
func needParamiko(t *testing.T) string {
	t.Helper()
	python := need(t, "/usr/bin/python3", "python3")
	if err := exec.Command(python, "-c", "import paramiko").Run(); err != nil {
		netnstest.Missing(t, "paramiko is missing: install the Debian package python3-paramiko")
	}
	return python
}

func TestParamiko(t *testing.T) {
	python := needParamiko(t)
	r := newRig(t, Limits{})
	content := pcap()
	r.appliance.put("one.pcap", content)
	const script = `
import paramiko, sys, time
host, port, user, password, keyfile = sys.argv[1:6]
def connect(**how):
    c = paramiko.SSHClient()
    c.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    c.connect(host, int(port), user, look_for_keys=False, allow_agent=False, **how)
    return c
c = connect(password=password)
i, o, e = c.exec_command("exit 7")
print(o.read(), e.read(), o.channel.recv_exit_status())
s = c.invoke_shell(width=91, height=31)
s.send("terminal\rleave\r")
text = b""
while True:
    got = s.recv(1000)
    if not got:
        break
    text += got
print(b"91x31" in text, s.recv_exit_status())
c.close()
c = connect(key_filename=keyfile)
f = c.open_sftp()
print(f.listdir("."), f.listdir("diagnostic"), f.stat("diagnostic/one.pcap").st_size)
f.get("diagnostic/one.pcap", "one.pcap")
for act in (lambda: f.get("/etc/passwd", "x"), lambda: f.put(keyfile, "diagnostic/x"), lambda: f.mkdir("x")):
    try:
        act()
        print("done")
    except IOError as error:
        print(error)
try:
    connect(password="wrong")
except paramiko.AuthenticationException as error:
    print(error)
`
	got := r.run("", python, "-c", script, "127.0.0.1", r.port, testUser, testPassword, r.keyFile)
	want := "b'leaving\\n' b'with a word\\n' 7\nTrue 0\n['diagnostic'] ['one.pcap'] " + fmt.Sprint(len(content)) +
		"\n[Errno 2] There is no such file.\n[Errno 13] Files can be read and deleted here, not written." +
		"\n[Errno 13] Files can be read and deleted here, not written.\nAuthentication failed.\n"
	expect(t, "paramiko", got, result{want, "", 0})
	r.got("one.pcap", content)
}

// paramiko requests the authentication service again before each attempt, which changes nothing: it
// has as many as others.
func TestParamikoHasAllAttempts(t *testing.T) {
	python := needParamiko(t)
	r := newRig(t, Limits{})
	_, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	check(t, err)
	other := r.file("other", string(pem.EncodeToMemory(block)))
	const script = `
import paramiko, sys
host, port, user, password, keyfile, other = sys.argv[1:7]
def attempt(**how):
    c = paramiko.SSHClient()
    c.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    try:
        c.connect(host, int(port), user, look_for_keys=False, allow_agent=False, **how)
        print("in")
    except paramiko.AuthenticationException as error:
        print(error)
    c.close()
attempt(key_filename=[other, keyfile])
attempt(key_filename=other, password=password)
attempt(key_filename=[keyfile, other])
attempt(key_filename=other, password="wrong")
c = paramiko.Transport((host, int(port)))
c.start_client()
for _ in range(5):
    try:
        c.auth_password(user, "wrong")
    except paramiko.AuthenticationException as error:
        print(error)
c.auth_password(user, password)
print("in", c.is_authenticated())
c.close()
c = paramiko.Transport((host, int(port)))
c.start_client()
tries = 0
try:
    while not c.is_authenticated():
        tries += 1
        try:
            c.auth_password(user, "wrong")
        except paramiko.AuthenticationException:
            if not c.is_active():
                break
except paramiko.SSHException:
    pass
print("tries", tries)
`
	got := r.run("", python, "-c", script, "127.0.0.1", r.port, testUser, testPassword, r.keyFile, other)
	failed := "Authentication failed.\n"
	want := "in\nin\nin\n" + failed + strings.Repeat(failed, 5) + "in True\ntries 6\n"
	expect(t, "paramiko's attempts", got, result{want, "", 0})
	if n := len(r.appliance.refused); n != 1+5+maxAuthTries {
		t.Errorf("%d wrong passwords were looked at", n)
	}
}

func TestAudit(t *testing.T) {
	audit := need(t, "ssh-audit", "ssh-audit")
	r := newRig(t, Limits{})
	got := r.run("", audit, "-n", "-p", r.port, "127.0.0.1")
	if strings.Contains(got.stdout, "[fail]") || !strings.Contains(got.stdout, "ssh-ed25519") {
		t.Errorf("ssh-audit:\n%s%s", got.stdout, got.stderr)
	}
}
