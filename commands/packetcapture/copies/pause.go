package copies

import (
	"diagsh/capture"
	"diagsh/internal/menu"
)

func pauseCommand(s Service) *menu.Command {
	return verb{name: "pause", help: "Keep copies from going on until they are resumed.", does: "Paused", none: "The target %s is paused",
		details: "What the target has of a file stays there, and resume goes on from there. Without a file the target is paused: " +
			"copies to it that come later wait too. A pause holds over a restart. Files that wait are not deleted meanwhile.",
		run: Service.PauseCopies, right: func(e capture.Export) bool { return !over(e) && e.State != capture.ExportPaused }}.decl(s).Command()
}
