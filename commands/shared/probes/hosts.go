package probes

import (
	"context"
	"strings"

	"diagsh/diag/dns"
	"diagsh/diag/names"
	"diagsh/internal/menu"
)

// suggestedHosts is the largest number of hosts that Tab offers.
const suggestedHosts = 50

// SuggestHosts returns the Suggest of a command whose arguments with these names are hosts. It
// offers hosts that this machine talks to.
func SuggestHosts[A any](
	family dns.Family, arguments ...string,
) func(context.Context, menu.Caller, A, string, string) []menu.Choice {
	return func(ctx context.Context, _ menu.Caller, _ A, name, _ string) (list []menu.Choice) {
		for _, wanted := range arguments {
			if name != wanted {
				continue
			}
			for _, h := range names.KnownHosts(ctx, family, suggestedHosts) {
				list = append(list, menu.Choice{Value: h.String(), Help: strings.Join(h.Why, ", ")})
			}
		}
		return list
	}
}
