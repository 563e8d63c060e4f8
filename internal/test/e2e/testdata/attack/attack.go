package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/access"
	"diagsh/internal/privsep"
)

// adminKey is the public key of an administrator (SSH wire format), which is no secret. The test
// sets it.
const adminKey = "ADMIN KEY"

// attack is what somebody would do who took the front over. It is compiled into it by the test
// alone, and says in the log what came of each try.
func attack(control *privsep.Control, log *slog.Logger) {
	say := func(what string, err error) { log.Info("attack", "what", what, "got", fmt.Sprint(err)) }
	serve := os.Getppid()
	for _, path := range []string{"/", "/etc/passwd", "/etc/shadow", "/dev/null", "/dev/ptmx", "/dev/tty", "/tmp", "/proc/self/status", "/proc/self/fd",
		fmt.Sprintf("/proc/%d/environ", serve), fmt.Sprintf("/proc/%d/mem", serve), fmt.Sprintf("/proc/%d/cwd", serve), fmt.Sprintf("/proc/%d/fd/0", serve)} {
		f, err := os.Open(path)
		f.Close()
		say("read "+path, err)
	}
	say("make a file", os.WriteFile("/tmp/diagsh-attack", []byte("x"), 0o600))
	say("remove a file", os.Remove("/tmp/diagsh-attack"))
	say("make a folder", os.Mkdir("/tmp/diagsh-attack", 0o700))
	say("look at a name", second(os.Readlink("/proc/self/exe")))
	for _, network := range []string{"tcp", "udp"} {
		say("dial "+network, second(net.Dial(network, "127.0.0.1:22")))
	}
	say("dial the socket", second(net.Dial("unix", "/var/lib/diagsh/api.sock")))
	say("listen", second(net.Listen("tcp", "127.0.0.1:0")))
	call := func(what string, number uintptr, args ...uintptr) {
		var a [6]uintptr
		copy(a[:], args)
		if _, _, errno := syscall.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
			say(what, errno)
		} else {
			say(what, nil)
		}
	}
	call("socket of packets", unix.SYS_SOCKET, unix.AF_PACKET, unix.SOCK_RAW)
	call("socket of netlink", unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW)
	call("socketpair", unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_STREAM)
	call("connect", unix.SYS_CONNECT, firstListener)
	call("bind", unix.SYS_BIND, firstListener)
	call("end of the listener", unix.SYS_SHUTDOWN, firstListener, unix.SHUT_RDWR)
	call("fork", unix.SYS_CLONE, uintptr(unix.SIGCHLD))
	say("a program", second(os.StartProcess("/proc/self/exe", []string{"diagsh"}, &os.ProcAttr{})))
	call("execve", unix.SYS_EXECVE)
	for what, pid := range map[string]int{"serve": serve, "process 1": 1, "the group": 0} {
		say("look for "+what, syscall.Kill(pid, 0))
		say("kill "+what, syscall.Kill(pid, syscall.SIGKILL))
		if pid != 0 {
			say("trace "+what, syscall.PtraceAttach(pid))
			call("descriptor of "+what, unix.SYS_PIDFD_OPEN, uintptr(pid))
			call("memory of "+what, unix.SYS_PROCESS_VM_READV, uintptr(pid))
		}
	}
	say("stop serve", unix.Tgkill(serve, serve, unix.SIGSTOP))
	call("other user", unix.SYS_SETUID, 0)
	call("namespace", unix.SYS_UNSHARE, unix.CLONE_NEWUSER)
	call("limits", unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE)
	call("niceness", unix.SYS_SETPRIORITY, 0, 0, 0)
	call("memory with a program", unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON, ^uintptr(0))
	askedFor(control, say)
	flood(control)
	say("over", io.EOF)
}

func second(_ any, err error) error { return err }

// askedFor asks the appliance for what a front may not have.
func askedFor(control *privsep.Control, say func(string, error)) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	front := privsep.NewFront(control.Dial)
	key, _ := base64.StdEncoding.DecodeString(adminKey)
	admin := access.Credentials{User: "admin", Source: "192.0.2.1", Key: key, Algorithm: "ssh-ed25519"}
	forged := admin
	forged.Signature = append(binary.BigEndian.AppendUint32(nil, 11), "ssh-ed25519\x00\x00\x00\x40"+string(make([]byte, 64))...)
	for what, ask := range map[string]func(*privsep.ClientSession) error{
		"log in by a key alone":          func(c *privsep.ClientSession) error { return second(c.Login(admin)) },
		"log in by a signature of zeros": func(c *privsep.ClientSession) error { return second(c.Login(forged)) },
		"have a text signed": func(c *privsep.ClientSession) error {
			return second(c.Sign("ssh-ed25519", "sha256", []byte("anything else")))
		},
		"have what may be a hash signed": func(c *privsep.ClientSession) error { return second(c.Sign("ssh-ed25519", "sha256", make([]byte, 32))) },
		"have a key exchange of zeros signed": func(c *privsep.ClientSession) error {
			return second(c.Sign("ssh-ed25519", "sha512", make([]byte, 2000)))
		},
	} {
		client, err := front.Client(ctx)
		if err == nil {
			err = ask(client)
			client.Close()
		}
		say(what, err)
	}
	for _, id := range []string{"", "root", "admin", "abcdefgh"} {
		_, err := front.Spawn(ctx, id, access.Program{Kind: "shell"})
		say("a program of "+id, err)
		_, err = front.Files(ctx, id)
		say("the files of "+id, err)
		_, err = front.Attach(ctx, id, "web")
		say("a session of the page of "+id, err)
	}
	chain, _, err := front.Certificate(ctx, nil)
	if err != nil {
		say("have signed without a certificate", err)
		return
	}
	sum := sha256.Sum256(chain[0])
	leaf := sum[:]
	verify := strings.Repeat(" ", 64) + "TLS 1.3, server CertificateVerify\x00"
	for what, message := range map[string]string{
		"nothing": "", "a certificate": "\x30\x82\x01\x00" + strings.Repeat("\x00", 256), "a hash": strings.Repeat("\x00", 32),
		"a handshake of a client":           strings.Repeat(" ", 64) + "TLS 1.3, client CertificateVerify\x00" + strings.Repeat("\x00", 32),
		"a handshake with something behind": verify + strings.Repeat("\x00", 33),
		"a handshake of no client":          verify,
	} {
		_, err := front.SignHandshake(ctx, leaf, 0x0403, []byte(message))
		say("have signed by the certificate's key "+what, err)
	}
}

// flood opens connections that ask nothing, break off, or carry descriptors.
func flood(control *privsep.Control) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for i := range 1000 {
		c, err := control.Dial(ctx)
		if err != nil {
			return
		}
		text := []byte("\xff\xff\xff\xff")
		switch i % 4 {
		case 0:
			text = []byte("\x00\x00\x10\x00{\"do\"")
		case 1:
			text = []byte("\x00\x00\x00\x02{}")
		}
		c.WriteMsgUnix(text, unix.UnixRights(2, 2, 2, 2, 2, 2, 2, 2), nil)
		if i%2 == 0 {
			c.Close()
		}
	}
}
