package copies

import (
	"diagsh/capture"
	"diagsh/internal/menu"
)

func cancelCommand(s Service) *menu.Command {
	return verb{name: "cancel", help: "End copies that are not done.", does: "Cancelled",
		details: "Their files may be deleted then, by a ring or to make room. What a target has of a file stays there. again begins anew.",
		run:     Service.CancelCopies, right: func(e capture.Export) bool { return !over(e) || e.Held }}.decl(s).Command()
}
