package upgrade_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

var write = flag.String("write", "", "write the data folder of the program DIAGSH_BINARY to this file (see former.sh)")

// observed are the questions whose answers by the former build stand in the fixture, in the order
// in which they are asked.
var observed = []struct{ name, line string }{
	{"accounts", "userconfig list"},
	{"logins", "last count 1000"},
	{"audit", "auditlog count 100000"},
	{"hostname", "hostname"},
	{"captures", "packetcapture list"},
	{"settings", "packetcapture setup"},
	{"packets", "packetcapture show ring"},
	{"targets", "packetcapture target list"},
	{"exports", "packetcapture exports"},
	{"reports", "diagnostic reporting list"},
	{"first commit", "commitdetail 1"},
	{"second commit", "commitdetail 2"},
	{"files", "GET /v1/files"},
	{"session", "GET /v1/session"}, // the last, since it is a login
}

// bare is a program that becomes the appliance without the mounts of this machine, which a report
// would show.
var bare = []string{"unshare", "--mount", "sh", "-c",
	`cut -d' ' -f5 /proc/self/mountinfo | sort -r | while read -r path; do
		case $path in /|/proc*|/sys*|/dev*|/run*|/tmp*) ;; *) umount -l "$path" ;; esac
	done; exec "$@"`, "sh"}

// TestWriteFormer has the program that DIAGSH_BINARY names do something of everything, kills it,
// and keeps its data folder with what it last said of itself. former.sh runs it with a former
// build. Without -write it does the same with the present build and keeps nothing, so that it still
// works when the present build has become a former one.
func TestWriteFormer(t *testing.T) {
	t.Parallel()
	ns := network(t)
	o := appliance.Options{Network: ns}
	if *write != "" {
		o.Under = bare
	}
	a := appliance.Start(t, o)
	f := fixture{said: map[string]json.RawMessage{}, receiver: newCertificate(t)}
	people(t, a)
	mustRun(t, a, "admin",
		"etherconfig mtu edit eth0 mtu 4000; etherconfig loopback enable 192.0.2.10; commit first",
		"sethostname mx7; commit second",
		"saveconfig mask no naming own name kept")
	mustRun(t, a, "op",
		"packetcapture setup size 20MB duration 1h interface eth0 filter 'udp port 9' comment 'of the settings'")
	captures(t, a, ns)
	mustRun(t, a, "admin",
		"packetcapture target new web url https://"+receiverAddress+"/captures hostkey "+
			fingerprint(t, f.receiver)+" secret 'a token'",
		"packetcapture target new host auto yes url sftp://keeper@192.0.2.99/to hostkey "+fingerprint(t, f.receiver),
		"packetcapture export ring target web; packetcapture export single target host")
	mustRun(t, a, "op", "supportrequest case 12345 contact 'An Operator' description 'What went wrong'")
	for _, line := range []string{"packetcapture list", "ping 192.0.2.10 count 1", "packetcapture show 'two words'"} {
		if status, answer := a.API("op", "POST", "/v1/history", `{"line":"`+line+`"}`); status != 200 {
			t.Fatalf("history: %d %s", status, answer)
		}
	}
	// former.sh's program has small files for its audit log: these lines make several.
	for n := range 40 {
		mustRun(t, a, "admin", fmt.Sprintf("packetcapture status counted; auditlog count %d; whoami", n+1))
	}
	mustRun(t, a, "admin", "etherconfig mtu edit eth1 mtu 4000; commit 'not confirmed' confirm 1h")

	for _, o := range observed {
		f.said[o.name] = json.RawMessage(ask(t, a, o.line))
	}
	a.Kill()
	if *write != "" {
		keep(t, *write, a.Data, f)
	}
}

// mustRun runs lines that succeed.
func mustRun(t *testing.T, a *appliance.Appliance, user string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if r := a.SSH(user, line); r.Status != 0 {
			t.Fatalf("%s: %q: %+v", user, line, r)
		}
	}
}

// people makes accounts beside those of the bench, and logins of several kinds.
func people(t *testing.T, a *appliance.Appliance) {
	t.Helper()
	mustRun(t, a, "admin",
		"userconfig new away fullname 'Somebody Away' role support expires 36500d payload yes "+
			"password '"+appliance.Password("away")+"'",
		"userconfig edit sup expires 36500d",
		"userconfig edit op fullname 'An Operator'",
		"userconfig new gone role readonly password 'correct horse gone'; userconfig delete gone confirm yes")
	if c, err := a.LoginBy("ro", ssh.Password("a wrong one")); err == nil {
		c.Close()
		t.Fatal("a wrong password let ro in")
	}
	a.LoginPassword("sup", appliance.Password("sup")).Close()
}

// captures makes captures of each mode and of each end.
func captures(t *testing.T, a *appliance.Appliance, ns *netnstest.Namespace) {
	t.Helper()
	for _, c := range []struct{ user, name, how string }{
		{"op", "single", "mode single case 12345"},
		{"op", "counted", "packets 50"},
		{"op", "circular", "mode circular size 10MB"},
		{"op", "ring", "mode ring filesize 1MB keepfiles 3 format pcapng keep yes"},
		{"op", "appended", "mode append format pcapng"},
		{"sup", "headers", "headersonly yes"},
		{"admin", "lasting", "mode ring filesize 1MB persistent yes format pcapng"},
		{"op", "killed", "precision nanosecond"},
	} {
		mustRun(t, a, c.user, "packetcapture start name "+c.name+" interface eth0 filter 'udp port 9' defaults yes "+c.how)
		appliance.Send(t, ns, "eth1", 60)
		await.Until(t, "the packets of "+c.name, func() bool {
			said := a.Local("packetcapture status " + c.name + " --json").Out
			return strings.Contains(said, `"packetsWritten":60,`) || strings.Contains(said, `"PacketCountReached"`)
		})
		switch c.name {
		case "counted", "lasting", "killed":
		default:
			mustRun(t, a, c.user, "packetcapture stop "+c.name)
		}
	}
	mustRun(t, a, "op", "packetcapture start name planned interface eth0 filter 'udp port 9' defaults yes "+
		"persistent yes at 2099-01-02T03:04:05Z")
}
