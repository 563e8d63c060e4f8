// Package peers_test compares the appliance's tables with those of the programs that Linux
// engineers trust, field by field, in the same moment: ss, ip, lsof. What changes while it is
// looked at is looked at by the peer before and after.
package peers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// A bed is an appliance in a namespace of its own.
type bed struct {
	*appliance.Appliance
	t  *testing.T
	ns *netnstest.Namespace
}

func newBed(t *testing.T, tools ...string) *bed {
	t.Helper()
	for _, tool := range tools {
		netnstest.Tool(t, tool)
	}
	ns := netnstest.New(t)
	return &bed{appliance.Start(t, appliance.Options{Network: ns}), t, ns}
}

// run runs a program in the namespace and returns what it writes.
func (b *bed) run(program string, args ...string) string {
	b.t.Helper()
	return b.feed("", program, args...)
}

// feed is run with standard input.
func (b *bed) feed(input, program string, args ...string) string {
	b.t.Helper()
	var out, errs bytes.Buffer
	var err error
	b.ns.Do(b.t, func() {
		cmd := exec.Command(program, args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
		err = cmd.Run()
	})
	if err != nil {
		b.t.Fatalf("%s %s: %v: %s", program, strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

// ours runs a line of the appliance with --json into rows.
func ours[R any](b *bed, line string) []R {
	b.t.Helper()
	r := b.Local(line + " --json")
	var rows []R
	if r.Status != 0 {
		b.t.Fatalf("%s: exit %d: %s", line, r.Status, r.Err)
	}
	if err := json.Unmarshal([]byte(r.Out), &rows); err != nil {
		b.t.Fatalf("%s: %v", line, err)
	}
	return rows
}

// compare holds our rows against what the peer saw before and after: what it saw both times we must
// show, and what we show it must have seen at least once, unless changing says that the row may
// have come and gone between.
func compare(t *testing.T, before, ours, after map[string]int, changing func(row string) bool) {
	t.Helper()
	faults := 0
	fault := func(format string, args ...any) {
		if faults++; faults <= 10 {
			t.Errorf(format, args...)
		}
	}
	for row, n := range before {
		if least := min(n, after[row]); ours[row] < least && !changing(row) {
			fault("the peer shows %d times, ours %d: %s", least, ours[row], row)
		}
	}
	for row, n := range ours {
		if most := max(before[row], after[row]); n > most && !changing(row) {
			fault("ours shows %d times, the peer %d: %s", n, most, row)
		}
	}
	if faults > 10 {
		t.Errorf("... and %d more", faults-10)
	}
}

// never is for rows none of which changes.
func never(string) bool { return false }

// count makes a multiset of rows.
func count(rows []string) map[string]int {
	m := map[string]int{}
	for _, r := range rows {
		m[r]++
	}
	return m
}

func row(fields ...any) string { return strings.TrimSuffix(fmt.Sprintln(fields...), "\n") }
