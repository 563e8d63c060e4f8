package e2e_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
)

// scenarioPort is where the tests talk.
const scenarioPort = "8099"

// talk has a client and a server say something on the port of the tests, after an attempt that nobody
// answers.
func (b *bed) talk() {
	b.t.Helper()
	b.ns.Do(b.t, func() {
		if c, err := net.Dial("tcp4", "127.0.0.1:"+scenarioPort); err == nil {
			c.Close()
			b.t.Error("somebody listens already")
		}
		l, err := net.Listen("tcp4", "127.0.0.1:"+scenarioPort)
		if err != nil {
			b.t.Fatal(err)
		}
		defer l.Close()
		client, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			b.t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			b.t.Fatal(err)
		}
		defer server.Close()
		io.WriteString(client, "a secret word")
		client.(*net.TCPConn).CloseWrite()
		io.ReadAll(server)
		b.ask()
	})
}

// ask sends a datagram to the port of the tests between two sockets that are bound to no address.
func (b *bed) ask() {
	b.t.Helper()
	to, err := net.ResolveUDPAddr("udp4", "127.0.0.1:"+scenarioPort)
	if err != nil {
		b.t.Fatal(err)
	}
	var ends [2]*net.UDPConn
	for i, port := range []int{to.Port, 0} {
		if ends[i], err = net.ListenUDP("udp4", &net.UDPAddr{Port: port}); err != nil {
			b.t.Fatal(err)
		}
		defer ends[i].Close()
	}
	if _, err := ends[1].WriteToUDP([]byte("q"), to); err != nil {
		b.t.Fatal(err)
	}
	if _, _, err := ends[0].ReadFromUDP(make([]byte, 1)); err != nil {
		b.t.Fatal(err)
	}
}

// reported waits for the report of a capture, and returns its status.
func (b *bed) reported(name string) (s capture.Status) {
	b.t.Helper()
	await.Until(b.t, "the report of "+name, func() bool {
		s = b.capture(name)
		if s.ReportState == capture.ReportFailed {
			b.t.Fatalf("there is no report: %s", s.ReportError)
		}
		return s.ReportState == capture.ReportMade
	})
	return s
}

// unpack returns the members of a report, by their names in it.
func unpack(t *testing.T, file string) map[string][]byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	members := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return members
		}
		if err != nil {
			t.Fatal(err)
		}
		folder, name, _ := strings.Cut(h.Name, "/")
		if folder+".tar.gz" != filepath.Base(file) {
			t.Errorf("the member %s is not in a folder of the report's name", h.Name)
		}
		if members[name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// checkManifest compares each member with its hash. The manifest has all but itself.
func checkManifest(t *testing.T, members map[string][]byte) {
	t.Helper()
	var manifest struct {
		Members []struct {
			Name, SHA256 string
			Bytes        int
		}
	}
	if err := json.Unmarshal(members["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest.Members) != len(members)-1 {
		t.Errorf("the manifest has %d of %d members", len(manifest.Members), len(members)-1)
	}
	for _, m := range manifest.Members {
		content, there := members[m.Name]
		sum := sha256.Sum256(content)
		if !there || hex.EncodeToString(sum[:]) != m.SHA256 || len(content) != m.Bytes {
			t.Errorf("%s is not what the manifest says", m.Name)
		}
	}
}

// checkPage follows the links of the first page: it leads to every member, and nowhere else.
func checkPage(t *testing.T, members map[string][]byte) {
	t.Helper()
	page := string(members["index.html"])
	if strings.Contains(page, "<script") || strings.Contains(page, "://") {
		t.Error("the page has a script, or an address elsewhere")
	}
	linked := map[string]bool{"index.html": true}
	for _, m := range regexp.MustCompile(`href="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if _, there := members[m[1]]; !there {
			t.Errorf("the page links %s, which is not there", m[1])
		}
		linked[m[1]] = true
	}
	for name := range members {
		if !linked[name] {
			t.Errorf("the page does not lead to %s", name)
		}
	}
}

// A capture by a scenario ends in one archive with all that belongs to it, whose hashes are right,
// whose page leads through it, and whose packets Wireshark reads. One conversation of it is told from
// packets, port log and drops, from the capture and from the report alike.
func TestScenarioAndItsReport(t *testing.T) {
	t.Parallel()
	need(t, "tshark", "tshark")
	need(t, "nft", "nftables")
	b := newBed(t)
	b.ns.Do(t, func() {
		nft := exec.Command("nft", "-f", "-")
		nft.Stdin = strings.NewReader("add table inet t\nadd chain inet t c { type filter hook input priority 0; }\n" +
			"add rule inet t c udp dport 11 counter drop\n")
		if out, err := nft.CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
	})
	b.do("op", "packetcapture start looked interfaces lo scenario web filter 'port "+scenarioPort+"' report yes format pcapng")
	if text := b.do("ro", "status"); !strings.Contains(text, "looked") || !strings.Contains(text, "port log") {
		t.Errorf("the status does not name what runs:\n%s", text)
	}
	b.talk()
	b.do("op", "packetcapture stop looked")
	s := b.reported("looked")
	members := unpack(t, b.file(s.ReportFile))
	checkManifest(t, members)
	checkPage(t, members)
	dir := t.TempDir()
	logged := 0
	for name, content := range members {
		switch {
		case strings.HasSuffix(name, ".pcapng"):
			file := filepath.Join(dir, filepath.Base(name))
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if out := tool(t, "tshark", "-n", "-r", file, "-Y", "tcp.port=="+scenarioPort); out == "" {
				t.Errorf("%s has no packet", name)
			}
		case strings.HasPrefix(name, "portlog/"):
			logged += bytes.Count(content, []byte(`"event":"connect"`))
		}
	}
	for end, what := range map[string]string{".flows": "which process was at an end of each conversation", ".drops.pcapng": "packets that the kernel dropped"} {
		there := false
		for name := range members {
			there = there || strings.HasPrefix(name, "packets/") && strings.HasSuffix(name, end)
		}
		if !there || !bytes.Contains(members["index.html"], []byte(what)) {
			t.Errorf("what ends in %s is in it: %t; its page does not say %q", end, there, what)
		}
	}
	for _, name := range []string{"status.json", "before/01-sockets.txt", "after/01-sockets.txt", "summary.txt"} {
		if len(members[name]) == 0 {
			t.Errorf("%s is not in it", name)
		}
	}
	for _, when := range []string{"before", "after"} {
		found := false
		for name, content := range members {
			found = found || strings.HasPrefix(name, when+"/") && strings.HasSuffix(name, "firewall.txt") && bytes.Contains(content, []byte("udp dport 11 drop"))
		}
		if !found {
			t.Errorf("the firewall %s is not in it", when)
		}
	}
	if logged == 0 {
		t.Error("the port log of that time has no connection")
	}
	for _, of := range []string{"looked", s.ReportFile} {
		b.correlated(of)
	}
	if text := b.do("ro", "status"); strings.Contains(text, "port log") {
		t.Errorf("the port log goes on after the capture that it began with:\n%s", text)
	}
}

// correlated looks at both conversations of talk, in a capture or a report.
func (b *bed) correlated(name string) {
	b.t.Helper()
	types := map[string]int{}
	for _, flow := range []string{"1", "2", "3"} {
		var list []struct {
			Type, Dropped    string
			Port             struct{ Event, Process string }
			Sender, Receiver struct {
				PID     int
				Process string
			}
		}
		if err := json.Unmarshal([]byte(b.do("op", "packetcapture show "+name+" flow "+flow+" --json")), &list); err != nil {
			b.t.Fatal(err)
		}
		for _, r := range list {
			types[r.Type+" "+r.Port.Event+r.Dropped]++
			if r.Type == "packet" && flow == "2" && (r.Sender.PID != os.Getpid() || r.Receiver.PID != os.Getpid() || r.Sender.Process == "") {
				b.t.Errorf("%s: the ends of a packet are %+v and %+v, not this test", name, r.Sender, r.Receiver)
			}
		}
	}
	for _, want := range []string{"port refused", "port connect", "port accept", "port close", "port flow"} {
		if types[want] == 0 {
			b.t.Errorf("%s: there is no %s, only %v", name, want, types)
		}
	}
	dropped := false
	for what := range types {
		dropped = dropped || strings.HasPrefix(what, "drop dropped: NO_SOCKET")
	}
	if !dropped || types["packet "] < 8 {
		b.t.Errorf("%s: the drop or packets are missing: %v", name, types)
	}
}

// A report that the death of the appliance interrupts is offered by nobody, and made by the next
// start.
func TestReportKilledWhileItIsMade(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.do("op", "packetcapture start looked interfaces lo scenario web filter 'port "+scenarioPort+"'")
	b.talk()
	b.do("op", "packetcapture stop looked")
	s := b.capture("looked")
	file := b.file(s.Files[0].Name)
	if err := os.Truncate(file, 1<<30); err != nil { // a hole, which takes seconds to be packed
		t.Fatal(err)
	}
	ended := make(chan appliance.Result, 1)
	client := append(b.OpenSSH("op"), "packetcapture report looked")
	go func() { ended <- b.Exec("", "ssh", client...) }()
	await.Until(t, "the report to be begun", func() bool {
		left, _ := filepath.Glob(b.file(".*-report.tar.gz.making"))
		return len(left) == 1 && strings.Contains(b.do("ro", "status --json"), `"state":"being made"`)
	})
	b.Kill()
	if r := <-ended; r.Status == 0 {
		t.Errorf("the report was made already: %+v", r)
	}
	if list, _ := filepath.Glob(b.file("*-report.tar.gz")); len(list) > 0 {
		t.Errorf("%q is offered", list)
	}
	if err := os.Truncate(file, s.Files[0].Bytes); err != nil {
		t.Fatal(err)
	}
	b.Restart()
	again := b.reported("looked")
	members := unpack(t, b.file(again.ReportFile))
	checkManifest(t, members)
	checkPage(t, members)
	if left, _ := filepath.Glob(b.file(".*")); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
	var list []access.Report
	if err := json.Unmarshal([]byte(b.do("op", "diagnostic reporting list --json")), &list); err != nil || len(list) != 1 {
		t.Errorf("the reports are %+v, %v", list, err)
	}
}

// Who sees headers only gets a report of headers only, and cannot read one of others that has more.
func TestReportOfHeadersOnly(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	support := appliance.User(menu.Support)
	files := map[string]string{}
	for name, user := range map[string]string{"headers": support, "whole": "op"} {
		b.do(user, "packetcapture start "+name+" interfaces lo scenario web filter 'port "+scenarioPort+"' report yes")
		b.talk()
		b.do(user, "packetcapture stop "+name)
		files[name] = b.reported(name).ReportFile
	}
	for name, want := range map[string]struct {
		status int
		secret bool
	}{"headers": {http.StatusOK, false}, "whole": {http.StatusForbidden, true}} {
		if status, _ := b.API(support, "GET", "/v1/files/"+files[name], ""); status != want.status {
			t.Errorf("the report %s: the support gets %d, not %d", name, status, want.status)
		}
		secret := false
		for member, content := range unpack(t, b.file(files[name])) {
			if strings.HasPrefix(member, "packets/") {
				secret = secret || bytes.Contains(content, []byte("a secret word"))
			}
		}
		if secret != want.secret {
			t.Errorf("the report %s: contents of packets are in it: %t", name, secret)
		}
	}
	if r := b.SSH(support, "packetcapture show "+files["whole"]+" flow 1"); r.Status != int(menu.Denied) {
		t.Errorf("the support looks at packets of others: %+v", r)
	}
}
