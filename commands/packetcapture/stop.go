package packetcapture

import (
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

func stopCommand(s captureService) *menu.Command {
	return captures.StopDecl(s, "End a capture.",
		func(name string) string { return "Capture " + name + " stopped." }).Command()
}
