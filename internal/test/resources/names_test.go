package resources_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/vt"
)

const top = appliance.Host + "> "

// A face is a way to have a command done without its dialogue.
type face struct {
	name string
	// remove asks for the deletion of a capture. It returns how that ended, as an exit status or a
	// status of HTTP, and what was said.
	remove         func(name string) (ended, said string)
	done, notFound string
}

func faces(t *testing.T, a *appliance.Appliance) []face {
	line := func(name string) string { return "packetcapture delete " + name + " confirm yes" }
	body := func(name string) string { return fmt.Sprintf(`{"name":%q,"confirm":"yes"}`, name) }
	terminal, page := a.Terminal("op", 120, 40), a.Web("op")
	// box does what the command box of the page does with a line.
	box := func(line string) (string, string) {
		parsed := page.Do("POST", "/v1/parse", map[string]any{"at": []string{}, "line": line, "abbreviate": true})
		var found struct {
			Calls []struct {
				Path      []string          `json:"path"`
				Arguments map[string]string `json:"arguments"`
			} `json:"calls"`
		}
		if err := json.Unmarshal(parsed.Body, &found); err != nil || len(found.Calls) != 1 {
			t.Fatalf("parse %s: %d %s", line, parsed.Status, parsed.Body)
		}
		r := page.Run(strings.Join(found.Calls[0].Path, " "), found.Calls[0].Arguments)
		return strconv.Itoa(r.Status), string(r.Body)
	}
	ran := func(r appliance.Result) (string, string) { return strconv.Itoa(r.Status), r.Out + r.Err }
	asked := func(status int, body string) (string, string) { return strconv.Itoa(status), body }
	return []face{
		{"ssh", func(name string) (string, string) { return ran(a.SSH("op", line(name))) }, "0", "4"},
		{"diagsh -c", func(name string) (string, string) { return ran(a.Local(line(name))) }, "0", "4"},
		{"prompt", func(name string) (string, string) { return "", terminal.Says(top, line(name)) }, "", ""},
		{"prompt, abbreviated", func(name string) (string, string) {
			return "", terminal.Says(top, "packetc del "+name+" conf yes")
		}, "", ""},
		{"command box", func(name string) (string, string) { return box("packetc del " + name + " conf yes") }, "200", "404"},
		{"run", func(name string) (string, string) {
			return asked(a.API("op", "POST", "/v1/run/packetcapture/delete", body(name)))
		}, "200", "404"},
		{"form", func(name string) (string, string) {
			r := page.Run("packetcapture delete", map[string]string{"name": name, "confirm": "yes"})
			return strconv.Itoa(r.Status), string(r.Body)
		}, "200", "404"},
		{"resource", func(name string) (string, string) {
			return asked(a.API("op", "DELETE", "/v1/captures/"+name+"?confirm=yes", ""))
		}, "204", "404"},
	}
}

// ended makes captures that have ended, the last one first in lists.
func ended(t *testing.T, a *appliance.Appliance, names ...string) {
	t.Helper()
	for _, name := range names {
		for _, path := range []string{"start", "stop"} {
			if status, body := a.API("op", "POST", "/v1/run/packetcapture/"+path, fmt.Sprintf(`{"name":%q}`, name)); status != http.StatusOK {
				t.Fatalf("%s %s: %d %s", path, name, status, body)
			}
		}
	}
}

func exists(a *appliance.Appliance, capture string) bool {
	status, _ := a.API("op", "GET", "/v1/captures/"+capture, "")
	return status == http.StatusOK
}

// Where no list is shown, a thing has its whole name: neither the number of a choice nor the
// beginning of its name, which answer the question of a dialogue, lead to another thing than was
// named.
func TestNamesAreWhole(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	for _, face := range faces(t, a) {
		t.Run(face.name, func(t *testing.T) {
			ended(t, a, "web2")
			for _, name := range []string{"1", "web", "w", "WEB2"} {
				how, said := face.remove(name)
				if how != face.notFound || !strings.Contains(said, "There is no capture") || !strings.Contains(said, "Did you mean web2?") {
					t.Errorf("delete %s: %s %s", name, how, said)
				}
				if !exists(a, "web2") {
					t.Fatalf("delete %s deleted web2", name)
				}
			}
			if how, said := face.remove("web2"); how != face.done || exists(a, "web2") {
				t.Errorf("delete web2: %s %s", how, said)
			}
		})
	}
	ended(t, a, "web2")
	for _, name := range []string{"1", "web", "w"} {
		for _, c := range [][2]string{{"GET", ""}, {"POST", "/stop"}, {"GET", "/packets"}, {"GET", "/packets/1"}, {"GET", "/flows"},
			{"GET", "/graph"}, {"GET", "/notes"}} {
			path := "/v1/captures/" + name + c[1]
			if status, body := a.API("op", c[0], path, ""); status != http.StatusNotFound {
				t.Errorf("%s %s: %d %s", c[0], path, status, body)
			}
		}
	}
	for _, c := range [][3]string{{"GET", "/v1/live.pcapng?interfaces=lo&interfaces=nosuch", ""}, {"GET", "/v1/live.pcapng?interfaces=lo,1", ""},
		{"POST", "/v1/captures", `{"interfaces": ["1"]}`}, {"POST", "/v1/captures", `{"interfaces": ["l"]}`}} {
		status, body := a.API("op", c[0], c[1], c[2])
		if status != http.StatusBadRequest || !strings.Contains(body, `"argument":"interfaces"`) || !strings.Contains(body, "is not one of the choices") {
			t.Errorf("%v: %d %s", c, status, body)
		}
	}
}

// Names of other things are whole too, in each face; the words that a declaration has to choose from
// may be shortened at a prompt alone.
func TestOtherNamesAreWhole(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	for _, line := range []string{"userconfig new eve role operator password 'a long Word of 2026'", "filter save mail expression 'port 25'",
		"packetcapture start web2 interfaces lo"} {
		if r := a.SSH("admin", line); r.Status != 0 {
			t.Fatalf("%s: %+v", line, r)
		}
	}
	terminal := a.Terminal("admin", 160, 40)
	for _, c := range []struct {
		line   string
		status int
		says   string
	}{
		{"userconfig delete ev confirm yes", 4, `There is no user "ev". Did you mean eve?`},
		{"userconfig role ev readonly", 4, `There is no user "ev". Did you mean eve?`},
		{"filter delete mai", 2, `"mai" is not one of the choices. Did you mean mail?`},
		{"packetcapture stop web", 4, `There is no capture "web". Did you mean web2?`},
		{"packetcapture stop 1", 4, `There is no capture "1". Did you mean web2?`},
		{"packetcapture show web", 4, `There is no capture and no file "web". Did you mean web2?`},
		{"packetcapture start other interfaces l", 2, "Did you mean lo?"},
		{"netstat interfaces l", 2, "Did you mean lo?"},
	} {
		if r := a.SSH("admin", c.line); r.Status != c.status || !strings.Contains(r.Err, c.says) {
			t.Errorf("%s: %+v; want %d, %s", c.line, r, c.status, c.says)
		}
		if said := terminal.Says(top, c.line); !strings.Contains(said, c.says) {
			t.Errorf("%s, typed: %s; want %s", c.line, said, c.says)
		}
	}
	for line, says := range map[string]string{"userconfig list": "eve ", "filter list": "mail", "packetcapture list": "running"} {
		if r := a.SSH("admin", line); !strings.Contains(r.Out, says) {
			t.Errorf("%s: %+v", line, r)
		}
	}
	for _, line := range []string{"netstat routes tables ru", "netstat routes tables 3"} {
		if r := a.SSH("op", line); r.Status != 2 || !strings.Contains(r.Err, "Did you mean rules?") {
			t.Errorf("%s: %+v", line, r)
		}
	}
	if r := a.SSH("op", "netstat routes tables RULES; netstat interfaces all"); r.Status != 0 {
		t.Errorf("words in another case: %+v", r)
	}
	rules := terminal.Says(top, "netstat routes tables rules")
	if said := terminal.Says(top, "netstat routes tables ru"); said != rules || !strings.Contains(said, "main") {
		t.Errorf("the beginning of a word at the prompt: %s; want %s", said, rules)
	}
}

// In a dialogue, a number and a beginning mean what the list on the screen has, also when the list has
// changed since.
func TestAnswersMeanWhatWasShown(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	terminal := a.Terminal("op", 120, 40)
	for _, answer := range []string{"1", "we", "WEB2"} {
		ended(t, a, "first", "web2")
		terminal.Says(top, "packetcapture delete", "[]> ")
		terminal.Type(answer + "\r")
		terminal.Wait("the confirmation", func(s *vt.Screen) bool { return s.Before() == "Delete web2 with all files? [N]> " })
		if status, body := a.API("op", "DELETE", "/v1/captures/web2?confirm=yes", ""); status != http.StatusNoContent {
			t.Fatalf("%d %s", status, body)
		}
		terminal.Type("y\r")
		terminal.Reads(`There is no capture "web2".`)
		terminal.Wait("the end of the dialogue", func(s *vt.Screen) bool { return s.Before() == top || s.Before() == "[]> " })
		if !exists(a, "first") {
			t.Errorf("the answer %s, to a list that changed, deleted another capture", answer)
		}
		terminal.Type("\r")
		if status, body := a.API("op", "DELETE", "/v1/captures/first?confirm=yes", ""); status != http.StatusNoContent {
			t.Fatalf("%d %s", status, body)
		}
	}
	ended(t, a, "first", "web2")
	terminal.Says(top, "packetcapture delete", "[]> ")
	terminal.Type("2\ry\r")
	terminal.Reads("first")
	terminal.Prompted(top)
	if exists(a, "first") || !exists(a, "web2") {
		t.Error("the second of the list is not what was deleted")
	}
}
