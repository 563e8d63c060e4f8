package packetcapture

import (
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

func stopCommand(s captureService) *menu.Command {
	decl := captures.StopDecl(s, "End a capture.",
		func(name string) string { return "Capture " + name + " stopped." })
	decl.Resources = []menu.Resource{{Method: "POST", Path: "captures/{name}/stop"}}
	return decl.Command()
}
