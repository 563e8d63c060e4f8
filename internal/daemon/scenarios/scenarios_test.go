package scenarios

import (
	"strings"
	"testing"
	"testing/fstest"

	"diagsh/assets"
	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// The appliance's own scenarios can be read, and a vendor's one that is not right names its fault.
func TestScenariosAreRead(t *testing.T) {
	list, err := readFolder(assets.Scenarios())
	if err != nil || len(list) < 5 {
		t.Fatalf("%d scenarios, %v", len(list), err)
	}
	for text, wrong := range map[string]string{
		"description: x":                          "",
		"options: {}":                             "needs a description",
		"description: x\noptions: {colour: red}":  "colour is not an option",
		"description: x\noptions: {filter: [1]}":  "filter is not an option",
		"description: x\noptions: {scenario: y}":  "scenario is not an option",
		"description: x\ntables: [{title: only}]": "table 1",
		"description: x\ncolour: red":             "line 2",
	} {
		_, err := readFolder(fstest.MapFS{"one.yaml": {Data: []byte(text)}})
		if (err == nil) != (wrong == "") || err != nil && !strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v, not %q", text, err, wrong)
		}
	}
}

type table = Captures // so that its method of that name is not hidden

// A blind is a table of captures on a machine that does not tell what it drops.
type blind struct {
	table
	begun capture.Request
}

func (b *blind) StartCapture(_ menu.Caller, r capture.Request) (capture.Status, error) {
	if r.Drops {
		return capture.Status{}, &menu.Error{Code: menu.Unsupported, Argument: "drops", Message: "The kernel does not tell"}
	}
	b.begun = r
	return capture.Status{Name: "one", Options: r.Options}, nil
}

// What a user gives goes before the scenario's options. What the machine cannot do is left out with a
// remark where the scenario alone asks for it, and refused where the user does.
func TestScenarioFits(t *testing.T) {
	s := access.Scenario{Name: "mail", Options: map[string]any{"filter": "port 25", "drops": true, "snapLength": 96}}
	b := &blind{}
	r := &Room{o: Options{Captures: b}}
	var request capture.Request
	request.SnapLength = 200
	j := &job{}
	if _, err := r.startFitting(menu.Caller{}, request, s, j); err != nil {
		t.Fatal(err)
	}
	if o := b.begun.Options; o.Filter != "port 25" || o.SnapLength != 200 || o.Drops || len(j.Remarks) != 1 || j.Remarks[0] != "The kernel does not tell" {
		t.Errorf("%+v, %q", o, j.Remarks)
	}
	request.Drops = true
	if _, err := r.startFitting(menu.Caller{}, request, s, &job{}); err == nil || menu.AsError(err).Argument != "drops" {
		t.Errorf("what the user asks for and the machine cannot do: %v", err)
	}
}

func TestChanged(t *testing.T) {
	for _, test := range []struct{ before, after, want string }{
		{"a\nb\n", "a\nb\n", ""},
		{"a\nb\n", "b\na\n", ""},
		{"a\nb\n", "a\nc\n", "- b\n+ c\n"},
		{"a\na\n", "a\n", "- a\n"},
		{"", "a", "+ a\n"},
		{"up (0.12 ms)\nrto 3s\n", "up (12.5 ms)\nrto 4s\n", "- rto 3s\n+ rto 4s\n"},
	} {
		if got := changed(test.before, test.after); got != test.want {
			t.Errorf("%q to %q: %q", test.before, test.after, got)
		}
	}
}
