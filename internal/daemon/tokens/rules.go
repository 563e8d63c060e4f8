package tokens

import (
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// Bounds of what a token says of itself.
const (
	maxName  = 64 // characters
	maxList  = 32 // networks, and paths
	leastEnd = time.Minute
	lastEnd  = 366 * 24 * time.Hour

	// since is how long ago "1m from now" may have been said.
	since = 10 * time.Second
)

// check says what is wrong with a token that is to be made, and writes its networks in one form.
func check(t *access.Token) (err error) {
	switch left := time.Until(t.Expires); {
	case t.Name == "" || utf8.RuneCountInString(t.Name) > maxName || !utf8.ValidString(t.Name) ||
		strings.ContainsFunc(t.Name, unicode.IsControl):
		return menu.BadArgument("name", "That is not a name that can be shown").
			WithHint("A name has 1 to %d printable characters", maxName)
	case !t.Role.Valid():
		return menu.BadArgument("role", "There is no role %s", menu.Quoted(string(t.Role)))
	case left+since < leastEnd || left > lastEnd:
		return menu.BadArgument("expirytime", "A token ends after %s at least and %s at most",
			menu.FormatDuration(leastEnd), menu.FormatDuration(lastEnd)).WithHint("Give a duration, such as 90d")
	case len(t.Sources) > maxList:
		return menu.BadArgument("sources", "A token has at most %d networks", maxList)
	case len(t.Paths) > maxList:
		return menu.BadArgument("paths", "A token has at most %d paths", maxList)
	}
	t.Sources, err = Networks(t.Sources)
	return err
}

// Networks returns networks and addresses in one form: the latter as networks of one address.
func Networks(list []string) ([]string, error) {
	networks := make([]string, 0, len(list))
	for _, text := range list {
		network, err := netip.ParsePrefix(text)
		if address, e := netip.ParseAddr(text); e == nil && address.Zone() == "" {
			network, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			return nil, menu.BadArgument("sources", "%s is neither a network nor an address", menu.Quoted(text)).
				WithHint("Networks are such as 192.0.2.0/24 or 2001:db8::/32")
		}
		networks = append(networks, network.Masked().String())
	}
	return networks, nil
}
