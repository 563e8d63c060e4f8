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

// checkFilter returns an error if the argument filter, for captured packets, is not valid.
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

// cannotFilter returns the error for a filter that can be applied to none of the packets. That is
// not the same as a filter that matches none of them.
func cannotFilter(err error) error {
	var undirected *replay.UndirectedError
	if errors.As(err, &undirected) {
		return menu.BadArgument("filter", "The filter asks which way packets went, and these do not tell it").
			WithHint("Captures in the format pcapng do, as those on several interfaces are; pcap has no place for it")
	}
	return menu.BadArgument("filter", "These packets cannot be filtered so: %s", why(err))
}

// why returns what is wrong with a filter, without the place in its text.
func why(err error) string {
	var wrong *filter.Error
	if errors.As(err, &wrong) {
		return menu.Clean(strings.TrimSuffix(wrong.Message, "."))
	}
	return err.Error()
}

// sayLeftOut says how many packets a filter could not be applied to.
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
