package store

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type table struct {
	Names []string `json:"names"`
}

func TestJSON(t *testing.T) {
	file := JSON[table]{Path: filepath.Join(t.TempDir(), "table.json"), Version: 2}
	var v table
	if found, err := file.Load(&v); found || err != nil {
		t.Fatalf("no file: %v %v", found, err)
	}
	if err := file.Store(table{[]string{"a"}}); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(file.Path)
	if want := "{\n  \"version\": 2,\n  \"names\": [\n    \"a\"\n  ]\n}\n"; string(text) != want {
		t.Errorf("the file is %s", text)
	}
	if found, err := file.Load(&v); !found || err != nil || len(v.Names) != 1 {
		t.Errorf("%v %v %v", v, found, err)
	}
	for text, want := range map[string]string{
		`{"names":["a","b"]}`:               "", // of a build that wrote no version
		`{"version":1,"names":["a","b"]}`:   "",
		` {"names":["a","b"],"version":2} `: "",
		`{"version":3,"names":["a","b"]}`:   "written by a newer diagsh: its form is 3, and this one knows forms up to 2",
		`{"version":"x","names":["a","b"]}`: "is damaged",
		`{"names":["a","b"]`:                "is damaged",
		`["a","b"]`:                         "is damaged", // T decides what else it reads
		``:                                  "is damaged",
	} {
		os.WriteFile(file.Path, []byte(text), 0o600)
		v := table{}
		found, err := file.Load(&v)
		if want == "" && (err != nil || !found || len(v.Names) != 2) {
			t.Errorf("%s: %v %v %v", text, v, found, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file.Path)) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
		if want != "" && v.Names != nil {
			t.Errorf("%s: a file that is refused was read: %v", text, v)
		}
	}
	// What is no object has no place for a version.
	if err := (JSON[[]int]{Path: file.Path, Version: 1}).Store([]int{1}); err == nil {
		t.Error("a list was stored without its version")
	}
	if data, err := (JSON[struct{}]{Path: file.Path, Version: 1}).Encode(struct{}{}); err != nil || !json.Valid(data) {
		t.Errorf("an empty object becomes %s, %v", data, err)
	}
}

// A damaged file gets another name with all that it holds, each its own, and there is none then. One
// of a newer build stays.
func TestDamagedFileIsSetAside(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "odd[name")
	os.Mkdir(dir, 0o700)
	var told []Damage
	file := JSON[table]{Path: filepath.Join(dir, "table.json"), Version: 2, SetAside: func(d Damage) { told = append(told, d) }}
	for i, text := range []string{"", "{", `{"version":1,"names":["a",{}]}`} {
		os.WriteFile(file.Path, []byte(text), 0o600)
		v := table{Names: []string{"as before"}}
		if found, err := file.Load(&v); found || err != nil || v.Names != nil {
			t.Errorf("%q: %v, %v, %v", text, found, err, v)
		}
		if len(told) != i+1 {
			t.Fatalf("%q was told as %+v", text, told)
		}
		d := told[i]
		if kept, err := os.ReadFile(d.Aside); err != nil || string(kept) != text || d.Path != file.Path || FormerName(d.Aside) != "table.json" || d.Err == nil {
			t.Errorf("%q is set aside as %+v with %q, %v", text, d, kept, err)
		}
		if _, err := os.Stat(file.Path); err == nil {
			t.Errorf("%q is still there", text)
		}
	}
	if list, err := AsideFiles(dir); len(list) != len(told) || err != nil {
		t.Errorf("the files that were set aside are %q, %v", list, err)
	}
	os.WriteFile(file.Path, []byte(`{"version":3}`), 0o600)
	if _, err := file.Load(new(table)); err == nil || len(told) != 3 {
		t.Errorf("a newer file: %v, told %d", err, len(told))
	}
	if list, err := AsideFiles(filepath.Join(dir, "none")); list != nil || err != nil {
		t.Errorf("of no directory: %q, %v", list, err)
	}
}
