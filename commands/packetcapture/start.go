package packetcapture

import (
	"context"
	"time"

	"diagsh/capture"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

type startArgs struct {
	Name       string         `arg:"name,positional:1" help:"Name of the capture; one is made if none is given."`
	Interfaces []string       `arg:"interface" help:"Names of interfaces separated by commas, or ALL."`
	Filter     *string        `arg:"filter,assisted" help:"A tcpdump filter such as \"host 192.0.2.1 and port 25\"; CLEAR for none."`
	Size       *menu.Size     `arg:"size,unlimited" unit:"MB" min:"4096" help:"Ends at this file size; unlimited still ends before the disk is full."`
	Duration   *time.Duration `arg:"duration,unlimited" min:"1" max:"31536000" help:"Ends after this time, such as 60s or 5m."`
	Packets    *int64         `arg:"packets,unlimited" min:"1" help:"Ends after so many packets that match the filter."`
	Count      *int64         `arg:"count,unlimited" min:"1" help:"The same as packets."`
	Management *bool          `arg:"management" help:"Keep the packets of management sessions too."`
	Defaults   bool           `arg:"defaults" default:"no" help:"Say yes, for programs: what is not given is as on a new appliance, and not taken from the settings."`
	At         *time.Time     `arg:"at" help:"When to begin, such as \"2026-03-01 10:15\" (UTC); at once, if not given."`
	captures.Options
}

func startCommand(s captureService) *menu.Command {
	return menu.Decl[startArgs, capture.Status]{
		Name: "start",
		Help: "Begin a capture.",
		Details: "What is not given is taken from the settings (setup). The capture goes on when you leave the menu or the session. " +
			"While the disk is slow, a ring or circular capture has more files than it keeps: at most twice as many and three, or 64 MB more.",
		Role:  menu.Operator,
		Shape: menu.Object,
		Ask: func(_ context.Context, _ menu.Caller, _ startArgs, q *menu.Question) error {
			if q.Name == "interface" {
				captures.ChooseInterfaces(q, s.CaptureInterfaces(), nil)
			}
			return nil
		},
		// The filter is checked by the start itself, which looks its host names up once.
		Check: func(_ context.Context, _ menu.Caller, a startArgs, name string) error {
			if name == "at" {
				return notPast(*a.At)
			}
			return a.Options.Check(name)
		},
		CompleteValue: func(_ context.Context, _ menu.Caller, _ startArgs, _, text string) menu.Completion {
			return captures.SuggestFilter(text, s.CaptureInterfaces())
		},
		Run: func(_ context.Context, caller menu.Caller, a startArgs, out *menu.Out[capture.Status]) error {
			if a.Count != nil && a.Packets != nil && *a.Count != *a.Packets {
				return errBothCounts()
			}
			status, err := s.StartCapture(caller, a.request())
			if err != nil {
				return err
			}
			if status.State == capture.NotStarted {
				out.Printf("Capture %s is planned.\n", status.Name)
			} else {
				out.Printf("Capture %s started.\n%s", status.Name, menu.Text(captures.Whereabouts(status)))
			}
			return out.Record(status)
		},
		Text: captures.Status,
	}.Command()
}

// clockSkew is how far a time may lie back that is meant as now.
const clockSkew = 10 * time.Second

func notPast(at time.Time) error {
	if now := time.Now(); at.Before(now.Add(-clockSkew)) {
		return menu.BadArgument("at", "%s is in the past", menu.UTC(at)).
			WithHint("It is %s now; leave at out to begin at once", menu.UTC(now))
	}
	return nil
}

func (a startArgs) request() capture.Request {
	r := capture.Request{Name: a.Name, Interfaces: a.Interfaces, Management: a.Management, Defaults: a.Defaults}
	a.Options.Request(&r)
	if a.At != nil {
		r.StartAt = *a.At
	}
	if a.Filter != nil {
		expression := captures.Cleared(*a.Filter)
		r.Filter = &expression
	}
	if a.Size != nil {
		r.Limits.SizeBytes = int64(*a.Size)
	}
	if a.Duration != nil {
		r.Limits.DurationSeconds = captures.Seconds(*a.Duration)
	}
	for _, packets := range []*int64{a.Packets, a.Count} {
		if packets != nil {
			r.Limits.Packets = *packets
		}
	}
	return r
}
