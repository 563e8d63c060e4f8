package clean

import (
	"reflect"
	"testing"

	"diagsh/internal/test/hostile"
)

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
	text := hostile.Text
	dirty := outer{hostile.Text, "one\r\ntwo\x1b\n", &text, []string{"x", hostile.Text},
		inner{hostile.Text, map[string]any{hostile.Text: hostile.Text, "n": 7}}, []*inner{{Name: hostile.Text}, nil},
		inner{Name: hostile.Text}, []byte(hostile.Text), "kept"}
	clean := Value(dirty)
	want := outer{hostile.Harmless, "one\ntwo\\x1b\n", clean.Pointer, []string{"x", hostile.Harmless},
		inner{hostile.Harmless, map[string]any{hostile.Harmless: hostile.Harmless, "n": 7}},
		[]*inner{{Name: hostile.Harmless}, nil}, inner{Name: hostile.Harmless}, []byte(hostile.Text), "kept"}
	if !reflect.DeepEqual(clean, want) || *clean.Pointer != hostile.Harmless {
		t.Errorf("%+v\nwant %+v", clean, want)
	}
	if dirty.Text != hostile.Text || text != hostile.Text || dirty.List[1] != hostile.Text || dirty.Deep[0].Name != hostile.Text ||
		dirty.Inner.Map[hostile.Text] != hostile.Text {
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
