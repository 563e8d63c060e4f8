package sockets

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"runtime"
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Process is one that holds sockets.
type Process struct {
	PID  int
	Name string // as the process chose it (comm in proc(5)); up to 15 bytes, any but NUL
	UID  uint32 // effective
}

// Owners maps sockets to the processes that hold them.
type Owners struct {
	first map[uint32]int32 // by inode: index of its first holder
	holds []holder
}

// A holder is one process that holds a socket. next is the index of another one, or -1.
type holder struct {
	process *Process
	next    int32
}

// Of calls yield for every process that holds the socket, in the order of their PIDs.
func (o *Owners) Of(inode uint32, yield func(*Process)) {
	if o == nil || inode == 0 {
		return
	}
	if at, ok := o.first[inode]; ok {
		for ; at >= 0; at = o.holds[at].next {
			yield(o.holds[at].process)
		}
	}
}

// FindOwners reads the descriptors of every process that it may read. Without CAP_SYS_PTRACE that
// is only those of its own user. A process that ends meanwhile is left out.
//
// Descriptors are links in /proc/PID/fd whose target has the inode. Each costs the kernel a
// microsecond or two. So they are read on all processors, in pieces, because the process that holds
// most of them is usually the one of interest.
func FindOwners(ctx context.Context) (*Owners, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	names, err := proc.Readdirnames(-1)
	proc.Close()
	if err != nil {
		return nil, err
	}
	workers := runtime.NumCPU()
	pieces := make(chan piece, 2*workers)
	results := make([][]found, workers)
	var reading sync.WaitGroup
	for i := range workers {
		reading.Go(func() {
			for p := range pieces {
				results[i] = p.read(results[i])
				p.folder.release()
			}
		})
	}
	// The descriptors of the largest process are listed while its first pieces are read.
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && ctx.Err() == nil {
			list(pid, pieces)
		}
	}
	close(pieces)
	reading.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return join(results), nil
}

// A found is a socket among a process's descriptors.
type found struct {
	inode   uint32
	process *Process
}

// join builds the index. A process that holds a socket by several descriptors is one holder.
func join(results [][]found) *Owners {
	total := 0
	for _, r := range results {
		total += len(r)
	}
	o := &Owners{first: make(map[uint32]int32, total), holds: make([]holder, 0, total)}
	for _, r := range results {
		for _, f := range r {
			o.add(f)
		}
	}
	return o
}

func (o *Owners) add(f found) {
	first, held := o.first[f.inode]
	// Insert the process in the order of PIDs.
	before, at := int32(-1), first
	if !held {
		at = -1
	}
	for ; at >= 0 && o.holds[at].process.PID <= f.process.PID; at = o.holds[at].next {
		if o.holds[at].process.PID == f.process.PID {
			return
		}
		before = at
	}
	o.holds = append(o.holds, holder{f.process, at})
	if before < 0 {
		o.first[f.inode] = int32(len(o.holds) - 1)
	} else {
		o.holds[before].next = int32(len(o.holds) - 1)
	}
}

// A folder is /proc/PID/fd. It stays open until every piece was read.
type folder struct {
	fd   int
	mu   sync.Mutex
	uses int

	pid  int
	once sync.Once
	who  *Process // known once it has a socket
}

func (f *folder) retain() {
	f.mu.Lock()
	f.uses++
	f.mu.Unlock()
}

func (f *folder) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.uses--; f.uses == 0 {
		unix.Close(f.fd)
	}
}

// A piece is a part of a process's descriptors: the result of one getdents64(2).
type piece struct {
	folder  *folder
	entries []byte
}

// pieceSize has room for some thousand descriptors: more than most processes have, and a small part
// of those that have many.
const pieceSize = 64 << 10

// list lists the names of a process's descriptors and sends them on.
func list(pid int, pieces chan<- piece) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return // it has ended, or may not be read
	}
	f := &folder{fd: fd, pid: pid, uses: 1}
	defer f.release()
	for {
		entries := make([]byte, pieceSize)
		n, err := unix.Getdents(fd, entries)
		if err != nil || n <= 0 {
			return
		}
		if n <= 2*24 { // only . and ..: a kernel thread
			continue
		}
		f.retain()
		pieces <- piece{f, entries[:n:n]}
	}
}

// read appends the sockets of a piece.
func (p piece) read(all []found) []found {
	var target [64]byte
	for rest := p.entries; len(rest) >= 19; {
		// struct linux_dirent64: inode, offset, record length, type, name with a NUL.
		length := int(binary.NativeEndian.Uint16(rest[16:]))
		if length < 20 || length > len(rest) {
			break
		}
		name := rest[19:length]
		rest = rest[length:]
		if name[0] == '.' {
			continue
		}
		n := readlink(p.folder.fd, name, target[:])
		if inode, ok := socketInode(target[:max(n, 0)]); ok {
			if who := p.folder.process(); who != nil {
				all = append(all, found{inode, who})
			}
		}
	}
	return all
}

// readlink calls readlinkat(2) with a name that already ends in NUL. unix.Readlinkat would make a
// string of it and copy that again.
func readlink(folder int, name, target []byte) int {
	n, _, errno := unix.Syscall6(unix.SYS_READLINKAT, uintptr(folder), uintptr(unsafe.Pointer(&name[0])),
		uintptr(unsafe.Pointer(&target[0])),
		uintptr(len(target)), 0, 0)
	if errno != 0 {
		return -1
	}
	return int(n)
}

var socketPrefix = []byte("socket:[")

// socketInode reads socket:[12345].
func socketInode(target []byte) (uint32, bool) {
	digits, ok := bytes.CutPrefix(target, socketPrefix)
	if !ok {
		return 0, false
	}
	// sock_diag has only 32 bits of the inode (idiag_inode), so those are compared.
	inode := uint32(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			break
		}
		inode = inode*10 + uint32(c-'0')
	}
	return inode, true
}

// process returns the process, which it reads once.
func (f *folder) process() *Process {
	f.once.Do(func() {
		var status [1024]byte
		fd, err := unix.Open("/proc/"+strconv.Itoa(f.pid)+"/status", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		n, err := unix.Read(fd, status[:])
		if err != nil {
			return
		}
		f.who = parseStatus(f.pid, status[:n])
	})
	return f.who
}

// parseStatus parses Name and the effective ID in Uid. In Name the kernel writes a newline as \n
// and a backslash as \\ (proc(5)).
func parseStatus(pid int, status []byte) *Process {
	p := &Process{PID: pid}
	for line := range bytes.Lines(status) {
		key, value, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(":\t"))
		switch string(key) {
		case "Name":
			p.Name = string(unescape(value))
		case "Uid":
			if ids := bytes.Fields(value); len(ids) > 1 {
				uid, _ := strconv.ParseUint(string(ids[1]), 10, 32)
				p.UID = uint32(uid)
			}
			return p
		}
	}
	return p
}

// unescape decodes the kernel's \n, \\ and octal \ooo (string_escape_mem in lib/string_helpers.c).
func unescape(b []byte) []byte {
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	var out []byte
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 == len(b) {
			out = append(out, b[i])
			continue
		}
		i++
		switch c := b[i]; {
		case c == 'n':
			out = append(out, '\n')
		case c >= '0' && c <= '7' && i+2 < len(b):
			out = append(out, (c-'0')<<6|(b[i+1]-'0')<<3|(b[i+2]-'0'))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return out
}
