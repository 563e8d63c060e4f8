// Package raid reads the state of this host's md arrays, and starts their verification (md(4),
// Documentation/admin-guide/md.rst of Linux 6.18).
package raid

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// An Array is an md array.
type Array struct {
	Name     string   `json:"name"`
	Level    string   `json:"level"`
	State    string   `json:"state"` // clean, active, inactive, readonly ...
	Bytes    uint64   `json:"bytes"`
	Disks    int      `json:"disks"`    // configured
	Degraded int      `json:"degraded"` // missing disks
	Members  []Member `json:"members"`
	// idle, check, repair, resync, recover, reshape, frozen; empty if the level supports none
	Action     string  `json:"action"`
	Progress   float64 `json:"progress"`   // of the action, 0 to 1
	Finish     float64 `json:"finish"`     // seconds until its end, as the kernel estimates; 0: not known
	Speed      uint64  `json:"speed"`      // of the action, bytes per second
	Mismatches uint64  `json:"mismatches"` // sectors that differed in the last comparison
	LastAction string  `json:"lastAction,omitempty"`
	EndedAt    uint64  `json:"-"` // sector at which the last action was cancelled; 0: it completed
}

// A Member is a device of an array.
type Member struct {
	Device string `json:"device"`
	State  string `json:"state"` // in_sync, spare, faulty ..., comma-separated
	Slot   string `json:"slot"`  // its place in the array, or none
	Errors uint64 `json:"errors"`
}

// Verifiable reports whether the array has redundancy to compare.
func (a Array) Verifiable() bool { return a.Action != "" }

// System says where the kernel shows its arrays.
type System struct {
	Mdstat string // proc(5)
	Block  string // sysfs(5)

	// Order has another process carry out an order, ACTION:ARRAY, for which this process lacks the
	// right. Nil: there is none.
	Order func(ctx context.Context, order string) error
}

// Kernel is the System of this host.
var Kernel = System{Mdstat: "/proc/mdstat", Block: "/sys/block", Order: orderUnit}

// Present reports whether there is any array.
func (s System) Present() bool {
	arrays, err := s.names()
	return err == nil && len(arrays) > 0
}

var mdName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^md[0-9A-Za-z_.-]+$`) })

// names reads the names of the arrays, and for each what only mdstat has.
func (s System) names() (map[string]mdstat, error) {
	f, err := os.Open(s.Mdstat)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the kernel has no md
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	arrays := map[string]mdstat{}
	name := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if first, _, ok := strings.Cut(line, " : "); ok && mdName().MatchString(first) {
			name = first
			arrays[name] = mdstat{}
			continue
		}
		if name != "" && strings.HasPrefix(line, " ") {
			a := arrays[name]
			a.read(line)
			arrays[name] = a
		}
	}
	return arrays, nil
}

// An mdstat is the part of an array's entry in /proc/mdstat that describes its current action.
type mdstat struct {
	progress, finish float64
	speed            uint64
}

var working = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`= *([\d.]+)% \(\d+/\d+\) finish=([\d.]+)min speed=(\d+)K/sec`)
})

func (m *mdstat) read(line string) {
	f := working().FindStringSubmatch(line)
	if f == nil {
		return
	}
	percent, _ := strconv.ParseFloat(f[1], 64)
	minutes, _ := strconv.ParseFloat(f[2], 64)
	kilobytes, _ := strconv.ParseUint(f[3], 10, 64)
	m.progress, m.finish, m.speed = percent/100, minutes*60, kilobytes<<10
}

// List returns the arrays, sorted by name.
func (s System) List() ([]Array, error) {
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	list := []Array{}
	for name, m := range names {
		list = append(list, s.array(name, m))
	}
	slices.SortFunc(list, func(a, b Array) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Array returns one array.
func (s System) Array(name string) (Array, error) {
	names, err := s.names()
	if err != nil {
		return Array{}, err
	}
	m, ok := names[name]
	if !ok {
		return Array{}, ErrNoArray
	}
	return s.array(name, m), nil
}

func (s System) array(name string, m mdstat) Array {
	md := filepath.Join(s.Block, name, "md")
	a := Array{Name: name, Level: text(md, "level"), State: text(md, "array_state"),
		Bytes: number(s.Block, name, "size") * 512,
		Disks: int(number(md, "raid_disks")), Degraded: int(number(md, "degraded")), Members: members(md),
		Action:   text(md, "sync_action"),
		Progress: m.progress, Finish: m.finish, Speed: m.speed, Mismatches: number(md, "mismatch_cnt"),
		LastAction: text(md, "last_sync_action"),
		EndedAt:    number(md, "sync_min")}
	// sync_completed counts sectors, so it is finer than the percentage of mdstat.
	if done, of, ok := strings.Cut(text(md, "sync_completed"), " / "); ok {
		d, err1 := strconv.ParseFloat(done, 64)
		o, err2 := strconv.ParseFloat(of, 64)
		if err1 == nil && err2 == nil && o > 0 {
			a.Progress = min(d/o, 1)
		}
	}
	return a
}

func members(md string) []Member {
	list := []Member{}
	paths, _ := filepath.Glob(filepath.Join(md, "dev-*"))
	for _, path := range paths {
		list = append(list, Member{Device: strings.TrimPrefix(filepath.Base(path), "dev-"), State: text(path, "state"),
			Slot:   text(path, "slot"),
			Errors: number(path, "errors")})
	}
	return list
}

func text(path ...string) string {
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func number(path ...string) uint64 {
	n, _ := strconv.ParseUint(text(path...), 10, 64)
	return n
}
