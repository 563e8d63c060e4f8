package captures

import (
	"context"
	"strings"

	"diagsh/capture"
	"diagsh/internal/daemon/captures/management"
	"diagsh/internal/daemon/captures/programs"
	"diagsh/internal/menu"
)

// buildFilter makes the filter of a capture. Unless they are wanted, it leaves out the packets of this
// machine's own management ports, no matter who is logged in.
func (t *Table) buildFilter(ctx context.Context, spec capture.Spec, interfaces []capture.Interface) (
	*programs.Filter, error) {
	own := ""
	if !spec.Management {
		own = management.Filter(t.settings.ManagementPorts(), management.Addresses())
	}
	return programs.Build(ctx, spec, interfaces, own, filterNames)
}

// CheckFilter returns an error for users if an expression is wrong for any interface. The error
// names the character.
func (t *Table) CheckFilter(ctx context.Context, expression string) error {
	if strings.TrimSpace(expression) == "" {
		return nil
	}
	_, err := programs.Compile(ctx, expression, programs.AnyLink, t.checked.names())
	return menu.Failing("check the filter", programs.Error(err, capture.Interface{}))
}
