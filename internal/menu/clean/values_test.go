package clean

import (
	"reflect"
	"testing"
)

// hostile is what a stranger would like to have on a screen: cursor movement, an 8-bit control,
// text that runs backwards, line ends of every kind, and a line that looks like ours.
const hostile = "a\x1b[2J\x07\x9b\u009b31m\x7f\u202e\u2028\u2029b\r\nFORGED\n"

const harmless = `a\x1b[2J\x07\x9b\x9b31m\x7f\u202e\u2028\u2029b\x0d\x0aFORGED\x0a`

type inner struct {
	Name string
	Map  map[string]any
}

type outer struct {
	Text    string
	Lines   Text
	Pointer *string
	List    []string
	Inner   inner
	Deep    []*inner
	Any     any
	Bytes   []byte
	hidden  string
}

func TestValue(t *testing.T) {
	text := hostile
	dirty := outer{hostile, "one\r\ntwo\x1b\n", &text, []string{"x", hostile},
		inner{hostile, map[string]any{hostile: hostile, "n": 7}}, []*inner{{Name: hostile}, nil},
		inner{Name: hostile}, []byte(hostile), "kept"}
	clean := Value(dirty)
	want := outer{harmless, "one\ntwo\\x1b\n", clean.Pointer, []string{"x", harmless},
		inner{harmless, map[string]any{harmless: harmless, "n": 7}},
		[]*inner{{Name: harmless}, nil}, inner{Name: harmless}, []byte(hostile), "kept"}
	if !reflect.DeepEqual(clean, want) || *clean.Pointer != harmless {
		t.Errorf("%+v\nwant %+v", clean, want)
	}
	if dirty.Text != hostile || text != hostile || dirty.List[1] != hostile || dirty.Deep[0].Name != hostile ||
		dirty.Inner.Map[hostile] != hostile {
		t.Error("what was given was changed")
	}
	plain := outer{Text: "münchen", List: []string{"日本"}, Deep: []*inner{{Name: "x"}}}
	if same := Value(plain); same.Deep[0] != plain.Deep[0] {
		t.Error("what is clean was copied")
	}
	if n := testing.AllocsPerRun(100, func() { _ = Value(&plain) }); n > 1 {
		t.Errorf("a look at what is clean allocates %v times", n)
	}
}

func BenchmarkValue(b *testing.B) {
	plain := outer{Text: "a name", List: []string{"one", "two"}, Inner: inner{Name: "x"}}
	for b.Loop() {
		Value(plain)
	}
}
