package services

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, wrong := range map[string]string{
		"":             "",
		"services: []": "",
		"services: [{name: a, description: b, system: true, processes: [x, y]}]": "",
		"services: [{name: a}]":                                            "service 1 needs",
		"services: [{name: a b, description: c}]":                          "service 1 needs",
		"services: [{name: a, description: b}, {name: a, description: c}]": "listed twice",
		"services:\n- name: a\n  description: b\n  colour: red":            "line 4",
		"services: 7": "line 1",
	} {
		_, err := Parse([]byte(text))
		if (err == nil) != (wrong == "") || err != nil && !strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v, not %q", text, err, wrong)
		}
	}
}

func TestWithAndOf(t *testing.T) {
	ours, err := Parse([]byte(
		"services: [{name: sshd, description: old}, {name: resolved, description: d, processes: [systemd-resolved]}]"))
	if err != nil {
		t.Fatal(err)
	}
	vendors, err := Parse([]byte(
		"services: [{name: sshd, description: new}, {name: hermes, description: MGA, processes: [hermes, qmail]}]"))
	if err != nil {
		t.Fatal(err)
	}
	c := ours.With(vendors)
	if len(c) != 3 || c[0].Name != "hermes" || c[2].Description != "new" {
		t.Errorf("%+v", c)
	}
	for process, want := range map[string]string{"qmail": "hermes", "sshd": "sshd", "systemd-resolve": "resolved"} {
		if s := c.Of(process); s == nil || s.Name != want {
			t.Errorf("%s belongs to %+v, not %s", process, s, want)
		}
	}
	if s := c.Of("ssh"); s != nil {
		t.Errorf("ssh belongs to %+v", s)
	}
}
