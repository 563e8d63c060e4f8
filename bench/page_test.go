package main

import (
	"os"
	"strings"
	"testing"
)

// TestRowsOfThePage: figures take the place of the rows of their measurement, and of no others.
func TestRowsOfThePage(t *testing.T) {
	const page = `# Page

| figure | diagsh | peer | goal | | command |
|---|---|---|---|---|---|
| prompt | 1 ms | 2 ms | | | ` + "`go run ./bench -rounds 3 login`" + ` |
| second | 1 ms | 2 ms | | | ` + "`go run ./bench login`" + ` |
| key | 1 ms | - | | | ` + "`go run ./bench echo`" + ` |

As in ` + "`go run ./bench login`" + `.
`
	figures := []figure{
		{what: "prompt | sshd", ours: "3 ms", peer: "4 ms", goal: "at most 0.50 of it; is 0.75",
			command: "go run ./bench login"},
		{what: "a|b", ours: "5 ms", peer: "-", goal: "less", met: true, command: "go run ./bench login"},
	}
	got, err := withRows(page, figures)
	if err != nil {
		t.Fatal(err)
	}
	const want = `# Page

| figure | diagsh | peer | goal | | command |
|---|---|---|---|---|---|
| prompt | 3 ms | sshd: 4 ms | at most 0.50 of it; is 0.75 | MISSED | ` + "`go run ./bench login`" + ` |
| a\|b | 5 ms | - | less | met | ` + "`go run ./bench login`" + ` |
| key | 1 ms | - | | | ` + "`go run ./bench echo`" + ` |

As in ` + "`go run ./bench login`" + `.
`
	if got != want {
		t.Errorf("the page is\n%s\nand not\n%s", got, want)
	}
	if _, err := withRows(page, []figure{{what: "x", command: "go run ./bench idle"}}); err == nil ||
		!strings.Contains(err.Error(), "idle") {
		t.Errorf("a page without a row of it: %v", err)
	}
}

// TestPageHasEveryMeasurement: each measurement has a row in docs/performance.md, and each row
// names one.
func TestPageHasEveryMeasurement(t *testing.T) {
	page, err := os.ReadFile("../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]int)
	for line := range strings.Lines(string(page)) {
		if name := measurementOf(strings.TrimSpace(line)); name != "" {
			rows[name]++
		}
	}
	for _, m := range measurements {
		if rows[m.name] == 0 {
			t.Errorf("docs/performance.md has no figure of %s", m.name)
		}
		delete(rows, m.name)
	}
	for name := range rows {
		t.Errorf("docs/performance.md has a figure of %s, which bench does not take", name)
	}
}
