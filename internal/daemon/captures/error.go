package captures

import (
	"errors"
	"strings"

	"diagsh/capture"
	"diagsh/internal/daemon/captures/machine"
	"diagsh/internal/menu"
)

// captureError returns an error of the engine in the form that users get, with the argument that is
// at fault. what says what failed, as in menu.Failing.
func captureError(what string, err error) error {
	var spec *capture.SpecError
	var missing *capture.NoSuchInterfaceError
	var unsupported *capture.UnsupportedInterfaceError
	var process *capture.NoSuchProcessError
	var noProcesses *capture.UnsupportedProcessError
	var low *capture.DiskLowError
	var quota *capture.QuotaError
	switch {
	case errors.As(err, &spec):
		return menu.BadArgument(strings.ToLower(spec.Member), "%s", menu.Sentence(spec.Text)).WithHint("%s", spec.Hint)
	case errors.As(err, &missing):
		return &menu.Error{Code: menu.NotFound, Argument: "interfaces",
			Message: "There is no interface " + menu.Quoted(missing.Name), Hint: machine.InterfaceHint(missing.Name)}
	case errors.As(err, &unsupported):
		return &menu.Error{Code: menu.Unsupported, Argument: "interfaces", Message: menu.Sentence(unsupported.Error())}
	case errors.As(err, &process):
		return &menu.Error{Code: menu.NotFound, Argument: "process", Message: menu.Sentence(process.Error()),
			Hint: "Give a name to wait for a process of that name"}
	case errors.As(err, &noProcesses):
		return &menu.Error{Code: menu.Unsupported, Argument: "process", Message: menu.Sentence(noProcesses.Error()),
			Hint: "Without process, all packets are captured"}
	case errors.As(err, &low):
		return menu.Errorf(menu.State, "The disk is low: %s are free and %s are kept in reserve",
			menu.Size(low.FreeBytes>>20<<20), menu.Size(low.ReserveBytes>>20<<20)).
			WithHint("Delete files of the diagnostic directory first")
	case errors.As(err, &quota):
		return menu.Errorf(menu.State, "The diagnostic directory is at its quota of %s", menu.Size(quota.QuotaBytes)).
			WithHint("Delete files of it first")
	case errors.Is(err, capture.ErrMixedLinkTypes):
		return menu.BadArgument("format", "%s", menu.Sentence(err.Error()))
	case errors.Is(err, capture.ErrNotPermitted):
		return menu.Errorf(menu.Unsupported, "%s", menu.Sentence(err.Error()))
	}
	return menu.Failing(what, err)
}

// wrongState returns the error for a capture that is not in the state that a command needs. is and
// the hint are for the user; the hint may be empty.
func wrongState(name, is, hint string) *menu.Error {
	return &menu.Error{Code: menu.State, Argument: "name", Message: "The capture " + name + " " + is, Hint: hint}
}
