package packetcapture

import (
	"context"
	"errors"
	"strings"

	"diagsh/capture/filter"
	"diagsh/capture/replay"
	"diagsh/commands/shared/captures"
	"diagsh/internal/menu"
)

// checkFilter looks at a filter for packets that were captured, of whatever link type.
func checkFilter(ctx context.Context, s packetService, expression, name string) error {
	if expression = captures.Cleared(expression); name != "filter" || expression == "" {
		return nil
	}
	_, err := s.MatchFilter(ctx, expression)
	return err
}

func checkLiveFilter(ctx context.Context, s liveService, expression *string, name string) error {
	if name == "filter" && expression != nil {
		return s.CheckFilter(ctx, captures.Cleared(*expression))
	}
	return nil
}

// cannotFilter refuses a filter that none of the packets can be asked about: that is not the same
// as that none of them matches.
func cannotFilter(err error) error {
	var undirected *replay.UndirectedError
	if errors.As(err, &undirected) {
		return menu.BadArgument("filter", "The filter asks which way packets went, and these do not tell it").
			WithHint("Captures in the format pcapng do, as those on several interfaces are; pcap has no place for it")
	}
	return menu.BadArgument("filter", "These packets cannot be filtered so: %s", why(err))
}

// why is what is wrong with a filter, without the place.
func why(err error) string {
	var wrong *filter.Error
	if errors.As(err, &wrong) {
		return menu.Clean(strings.TrimSuffix(wrong.Message, "."))
	}
	return err.Error()
}

// sayLeftOut tells which packets a filter could not be asked about.
func sayLeftOut(f *replay.Filter, say func(string, ...any) error) {
	if f == nil {
		return
	}
	for _, left := range f.LeftOut() {
		verb := "are"
		if left.Packets == 1 {
			verb = "is"
		}
		say("[%s %s left out, which cannot be filtered so: %s.]\n", captures.Count(int(left.Packets), "packet"),
			verb, why(left.Err))
	}
}
