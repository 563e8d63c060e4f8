package captures

import (
	"context"
	"io"

	"diagsh/capture"
	"diagsh/internal/menu"
)

// A Service is the table of captures, one for all users and front ends.
type Service interface {
	StartCapture(caller menu.Caller, request capture.Request) (capture.Status, error)
	StopCapture(caller menu.Caller, name string) (capture.Status, error)
	DeleteCapture(caller menu.Caller, name string) error
	Captures() []capture.Status
	CaptureSettings() capture.Settings
	SetCaptureSettings(caller menu.Caller, given capture.Partial) error
	CheckFilter(ctx context.Context, expression string) error
	CaptureInterfaces() []capture.InterfaceInfo
}

// MenuStatus returns the Status of a menu of captures: those that run, and the settings.
func MenuStatus(s Service) func(context.Context, menu.Caller, io.Writer) error {
	return func(_ context.Context, _ menu.Caller, w io.Writer) error {
		Brief(w, s.Captures(), s.CaptureSettings())
		return nil
	}
}
