package peers_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"diagsh/internal/test/await"
)

type neighbourRow struct {
	Address, LinkAddress, Interface, State string
	Own, Router                            bool
	Confirmed, Used, Updated               float64
	Expires                                float64 `json:"expiresInSeconds"`
}

func (b *bed) ipNeighbours(family string) []string {
	b.t.Helper()
	var rows []string
	for _, n := range theirs(b, family, "-j", "neigh") {
		state := n["state"].([]any)
		address, _ := n["lladdr"].(string)
		_, router := n["router"]
		rows = append(rows, row(n["dst"], n["dev"], address, state[0], router))
	}
	return rows
}

func (b *bed) neighbours(line string) []string {
	b.t.Helper()
	var rows []string
	for _, n := range ours[neighbourRow](b, line) {
		if !n.Own {
			rows = append(rows, row(n.Address, n.Interface, n.LinkAddress, n.State, n.Router))
		}
	}
	return rows
}

func TestNeighboursEqualIP(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ip")
	var batch strings.Builder
	batch.WriteString("link add left type veth peer name right\nlink set left up\nlink set right up\naddr add 10.0.0.1/16 dev left\naddr add 2001:db8::1/64 dev left nodad\n")
	// Other entries than permanent ones count for the limit of gc_thresh3 (arp(7)), unless a
	// program says that it learnt them elsewhere.
	states := []string{"permanent", "stale extern_learn", "reachable extern_learn", "noarp extern_learn"}
	const entries = 2000
	for i := range entries {
		fmt.Fprintf(&batch, "neigh add 10.0.%d.%d lladdr 02:00:00:00:%02x:%02x dev left nud %s\n", 1+i/250, i%250, i/250, i%250, states[i%4])
		fmt.Fprintf(&batch, "neigh add 2001:db8::%x lladdr 02:00:00:01:%02x:%02x dev left nud %s router\n", i+16, i/250, i%250, states[i%4])
	}
	b.feed(batch.String(), "ip", "-batch", "-")
	stop := b.neighbourChurn()
	for family, line := range map[string]string{"-4": "diagnostic network arpshow", "-6": "diagnostic network ndpshow"} {
		before := b.ipNeighbours(family)
		mine := b.neighbours(line)
		after := b.ipNeighbours(family)
		// A reachable one may become stale between two looks.
		compare(t, count(before), count(mine), count(after), func(row string) bool {
			return churning(row) || !strings.Contains(row, "PERMANENT") && !slices.Contains(after, row)
		})
		if len(mine) < entries {
			t.Errorf("%s shows only %d entries", line, len(mine))
		}
	}
	stop()
	text := b.Local("diagnostic network arpshow").Out
	for _, want := range []string{"(10.0.1.0) at 02:00:00:00:00:00 on left permanent [ethernet]\n", "(10.0.1.1) at 02:00:00:00:00:01 on left stale [ethernet]\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("arpshow lacks %q", want)
		}
	}
	if !strings.Contains(text, "(10.0.0.1) at ") {
		t.Error("arpshow lacks the host's own address")
	}

	var results []struct {
		Cache, Where, Result string
		Removed              []string
	}
	r := b.Local("diagnostic network flush --json")
	if err := json.Unmarshal([]byte(r.Out), &results); err != nil || r.Status != 0 {
		t.Fatalf("flush: exit %d, %v: %s%s", r.Status, err, r.Out, r.Err)
	}
	removed := 0
	for _, f := range results {
		if f.Result != "flushed" {
			t.Errorf("%+v", f)
		}
		removed += len(f.Removed)
	}
	if removed < entries {
		t.Errorf("only %d entries were removed", removed)
	}
	for _, family := range []string{"-4", "-6"} {
		for _, left := range b.ipNeighbours(family) {
			if strings.HasPrefix(left, "10.0.") && !strings.Contains(left, "PERMANENT") || strings.HasPrefix(left, "2001:db8::") && !strings.Contains(left, "PERMANENT") {
				t.Errorf("flush left %s", left)
			}
		}
		if n := len(b.ipNeighbours(family)); n < entries/4 {
			t.Errorf("flush removed permanent entries: %d are left", n)
		}
	}
}

// neighbourChurn adds and removes entries, of which churning tells, until it is stopped.
func (b *bed) neighbourChurn() (stop func()) {
	var batch strings.Builder
	for i := range 200 {
		fmt.Fprintf(&batch, "neigh add 10.0.99.%d lladdr 02:00:00:00:99:%02x dev left nud permanent\n", i, i)
		fmt.Fprintf(&batch, "neigh add 2001:db8:0:0:99::%x lladdr 02:00:00:01:99:%02x dev left nud permanent\n", i+1, i)
	}
	return b.churning(batch.String(), strings.ReplaceAll(batch.String(), "neigh add", "neigh del"))
}

func churning(row string) bool {
	return strings.HasPrefix(row, "10.0.99.") || strings.HasPrefix(row, "2001:db8::99:") || strings.HasPrefix(row, "2001:db8:0:0:99:")
}

// churning does two batches of ip in turn until it is stopped; it returns when the first was done
// once, and stops when the second was.
func (b *bed) churning(add, remove string) (stop func()) {
	b.t.Helper()
	end, begun := make(chan struct{}), make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for first := true; ; first = false {
			b.feed(add, "ip", "-batch", "-")
			if first {
				close(begun)
			}
			b.feed(remove, "ip", "-batch", "-")
			select {
			case <-end:
				return
			default:
			}
		}
	})
	<-begun
	return func() { close(end); done.Wait() }
}

// An address that is not used, or not as others are, is shown as such wherever it is shown, and is
// said where somebody wants to send from it. What this host answers for is in the caches' lists.
func TestStatesOfAddresses(t *testing.T) {
	t.Parallel()
	b := newBed(t, "ip")
	b.feed(`link add left type veth peer name right
link set left up
link set right up
addr add fd77::88/64 dev right nodad
addr add 192.0.2.1/24 dev left
addr add fd77::1/64 dev left nodad
addr add fd77::3/64 dev left nodad preferred_lft 0
neigh add proxy 192.0.2.77 dev left
neigh add proxy fd77::99 dev left
`, "ip", "-batch", "-")
	b.run("ip", "addr", "add", "fd77::88/64", "dev", "left") // which the other end has
	await.Until(t, "the kernel to find that the address is duplicated", func() bool {
		return strings.Contains(b.run("ip", "-6", "addr", "show", "dev", "left"), "fd77::88/64 scope global dadfailed")
	})
	b.ns.Set(t, "net/ipv6/conf/left/dad_transmits", "600") // so long it is asked whether another has the next
	b.run("ip", "addr", "add", "fd77::89/64", "dev", "left")
	type state struct {
		Address string
		States  []string
	}
	for _, r := range ours[struct {
		Name          string
		AddressStates []state
	}](b, "netstat interfaces left") {
		r.AddressStates = slices.DeleteFunc(r.AddressStates, func(s state) bool { return strings.HasPrefix(s.Address, "fe80:") })
		want := []state{{"fd77::3/64", []string{"deprecated"}}, {"fd77::88/64", []string{"dadfailed", "tentative"}}, {"fd77::89/64", []string{"tentative"}}}
		slices.SortFunc(r.AddressStates, func(a, b state) int { return strings.Compare(a.Address, b.Address) })
		if !reflect.DeepEqual(r.AddressStates, want) {
			t.Errorf("%+v, not %+v", r.AddressStates, want)
		}
	}
	for line, want := range map[string][]string{
		"netstat interfaces":                       {`fd77::88 \(duplicated\)\n`, `fd77::3 \(deprecated\)\n`},
		"diagnostic network ndpshow":               {`fd77::88 +\S+ +left +permanent +- +duplicated\n`, `fd77::99 +\S+ +left +permanent +- +p\n`, `fd77::1 +\S+ +left +permanent +R *\n`},
		"diagnostic network arpshow":               {`\(192.0.2.77\) at \S+ on left permanent published \(proxy\) `},
		"ping6 fd77::1 source fd77::89 count 1":    {"fd77::89 is not used yet: it is being asked whether another host has this address"},
		"traceroute6 fd77::1 source fd77::88%left": {"fd77::88 is not used: another host on the link has this address too"},
		"diagnostic network arpshow --json":        {`"address":"192.0.2.77".*"state":"PROXY".*"proxy":true`},
	} {
		r := b.Local(line)
		for _, w := range want {
			if !regexp.MustCompile(w).MatchString(r.Out + r.Err) {
				t.Errorf("%s: no %q in\n%+v", line, w, r)
			}
		}
	}
}
