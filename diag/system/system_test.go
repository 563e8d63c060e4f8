package system

import (
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestAgainstProc compares sysinfo(2) with /proc.
func TestAgainstProc(t *testing.T) {
	i, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	field := func(path string, n int) float64 {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := strconv.ParseFloat(strings.Fields(string(text))[n], 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if up := field("/proc/uptime", 0); math.Abs(up-i.Up.Seconds()) > 5 {
		t.Errorf("up for %v, /proc says %v seconds", i.Up, up)
	}
	for n := range i.Load {
		if l := field("/proc/loadavg", n); math.Abs(l-i.Load[n]) > 0.5 {
			t.Errorf("load %d is %v, /proc says %v", n, i.Load[n], l)
		}
	}
	if total := field("/proc/meminfo", 1) * 1024; float64(i.Memory) != total {
		t.Errorf("%d bytes of memory, /proc says %v", i.Memory, total)
	}
	if i.Processors < 1 || i.Available == 0 || i.Available > i.Memory {
		t.Errorf("%+v", i)
	}
}
