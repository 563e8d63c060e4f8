package e2e_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// clientPrograms are further clients, beside those of OpenSSH, PuTTY, paramiko and lftp.
var clientPrograms = []client{
	{
		name: "curl", program: "curl", from: "curl", // Debian 12's is on libssh2 1.10, which has neither encrypt-then-MAC nor AES-GCM
		list: func(b *bed, user string) appliance.Result {
			return b.Exec("", "curl", "-sS", "-k", "-l", "-u", user+":"+appliance.Password(user), b.url("diagnostic/"))
		},
		get: func(b *bed, user, remote, local string) appliance.Result {
			return b.curl(user, "-f", "--path-as-is", "-o", local, b.url(remote))
		},
		put: func(b *bed, user, local, remote string) appliance.Result {
			return b.curl(user, "-T", local, b.url(remote))
		},
		remove: func(b *bed, user, remote string) appliance.Result {
			return b.curl(user, "-o", "/dev/null", "-Q", "rm /"+remote, b.url(""))
		},
	},
	{
		name: "dbclient", program: "dbclient", from: "dropbear-bin",
		run: func(b *bed, user, line string) appliance.Result {
			b.t.Helper()
			key := filepath.Join(b.t.TempDir(), "key")
			tool(b.t, "dropbearconvert", "openssh", "dropbear", b.KeyFile(user), key)
			r := b.Exec("", "dbclient", "-y", "-y", "-p", strconv.Itoa(b.Port), "-i", key, user+"@127.0.0.1", line)
			_, r.Err, _ = strings.Cut(r.Err, "dbclient: Caution, skipping hostkey check for 127.0.0.1\n\n")
			return r
		},
	},
	{
		name: "rclone", program: "rclone", from: "rclone",
		list: func(b *bed, user string) appliance.Result { return b.rclone(user, "lsf", ":sftp:diagnostic") },
		get: func(b *bed, user, remote, local string) appliance.Result {
			return b.rclone(user, "copyto", ":sftp:"+remote, local)
		},
		put: func(b *bed, user, local, remote string) appliance.Result {
			return b.rclone(user, "copyto", local, ":sftp:"+remote)
		},
		remove: func(b *bed, user, remote string) appliance.Result {
			return b.rclone(user, "deletefile", ":sftp:"+remote)
		},
	},
	{
		name: "sshfs", program: "sshfs", from: "sshfs", mounted: true,
		list: func(b *bed, user string) appliance.Result { return b.sshfs(user, `ls "$1/diagnostic"`) },
		get: func(b *bed, user, remote, local string) appliance.Result {
			return b.sshfs(user, `cat "$1/$2" >"$3"`, remote, local)
		},
		put: func(b *bed, user, local, remote string) appliance.Result {
			return b.sshfs(user, `cp "$2" "$1/$3"`, local, remote)
		},
		remove: func(b *bed, user, remote string) appliance.Result { return b.sshfs(user, `rm "$1/$2"`, remote) },
	},
	scripted("asyncssh", "/usr/bin/python3", "python3", (*bed).asyncssh),
	scripted("node ssh2", "node", "nodejs", (*bed).node),
}

// url is a file or, with a slash at its end, a folder of the appliance.
func (b *bed) url(path string) string {
	return "sftp://127.0.0.1:" + strconv.Itoa(b.Port) + "/" + strings.TrimPrefix(path, "/")
}

// curl runs curl with a user's key.
func (b *bed) curl(user string, args ...string) appliance.Result {
	b.t.Helper()
	return b.Exec("", "curl", append([]string{"-sS", "-k", "-u", user + ":", "--key", b.KeyFile(user)}, args...)...)
}

func (b *bed) rclone(user string, args ...string) appliance.Result {
	b.t.Helper()
	if args[0] != "lsf" { // else it tries six commands of a shell that could make checksums, each time
		args = append(args, "--sftp-disable-hashcheck")
	}
	return b.Exec("", "rclone", append([]string{"--config", "/dev/null", "--sftp-host", "127.0.0.1", "--sftp-port", strconv.Itoa(b.Port),
		"--sftp-user", user, "--sftp-key-file", b.KeyFile(user), "--retries", "1", "--low-level-retries", "1"}, args...)...)
}

// sshfs runs a script of sh while the appliance's files are mounted at $1. The mount is in a namespace
// of its own: were it to last, the folder is empty for whoever removes it. It is busy for a moment when
// somebody who watches mounts has it open.
func (b *bed) sshfs(user, script string, args ...string) appliance.Result {
	b.t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		netnstest.Missing(b.t, "/dev/fuse is missing, which sshfs needs")
	}
	options := "port=" + strconv.Itoa(b.Port) + ",IdentityFile=" + b.KeyFile(user) +
		",IdentitiesOnly=yes,IdentityAgent=none,StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null,LogLevel=ERROR"
	script = `sshfs -F /dev/null -o ` + options + ` ` + user + `@127.0.0.1:/ "$1" || exit
` + script + `; status=$?
tries=100
until fusermount3 -u "$1"; do
	tries=$((tries - 1))
	[ $tries = 0 ] && exit 99
	sleep 0.1
done 2>/dev/null
exit $status`
	return b.Exec("", "unshare", append([]string{"-m", "sh", "-c", script, "sh", b.t.TempDir()}, args...)...)
}

func (b *bed) asyncssh(user string, act ...string) appliance.Result {
	b.t.Helper()
	return b.asks(user, act, "asyncssh", func() []string {
		if exec.Command("/usr/bin/python3", "-W", "ignore", "-c", "import asyncssh").Run() != nil {
			netnstest.Missing(b.t, "asyncssh is missing: install the Debian package python3-asyncssh")
		}
		return []string{"/usr/bin/python3", "testdata/asyncssh_client.py"}
	})
}

func (b *bed) paramiko(user string, act ...string) appliance.Result {
	b.t.Helper()
	return b.asks(user, act, "paramiko", func() []string {
		if python() == "" {
			netnstest.Missing(b.t, "paramiko is missing: install the Debian package python3-paramiko")
		}
		return []string{python(), "testdata/paramiko_client.py"}
	})
}

// nodeModules is where internal/test/packages.sh installs what it takes from npm.
const nodeModules = "/var/cache/diagsh-tests/node/node_modules"

func (b *bed) node(user string, act ...string) appliance.Result {
	b.t.Helper()
	return b.asks(user, act, "node", func() []string {
		if _, err := os.Stat(filepath.Join(nodeModules, "ssh2")); err != nil {
			netnstest.Missing(b.t, "ssh2 is missing: internal/test/packages.sh installs it in "+nodeModules)
		}
		return []string{"env", "NODE_PATH=" + nodeModules, "node", "testdata/node_client.js"}
	})
}

// An attendant is a client that is written here and does one act after another: it takes long to
// start such a program.
type attendant struct {
	in  io.Writer
	out *bufio.Reader
}

// asks has an attendant act for a user, which is started at its first act.
func (b *bed) asks(user string, act []string, name string, program func() []string) appliance.Result {
	b.t.Helper()
	who := b.attendants[name]
	if who == nil {
		words := append(program(), "127.0.0.1", strconv.Itoa(b.Port))
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			b.t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			b.t.Fatal(err)
		}
		if err := b.Launch(cmd); err != nil {
			b.t.Fatal(err)
		}
		late := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		b.t.Cleanup(func() {
			in.Close()
			cmd.Wait()
			late.Stop()
		})
		who = &attendant{in, bufio.NewReader(out)}
		if b.attendants == nil {
			b.attendants = map[string]*attendant{}
		}
		b.attendants[name] = who
	}
	line, err := json.Marshal(append([]string{user, b.KeyFile(user)}, act...))
	if err != nil {
		b.t.Fatal(err)
	}
	who.in.Write(append(line, '\n'))
	answer, err := who.out.ReadBytes('\n')
	var r appliance.Result
	if err == nil {
		err = json.Unmarshal(answer, &r)
	}
	if err != nil {
		b.t.Fatalf("%s was asked for %q and answered %q: %v", name, act, answer, err)
	}
	return r
}

// midnightCommander lists the appliance's files in a panel, logs in by password to do so, and
// copies one.
func midnightCommander(t *testing.T, b *bed) {
	need(t, "mc", "mc")
	content := "what mc copies\n"
	b.put("mx1-mc-20260101-000000.pcap", []byte(content))
	home, to := t.TempDir(), t.TempDir()
	port := strconv.Itoa(b.Port)
	known := "[127.0.0.1]:" + port + " " + strings.TrimSpace(tool(t, "ssh-keygen", "-y", "-f", filepath.Join(b.Data, "hostkeys", "ssh_host_ed25519_key"))) + "\n"
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".ssh", "known_hosts"), []byte(known), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("mc", "-b", "-u", "sftp://op@127.0.0.1:"+port+"/diagnostic", to)
	cmd.Env = append(os.Environ(), "HOME="+home, "TERM=xterm", "LC_ALL=C.UTF-8")
	var keys *os.File
	var err error
	b.ns.Do(t, func() { keys, err = pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 120}) })
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	screen := &transcript{}
	gone := make(chan struct{})
	go func() {
		io.Copy(screen, keys)
		close(gone)
	}()
	shows := func(text string) {
		t.Helper()
		await.Until(b.t, text, func() bool { return strings.Contains(screen.String(), text) })
	}
	const down, f5, f10 = "\x1bOB", "\x1b[15~", "\x1b[21~"
	shows("Enter password for op")
	keys.WriteString(appliance.Password("op") + "\r")
	shows("mx1-mc-2026")
	keys.WriteString(down + f5)
	shows("with source mask")
	keys.WriteString("\r")
	copied := filepath.Join(to, "mx1-mc-20260101-000000.pcap")
	await.Until(b.t, "a copy", func() bool {
		text, _ := os.ReadFile(copied)
		return string(text) == content
	})
	// A key is lost on mc while it takes the picture of the copy away.
	await.Until(b.t, "the end of mc", func() bool {
		keys.WriteString(f10)
		select {
		case <-gone:
			return true
		case <-time.After(500 * time.Millisecond):
			return false
		}
	})
	cmd.Wait()
}

// A transcript keeps what a program sends to its terminal, as it comes: mc makes use of more than a
// vt.Screen knows.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
