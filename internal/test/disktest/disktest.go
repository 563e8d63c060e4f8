// Package disktest gives tests small disks of their own, which other writers fill and whose power
// fails.
package disktest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/test/netnstest"
)

// A Disk is a file system of a few megabytes. It goes with the test.
type Disk struct {
	t     testing.TB
	path  string
	image string // of ext4: the file that stands for the medium
}

// Tmpfs mounts a disk of so many bytes over a folder. It takes every byte that it is said to have.
func Tmpfs(t testing.TB, path string, bytes string) *Disk {
	t.Helper()
	netnstest.NeedsRoot(t, "a disk of its own")
	d := &Disk{t: t, path: path}
	if err := mountTmpfs(path, bytes); err != nil {
		netnstest.Missing(t, err.Error())
	}
	t.Cleanup(d.unmount)
	return d
}

func mountTmpfs(path, bytes string) error {
	if err := unix.Mount("diagsh-test", path, "tmpfs", 0, "size="+bytes); err != nil {
		return fmt.Errorf("a small disk cannot be made: %w", err)
	}
	return nil
}

// Ext4 mounts a disk of so many bytes over a folder, made as disks of appliances are: with a
// journal, and direct writes.
func Ext4(t testing.TB, path string, bytes int64) *Disk {
	t.Helper()
	netnstest.NeedsRoot(t, "a disk of its own")
	medium := t.TempDir() // in memory, so that the speed of the machine's own disk does not matter
	if err := mountTmpfs(medium, strconv.FormatInt(2*bytes+1<<20, 10)); err != nil {
		netnstest.Missing(t, err.Error())
	}
	t.Cleanup(func() {
		// A mount namespace that was made meanwhile, by whomever, keeps a file system alive, and
		// that the image: the medium goes with it.
		if err := unix.Unmount(medium, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", medium, err)
		}
	})
	d := &Disk{t: t, path: path, image: filepath.Join(medium, "image")}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, bytes); err != nil {
		t.Fatal(err)
	}
	// No blocks are reserved for root, who the test is, and nothing is left for the first mount to
	// initialise.
	mkfs := exec.Command(netnstest.Tool(t, "mkfs.ext4"), "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", d.image)
	if out, err := mkfs.CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	if err := d.mount(); err != nil {
		netnstest.Missing(t, err.Error())
	}
	t.Cleanup(d.unmount)
	return d
}

func (d *Disk) mount() error {
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.path).CombinedOutput(); err != nil {
		return errors.New("a small disk cannot be mounted: " + string(out))
	}
	return nil
}

func (d *Disk) unmount() {
	err := unix.Unmount(d.path, 0)
	// The kernel lets go of files a moment after the process that had them is gone.
	for end := time.Now().Add(5 * time.Second); err == unix.EBUSY && time.Now().Before(end); err = unix.Unmount(d.path, 0) {
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		d.t.Errorf("unmount %s: %v", d.path, err)
	}
}

// The ioctl that shuts a file system down at once, with nothing of its caches or journal brought to
// the disk (include/uapi/linux/fs.h and fs/ext4/ext4.h of Linux 6.12). From then on everything that
// is not on the medium is lost.
const (
	ioctlShutdown  = 0x8004587d
	shutdownNoSync = 2
)

// CutPower makes the disk what it would be if the power had failed at this moment: what the kernel
// had not yet written is lost. Whoever writes gets errors from now on.
func (d *Disk) CutPower() {
	d.t.Helper()
	dir, err := os.Open(d.path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer dir.Close()
	if err := unix.IoctlSetPointerInt(int(dir.Fd()), ioctlShutdown, shutdownNoSync); err != nil {
		netnstest.Missing(d.t, "the power of a disk cannot be cut: "+err.Error())
	}
}

// ioctlFreeze and ioctlThaw are FIFREEZE and FITHAW (linux/fs.h).
const (
	ioctlFreeze = 0xc0045877
	ioctlThaw   = 0xc0045878
)

// Stall has the disk take no write for so long: who writes waits, as for a disk that is busy with
// itself. It returns when the disk goes on. during, if it is not nil, is called a moment before
// that.
func (d *Disk) Stall(length time.Duration, during func()) {
	d.t.Helper()
	dir, err := os.Open(d.path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer dir.Close()
	if err := unix.IoctlSetInt(int(dir.Fd()), ioctlFreeze, 0); err != nil {
		netnstest.Missing(d.t, "a disk cannot be made to stall: "+err.Error())
	}
	time.Sleep(length)
	if during != nil {
		during()
	}
	if err := unix.IoctlSetInt(int(dir.Fd()), ioctlThaw, 0); err != nil {
		d.t.Fatal(err)
	}
}

// Sync brings everything to the disk that is on its way.
func (d *Disk) Sync() {
	d.t.Helper()
	dir, err := os.Open(d.path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer dir.Close()
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		d.t.Fatal(err)
	}
}

// PowerUp mounts what is on the medium, by its journal, when nobody has a file of it open any more.
// It is a copy of the medium: a mount namespace that was made meanwhile, by whomever, keeps the
// file system alive that was shut down.
func (d *Disk) PowerUp() {
	d.t.Helper()
	d.unmount()
	before, err := os.Open(d.image)
	if err != nil {
		d.t.Fatal(err)
	}
	defer before.Close()
	d.image += "-again"
	after, err := os.Create(d.image)
	if err != nil {
		d.t.Fatal(err)
	}
	defer after.Close()
	if _, err := io.Copy(after, before); err != nil {
		d.t.Fatal(err)
	}
	if err := d.mount(); err != nil {
		d.t.Fatal(err)
	}
}

// Fill has another writer take the disk to the last byte, and every byte that becomes free, until
// the returned function is called. The file stays, at the path that is returned too.
func (d *Disk) Fill() (file string, stop func()) {
	d.t.Helper()
	file = filepath.Join(d.path, "filled-by-another")
	f, err := os.Create(file)
	if err != nil {
		d.t.Fatal(err)
	}
	quit, ended, full := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer f.Close()
		for brim := sync.OnceFunc(func() { close(full) }); ; brim() {
			takeAll(d.t, f)
			select {
			case <-quit:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	stop = sync.OnceFunc(func() { close(quit); <-ended })
	d.t.Cleanup(stop)
	select {
	case <-full:
	case <-ended:
	}
	return file, stop
}

// takeAll writes until not one byte more fits.
func takeAll(t testing.TB, f *os.File) {
	buffer := make([]byte, 1<<20)
	for size := len(buffer); size > 0; {
		switch n, err := f.Write(buffer[:size]); {
		case errors.Is(err, syscall.ENOSPC):
			if n == 0 {
				size /= 2
			}
		case err != nil:
			t.Errorf("fill the disk: %v", err)
			return
		}
	}
}
