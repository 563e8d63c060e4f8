package packetcapture

import (
	"context"
	"errors"
	"strings"

	"diagsh/capture"
	"diagsh/capture/pcapfile"
	"diagsh/capture/replay"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

// packetService reads the packets of capture files. Package api has made sure that the caller may.
type packetService interface {
	liveService
	Captures() []capture.Status
	PacketFiles(name string) ([]replay.Opener, error)
	PacketFileNames(begun string, most int) []string
	MatchFilter(ctx context.Context, expression string) (*replay.Filter, error)
}

// liveService takes packets from the network for those who watch, and for no file of the appliance.
type liveService interface {
	OpenLive(ctx context.Context, caller menu.Caller, request capture.Request) (*capture.Live, capture.FileHeader,
		func() []capture.LeftOut, error)
	WatchCapture(name string) (capture.Source, func() []capture.Interface, error)
	CheckFilter(ctx context.Context, expression string) error
	CaptureInterfaces() []capture.InterfaceInfo
}

// howMany is the number that was meant, by either of its two names: count and packets.
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

// errEnough ends a look at packets before they end.
var errEnough = errors.New("enough packets")

// askPackets offers captures. A name of a file is as good.
func askPackets(s packetService, q *menu.Question) {
	if q.Name == "name" {
		captures.ChoosePackets(q, s.Captures())
	}
}

// suggestedFiles is how many files are offered at most.
const suggestedFiles = 1000

// suggestFiles is menu.Decl.Suggest for a command whose name may be that of a file. A name that
// would have to be quoted, or would be taken for a flag, is left out: Tab completes words.
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

// noPackets is menu.Decl.Hidden for what shows packets of captures and files.
func noPackets(s packetService) func(context.Context) bool {
	return func(context.Context) bool { return len(s.Captures()) == 0 && len(s.PacketFileNames("", 1)) == 0 }
}

func notPackets(name menu.Packets, err error) error {
	var corrupt *pcapfile.CorruptError
	var packed *pcapfile.PackedError
	if errors.As(err, &packed) {
		return (&menu.Error{Code: menu.Failed, Argument: "name", Message: string(name) + " is packed by " + packed.By}).
			WithHint("Unpack it first; what gzip has packed can be read as it is")
	}
	if errors.Is(err, pcapfile.ErrNoCapture) || errors.As(err, &corrupt) {
		return &menu.Error{Code: menu.Failed, Argument: "name", Message: string(name) + " is not a pcap or pcapng file"}
	}
	return err
}
