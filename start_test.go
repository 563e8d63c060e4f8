package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// No package of ours makes more than a few tables before main begins. A regular expression with a
// bound such as {1,128} costs 100 KB there, in each session and whether it is used or not.
func TestStartAllocatesLittle(t *testing.T) {
	t.Parallel()
	const most = 24 << 10 // bytes a package; internal/menu has 21 KB, which every session needs
	program := exec.Command(os.Args[0], "-test.run=^$")
	program.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	program.Stderr = &trace
	if err := program.Run(); err != nil {
		t.Fatalf("%v\n%s", err, trace.Bytes())
	}
	ours := 0
	for lines := bufio.NewScanner(&trace); lines.Scan(); {
		// init diagsh/capture/filter @7.3 ms, 0.04 ms clock, 8752 bytes, 94 allocs
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[0] != "init" || !strings.HasPrefix(f[1], "diagsh/") || strings.HasPrefix(f[1], "diagsh/internal/test/") {
			continue
		}
		ours++
		if bytes, err := strconv.Atoi(f[7]); err != nil || bytes > most {
			t.Errorf("%s allocates %s bytes before main begins, more than %d", f[1], f[7], most)
		}
	}
	if ours < 30 {
		t.Errorf("the trace names %d packages of ours", ours)
	}
}
