// Package sysctl reads the kernel's settings of the network, below /proc/sys/net (proc(5)), as
// sysctl(8) shows them.
package sysctl

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// A Setting is a setting of the kernel.
type Setting struct {
	Name  string // net.ipv4.ip_forward; a dot in the name of an interface is a slash, as in sysctl(8)
	Value string // lines are separated by line breaks, the numbers of a line by blanks
}

// deprecated are other names of settings, in other units. The kernel logs who reads them (net/ipv6/ndisc.c), and
// sysctl(8) leaves them out too.
var deprecated = []string{"base_reachable_time", "retrans_time"}

// mostValue is how many bytes of a value are read: the kernel tells no more than a page.
const mostValue = 64 << 10

// Each yields the settings of the network namespace of the caller in the order of their names, until
// yield returns an error. It leaves out those that not everybody on the machine may read: keys are
// among them.
func Each(ctx context.Context, yield func(Setting) error) error {
	return each(ctx, os.DirFS("/proc/sys"), yield)
}

func each(ctx context.Context, root fs.FS, yield func(Setting) error) error {
	return fs.WalkDir(root, "net", func(name string, d fs.DirEntry, err error) error {
		if stop := ctx.Err(); stop != nil {
			return stop
		}
		if err != nil {
			return gone(err)
		}
		if d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return gone(err)
		}
		if info.Mode()&0o004 == 0 || slices.Contains(deprecated, d.Name()) {
			return nil
		}
		value, err := read(root, name)
		if err != nil {
			return nil // the kernel refuses some by itself, and an interface may go meanwhile
		}
		return yield(Setting{Name: dotted(name), Value: value})
	})
}

// gone returns nil for what went while it was read, such as the settings of an interface.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func read(root fs.FS, name string) (string, error) {
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostValue))
	if err != nil {
		return "", err
	}
	return strings.ReplaceAll(strings.TrimRight(string(text), "\n"), "\t", " "), nil
}

// dotted returns the name of a setting from that of its file.
func dotted(name string) string {
	parts := strings.Split(path.Clean(name), "/")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(part, ".", "/")
	}
	return strings.Join(parts, ".")
}
