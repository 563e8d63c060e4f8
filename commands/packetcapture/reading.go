package packetcapture

import (
	"context"
	"strings"

	"diagsh/capture"
	"diagsh/capture/drops"
	"diagsh/capture/replay"
	"diagsh/commands/shared/captures"
	"diagsh/commands/shared/owned"
	"diagsh/diag/ports/records"
	"diagsh/internal/menu"
)

// A packetService reads the packets of capture files. Package api has checked that the caller may.
type packetService interface {
	liveService
	owned.Service
	Captures() []capture.Status
	Capture(name string) (capture.Status, error)
	PortLogFiles() records.Log
	PacketFiles(name string) ([]replay.Opener, error)
	PacketFileNames(begun string, most int) []string
	MatchFilter(ctx context.Context, expression string) (*replay.Filter, error)

	// Drops sees what the kernel drops.
	Drops() *drops.Engine
}

// A liveService takes packets from the network for a user who watches. It writes no file.
type liveService interface {
	OpenLive(ctx context.Context, caller menu.Caller, request capture.Request) (*capture.Live, capture.FileHeader,
		func() []capture.LeftOut, error)
	WatchCapture(name string) (capture.Source, func() []capture.Interface, error)
	CaptureHeader(name string) (capture.FileHeader, error)
	CheckFilter(ctx context.Context, expression string) error
	CaptureInterfaces() []capture.InterfaceInfo
}

// howMany returns the number of packets, which a line may give as count or as packets. Both are an
// error.
func howMany(count, packets int64) (int64, error) {
	if count > 0 && packets > 0 && count != packets {
		return 0, errBothCounts()
	}
	return max(count, packets), nil
}

func errBothCounts() error {
	return menu.BadArgument("packets", "count and packets are two words for the same, and both are given").
		WithHint("Give one of them")
}

// askPackets returns the Ask of a command that reads packets: it offers captures. The name of a file
// is accepted too.
func askPackets[A any](s packetService) func(context.Context, menu.Caller, A, *menu.Question) error {
	return func(_ context.Context, _ menu.Caller, _ A, q *menu.Question) error {
		if q.Name == "name" {
			captures.ChoosePackets(q, s.Captures())
		}
		return nil
	}
}

// suggestedFiles is the largest number of files that Tab offers.
const suggestedFiles = 1000

// suggestFiles returns the Suggest of a command whose argument name may be a file. It leaves out
// names that must be quoted, and names that look like a flag, because Tab completes words.
func suggestFiles[A any](
	names func(begun string, most int) []string,
) func(context.Context, menu.Caller, A, string, string) []menu.Choice {
	return func(_ context.Context, _ menu.Caller, _ A, argument, begun string) (list []menu.Choice) {
		if argument != "name" {
			return nil
		}
		for _, name := range names(begun, suggestedFiles) {
			if menu.Quote(name) == name && !strings.HasPrefix(name, "-") {
				list = append(list, menu.Choice{Value: name, Help: "A file."})
			}
		}
		return list
	}
}

// suggestPackets returns the Suggest of a command that reads packets. s is nil where the tree is
// made for its words only.
func suggestPackets[A any](s packetService) func(context.Context, menu.Caller, A, string, string) []menu.Choice {
	return suggestFiles[A](func(begun string, most int) []string { return s.PacketFileNames(begun, most) })
}

// noPackets returns the Hidden of a command that shows packets of captures and files.
func noPackets(s packetService) func(context.Context) bool {
	return func(context.Context) bool { return len(s.Captures()) == 0 && len(s.PacketFileNames("", 1)) == 0 }
}
