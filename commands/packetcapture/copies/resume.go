package copies

import (
	"diagsh/capture"
	"diagsh/internal/menu"
)

func resumeCommand(s Service) *menu.Command {
	return verb{name: "resume", help: "Have paused copies go on.", does: "Goes on", none: "The target %s goes on",
		details: "Without a file the target goes on, with all copies to it that were paused by themselves.",
		run:     Service.ResumeCopies, right: func(e capture.Export) bool { return e.State == capture.ExportPaused }}.decl(s).Command()
}
