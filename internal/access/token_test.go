package access

import (
	"testing"

	"diagsh/internal/menu"
)

// The lesser of two roles does not depend on their order, and one that is not valid has no rights.
func TestLesserRole(t *testing.T) {
	less := []menu.Role{menu.Administrator, menu.Operator, menu.Support, menu.ReadOnly, "nobody"}
	for i, a := range less {
		for j, b := range less {
			if got := LesserRole(a, b); got != less[max(i, j)] {
				t.Errorf("of %s and %s the lesser is %s", a, b, got)
			}
		}
	}
}
