// Package dnscache empties the caches of the name services that run on this host.
package dnscache

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Cache is a cache that was found on this host.
type Cache struct {
	Name  string
	Flush func(ctx context.Context) error
}

// signalled lists name services that empty their cache on a signal, with the name of their process.
var signalled = []struct {
	name, process string
	signal        unix.Signal
}{
	{"systemd-resolved", "systemd-resolve", unix.SIGUSR2}, // systemd-resolved.service(8)
	{"dnsmasq", "dnsmasq", unix.SIGHUP},                   // dnsmasq(8)
	{"unbound", "unbound", unix.SIGHUP},                   // unbound(8): reloads, which drops its cache
}

// nscdSocket is where nscd(8) listens.
const nscdSocket = "/var/run/nscd/socket"

// Find lists the caches on this host.
func Find() []Cache { return find("/proc", nscdSocket) }

func find(proc, nscd string) []Cache {
	var list []Cache
	for _, s := range signalled {
		if pids := running(proc, s.process, s.signal); len(pids) > 0 {
			list = append(list, Cache{s.name, func(context.Context) error { return signal(pids, s.signal) }})
		}
	}
	if info, err := os.Stat(nscd); err == nil && info.Mode().Type() == os.ModeSocket {
		list = append(list, Cache{"nscd", func(ctx context.Context) error { return invalidate(ctx, nscd) }})
	}
	return list
}

// running returns the processes with that name that handle the signal. Any user can give a process
// that name, and a signal kills a process that does not handle it. One that does handle it comes to
// no harm.
func running(proc, name string, s unix.Signal) []int {
	var pids []int
	paths, _ := filepath.Glob(filepath.Join(proc, "[0-9]*"))
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		status, err := os.ReadFile(filepath.Join(path, "status"))
		if err == nil && statusField(status, "Name") == name && catches(status, s) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

func statusField(status []byte, key string) string {
	for line := range bytes.Lines(status) {
		if k, v, ok := strings.Cut(string(line), ":"); ok && k == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// catches reads the mask of handled signals (SigCgt in proc(5)).
func catches(status []byte, s unix.Signal) bool {
	mask, err := strconv.ParseUint(statusField(status, "SigCgt"), 16, 64)
	return err == nil && mask&(1<<(s-1)) != 0
}

func signal(pids []int, s unix.Signal) error {
	var all error
	for _, pid := range pids {
		if err := unix.Kill(pid, s); err != nil && !errors.Is(err, unix.ESRCH) {
			all = errors.Join(all, err)
		}
	}
	return all
}

// Constants of nscd/nscd-client.h in the GNU C library, 2.36.
const (
	nscdVersion    = 2
	nscdInvalidate = 10
)

// invalidate makes nscd forget the hosts that it knows.
func invalidate(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	c.SetDeadline(deadline)
	key := []byte("hosts\x00")
	request := binary.NativeEndian.AppendUint32(nil, nscdVersion)
	request = binary.NativeEndian.AppendUint32(request, nscdInvalidate)
	request = binary.NativeEndian.AppendUint32(request, uint32(len(key)))
	if _, err := c.Write(append(request, key...)); err != nil {
		return err
	}
	var answer [4]byte
	if _, err := c.Read(answer[:]); err != nil {
		return err
	}
	if code := int32(binary.NativeEndian.Uint32(answer[:])); code != 0 {
		return fmt.Errorf("nscd refused: %w", unix.Errno(code))
	}
	return nil
}
