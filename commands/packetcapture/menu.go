// Package packetcapture is the menu packetcapture: captures by name, their packets and their
// copies.
package packetcapture

import (
	"diagsh/capture"
	"diagsh/commands/packetcapture/copies"
	"diagsh/commands/packetcapture/target"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

// A captureService is the table of captures.
type captureService interface {
	captures.Service
	scenarioService
	operationService
	Capture(name string) (capture.Status, error)
	ForgetCapture(caller menu.Caller, name string) error
}

// Services is what the menu's commands need from the running appliance.
type Services interface {
	captureService
	packetService
	indexService
	noteService
	exportService
	reportService
	azureService
}

// Menu returns packetcapture.
func Menu(s Services) *menu.Menu {
	return &menu.Menu{
		Name:   "packetcapture",
		Help:   "Capture packets on the appliance's interfaces.",
		Status: captures.MenuStatus(s),
		Items: []menu.Item{
			startCommand(s),
			stopCommand(s),
			statusCommand(s),
			scenariosCommand(s),
			settingsCommand(s),
			setupCommand(s),
			listCommand(s),
			deleteCommand(s),
			operationsCommand(s),
			watchCommand(s),
			showCommand(s),
			packetsCommand(s),
			packetCommand(s),
			noteMenu(s),
			flowsCommand(s),
			followstreamCommand(s),
			graphCommand(s),
			summaryCommand(s),
			streamCommand(s),
			wiresharkCommand(),
			reportCommand(s),
			exportCommand(s),
			exportsCommand(s),
			copies.Menu(s),
			target.Menu(s),
			azureCommand(s),
		},
	}
}
