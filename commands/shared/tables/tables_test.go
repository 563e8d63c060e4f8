package tables_test

import (
	"bytes"
	"strings"
	"testing"

	"diagsh/commands/shared/tables"
)

// A paper is a writer that has a width.
type paper struct {
	bytes.Buffer
	columns int
}

func (p *paper) Columns() int { return p.columns }

func TestWrite(t *testing.T) {
	for _, c := range []struct {
		name    string
		columns int
		want    string
	}{
		{"as wide as it likes", 0,
			"USER   FULL NAME        LAST LOGIN        NOTES\nann    Ann of the Desk  2026-11-28 15:04  expires " +
				"soon\nbartb  -                never             -\n"},
		{"fits", 54, "USER   FULL NAME        LAST LOGIN        NOTES\nann    Ann of the Desk  2026-11-28 15:04  " +
			"expires soon\nbartb  -                never             -\n"},
		{"the widest is broken", 50,
			"USER   FULL NAME    LAST LOGIN        NOTES\nann    Ann of the   2026-11-28 15:04  expires soon\n       " +
				"Desk\nbartb  -            never             -\n"},
		{"all are broken", 38, "USER   FULL  LAST LOGIN        NOTES\n       NAME\nann    Ann   2026-11-28 15:04  " +
			"expires\n       of                      soon\n       the\n       Desk\nbartb  -     never             " +
			"-\n"},
		{"one is left out", 30, "USER  LAST LOGIN       NOTES\nann   2026-11-28 15:04 expires\n                      " +
			" soon\nbartb never            -\n"},
	} {
		table := tables.Table{Head: []string{"USER", "FULL NAME", "LAST LOGIN", "NOTES"}, Spare: []string{"FULL NAME"}}
		table.Add("ann", "Ann of the Desk", tables.Whole("2026-11-28 15:04"), "expires soon")
		table.Add("bartb", "-", "never", "-")
		p := paper{columns: c.columns}
		table.Write(&p)
		if p.String() != c.want {
			t.Errorf("%s:\n%swant:\n%s", c.name, p.String(), c.want)
		}
	}
	below := tables.Table{Head: []string{"A", "B"}}
	below.Add("one", "two")
	below.Below("what is too long for a column")
	below.Add("three", "four")
	narrow := paper{columns: 16}
	below.Write(&narrow)
	if want := "A      B\none    two\n  what is too\n    long for a\n    column\nthree  four\n"; narrow.String() != want {
		t.Errorf("with a line below a row it is\n%s, not\n%s", narrow.String(), want)
	}
	for _, c := range []struct {
		columns int
		want    string
	}{{0, "  a  b of several words\n"}, {24, "  a  b of several words\n"}, {15, "  a  b of\n    several\n    words\n"}} {
		p := paper{columns: c.columns}
		tables.Line(&p, 4, "  a  b of %s words", "several")
		if p.String() != c.want {
			t.Errorf("a line in %d columns is %q, not %q", c.columns, p.String(), c.want)
		}
	}
	var plain bytes.Buffer
	table := tables.Table{Head: []string{"A", "B"}}
	table.Add("a", strings.Repeat("word ", 40))
	table.Write(&plain)
	for line := range strings.Lines(plain.String()) {
		if len(line) > 81 {
			t.Errorf("for nobody knows whom a line has %d columns: %q", len(line)-1, line)
		}
	}
}
