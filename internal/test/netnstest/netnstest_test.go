package netnstest

import (
	"net"
	"slices"
	"testing"
)

func TestVethIsInTheNamespaceOnly(t *testing.T) {
	ns := New(t)
	ns.Veth(t, "left", "right")
	var inside []string
	ns.Do(t, func() { inside = names(t) })
	slices.Sort(inside)
	// Some kernels give every namespace tunnel interfaces as well.
	for _, name := range []string{"left", "lo", "right"} {
		if !slices.Contains(inside, name) {
			t.Errorf("%s is not in the namespace, there are %q", name, inside)
		}
	}
	if outside := names(t); slices.Contains(outside, "left") || slices.Contains(outside, "right") {
		t.Errorf("outside there are %q", outside)
	}
}

func names(t *testing.T) []string {
	t.Helper()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range interfaces {
		names = append(names, i.Name)
	}
	return names
}
