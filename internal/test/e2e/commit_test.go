package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
)

// line runs a line as the administrator, which must end with a status, and returns all that it
// says.
func (b *bed) line(line string, status int) string {
	b.t.Helper()
	r := b.SSH("admin", line)
	if r.Status != status {
		b.t.Fatalf("%s: %+v; want status %d", line, r, status)
	}
	return r.Out + r.Err
}

// peer runs a program in the appliance's network.
func (b *bed) peer(program string, args ...string) string {
	b.t.Helper()
	r := b.Exec("", program, args...)
	if r.Status != 0 {
		b.t.Fatalf("%s %v: %+v", program, args, r)
	}
	return r.Out
}

// network is what commits change, in the words of ip and nft.
func (b *bed) network() string {
	b.t.Helper()
	var found []string
	for _, name := range []string{"left", "right"} {
		_, after, _ := strings.Cut(b.peer("ip", "link", "show", name), "mtu ")
		value, _, _ := strings.Cut(after, " ")
		found = append(found, name+" mtu "+value)
	}
	for l := range strings.Lines(b.peer("ip", "-4", "-o", "addr", "show", "dev", "lo")) {
		if fields := strings.Fields(l); !strings.HasPrefix(fields[3], "127.") {
			found = append(found, "lo "+fields[3])
		}
	}
	if strings.Contains(b.peer("nft", "list", "ruleset"), "arp saddr ether & 01:00:00:00:00:00 == 01:00:00:00:00:00 drop") {
		found = append(found, "multicast rejected")
	}
	return strings.Join(found, ", ")
}

const untouched = "left mtu 1500, right mtu 1500"

// What a commit changes is read back by the kernel's own tools; nothing is changed before it; a
// commit that fails changes nothing.
func TestCommitReadBack(t *testing.T) {
	t.Parallel()
	need(t, "ip", "iproute2")
	need(t, "nft", "nftables")
	need(t, "ethtool", "ethtool")
	b := newBed(t)
	b.line("etherconfig mtu edit left mtu 9000; etherconfig loopback enable 192.0.2.10; etherconfig multicast reject", 0)
	if now := b.network(); now != untouched {
		t.Errorf("before the commit: %s", now)
	}
	b.line("commit 'all three'", 0)
	const all = "left mtu 9000, right mtu 1500, lo 192.0.2.10/32, multicast rejected"
	if now := b.network(); now != all {
		t.Errorf("after the commit: %s", now)
	}
	// The media that are shown are those of ethtool.
	media := b.line("etherconfig media list --json", 0)
	var rows []struct {
		Interface string
		SpeedMbit int
	}
	if err := json.Unmarshal([]byte(media), &rows); err != nil || len(rows) != 2 {
		t.Fatalf("%v\n%s", err, media)
	}
	for _, r := range rows {
		if said := b.peer("ethtool", r.Interface); !strings.Contains(said, fmt.Sprintf("Speed: %dMb/s", r.SpeedMbit)) {
			t.Errorf("%+v, and ethtool says\n%s", r, said)
		}
	}

	// A VLAN is the third step. Without 8021q it is refused, and the two before it are undone.
	b.line("etherconfig mtu edit left mtu 4000; etherconfig mtu edit right mtu 4000; etherconfig vlan new 34 interface left", 0)
	probe := b.Exec("", "ip", "link", "add", "link", "left", "name", "probe", "type", "vlan", "id", "5")
	if probe.Status == 0 {
		b.peer("ip", "link", "del", "probe")
		b.line("commit", 0)
		if said := b.peer("ip", "-d", "link", "show", "left.34"); !strings.Contains(said, "vlan protocol 802.1Q id 34") {
			t.Errorf("ip says of the VLAN\n%s", said)
		}
		b.line("etherconfig vlan delete left.34", 0)
		b.line("commit", 0)
	} else {
		said := b.line("commit", 6)
		if !strings.Contains(said, "Step 3 of 3 failed: the appliance could not make VLAN 34 on left: the kernel says: operation not supported.") {
			t.Errorf("the refused commit says %s", said)
		}
		if now := b.network(); now != all {
			t.Errorf("after the refused commit: %s", now)
		}
		b.line("clearchanges confirm yes", 0)
	}

	// All of it comes again when the appliance starts on a machine that has none of it.
	now := b.network()
	b.Stop()
	b.peer("ip", "link", "set", "left", "mtu", "1500")
	b.peer("ip", "link", "set", "right", "mtu", "1500")
	b.peer("ip", "addr", "flush", "dev", "lo", "scope", "global")
	b.peer("nft", "flush", "ruleset")
	b.Restart()
	if again := b.network(); again != now {
		t.Errorf("after a restart: %s; before: %s", again, now)
	}
	b.line("rollbackconfig 0 confirm yes commit yes", 0)
	if now := b.network(); now != untouched {
		t.Errorf("back at the factory's: %s", now)
	}
}

// A commit that is not confirmed goes away by itself: when the connection over which it was made is
// cut, and when the appliance is killed meanwhile.
func TestCommitNotConfirmed(t *testing.T) {
	t.Parallel()
	need(t, "ip", "iproute2")
	need(t, "nft", "nftables")
	b := newBed(t)
	const changed = "left mtu 1400, right mtu 1500, multicast rejected"

	person := b.Terminal("admin", 100, 40)
	person.Says("mx1> ", "etherconfig mtu edit left mtu 1400; etherconfig multicast reject")
	person.Says("mx1> ", "commit confirm 3s")
	if now := b.network(); now != changed {
		t.Errorf("committed: %s", now)
	}
	person.Close()
	await.Until(b.t, "the rollback", func() bool { return b.network() == untouched })
	if said := b.line("commitdetail", 0); !strings.Contains(said, "by system") || !strings.Contains(said, "Commit 1 was not confirmed in time") {
		t.Errorf("commitdetail says\n%s", said)
	}

	b.line("etherconfig mtu edit left mtu 1400; etherconfig multicast reject", 0)
	b.line("commit confirm 60", 0)
	if now := b.network(); now != changed {
		t.Errorf("committed: %s", now)
	}
	b.Kill()
	b.Restart()
	if now := b.network(); now != untouched {
		t.Errorf("after the restart: %s", now)
	}

	b.line("etherconfig mtu edit left mtu 1400; etherconfig multicast reject", 0)
	b.line("commit confirm 60; commit", 0)
	b.Kill()
	b.Restart()
	if now := b.network(); now != changed {
		t.Errorf("confirmed, after the restart: %s", now)
	}
}

// Two people edit at once, each in a session of their own: neither sees the other's changes, and
// the second commit says what changed underneath and takes nothing of it back.
func TestTwoPeopleCommit(t *testing.T) {
	t.Parallel()
	need(t, "ssh", "openssh-client")
	need(t, "ip", "iproute2")
	b := newBed(t)
	bertKey := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(appliance.Key("bert").PublicKey())))
	b.line("userconfig new bert role administrator key '"+bertKey+"'", 0)
	anna, bert := b.window("admin", "mx1> "), b.window("bert", "mx1> ")
	times := regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`)
	says := func(w *window, line, next, want string) {
		t.Helper()
		if got := times.ReplaceAllString(w.says(line, next), "TIME"); got != want {
			t.Fatalf("%s is answered with\n%s\nwant\n%s", line, got, want)
		}
	}
	const prompt, pending = "mx1> ", "\nThis is pending: commit makes it hold, clearchanges drops it."
	says(anna, "etherconfig mtu edit left mtu 9000", prompt, "interfaces.left.mtu: 9000"+pending)
	says(bert, "etherconfig mtu edit left mtu 4000", prompt, "interfaces.left.mtu: 4000"+pending)
	says(bert, "etherconfig mtu edit right mtu 4000", prompt, "interfaces.right.mtu: 4000"+pending)
	says(anna, "showchanges", prompt, "interfaces\n  left\n    mtu: not set -> 9000")
	says(bert, "showchanges", prompt, "interfaces\n  left\n    mtu: not set -> 4000\n  right\n    mtu: not set -> 4000")
	says(anna, "etherconfig loopback enable 192.0.2.10", prompt, "loopback: 192.0.2.10"+pending)
	says(anna, "commit 'jumbo frames'", prompt, "Changes committed: TIME\nCommit 1 at TIME by admin\nComment: jumbo frames\n"+
		"  interfaces.left.mtu: 9000\n  loopback: 192.0.2.10")

	const underneath = "  commit 1 by admin at TIME (jumbo frames)\n    interfaces.left.mtu: 9000\n    loopback: 192.0.2.10"
	says(bert, "showchanges", prompt, "Committed since you began:\n"+underneath+"\n\n"+
		"interfaces\n  left\n    mtu: 9000 -> 4000\n  right\n    mtu: not set -> 4000")
	says(bert, "commit", "[]> ", "Comment describing your changes")
	says(bert, "smaller", "Keep the current configuration for rollback? [Y]> ", "")
	says(bert, "", "Commit your changes on top of it? [N]> ", "The configuration has changed since you began:\n"+underneath)
	says(bert, "", prompt, "The configuration has changed since you began:\n"+underneath+
		"\nLook at it with showchanges, then commit on top of it with: commit merge yes; or drop yours with clearchanges.")
	if now, want := b.network(), "left mtu 9000, right mtu 1500, lo 192.0.2.10/32"; now != want {
		t.Errorf("after the refused commit: %s", now)
	}
	says(bert, "commit smaller merge yes", prompt, "Changes committed: TIME\nCommit 2 at TIME by bert\nComment: smaller\n"+
		"  interfaces.left.mtu: 9000 -> 4000\n  interfaces.right.mtu: 4000")
	if now, want := b.network(), "left mtu 4000, right mtu 4000, lo 192.0.2.10/32"; now != want {
		t.Errorf("after both commits: %s", now)
	}
	says(anna, "showchanges", prompt, "You have no pending changes.")
	says(bert, "showchanges", prompt, "You have no pending changes.")
}

// Routes from an address of the loopback interface go with it in the kernel, and come back with it.
func TestRoutesComeBack(t *testing.T) {
	t.Parallel()
	need(t, "ip", "iproute2")
	b := newBed(t)
	b.line("etherconfig loopback enable 192.0.2.10; commit", 0)
	b.peer("ip", "addr", "add", "10.1.0.1/24", "dev", "left")
	b.peer("ip", "route", "add", "198.51.100.0/24", "via", "10.1.0.9", "src", "192.0.2.10", "metric", "7")
	routes := func() string { return b.peer("ip", "route", "show", "198.51.100.0/24") }
	before := routes()

	b.line("etherconfig loopback disable; commit confirm 5s", 0)
	if now := routes(); now != "" {
		t.Fatalf("without the address there is %s", now)
	}
	await.Until(b.t, "the rollback", func() bool { return routes() == before })

	b.line("etherconfig loopback enable 192.0.2.11; commit", 0)
	if now := routes(); now != "" {
		t.Fatalf("with another address there is %s", now)
	}
	b.line("rollbackconfig 1 confirm yes commit yes", 0)
	if now := routes(); now != before {
		t.Errorf("after rollbackconfig there is %q, and was %q", now, before)
	}
}

// kill -9 at many moments of a commit: after the restart the one configuration or the other, on the
// machine and in words.
func TestCommitKilled(t *testing.T) {
	t.Parallel()
	need(t, "ip", "iproute2")
	need(t, "nft", "nftables")
	b := newBed(t)
	texts := []string{
		"interfaces: {left: {mtu: 9000}, right: {mtu: 9000}}\nloopback: 192.0.2.1\nmulticastARP: reject\n",
		"interfaces: {left: {mtu: 1400}, right: {mtu: 1300}}\nloopback: 192.0.2.2\n",
	}
	networks := []string{
		"left mtu 9000, right mtu 9000, lo 192.0.2.1/32, multicast rejected",
		"left mtu 1400, right mtu 1300, lo 192.0.2.2/32",
	}
	b.line("loadconfig text '"+texts[1]+"'; commit; loadconfig text '"+texts[0]+"'", 0)
	began := time.Now()
	b.line("commit", 0)
	took := time.Since(began)
	holds, olds, news, midway := 0, 0, 0, 0
	ledger := filepath.Join(b.Data, "commits.json")
	const kills = 24
	for i := range kills {
		next := 1 - holds
		b.line("loadconfig text '"+texts[next]+"'", 0)
		c, err := b.DialSocket("admin")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "POST /v1/run/commit HTTP/1.1\r\nHost: appliance\r\nContent-Length: 0\r\n\r\n")
		time.Sleep(2 * took * time.Duration(i) / kills) // there is no event to wait for: these are moments all over the commit
		b.Kill()
		c.Close()
		if text, _ := os.ReadFile(ledger); strings.Contains(string(text), `"applying"`) {
			midway++
		}
		b.Restart()
		now := b.network()
		switch now {
		case networks[holds]:
			olds++
		case networks[next]:
			holds = next
			news++
		default:
			t.Fatalf("killed in commit %d, the network is %s", i, now)
		}
		shown := b.line("showconfig", 0)
		if address := fmt.Sprintf("loopback: 192.0.2.%d\n", holds+1); !strings.Contains(shown, address) {
			t.Fatalf("the network is %s, and the configuration\n%s", now, shown)
		}
	}
	t.Logf("%d times the old configuration, %d times the new one; %d deaths were between the first step and the last", olds, news, midway)
	if olds == 0 || news == 0 {
		t.Error("the kills were all before the commit, or all after it")
	}
}

// A configuration is pasted as it stands, its blanks at the beginning of lines included, and ended
// by a line.
func TestConfigurationPasted(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	paste := func(p *appliance.Terminal, text string) {
		p.Says("mx1> ", "loadconfig", "[1]> ")
		p.Type("1\r")
		p.Reads("only a full stop")
		p.Prompted("> ")
		p.Type(text)
	}
	person := b.Terminal("admin", 100, 60)
	paste(person, "interfaces:\r  left:\r    mtu: 1400\rhostname: mx2\r.\r")
	person.Reads("This is pending")
	if said := person.Says("mx1> ", "showchanges"); said != "hostname: not set -> mx2\ninterfaces\n  left\n    mtu: not set -> 1400" {
		t.Errorf("pending is\n%s", said)
	}
	// Ctrl-D ends the text too, as in AsyncOS; a connection that is cut in the middle makes nothing
	// of it pending.
	paste(person, "interfaces:\r  left:\r    mtu: 1400\rhostname: mx3\r\x04")
	person.Prompted("mx1> ")
	if said := person.Says("mx1> ", "showchanges"); said != "hostname: not set -> mx3\ninterfaces\n  left\n    mtu: not set -> 1400" {
		t.Errorf("after Ctrl-D pending is\n%s", said)
	}
	cut := b.Terminal("admin", 100, 60)
	paste(cut, "hostname: mx4\r")
	cut.Prompted("> ")
	cut.Close()
	await.Until(b.t, "the end of the session that was cut", func() bool { return len(b.Sessions()) == 1 })
	if said := b.line("showchanges", 0); !strings.Contains(said, "mx3") {
		t.Errorf("after a cut connection pending is\n%s", said)
	}
	// Who leaves with changes is asked, and is told no more when there are none.
	const question = "You have 2 changes that are not committed. Leave nevertheless? [N]> "
	person.Says("mx1> ", "exit", question)
	person.Says(question, "", "mx1> ")
	person.Prompted("mx1> ")
	person.Type("\x04")
	person.Prompted(question)
	person.Type("y\r")
	if status := person.Ended(); status != 0 {
		t.Errorf("the session ended with %d", status)
	}
	again := b.Terminal("admin", 100, 60)
	again.Says("mx1> ", "clearchanges confirm yes")
	again.Type("exit\r")
	again.Ended()
}
