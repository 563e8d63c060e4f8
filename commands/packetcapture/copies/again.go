package copies

import (
	"diagsh/capture"
	"diagsh/internal/menu"
)

func againCommand(s Service) *menu.Command {
	return verb{name: "again", help: "Begin copies anew that failed or were cancelled.", does: "Waits for its turn",
		details: "Copies that wait for their next try do not wait any longer.",
		run:     Service.RetryCopies, right: func(e capture.Export) bool { return e.State != capture.ExportDone && e.State != capture.ExportSending }}.decl(s).Command()
}
