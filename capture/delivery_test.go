package capture

import (
	"errors"
	"strings"
	"testing"
)

// A place never leads out of the folder of a target, and has no hidden name.
func TestPlainPlace(t *testing.T) {
	for place, want := range map[string]bool{
		"web.cap": true, "2026/03/web.cap": true, "network-watcher-logs/subscriptions/a=b/x_1.cap": true, "a/~b@c+d": true,
		"": false, "/web.cap": false, "a//b": false, "a/": false, "../web.cap": false, "a/../b": false, "a/./b": false, ".part": false,
		"a b": false, "a\\b": false, "a\nb": false, "ä": false, "a?b": false, "a%2e": false, "a#b": false, "a:b": false,
		strings.Repeat("a/", 399) + "ab": true, strings.Repeat("a/", 401) + "a": false, strings.Repeat("a", 201): false,
	} {
		if PlainPlace(place) != want {
			t.Errorf("%q: %v", place, !want)
		}
	}
}

func TestPlacesOfACapture(t *testing.T) {
	d := Delivery{Target: "vault", TargetPath: "2026/web.v1/first.cap"}
	for got, want := range map[string]string{
		d.Place(1): "2026/web.v1/first.cap", d.Place(2): "2026/web.v1/first-0002.cap", d.PlaceBeside(".flows"): "2026/web.v1/first.flows",
		(Delivery{Target: "vault"}).Place(2): "", (Delivery{}).PlaceBeside(".flows"): "", Delivery{TargetPath: "a/b"}.Place(3): "a/b-0003",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	spec := Spec{Options: Options{Interfaces: []string{All}, Limits: Limits{SizeBytes: Unlimited}}}
	for _, wrong := range []Delivery{{TargetPath: "a"}, {Target: "vault", TargetPath: "../a"}} {
		var fault *SpecError
		if spec.Delivery = wrong; !errors.As(spec.Check(), &fault) || fault.Member != "targetPath" {
			t.Errorf("%+v: %v", wrong, spec.Check())
		}
	}
	if spec.Delivery = d; spec.Check() != nil || spec.Status().Delivery != d {
		t.Errorf("%v, %+v", spec.Check(), spec.Status())
	}
}
