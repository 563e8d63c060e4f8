package resources_test

import (
	"net/http"
	"strings"
	"testing"

	"diagsh/internal/test/appliance"
)

// A resource is named by its whole name: neither the number of a choice nor its beginning, which answer
// the question of a dialogue, lead a program to another capture than it named.
func TestNamesAreWhole(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	if r := a.SSH("op", "packetcapture start web2 interface lo; packetcapture stop web2"); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	for _, name := range []string{"1", "web", "w"} {
		for _, c := range [][2]string{{"GET", ""}, {"DELETE", "?confirm=yes"}, {"POST", "/stop"}, {"GET", "/packets"}, {"GET", "/packets/1"},
			{"GET", "/flows"}, {"GET", "/graph"}, {"GET", "/notes"}} {
			path := "/v1/captures/" + name + c[1]
			if status, body := a.API("op", c[0], path, ""); status != http.StatusNotFound {
				t.Errorf("%s %s: %d %s", c[0], path, status, body)
			}
		}
	}
	if status, body := a.API("op", "GET", "/v1/captures/web2", ""); status != http.StatusOK || !strings.Contains(body, `"name":"web2"`) {
		t.Errorf("the capture by its name: %d %s", status, body)
	}
	for _, c := range [][3]string{{"GET", "/v1/live.pcapng?interfaces=lo&interfaces=nosuch", ""}, {"GET", "/v1/live.pcapng?interfaces=lo,1", ""},
		{"POST", "/v1/captures", `{"interfaces": ["1"]}`}, {"POST", "/v1/captures", `{"interfaces": ["l"]}`}} {
		status, body := a.API("op", c[0], c[1], c[2])
		if status != http.StatusBadRequest || !strings.Contains(body, `"argument":"interfaces"`) || !strings.Contains(body, "is not one of the choices") {
			t.Errorf("%v: %d %s", c, status, body)
		}
	}
}
