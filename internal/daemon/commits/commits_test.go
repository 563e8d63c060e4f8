package commits

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"diagsh/internal/config"
	"diagsh/internal/menu"
	"diagsh/internal/netconf"
	"diagsh/internal/test/netconftest"
)

// Two configurations between which every kind of step is needed.
const (
	first = `
hostname: one
interfaces:
  eth0: {mtu: 9000, media: 100baseT/Full}
  eth0.34: {mtu: 8000}
vlans:
  eth0.34: {parent: eth0, id: 34}
loopback: 192.0.2.1
`
	second = `
hostname: two
interfaces:
  eth0: {mtu: 4000, media: autoselect}
  eth1: {mtu: 2000}
  eth1.34: {mtu: 1900}
vlans:
  eth0.35: {parent: eth0, id: 35}
  eth1.34: {parent: eth1, id: 34}
loopback: 2001:db8::1
multicastARP: reject
`
)

func TestCommit(t *testing.T) {
	n := netconftest.NewFake()
	d := start(t, t.TempDir(), n)
	bare := n.Summary()
	loads(t, d, anna, first)
	if now := n.Summary(); now != bare {
		t.Fatalf("a candidate changed the network:\n%s", now)
	}
	c := commits(t, d, anna, config.Request{Comment: "why"})
	want := `lo mtu 65536 parent "" vlan 0 addresses [127.0.0.1/8 192.0.2.1/32]
eth0 mtu 9000 parent "" vlan 0 addresses [] media 100baseT/Full
eth1 mtu 1500 parent "" vlan 0 addresses [] media autoselect
eth0.34 mtu 8000 parent "eth0" vlan 34 addresses []
multicast rejected false
`
	if now := n.Summary(); now != want {
		t.Errorf("after the commit the network is\n%s", now)
	}
	if c.Number != 1 || c.User != "anna" || c.Comment != "why" || len(c.Changes) != 7 || d.Hostname() != "one" {
		t.Errorf("the commit is %+v, the host %s", c, d.Hostname())
	}
	if _, err := d.CommitConfiguration(anna, config.Request{}); menu.AsError(err).Code != menu.State {
		t.Errorf("a commit of nothing: %v", err)
	}
	loads(t, d, anna, second)
	commits(t, d, anna, config.Request{})
	want = `lo mtu 65536 parent "" vlan 0 addresses [127.0.0.1/8 2001:db8::1/128]
eth0 mtu 4000 parent "" vlan 0 addresses [] media autoselect
eth1 mtu 2000 parent "" vlan 0 addresses [] media autoselect
eth0.35 mtu 4000 parent "eth0" vlan 35 addresses []
eth1.34 mtu 1900 parent "eth1" vlan 34 addresses []
multicast rejected true
`
	if now := n.Summary(); now != want {
		t.Errorf("after the second commit the network is\n%s", now)
	}
	// What no configuration sets any more is as it was before all of them.
	if err := d.RestoreCommit(anna, 0); err != nil {
		t.Fatal(err)
	}
	commits(t, d, anna, config.Request{})
	if now := n.Summary(); now != bare {
		t.Errorf("back at the beginning the network is\n%s\nand was\n%s", now, bare)
	}
}

// Whichever step the kernel refuses: everything is as before, the step is named, the candidate is
// kept.
func TestCommitThatFails(t *testing.T) {
	steps := 0
	for k := 0; k == 0 || k < steps; k++ {
		d, n, dir := committed(t, first)
		before := n.Summary()
		loads(t, d, anna, second)
		changes := d.Configuration(anna).Changes
		count, refused := 0, ""
		n.Around = func(change string, done bool) error {
			if count++; !done && (count+1)/2 == k+1 && refused == "" {
				refused = change
				return unix.EBUSY
			}
			return nil
		}
		state, _ := n.Read()
		steps = len(plan(n, d.Configuration(anna).Running, d.Configuration(anna).Candidate, state, nil))
		_, err := d.CommitConfiguration(anna, config.Request{})
		if refused == "" {
			t.Fatalf("step %d of %d was never done", k+1, steps)
		}
		if e := menu.AsError(err); e.Code != menu.Failed || !strings.Contains(e.Message, fmt.Sprintf("Step %d of %d failed", k+1, steps)) ||
			!strings.Contains(e.Message, "device or resource busy") {
			t.Errorf("%s: %v", refused, err)
		}
		if now := n.Summary(); now != before {
			t.Errorf("after %s failed the network is\n%s\nand was\n%s", refused, now, before)
		}
		if v := d.Configuration(anna); v.Last.Number != 1 || !reflect.DeepEqual(v.Changes, changes) || d.Hostname() != "one" {
			t.Errorf("after %s failed: commit %d, %d changes, host %s", refused, v.Last.Number, len(v.Changes), d.Hostname())
		}
		if l, err := readLedger(filepath.Join(dir, "commits.json")); err != nil || l.Applying != nil {
			t.Errorf("the ledger says that something is being applied: %v", err)
		}
		// The same commit goes through when nothing is in its way.
		n.Around = nil
		commits(t, d, anna, config.Request{})
	}
	if steps < 8 {
		t.Errorf("the test has %d steps only", steps)
	}
}

// What cannot be undone is told, and put right by the next start or the next commit.
func TestCommitThatCannotBeUndone(t *testing.T) {
	for _, restart := range []bool{true, false} {
		d, n, dir := committed(t, first)
		before := n.Summary()
		loads(t, d, anna, second)
		broken := false
		n.Around = func(change string, done bool) error {
			if broken = broken || change == "multicast"; broken {
				return unix.ENOMEM
			}
			return nil
		}
		_, err := d.CommitConfiguration(anna, config.Request{})
		if err == nil || !strings.Contains(err.Error(), "not everything could be put back: ") || !strings.Contains(err.Error(), "make VLAN 35 on eth0 (the kernel says: cannot allocate memory)") {
			t.Errorf("the failure is told as %v", err)
		}
		n.Around = nil
		if restart {
			d.Stop()
			start(t, dir, n)
		} else {
			loads(t, d, anna, first+"multicastARP: accept\n")
			commits(t, d, anna, config.Request{})
		}
		if now := n.Summary(); now != before {
			t.Errorf("restarted: %v, the network is\n%s\nand was\n%s", restart, now, before)
		}
	}
}

// Whenever the appliance dies in a commit: the next one has the old configuration or the new one,
// and its network is that one's.
func TestCommitKilled(t *testing.T) {
	d, n, dir := committed(t, first)
	old := n.Summary()
	loads(t, d, anna, second)

	type corpse struct {
		when string
		dir  string
		n    *netconftest.Fake
	}
	var corpses []corpse
	die := func(when string) {
		dead := t.TempDir()
		if err := os.CopyFS(dead, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		corpses = append(corpses, corpse{when, dead, n.Clone()})
	}
	n.Around = func(change string, done bool) error {
		die(fmt.Sprintf("%s (done: %v)", change, done))
		return nil
	}
	commits(t, d, anna, config.Request{})
	n.Around = nil
	die("after the commit")
	renewed := n.Summary()

	olds := 0
	for _, c := range corpses {
		half := c.n.Summary()
		again := start(t, c.dir, c.n)
		v, now := again.Configuration(anna), c.n.Summary()
		switch {
		case v.Last.Number == 1 && now == old && again.Hostname() == "one":
			olds++
		case v.Last.Number == 2 && now == renewed && again.Hostname() == "two":
		default:
			t.Errorf("killed at %s, with\n%s\nit starts with commit %d and\n%s", c.when, half, v.Last.Number, now)
		}
		// And it is no dead end.
		loads(t, again, anna, "hostname: three\n")
		commits(t, again, anna, config.Request{})
	}
	if olds != len(corpses)-1 || olds < 16 {
		t.Errorf("%d of %d deaths led back to the old configuration", olds, len(corpses))
	}
}

// A machine that was restarted has what was committed again, the links that it still has.
func TestConfigurationAfterRestart(t *testing.T) {
	d, n, dir := committed(t, second)
	want := n.Summary()
	d.Stop()

	fresh := netconftest.NewFake()
	start(t, dir, fresh).Stop()
	if now := fresh.Summary(); now != want {
		t.Errorf("after a restart of the machine the network is\n%s\nwant\n%s", now, want)
	}
	fresh = netconftest.NewFake()
	delete(fresh.Links, "eth1")
	d = start(t, dir, fresh)
	if l := fresh.Links["eth0"]; l.MTU != 4000 || !fresh.Reject {
		t.Errorf("without eth1 the network is\n%s", fresh.Summary())
	}
	// A setting of an interface that is gone keeps nobody from other changes.
	if err := d.EditConfiguration(anna, func(doc config.Document) error { doc.Set(config.Hostname, "four"); return nil }); err != nil {
		t.Error(err)
	}
}

func TestCommitConfirm(t *testing.T) {
	d, n, dir := committed(t, first)
	old := n.Summary()

	loads(t, d, anna, second)
	rolledBack := make(chan struct{}, 1)
	c := commits(t, d, anna, config.Request{Confirm: 50 * time.Millisecond})
	if c.Until == nil || n.Summary() == old {
		t.Fatalf("the commit is %+v", c)
	}
	n.Mu.Lock()
	n.Around = func(change string, done bool) error {
		if change == "multicast" && done {
			rolledBack <- struct{}{}
		}
		return nil
	}
	n.Mu.Unlock()
	select {
	case <-rolledBack:
	case <-time.After(10 * time.Second):
		t.Fatal("it was not rolled back")
	}
	d.transaction.Lock() // waits for the end of the rollback
	n.Around = nil
	d.transaction.Unlock()
	if now := n.Summary(); now != old || d.Hostname() != "one" {
		t.Errorf("rolled back, the network of %s is\n%s", d.Hostname(), now)
	}
	if last := d.Commits()[0]; last.Number != 3 || last.User != "system" || !strings.Contains(last.Comment, "Commit 2 was not confirmed") {
		t.Errorf("the last commit is %+v", last)
	}

	// Confirmed in time it stays; another person can do that.
	loads(t, d, anna, second)
	c = commits(t, d, anna, config.Request{Confirm: time.Hour})
	loads(t, d, bert, first)
	if _, err := d.CommitConfiguration(bert, config.Request{Merge: true}); menu.AsError(err).Code != menu.State || !strings.Contains(err.Error(), "of anna waits") {
		t.Errorf("a commit on top of one that waits: %v", err)
	}
	if notice := d.Leaving(anna); !strings.Contains(notice, "Commit 4 is not confirmed") {
		t.Errorf("anna, who leaves, is told %q", notice)
	}
	if _, err := d.ClearChanges(bert, ""); err != nil {
		t.Fatal(err)
	}
	if confirmed := commits(t, d, bert, config.Request{}); confirmed.Number != c.Number || confirmed.Until != nil {
		t.Errorf("confirmed is %+v", confirmed)
	}
	renewed := n.Summary()

	// The next commit of the same user confirms it, and one that fails does not.
	loads(t, d, anna, "hostname: five\n")
	commits(t, d, anna, config.Request{Confirm: time.Hour})
	loads(t, d, anna, "hostname: six\ninterfaces: {eth0: {mtu: 3000}}\n")
	n.Around = func(string, bool) error { return unix.EBUSY }
	if _, err := d.CommitConfiguration(anna, config.Request{}); err == nil {
		t.Error("a commit that the kernel refuses is done")
	}
	if w := d.Configuration(anna).Waiting; w == nil || w.Number != 5 {
		t.Errorf("after a commit that failed, the one that waits is %+v", w)
	}
	n.Around = nil
	commits(t, d, anna, config.Request{})
	if w := d.Configuration(anna).Waiting; w != nil {
		t.Errorf("commit %d still waits", w.Number)
	}
	loads(t, d, anna, second)
	commits(t, d, anna, config.Request{})

	// Killed meanwhile: the next start rolls back.
	loads(t, d, anna, first)
	commits(t, d, anna, config.Request{Confirm: time.Hour})
	d.Stop()
	d = start(t, dir, n)
	if now := n.Summary(); now != renewed || d.Hostname() != "two" || d.Commits()[0].Number != 9 {
		t.Errorf("after a restart, commit %d of %s has\n%s", d.Commits()[0].Number, d.Hostname(), now)
	}
}

// Two people edit at once: the second commit says what changed underneath, and takes nothing back
// of it.
func TestCommitOnTopOfAnother(t *testing.T) {
	n := netconftest.NewFake()
	d := start(t, t.TempDir(), n)
	sets := func(who menu.Caller, p config.Path, value string) {
		t.Helper()
		if err := d.EditConfiguration(who, func(doc config.Document) error { doc.Set(p, value); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	sets(bert, config.MTUOf("eth0"), "4000")
	sets(anna, config.MTUOf("eth1"), "5000")
	sets(anna, config.Hostname, "anna")
	commits(t, d, anna, config.Request{Comment: "mine first"})
	sets(bert, config.Hostname, "bert")

	_, err := d.CommitConfiguration(bert, config.Request{})
	for _, part := range []string{"commit 1 by anna", "mine first", "interfaces.eth1.mtu: 5000", "hostname: anna", "merge yes"} {
		if err == nil || menu.AsError(err).Code != menu.State || !strings.Contains(err.Error(), part) {
			t.Errorf("bert's commit is told %v, without %q", err, part)
		}
	}
	if n.Links["eth0"].MTU != 1500 {
		t.Error("the refused commit changed something")
	}
	commits(t, d, bert, config.Request{Merge: true})
	if n.Links["eth0"].MTU != 4000 || n.Links["eth1"].MTU != 5000 || d.Hostname() != "bert" {
		t.Errorf("the host is %s, the network\n%s", d.Hostname(), n.Summary())
	}
	if v := d.Configuration(bert); len(v.Changes)+len(v.Underneath) != 0 {
		t.Errorf("bert still has %+v", v)
	}
}

func TestConfigurationFaults(t *testing.T) {
	n := netconftest.NewFake()
	n.Links["eth0.35"] = netconf.Link{Name: "eth0.35", Kind: "vlan", MAC: "02:00:00:00:00:01", Parent: "eth0", Lower: "eth0", VLAN: 35, MTU: 1500}
	d := start(t, t.TempDir(), n)
	loads(t, d, anna, "vlans: {eth0.34: {parent: eth0, id: 34}}")
	commits(t, d, anna, config.Request{})
	l := n.Links["eth0.34"]
	l.Addresses = []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24")}
	n.Links["eth0.34"] = l
	for text, want := range map[string]string{
		"\ninterfaces:\n  eth7: {mtu: 1500}":                          "line 3: interfaces.eth7.mtu: this machine has no interface eth7",
		"interfaces: {eth0: {mtu: 9001}}":                             "line 1: interfaces.eth0.mtu: the driver of eth0 takes an MTU from 68 to 9000",
		"interfaces: {eth0: {media: 10baseT/Half}}":                   "the driver of eth0 takes autoselect, 100baseT/Full",
		"interfaces: {lo: {media: autoselect}}":                       "the driver of lo offers no choice",
		"vlans:\n  x: {parent: lo, id: 5}":                            "line 2: vlans.x.parent: lo is no Ethernet interface",
		"vlans:\n  x:\n    parent: eth0\n    id: 35":                  "line 4: vlans.x.id: eth0 has VLAN 35 already, as eth0.35",
		"vlans: {a: {parent: eth1, id: 5}, b: {parent: eth1, id: 5}}": "vlans.b.id: eth1 has VLAN 5 already, as a",
		"vlans: {eth1: {parent: eth0, id: 5}}":                        "another interface eth1 already",
		"{}":                                                          "VLAN 34 of eth0 cannot go: it has the address 198.51.100.1/24",
		"vlans: {eth0.34: {parent: eth0, id: 34}}\ninterfaces: {eth0.34: {mtu: 1600}}": "the MTU 1600 of the VLAN eth0.34 would be above the 1500 of eth0",
		"vlans: {eth0.34: {parent: eth0, id: 34}}\ninterfaces: {eth0: {mtu: 1400}}":    "the MTU 1500 of the VLAN eth0.34 would be above the 1400 of eth0",
	} {
		err := d.LoadConfiguration(anna, text)
		if err == nil || menu.AsError(err).Code != menu.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %s", text, err, want)
		}
	}
	if changes := d.Configuration(anna).Changes; len(changes) != 0 {
		t.Errorf("what was refused is pending: %v", changes)
	}
	// A fault of an answer names the question to ask again.
	err := d.EditConfiguration(anna, func(doc config.Document) error { doc.Set(config.MTUOf("eth0"), "9001"); return nil })
	if e := menu.AsError(err); err == nil || e.Argument != "mtu" {
		t.Errorf("%+v", e)
	}
}

// Ten commits can be brought back, beside the one that holds; one that was not to be kept cannot.
func TestKeptCommits(t *testing.T) {
	d := start(t, t.TempDir(), netconftest.NewFake())
	for i := range 14 {
		loads(t, d, anna, fmt.Sprintf("hostname: h%d\n", i+1))
		commits(t, d, anna, config.Request{Forget: i == 12})
	}
	list := d.Commits()
	if len(list) != keptCommits+1 || list[0].Number != 14 || list[10].Number != 4 {
		t.Fatalf("there are %d commits, from %d", len(list), list[0].Number)
	}
	for number, ok := range map[int]bool{14: false, 13: true, 12: false, 4: true, 3: false} {
		if err := d.RestoreCommit(anna, number); (err == nil) != ok {
			t.Errorf("commit %d is restored: %v", number, err)
		}
	}
}

// Nobody inherits the changes of a user of the same name.
func TestDrop(t *testing.T) {
	d := start(t, t.TempDir(), netconftest.NewFake())
	ops := menu.Caller{User: "ops"}
	loads(t, d, ops, "hostname: theirs\n")
	if notice := d.Leaving(ops); notice != "You have 1 change that is not committed." {
		t.Errorf("who leaves is told %q", notice)
	}
	d.Drop("ops")
	if v := d.Configuration(ops); len(v.Changes) != 0 || d.Leaving(ops) != "" {
		t.Errorf("left behind are %v; who leaves is told %q", v.Changes, d.Leaving(ops))
	}
}

// Reset takes away what Losses lists, and what anybody has pending; saved configurations have their
// own.
func TestReset(t *testing.T) {
	n := netconftest.NewFake()
	bare := n.Summary()
	d := start(t, t.TempDir(), n)
	if l, err := d.Losses(); err != nil || len(l) > 0 {
		t.Errorf("a new ledger loses %+v, %v", l, err)
	}
	loads(t, d, anna, first)
	commits(t, d, anna, config.Request{})
	if _, err := d.SaveConfiguration("mine", false); err != nil {
		t.Fatal(err)
	}
	loads(t, d, bert, second)
	if l, err := d.Losses(); err != nil || len(l) != 2 || l[0].Count != 7 || l[1].Detail != "mine.yaml" {
		t.Errorf("it would lose %+v, %v", l, err)
	}
	if err := d.Reset(anna); err != nil {
		t.Fatal(err)
	}
	if now := n.Summary(); now != bare || len(d.RunningDocument()) > 0 || len(d.Configuration(bert).Changes) > 0 || d.Hostname() != "mx1" {
		t.Errorf("the network is\n%s\nwhat holds is %v, bert has %v", now, d.RunningDocument(), d.Configuration(bert).Changes)
	}
	if err := d.DeleteSaved(); err != nil {
		t.Fatal(err)
	}
	if l, err := d.Losses(); err != nil || len(l) > 0 {
		t.Errorf("left is %+v, %v", l, err)
	}
}

// The appliance that stops lets no commit begin.
func TestCloseEndsCommits(t *testing.T) {
	n := netconftest.NewFake()
	d := start(t, t.TempDir(), n)
	loads(t, d, anna, first)
	d.Stop()
	before := n.Summary()
	if _, err := d.CommitConfiguration(anna, config.Request{}); menu.AsError(err).Code != menu.State || n.Summary() != before {
		t.Errorf("a commit of an appliance that stops: %v", err)
	}
}

func TestDamagedLedger(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"{", "{}", `{"commits":[]}`} {
		if err := os.WriteFile(filepath.Join(dir, "commits.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := open(dir, netconftest.NewFake()); err == nil || !strings.Contains(err.Error(), "commits.json is damaged") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
