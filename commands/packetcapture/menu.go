// Package packetcapture is the menu packetcapture: captures by name, their packets and their
// copies.
package packetcapture

import (
	"context"
	"io"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

// A captureService is the table of captures, one for all users and front ends.
type captureService interface {
	StartCapture(caller menu.Caller, request capture.Request) (capture.Status, error)
	StopCapture(caller menu.Caller, name string) (capture.Status, error)
	DeleteCapture(caller menu.Caller, name string) error
	Capture(name string) (capture.Status, error)
	Captures() []capture.Status
	CaptureSettings() capture.Settings
	SetCaptureSettings(caller menu.Caller, given capture.Partial) error
	CheckFilter(ctx context.Context, expression string) error
	CaptureInterfaces() []capture.InterfaceInfo
}

// Services is what the menu's commands need from the running appliance.
type Services interface {
	captureService
	packetService
	exportService
}

// Menu returns packetcapture.
func Menu(s Services) *menu.Menu {
	return &menu.Menu{
		Name: "packetcapture",
		Help: "Capture packets on the appliance's interfaces.",
		Status: func(_ context.Context, _ menu.Caller, w io.Writer) error {
			captures.Brief(w, s.Captures(), s.CaptureSettings())
			return nil
		},
		Items: []menu.Item{
			startCommand(s),
			stopCommand(s),
			statusCommand(s),
			setupCommand(s),
			listCommand(s),
			deleteCommand(s),
			watchCommand(s),
			showCommand(s),
			summaryCommand(s),
			streamCommand(s),
			exportCommand(s),
			exportsCommand(s),
			targetMenu(s),
		},
	}
}
