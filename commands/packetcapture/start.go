package packetcapture

import (
	"context"
	"time"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// startArgs are what a capture is begun with.
type startArgs struct {
	capture.Request
	noted
}

func startCommand(s captureService) *menu.Command {
	return menu.Decl[startArgs, capture.Status]{
		Name: "start",
		Help: "Begin a capture.",
		Details: "What is not given is taken from the settings (setup). The capture continues when you leave the " +
			"menu or the session. While the disk is slow, a ring or circular capture has more files than it keeps: " +
			"at most twice as many and three, or 64 MB more.",
		Terminal:  "At a prompt, filters alone at the end of the line has protocol, addresses and ports asked one by one.",
		Role:      menu.Operator,
		Resources: []menu.Resource{{Method: "POST", Path: "captures", Status: 201, Location: "captures/{name}"}},
		Shape:     menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, _ startArgs, q *menu.Question) error {
			switch q.Name {
			case "interfaces":
				captures.ChooseInterfaces(q, s.CaptureInterfaces(), nil)
			case "filters":
				return captures.AskFilters(q)
			}
			return nil
		},
		// The start itself checks the filter, so that its host names are looked up only once.
		Check: func(_ context.Context, _ menu.Caller, r startArgs, name string) error {
			switch name {
			case "start":
				return notPast(r.Start)
			case "scenario":
				return checkScenario(s, r.Scenario)
			}
			return captures.CheckOption(r.Options, name)
		},
		CompleteValue: func(_ context.Context, _ menu.Caller, _ startArgs, _, text string) menu.Completion {
			return captures.SuggestFilter(text, s.CaptureInterfaces())
		},
		Suggest: func(_ context.Context, _ menu.Caller, _ startArgs, argument, _ string) []menu.Choice {
			return suggestScenario(s, argument)
		},
		Run: func(_ context.Context, caller menu.Caller, r startArgs, out *menu.Out[capture.Status]) error {
			return r.note(s, caller, access.Operation{Act: access.OperationStart, Capture: r.Name}, func() error { return r.start(s, caller, out) })
		},
		Text: captures.Status,
	}.Command()
}

// start begins the capture, and yields it.
func (r startArgs) start(s captureService, caller menu.Caller, out *menu.Out[capture.Status]) error {
	r.Filter, r.Process = captures.Cleared(r.Filter), captures.OfAll(r.Process)
	status, err := s.StartCapture(caller, r.Request)
	if err != nil {
		return err
	}
	if status.State == capture.NotStarted {
		out.Printf("Capture %s is planned.\n", status.Name)
	} else {
		out.Printf("Capture %s started.\n%s", status.Name, menu.Text(captures.Whereabouts(status)+captures.Awaited(status)+captures.Unseen(status)))
	}
	return out.Record(status)
}

// clockSkew is how far in the past a start time may be that still means now.
const clockSkew = 10 * time.Second

func notPast(start time.Time) error {
	if now := time.Now(); start.Before(now.Add(-clockSkew)) {
		return menu.BadArgument("start", "%s is in the past", menu.UTC(start)).
			WithHint("It is %s now; leave start out to begin at once", menu.UTC(now))
	}
	return nil
}
