package source_test

import (
	"os/exec"
	"testing"

	"diagsh/diag/interfaces"
	"diagsh/diag/source"
	"diagsh/internal/test/netnstest"
)

// TestAlternativeNames: an interface is found by an alternative name of any length, wherever it may
// be named. Other names stay unknown.
func TestAlternativeNames(t *testing.T) {
	t.Parallel()
	const long = "enxtheoneontheleftofthem"
	ns := netnstest.New(t)
	ns.Veth(t, "left", "right")
	ns.Do(t, func() {
		add := exec.Command(netnstest.Tool(t, "ip"), "link", "property", "add", "dev", "left", "altname", long,
			"altname", "short0")
		if out, err := add.CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
		for _, name := range []string{"left", "short0", long} {
			if got := interfaces.RealName(name); got != "left" {
				t.Errorf("%s is %s", name, got)
			}
			if s, err := source.Parse(name); err != nil || s.Interface != "left" {
				t.Errorf("the source %s is %+v, %v", name, s, err)
			}
		}
		if _, err := source.Parse("short1"); err == nil {
			t.Error("short1 is an interface")
		}
		if names := interfaces.AltNames(); len(names) != 2 || names[long] == 0 || names[long] != names["short0"] {
			t.Errorf("alternative names are %v", names)
		}
	})
}
