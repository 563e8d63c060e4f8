package netstat

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	diag "diagsh/diag/sockets"
	"diagsh/diag/users"
	"diagsh/internal/menu"
)

// Suggestions must come at once, so the number of sockets that are read and of suggestions is
// limited.
const (
	lookedAt  = 5000
	suggested = 100
)

var errEnough = errors.New("enough sockets were looked at")

// suggestSockets offers what the sockets have at the moment: remote hosts, local ports, names of
// processes, users.
func suggestSockets(ctx context.Context, _ menu.Caller, _ socketsArgs, name, _ string) []menu.Choice {
	switch name {
	case "address":
		return seen(ctx, diag.Query{Kinds: diag.Kinds()}, func(s *diag.Socket) string {
			if !s.Remote.IsValid() || s.Remote.Addr().IsUnspecified() {
				return ""
			}
			return s.Remote.Addr().Unmap().String()
		})
	case "port":
		local := diag.Query{
			Kinds:  []diag.Kind{diag.KindTCP, diag.KindUDP, diag.KindUDPLite},
			States: []diag.State{diag.Listen, diag.Closed},
		}
		return seen(ctx, local, func(s *diag.Socket) string {
			return strconv.Itoa(int(s.Local.Port()))
		})
	case "user":
		names := users.Names{}
		return seen(ctx, diag.Query{Kinds: diag.Kinds()}, func(s *diag.Socket) string { return names.Of(s.UID) })
	case "process":
		return processNames()
	}
	return nil
}

// seen returns the values of sockets that value returns, without "" and without duplicates.
func seen(ctx context.Context, q diag.Query, value func(*diag.Socket) string) []menu.Choice {
	values := map[string]bool{}
	n := 0
	diag.Each(ctx, q, func(s *diag.Socket) error {
		if n++; n > lookedAt || len(values) == suggested {
			return errEnough
		}
		if v := value(s); v != "" {
			values[v] = true
		}
		return nil
	})
	return choices(values)
}

func processNames() []menu.Choice {
	values := map[string]bool{}
	paths, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		// Tab cannot complete a word that must be quoted.
		if name := strings.TrimSuffix(string(text), "\n"); err == nil && name != "" && menu.Clean(name) == name &&
			menu.Quote(name) == name {
			values[name] = true
		}
	}
	return choices(values)
}

func choices(values map[string]bool) []menu.Choice {
	var list []menu.Choice
	for v := range values {
		list = append(list, menu.Choice{Value: v})
	}
	slices.SortFunc(list, func(a, b menu.Choice) int { return strings.Compare(a.Value, b.Value) })
	return list
}
