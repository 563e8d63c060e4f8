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

// A Process holds sockets.
type Process struct {
	PID  int
	Name string // as the process chose it (comm in proc(5)); up to 15 bytes, any but NUL
	UID  uint32 // the effective one
}

// Owners knows which processes hold which socket.
type Owners struct {
	first map[uint32]int32 // by inode: the first of its holders
	holds []holder
}

// A holder is one process that holds a socket; next is another one, or -1.
type holder struct {
	process *Process
	next    int32
}

// Of calls yield for every process that holds the socket, the lowest number first.
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

// FindOwners looks through the descriptors of every process that it may see. All processes need CAP_SYS_PTRACE, else they are the
// caller's own. A process that ends meanwhile is left out.
//
// Descriptors are links in /proc/PID/fd whose text has the inode. Each costs the kernel a microsecond or two, so they are read on all
// processors, in pieces, because the one process that holds most of them is the one that is asked for.
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
	// The list of descriptors of the largest process is read while its first pieces are worked on.
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

// found is a socket among a process's descriptors.
type found struct {
	inode   uint32
	process *Process
}

// join makes the index. A process that holds a socket by several descriptors holds it once.
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
	// Where to put it, so that processes come in the order of their numbers.
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

// A folder is /proc/PID/fd, open until every piece of it was read.
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

// A piece is some descriptors of a process: what getdents64(2) gave in one call.
type piece struct {
	folder  *folder
	entries []byte
}

// pieceSize is room for some thousand descriptors: much more than most processes have, a small part of those that have many.
const pieceSize = 64 << 10

// list reads the names of a process's descriptors and hands them on.
func list(pid int, pieces chan<- piece) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return // it has ended, or it is not ours to see
	}
	f := &folder{fd: fd, pid: pid, uses: 1}
	defer f.release()
	for {
		entries := make([]byte, pieceSize)
		n, err := unix.Getdents(fd, entries)
		if err != nil || n <= 0 {
			return
		}
		if n <= 2*24 { // . and .. alone: a kernel thread
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

// readlink is readlinkat(2) for a name that already ends in NUL; unix.Readlinkat would make a string of it and copy that again.
func readlink(folder int, name, target []byte) int {
	n, _, errno := unix.Syscall6(unix.SYS_READLINKAT, uintptr(folder), uintptr(unsafe.Pointer(&name[0])), uintptr(unsafe.Pointer(&target[0])),
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
	// sock_diag has 32 bits of the inode (idiag_inode), so that much is compared.
	inode := uint32(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			break
		}
		inode = inode*10 + uint32(c-'0')
	}
	return inode, true
}

// process reads who the process is, once.
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

// parseStatus reads Name and the effective one of Uid. In Name the kernel writes a newline as \n and a backslash as \\ (proc(5)).
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

// unescape undoes the kernel's \n, \\ and octal \ooo (string_escape_mem in lib/string_helpers.c).
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
