package network

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"diagsh/diag/dnscache"
	"diagsh/diag/neighbours"
	"diagsh/internal/menu"
)

// A nameService is the appliance's own cache of host names.
type nameService interface {
	ForgetHostNames() int
}

// A flushed is the result for one cache.
type flushed struct {
	Cache   string   `json:"cache"`             // ARP, NDP, DNS
	Where   string   `json:"where"`             // who keeps it: kernel, diagsh, nscd, ...
	Result  string   `json:"result"`            // flushed, failed
	Removed []string `json:"removed,omitempty"` // addresses, where they are known
	Count   *int     `json:"count,omitempty"`   // entries removed, where that is known
	Reason  string   `json:"reason,omitempty"`
}

// flush returns the command that empties every network cache of this host.
func flush(s nameService) *menu.Command {
	return menu.Decl[menu.NoArgs, flushed]{
		Name:    "flush",
		Help:    "Flush all network related caches.",
		Details: "Entries that were made by hand stay in the ARP or NDP cache.",
		Role:    menu.Operator,
		Run: func(ctx context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[flushed]) error {
			failed := false
			record := func(f flushed, err error) error {
				f.Result = "flushed"
				if err != nil {
					f.Result, f.Reason, failed = "failed", reasonOf(err), true
				}
				return out.Record(f)
			}
			n := s.ForgetHostNames()
			if err := record(flushed{Cache: "DNS", Where: "diagsh", Count: &n}, nil); err != nil {
				return err
			}
			for _, cache := range dnscache.Find() {
				if err := record(flushed{Cache: "DNS", Where: cache.Name}, cache.Flush(ctx)); err != nil {
					return err
				}
			}
			for _, family := range []struct {
				name   string
				number uint8
			}{{"ARP", unix.AF_INET}, {"NDP", unix.AF_INET6}} {
				if err := record(flushNeighbours(ctx, family.name, family.number)); err != nil {
					return err
				}
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if failed {
				return menu.Errorf(menu.Failed, "Not every cache could be flushed")
			}
			return out.Printf("Network reset complete.\n")
		},
		Text: flushedLine,
	}.Command()
}

func flushNeighbours(ctx context.Context, name string, family uint8) (flushed, error) {
	f := flushed{Cache: name, Where: "kernel", Removed: []string{}}
	err := neighbours.Flush(ctx, family, func(n neighbours.Neighbour) error {
		f.Removed = append(f.Removed, n.Address.String())
		return nil
	})
	n := len(f.Removed)
	f.Count = &n
	return f, err
}

// reasonOf returns why a cache could not be flushed, without paths and error texts of the server.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return "the appliance may not do this"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return "it refused"
}

func flushedLine(w io.Writer, f flushed) {
	for _, a := range f.Removed {
		fmt.Fprintf(w, "%s deleted\n", a)
	}
	switch {
	case f.Result == "failed":
		fmt.Fprintf(w, "%s cache (%s) could not be flushed: %s.\n", f.Cache, f.Where, f.Reason)
	case f.Count != nil:
		fmt.Fprintf(w, "%s cache (%s) flushed, %d entries.\n", f.Cache, f.Where, *f.Count)
	default:
		fmt.Fprintf(w, "%s cache (%s) flushed.\n", f.Cache, f.Where)
	}
}
