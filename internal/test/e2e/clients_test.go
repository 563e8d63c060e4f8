package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/vt"
)

// A client is a program that people have. What it cannot do is nil.
type client struct {
	name    string
	program string
	from    string // the Debian package
	mounted bool   // this machine makes something of `..` before the appliance sees it

	run    func(b *bed, user, line string) appliance.Result
	list   func(b *bed, user string) appliance.Result // names in diagnostic/, one or more in a line
	get    func(b *bed, user, remote, local string) appliance.Result
	put    func(b *bed, user, local, remote string) appliance.Result
	remove func(b *bed, user, remote string) appliance.Result
}

// scripted returns a client that is a script in testdata, on a library that people write clients
// with. All these scripts take the same words.
func scripted(name, program, from string, script func(b *bed, user string, act ...string) appliance.Result) client {
	return client{
		name: name, program: program, from: from,
		run:  func(b *bed, user, line string) appliance.Result { return script(b, user, "run", line) },
		list: func(b *bed, user string) appliance.Result { return script(b, user, "list") },
		get: func(b *bed, user, remote, local string) appliance.Result {
			return script(b, user, "get", remote, local)
		},
		put: func(b *bed, user, local, remote string) appliance.Result {
			return script(b, user, "put", local, remote)
		},
		remove: func(b *bed, user, remote string) appliance.Result { return script(b, user, "remove", remote) },
	}
}

var clients = []client{
	{
		name: "ssh", program: "ssh", from: "openssh-client",
		run: func(b *bed, user, line string) appliance.Result {
			return b.Exec("", "ssh", append(b.OpenSSH(user), line)...)
		},
	},
	{
		name: "sftp", program: "sftp", from: "openssh-client",
		list: func(b *bed, user string) appliance.Result { return b.sftp(user, "ls -1 diagnostic") },
		get: func(b *bed, user, remote, local string) appliance.Result {
			return b.sftp(user, "get "+remote+" "+local)
		},
		put: func(b *bed, user, local, remote string) appliance.Result {
			return b.sftp(user, "put "+local+" "+remote)
		},
		remove: func(b *bed, user, remote string) appliance.Result { return b.sftp(user, "rm "+remote) },
	},
	{
		name: "scp", program: "scp", from: "openssh-client",
		get: func(b *bed, user, remote, local string) appliance.Result { return b.scp(user, true, remote, local) },
		put: func(b *bed, user, local, remote string) appliance.Result { return b.scp(user, false, remote, local) },
	},
	{
		name: "scp -O", program: "scp", from: "openssh-client",
		get: func(b *bed, user, remote, local string) appliance.Result {
			return b.scp(user, true, remote, local, "-O")
		},
		put: func(b *bed, user, local, remote string) appliance.Result {
			return b.scp(user, false, remote, local, "-O")
		},
	},
	{
		name: "plink", program: "plink", from: "putty-tools",
		run: func(b *bed, user, line string) appliance.Result { return b.putty("", "plink", user, line) },
	},
	{
		name: "psftp", program: "psftp", from: "putty-tools",
		list: func(b *bed, user string) appliance.Result { return b.psftp(user, "ls diagnostic") },
		get: func(b *bed, user, remote, local string) appliance.Result {
			return b.psftp(user, "get "+remote+" "+local)
		},
		put: func(b *bed, user, local, remote string) appliance.Result {
			return b.psftp(user, "put "+local+" "+remote)
		},
		remove: func(b *bed, user, remote string) appliance.Result { return b.psftp(user, "del "+remote) },
	},
	scripted("paramiko", "python3", "python3-paramiko", (*bed).paramiko),
	{
		name: "lftp", program: "lftp", from: "lftp",
		list: func(b *bed, user string) appliance.Result { return b.lftp(user, "cls -1 diagnostic/") },
		get: func(b *bed, user, remote, local string) appliance.Result {
			return b.lftp(user, "get "+remote+" -o "+local)
		},
		put: func(b *bed, user, local, remote string) appliance.Result {
			return b.lftp(user, "put "+local+" -o "+remote)
		},
		remove: func(b *bed, user, remote string) appliance.Result { return b.lftp(user, "rm "+remote) },
	},
}

// options are those of OpenSSH's programs, with the port in the form that all of them know.
func (b *bed) options(user string) []string {
	args := b.OpenSSH(user)
	return append(slices.Clip(args[:len(args)-3]), "-o", "Port="+strconv.Itoa(b.Port))
}

func (b *bed) sftp(user, command string) appliance.Result {
	return b.Exec(command+"\n", "sftp", append(b.options(user), "-b", "-", user+"@127.0.0.1")...)
}

func (b *bed) scp(user string, download bool, remote, local string, more ...string) appliance.Result {
	from, to := user+"@127.0.0.1:"+remote, local
	if !download {
		from, to = to, from
	}
	return b.Exec("", "scp", append(append(b.options(user), more...), from, to)...)
}

// putty runs one of PuTTY's programs, which keep their own kind of key and want to be told the host
// key.
func (b *bed) putty(stdin, program, user string, args ...string) appliance.Result {
	return b.Exec(stdin, "env", append(b.puttyArguments(program, user), args...)...)
}

func (b *bed) puttyArguments(program, user string) []string {
	b.t.Helper()
	home := b.t.TempDir()
	key := filepath.Join(home, "key.ppk")
	tool(b.t, "puttygen", b.KeyFile(user), "-O", "private", "-o", key)
	return []string{"HOME=" + home, program, "-batch", "-P", strconv.Itoa(b.Port), "-hostkey", b.fingerprint(), "-i", key, user + "@127.0.0.1"}
}

func (b *bed) psftp(user, command string) appliance.Result {
	b.t.Helper()
	script := filepath.Join(b.t.TempDir(), "script")
	if err := os.WriteFile(script, []byte(command+"\n"), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return b.putty("", "psftp", user, "-b", script)
}

// fingerprint is that of the Ed25519 host key.
func (b *bed) fingerprint() string {
	b.t.Helper()
	key, err := ssh.ParsePrivateKey(read(b.t, filepath.Join(b.Data, "hostkeys", "ssh_host_ed25519_key")))
	if err != nil {
		b.t.Fatal(err)
	}
	sum := sha256.Sum256(key.PublicKey().Marshal())
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// python is Debian's where another one without paramiko comes first in the path, and empty where
// none has it.
var python = sync.OnceValue(func() string {
	for _, p := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(p, "-c", "import paramiko").Run() == nil {
			return p
		}
	}
	return ""
})

func (b *bed) lftp(user, command string) appliance.Result {
	connect := "ssh -a -x " + strings.Join(b.options(user), " ")
	script := "set sftp:connect-program '" + connect + "'; set net:max-retries 1; set net:timeout 10; set cmd:fail-exit yes; " +
		"open -u " + user + ", -p " + strconv.Itoa(b.Port) + " sftp://127.0.0.1; " + command
	return b.Exec("", "env", "HOME="+b.t.TempDir(), "lftp", "--norc", "-c", script)
}

// Every client does what its user's role allows, is refused the rest, and finds no way out of the
// one folder that there is.
func TestClients(t *testing.T) {
	t.Parallel()
	everybody := slices.Concat(clients, clientPrograms)
	for _, c := range everybody {
		need(t, c.program, c.from)
	}
	b := newBed(t)
	content := bytes.Repeat([]byte("captured bytes "), 20_000) // several requests of any client
	canary := filepath.Join(t.TempDir(), "canary")
	if err := os.WriteFile(canary, []byte("outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(canary, b.file("link.pcap")); err != nil {
		t.Fatal(err)
	}
	t.Run("all", func(t *testing.T) {
		for i, c := range everybody {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				b := b.of(t)
				if c.run != nil {
					c.runs(b)
				}
				own := "mx1-of" + strconv.Itoa(i) + "-20260101-000000.pcap"
				b.put(own, content)
				if c.list != nil {
					c.lists(b, own)
				}
				if c.get != nil {
					c.downloads(b, own, content)
					c.escapes(b, canary)
				}
				if c.put != nil {
					c.uploads(b, own, content)
				}
				if c.remove != nil {
					c.removes(b, own)
				}
			})
		}
		t.Run("mc", func(t *testing.T) {
			t.Parallel()
			midnightCommander(t, b.of(t))
		})
		t.Run("asyncssh kills", func(t *testing.T) {
			t.Parallel()
			if r := b.of(t).asyncssh("op", "kill", "ping 127.0.0.1 count 1000"); r.Status != 0 || r.Out != "KILL" {
				t.Errorf("%+v", r)
			}
		})
	})
	if got := read(t, canary); string(got) != "outside" {
		t.Errorf("the file outside is now %q", got)
	}
}

// runs: a line, its output in both forms, and its exit status.
func (c client) runs(b *bed) {
	b.t.Helper()
	if r := c.run(b, "op", "whoami"); r.Status != 0 || r.Err != "" || !strings.HasPrefix(r.Out, "User:    op\nRole:    operator\n") {
		b.t.Errorf("whoami: %+v", r)
	}
	var who struct{ User string }
	if r := c.run(b, "ro", "whoami --json"); json.Unmarshal([]byte(r.Out), &who) != nil || who.User != "ro" {
		b.t.Errorf("whoami --json: %+v", r)
	}
	for line, status := range map[string]int{"nosuch": 2, "packetcapture status nosuch": 4, "userconfig list": 3} {
		if r := c.run(b, "op", line); r.Status != status || r.Err == "" || r.Out != "" {
			b.t.Errorf("%q ended with %+v, want the status %d and a word about it", line, r, status)
		}
	}
}

func (c client) lists(b *bed, own string) {
	b.t.Helper()
	for _, user := range []string{"admin", "op", "ro", "sup"} {
		if r := c.list(b, user); r.Status != 0 || !strings.Contains(r.Out, own) || strings.Contains(r.Out, "link.pcap") {
			b.t.Errorf("list as %s: %+v", user, r)
		}
	}
}

func (c client) downloads(b *bed, own string, content []byte) {
	b.t.Helper()
	for user, allowed := range map[string]bool{"admin": true, "op": true, "ro": false, "sup": false} {
		got, r := c.fetch(b, user, "diagnostic/"+own)
		switch {
		case allowed && (r.Status != 0 || !bytes.Equal(got, content)):
			b.t.Errorf("download as %s: %d bytes of %d, %+v", user, len(got), len(content), r)
		case !allowed && (r.Status == 0 || len(got) > 0):
			b.t.Errorf("download as %s is refused, but: %d bytes, %+v", user, len(got), r)
		}
	}
}

// fetch returns what a download wrote.
func (c client) fetch(b *bed, user, remote string) ([]byte, appliance.Result) {
	b.t.Helper()
	local := filepath.Join(b.t.TempDir(), "got")
	r := c.get(b, user, remote, local)
	got, err := os.ReadFile(local)
	if err != nil && !os.IsNotExist(err) {
		b.t.Fatal(err)
	}
	return got, r
}

func (c client) escapes(b *bed, canary string) {
	b.t.Helper()
	for _, remote := range []string{canary, "diagnostic/link.pcap", "diagnostic/../../../../../.." + canary, "../users.json", "/etc/passwd"} {
		if c.mounted && strings.Contains(remote, "..") {
			continue
		}
		if got, r := c.fetch(b, "admin", remote); r.Status == 0 || len(got) > 0 {
			b.t.Errorf("%s leads out of the root: %q, %+v", remote, got, r)
		}
	}
}

func (c client) uploads(b *bed, own string, content []byte) {
	b.t.Helper()
	local := filepath.Join(b.t.TempDir(), "local")
	if err := os.WriteFile(local, []byte("uploaded"), 0o600); err != nil {
		b.t.Fatal(err)
	}
	fresh := "uploaded-by-" + strings.ReplaceAll(c.name, " ", "") + ".pcap"
	for _, remote := range []string{fresh, own} {
		if r := c.put(b, "admin", local, "diagnostic/"+remote); r.Status == 0 {
			b.t.Errorf("the upload of %s was not refused: %+v", remote, r)
		}
	}
	if b.exists(fresh) || !bytes.Equal(read(b.t, b.file(own)), content) {
		b.t.Error("an upload left something behind")
	}
}

func (c client) removes(b *bed, own string) {
	b.t.Helper()
	if r := c.remove(b, "ro", "diagnostic/"+own); r.Status == 0 || !b.exists(own) {
		b.t.Errorf("ro could delete: %+v", r)
	}
	if r := c.remove(b, "op", "diagnostic/"+own); r.Status != 0 || b.exists(own) {
		b.t.Errorf("op could not delete: %+v", r)
	}
}

// A person at a terminal, by both clients that have one.
func TestTerminals(t *testing.T) {
	t.Parallel()
	need(t, "ssh", "openssh-client")
	need(t, "plink", "putty-tools")
	b := newBed(t)
	for name, command := range map[string][]string{
		"ssh":   append([]string{"ssh", "-t"}, b.OpenSSH("op")...),
		"plink": append([]string{"env"}, append(b.puttyArguments("plink", "op"), "-no-antispoof")...),
	} {
		t.Run(name, func(t *testing.T) {
			b := b.of(t)
			cmd := exec.Command(command[0], command[1:]...)
			var master *os.File
			var err error
			b.ns.Do(t, func() { master, err = pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80}) })
			if err != nil {
				t.Fatal(err)
			}
			defer master.Close()
			screen := vt.Watch(master, 80, 24)
			shows := func(text string) {
				t.Helper()
				if err := screen.Until(appliance.Patience, func(s *vt.Screen) bool { return strings.Contains(s.All(), text) }); err != nil {
					t.Fatalf("waiting for %q: %v", text, err)
				}
			}
			shows("mx1>") // blanks at the end of a row are not text
			master.WriteString("whoami\r")
			shows("User:    op")
			master.WriteString("diagnostic\r")
			shows("- NETWORK")
			master.WriteString("exit\r")
			<-screen.Gone()
			if err := cmd.Wait(); err != nil {
				t.Errorf("it ended with %v; the screen shows:\n%s", err, screen.All())
			}
		})
	}
}
