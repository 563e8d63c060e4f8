package target

import (
	"context"
	"testing"

	"diagsh/capture"
	"diagsh/internal/menu"
)

// A refusing service refuses a change for an argument.
type refusing struct {
	Service
	argument string
}

func (refusing) Targets() []capture.Target { return []capture.Target{{Name: "vault"}} }

func (r refusing) ChangeTarget(context.Context, menu.Caller, string, capture.TargetChange) (capture.Target, error) {
	return capture.Target{}, menu.BadArgument(r.argument, "It is wrong")
}

// A change that is refused names the argument that is wrong; a target that is not there is its name.
func TestEditNamesWhatIsWrong(t *testing.T) {
	for refused, want := range map[string]string{"template": "template", "secret": "secret", "target": "name"} {
		c := editCommand(refusing{argument: refused})
		err := c.Run(t.Context(), menu.Caller{}, menu.Arguments{"name": "vault", "template": "{file}"}, nil, nil)
		if e := menu.AsError(err); e == nil || e.Argument != want {
			t.Errorf("%s is told as %+v; want %s", refused, e, want)
		}
	}
}
