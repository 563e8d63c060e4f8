package upgrade_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// formers are the data folders of former builds. Each of them must open in the present one.
var formers = []former{
	{
		file: "aa8447a.tar.gz",
		renamed: map[string]map[string]string{
			"logins":   {"began": "startTime", "ended": "endTime"},
			"captures": {"keep": "protect", "startAt": "start"},
			"settings": {"keep": "protect"},
			"exports":  {"queued": "queuedTime"},
			"accounts": {"expires": "expiryTime", "lastLogin": "lastLoginTime", "locked": "lockedUntilTime"},
			"files":    {"modified": "modifiedTime"},
			"reports":  {"case": "caseNumber", "modified": "modifiedTime"},
			"session":  {"host": "hostname"},

			"first commit":  {"commit": "number", "confirmUntil": "confirmUntilTime"},
			"second commit": {"commit": "number", "confirmUntil": "confirmUntilTime"},
		},
		// The settings name what a capture would have, where they were empty for it (see defaults).
		changed: map[string][]string{"settings": {
			"cpus", "direction", "mode", "notPromiscuous", "onInterfaceGone", "rings", "timePrecision",
		}},
	},
}

// A former is a former build, and what the present one calls otherwise.
type former struct {
	file string // in testdata
	// renamed are members of JSON with their present names, by what was observed; "" is everything.
	renamed map[string]map[string]string
	// changed are members with a present value of another form, by what was observed. Each needs a
	// check of its own.
	changed map[string][]string
}

// moving are members that change because time goes on or because the appliance was killed, by what
// was observed.
var moving = map[string][]string{
	"captures": {"filesAwaitingExport"},
	"exports":  {"state", "sent", "tries", "error", "nextTry"},
	"session":  {"product", "session", "lastLogin", "lastFrom"},
}

// movedByLogins are those that change because the test itself logs in.
var movedByLogins = map[string][]string{"accounts": {"lastLogin", "lastFrom"}}

// The data folder of a former build opens with everything in it, twice: what the first start of the
// present build writes is what the second one reads.
func TestFormer(t *testing.T) {
	t.Parallel()
	for _, former := range formers {
		t.Run(strings.TrimSuffix(former.file, ".tar.gz"), func(t *testing.T) {
			t.Parallel()
			former.open(t)
		})
	}
}

func (former former) open(t *testing.T) {
	ns := network(t)
	var f fixture
	var keys map[string][]byte
	var server *receiver
	a := appliance.Start(t, appliance.Options{Network: ns, Found: func(data string) {
		f = unpack(t, filepath.Join("testdata", former.file), data)
		keys = secretsOf(t, data)
		server = f.receive(t, ns)
	}})
	former.compare(t, a, f, nil)
	f.exported(t, a, server)
	recovered(t, a)
	logins(t, a)
	usable(t, a, ns)
	if now := secretsOf(t, a.Data); !reflect.DeepEqual(now, keys) {
		t.Error("keys of the appliance are others than before")
	}

	a.Stop()
	a.Restart()
	former.compare(t, a, f, movedByLogins)
	logins(t, a)
	usable(t, a, ns)
	// What changes one of the captures that were compared comes last.
	mustRun(t, a, "op",
		"packetcapture start name appended interface eth0 mode append format pcapng filter 'udp port 9'",
		"packetcapture stop appended")
}

// compare makes sure that all that the former build said is still so.
func (former former) compare(t *testing.T, a *appliance.Appliance, f fixture,
	moved map[string][]string) {
	t.Helper()
	if r := a.Local("auditverify --json"); r.Status != 0 || !strings.Contains(r.Out, `"faults":[]`) {
		t.Errorf("the audit log does not verify: %+v", r)
	}
	for _, o := range observed {
		var before, now any
		for text, v := range map[string]*any{string(f.said[o.name]): &before, ask(t, a, o.line): &now} {
			if err := json.Unmarshal([]byte(text), v); err != nil {
				t.Fatalf("%s: %v\n%s", o.name, err, text)
			}
		}
		former.prepare(before, o.name, slices.Concat(former.changed[o.name], moving[o.name], moved[o.name]))
		rows, isTable := before.([]any)
		if !isTable {
			rows, now = []any{before}, []any{now}
		}
		for _, row := range rows {
			if o.name == "captures" && (named(row, "killed") || named(row, "lasting")) {
				continue // see recovered
			}
			if account := row.(map[string]any); o.name == "accounts" && account["user"] == "op" {
				delete(account, "lastLoginTime") // the question for the session was a login, too
				delete(account, "lastFrom")
			}
			if !within(row, now.([]any)) {
				was, _ := json.Marshal(row)
				is, _ := json.Marshal(now)
				t.Errorf("%s: the former build said\n%s\nwhich is not in what this one says:\n%s", o.line, was, is)
			}
		}
	}
}

func named(row any, name string) bool { return row.(map[string]any)["name"] == name }

// prepare takes out of an answer what may be otherwise now, and gives members their present names.
func (former former) prepare(v any, name string, leftOut []string) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			former.prepare(x, name, leftOut)
		}
	case map[string]any:
		for _, m := range leftOut {
			delete(v, m)
		}
		for _, names := range []map[string]string{former.renamed[""], former.renamed[name]} {
			for old, present := range names {
				if x, ok := v[old]; ok {
					delete(v, old)
					v[present] = x
				}
			}
		}
		for _, x := range v {
			former.prepare(x, name, leftOut)
		}
	}
}

// within reports whether one of the rows has all of a row's members.
func within(row any, rows []any) bool {
	for _, r := range rows {
		if covers(r, row) {
			return true
		}
	}
	return false
}

// covers reports whether a value has all of the members of another.
func covers(now, before any) bool {
	switch before := before.(type) {
	case map[string]any:
		now, ok := now.(map[string]any)
		for name, v := range before {
			if x, has := now[name]; !ok || !has || !covers(x, v) {
				return false
			}
		}
		return ok
	case []any:
		now, ok := now.([]any)
		if !ok || len(now) != len(before) {
			return false
		}
		for i := range before {
			if !covers(now[i], before[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(now, before)
}

// recovered makes sure that the start after the kill did what it must: one capture was interrupted
// with its packets, one went on, the commit that nobody had confirmed is taken back and the one
// before holds in the kernel.
func recovered(t *testing.T, a *appliance.Appliance) {
	t.Helper()
	for name, want := range map[string][]string{
		"killed":  {`"state":"Stopped"`, `"stopReason":"Interrupted"`, `"packetsWritten":60,`},
		"lasting": {`"state":"Running"`},
		"planned": {`"state":"NotStarted"`, `"start":"2099-01-02T03:04:05Z"`},
	} {
		r := a.Local("packetcapture status " + name + " --json")
		for _, w := range want {
			if !strings.Contains(r.Out, w) {
				t.Errorf("the capture %s has not %s: %+v", name, w, r)
			}
		}
	}
	if r := a.Local("packetcapture show killed count 100 --json"); strings.Count(r.Out, `"number":`) != 60 {
		t.Errorf("the interrupted capture has not its 60 packets: %+v", r)
	}
	defaults(t, a)
	if said := ask(t, a, "showconfig"); !strings.Contains(said, `"mtu":4000`) || strings.Contains(said, "eth1") {
		t.Errorf("the configuration is %s", said)
	}
	for name, mtu := range map[string]string{"eth0": "mtu 4000 ", "eth1": "mtu 1500 "} {
		if r := a.Exec("", netnstest.Tool(t, "ip"), "link", "show", name); !strings.Contains(r.Out, mtu) {
			t.Errorf("%s has not %s: %+v", name, mtu, r)
		}
	}
	if r := a.Exec("", "ip", "addr", "show", "dev", "lo"); !strings.Contains(r.Out, "192.0.2.10/32") {
		t.Errorf("the loopback interface has not its address: %+v", r)
	}
}

// defaults makes sure that what the former settings left to captures is what captures had.
func defaults(t *testing.T, a *appliance.Appliance) {
	t.Helper()
	said := ask(t, a, "packetcapture setup")
	for _, want := range []string{
		`"cpus":[]`, `"direction":"both"`, `"mode":"single"`, `"promiscuous":true`, `"onInterfaceGone":"end"`, `"rings":1`,
		`"timePrecision":"nanosecond"`,
	} {
		if !strings.Contains(said, want) {
			t.Errorf("the settings have not %s: %s", want, said)
		}
	}
}

// logins makes sure that everybody comes in by key and by password, and that nobody else does.
func logins(t *testing.T, a *appliance.Appliance) {
	t.Helper()
	for _, user := range []string{"admin", "op", "ro", "sup", "away"} {
		a.LoginPassword(user, appliance.Password(user)).Close()
		if user != "away" { // who has no key
			a.Login(user).Close()
		}
	}
	for user, password := range map[string]string{"gone": "correct horse gone", "op": "a wrong one"} {
		if c, err := a.LoginBy(user, ssh.Password(password)); err == nil {
			c.Close()
			t.Errorf("%s comes in with %q", user, password)
		}
	}
}

// usable makes sure that what the former build began and kept can be used now.
func usable(t *testing.T, a *appliance.Appliance, ns *netnstest.Namespace) {
	t.Helper()
	written := func() float64 {
		var s struct{ PacketsWritten float64 }
		a.Ask("", "packetcapture status", `{"name":"lasting"}`, &s)
		return s.PacketsWritten
	}
	before := written()
	appliance.Send(t, ns, "eth1", 60)
	await.Until(t, "packets of the capture that persists", func() bool { return written() == before+60 })
	for _, c := range []struct{ line, hostname string }{
		{"rollbackconfig 1 confirm yes commit yes", appliance.Host},
		{"loadconfig from file file kept.yaml; commit", "mx7"},
	} {
		mustRun(t, a, "admin", c.line)
		if said := ask(t, a, "hostname"); !strings.Contains(said, `"`+c.hostname+`"`) {
			t.Errorf("after %q the host name is %s", c.line, said)
		}
	}
}

// secretsOf reads the keys of the appliance itself.
func secretsOf(t *testing.T, data string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "hostkeys", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("host keys: %v, %v", files, err)
	}
	keys := map[string][]byte{}
	for _, file := range append(files, filepath.Join(data, "export.key")) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		keys[filepath.Base(file)] = content
	}
	return keys
}

// A receiver is the HTTPS target of a fixture, which takes files by PUT.
type receiver struct {
	mu    sync.Mutex
	files map[string][]byte
}

// receive starts the HTTPS target where the queue of the former build sends to.
func (f fixture) receive(t *testing.T, ns *netnstest.Namespace) *receiver {
	t.Helper()
	pair, err := tls.X509KeyPair(f.receiver, f.receiver)
	if err != nil {
		t.Fatal(err)
	}
	var l net.Listener
	ns.Do(t, func() { l, err = net.Listen("tcp", receiverAddress) })
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{files: map[string][]byte{}}
	server := &http.Server{
		Handler:   r,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	go server.ServeTLS(l, "", "")
	t.Cleanup(func() { server.Close() })
	return r
}

// ServeHTTP implements http.Handler. Without the token that the former build was told it takes
// nothing.
func (r *receiver) ServeHTTP(out http.ResponseWriter, q *http.Request) {
	name := path.Base(q.URL.Path)
	if q.Header.Get("Authorization") != "Bearer a token" {
		out.WriteHeader(http.StatusUnauthorized)
		return
	}
	if q.Method == http.MethodPut {
		content, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.files[name] = content
		r.mu.Unlock()
		out.WriteHeader(http.StatusCreated)
		return
	}
	content := r.content(name)
	if content == nil {
		out.WriteHeader(http.StatusNotFound)
		return
	}
	out.Write(content)
}

func (r *receiver) content(name string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.files[name]
}

// exported makes sure that the queue of the former build is worked off: the copy that waited
// arrives as it was captured, by the secret that was kept, and the one whose target is away still
// waits.
func (f fixture) exported(t *testing.T, a *appliance.Appliance, server *receiver) {
	t.Helper()
	var was []struct{ File, Target, SHA256 string }
	if err := json.Unmarshal(f.said["exports"], &was); err != nil || len(was) != 2 {
		t.Fatalf("the former queue: %v\n%s", err, f.said["exports"])
	}
	state := func(target string) string {
		var now []struct{ Target, State string }
		if err := json.Unmarshal([]byte(ask(t, a, "packetcapture exports")), &now); err != nil {
			t.Fatal(err)
		}
		for _, e := range now {
			if e.Target == target {
				return e.State
			}
		}
		return "none"
	}
	await.Until(t, "the copy that waited", func() bool { return state("web") == "done" })
	await.Until(t, "the capture to know it", func() bool {
		return strings.Contains(ask(t, a, "packetcapture status ring"), `"filesAwaitingExport":0,`)
	})
	for _, e := range was {
		switch content := server.content(e.File); e.Target {
		case "web":
			if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != e.SHA256 {
				t.Errorf("%s arrived with %d bytes and the sum %x", e.File, len(content), sum)
			}
		default:
			if s := state(e.Target); s == "done" || s == "failed" || s == "none" {
				t.Errorf("the copy of %s to %s is %s", e.File, e.Target, s)
			}
		}
	}
}
