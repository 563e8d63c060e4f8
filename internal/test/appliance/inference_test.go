package appliance_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"diagsh/internal/menu"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// oracle is a filter that asks for one bit behind the headers.
const oracle = "udp port 9 and udp[14] & 8 != 0"

// What a role may not see it may neither infer nor carry away. Every command of the tree is asked
// for the forbidden in each way that its arguments have: by the name of packets, by a filter, by a
// completion and a question; then files, reports, settings that others capture with, and a request
// that was begun with more rights.
func TestWhatIsNotSeenIsNotInferred(t *testing.T) {
	t.Parallel()
	network := netnstest.New(t)
	network.Veth(t, "eth0", "eth1")
	a := appliance.Start(t, appliance.Options{Network: network})
	run := func(user, line string, want int) {
		t.Helper()
		if r := a.SSH(user, line); r.Status != want {
			t.Fatalf("%s: %q: %+v; want status %d", user, line, r, want)
		}
	}
	run("op", "packetcapture start full interface eth0", 0)
	appliance.Send(t, network, "eth1", 20)
	run("op", "packetcapture stop full", 0)
	run("op", "packetcapture start running interface eth0", 0)
	appliance.Send(t, network, "eth1", 5)
	socketsTellNothing(t, a)
	run("admin", "supportrequest case 1 contact a description b files NONE", 0)
	run("admin", "packetcapture target new vault url https://127.0.0.1:1/", 0)
	file := func(pattern string) string {
		t.Helper()
		found, _ := filepath.Glob(filepath.Join(a.Data, "diagnostic", pattern))
		if len(found) != 1 {
			t.Fatalf("%s: %v", pattern, found)
		}
		return filepath.Base(found[0])
	}
	packets, report := file("mx1-full-*"), file("mx1-report-*")

	forbidden := map[string][]string{ // what whose packets are, by who may not have them
		"sup": {"full", "running", packets, report},
		"op":  {report},
		"ro":  {"full", "running", packets, report},
	}
	likely := map[string]string{"target": "vault", "interface": "eth0", "filter": oracle, "duration": "1s", "packets": "1", "position": "1", "confirm": "yes"}
	asked, headers := 0, 0
	for _, node := range a.Tree() {
		path := strings.ReplaceAll(node.Path, " ", "/")
		named := slices.IndexFunc(node.Params, func(p menu.Param) bool { return p.Type == "packets" })
		filtered := slices.IndexFunc(node.Params, func(p menu.Param) bool { return p.Name == "filter" })
		answered := func(user string, args map[string]string) (status int, answer string) {
			t.Helper()
			for _, p := range node.Params {
				if value, known := likely[p.Name]; known && args[p.Name] == "" && (p.Required || p.Name == "target") {
					args[p.Name] = value
				}
			}
			body, _ := json.Marshal(args)
			return a.API(user, "POST", "/v1/run/"+path, string(body))
		}
		ask := func(user string, args map[string]string, why string) {
			t.Helper()
			asked++
			if status, answer := answered(user, args); status != http.StatusForbidden {
				t.Errorf("%s has %s %v (%s): %d %.200s", user, node.Path, args, why, status, answer)
			}
		}
		for user, names := range forbidden {
			if named < 0 {
				continue
			}
			for _, name := range names {
				if user != "sup" || name == report || !node.Params[named].Headers {
					ask(user, map[string]string{node.Params[named].Name: name}, "the packets are not for it")
					continue
				}
				// The headers of these packets are for it, and nothing behind them.
				headers++
				status, answer := answered(user, map[string]string{"name": name})
				if status != http.StatusOK {
					t.Errorf("%s has not the headers of %s by %s: %d %.200s", user, name, node.Path, status, answer)
				}
				headersAlone(t, user+": "+node.Path+" "+name, answer)
				for _, p := range node.Params {
					if strings.HasPrefix(p.Name, "filter") {
						ask(user, map[string]string{"name": name, p.Name: oracle}, "the filter asks for contents")
					}
				}
			}
		}
		if named >= 0 && !menu.ReadOnly.Includes(node.Role) {
			// Who may not is told so, and not what else is wrong with the request.
			ask("ro", map[string]string{node.Params[named].Name: "full", "none": "x"}, "the role is too low")
			ask("op", map[string]string{node.Params[named].Name: report, node.Params[len(node.Params)-1].Name: "\x00"}, "the file is not for it")
		}
		if filtered >= 0 && named < 0 {
			ask("sup", map[string]string{"filter": oracle}, "the filter asks for contents")
		}
		if filtered >= 0 && named >= 0 && slices.ContainsFunc(node.Params, func(p menu.Param) bool { return p.Name == "interfaces" }) {
			ask("sup", map[string]string{"filter": oracle, "interface": "eth0"}, "the filter asks for contents")
		}
		if node.Kind == "command" && !menu.ReadOnly.Includes(node.Role) {
			for _, what := range []string{"ask", "assist"} {
				if status, answer := a.API("ro", "POST", "/v1/"+what+"/"+path, `{"argument":"filter"}`); status != http.StatusForbidden {
					t.Errorf("ro may %s for %s: %d %s", what, node.Path, status, answer)
				}
			}
			if status, answer := a.API("ro", "POST", "/v1/complete", fmt.Sprintf(`{"line":%q}`, node.Path+" ")); status != http.StatusOK || !strings.Contains(answer, `"candidates":[]`) {
				t.Errorf("ro is told what may follow %s: %d %s", node.Path, status, answer)
			}
		}
	}
	if asked < 40 {
		t.Errorf("only %d questions", asked)
	}
	if headers < 2*3 {
		t.Errorf("only %d questions for headers", headers)
	}
	_, answer := a.API("op", "POST", "/v1/run/packetcapture/packet", `{"name":"full","position":"1"}`)
	if !strings.Contains(answer, hex.EncodeToString([]byte(appliance.Contents))) {
		t.Errorf("the contents that nobody sees are not there: %s", answer)
	}

	// A filter by every way into a capture: at once, planned, behind what ended, and by the
	// settings of others.
	for _, line := range []string{
		"packetcapture start o1 interface eth0 packets 1 filter '" + oracle + "'",
		"packetcapture start o2 interface eth0 filter '1 + tcp[19] & 1 = 1'",
		"packetcapture start o3 interface eth0 at 2099-01-01 filter '" + oracle + "'",
		"packetcapture setup filter 'ether[50] = 1'",
		"diagnostic network tcpdump filter 'vxlan and host 192.0.2.1'",
	} {
		if r := a.SSH("sup", line); r.Status != int(menu.Denied) || !strings.Contains(r.Err, "headers of packets only") {
			t.Errorf("sup: %s: %+v", line, r)
		}
	}
	run("op", "packetcapture setup filter '"+oracle+"'", 0)
	run("sup", "packetcapture start o4 interface eth0", int(menu.Denied))
	run("sup", "packetcapture setup comment mine", 0) // the filter stays, which is not the caller's
	run("op", "packetcapture setup filter CLEAR", 0)
	for _, filter := range []string{"port 9", "host 192.0.2.1 and udp", "tcp[tcpflags] & tcp-syn != 0", "udp[4:2] > 10 and greater 60"} {
		run("sup", "packetcapture start interface eth0 packets 1 duration 1s filter '"+filter+"'", 0)
	}

	// Files by themselves, and in a report.
	for user, names := range map[string][]string{"sup": {packets, report}, "op": {report}, "ro": {packets, report}} {
		for _, name := range names {
			if status, body := a.API(user, "GET", "/v1/files/"+name, ""); status != http.StatusForbidden {
				t.Errorf("%s reads %s: %d, %d bytes", user, name, status, len(body))
			}
		}
	}
	a.SSH("sup", "supportrequest case 2 contact a description b files "+packets)
	whole, err := os.ReadFile(filepath.Join(a.Data, "diagnostic", packets))
	if err != nil {
		t.Fatal(err)
	}
	reports, _ := filepath.Glob(filepath.Join(a.Data, "diagnostic", "mx1-report-*"))
	for _, path := range reports {
		if bytes.Contains(unpacked(t, path), whole) {
			t.Errorf("the report %s carries %s away", path, packets)
		}
	}

	// A request whose headers came before the role was changed.
	c, err := a.DialSocket("op")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	body := `{"name":"late","interface":"eth0"}`
	fmt.Fprintf(c, "POST /v1/run/packetcapture/start HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:1])
	run("admin", "userconfig role op role readonly", 0)
	io.WriteString(c, body[1:])
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusForbidden || strings.Contains(a.Local("packetcapture list").Out, "late") {
		t.Errorf("a request that was begun as operator is answered %d", response.StatusCode)
	}
	if n := refusals(a, "op", "packetcapture start"); n != 1 {
		t.Errorf("the refusal has %d lines in the audit log", n)
	}
}

// headersAlone checks that an answer has nothing of the packets of appliance.Send behind their
// headers: no bytes in any writing, and no field that is there.
func headersAlone(t *testing.T, what, answer string) {
	t.Helper()
	contents := []byte(appliance.Contents)
	for _, secret := range []string{appliance.Contents, hex.EncodeToString(contents), base64.StdEncoding.EncodeToString(contents)} {
		if strings.Contains(strings.ToLower(answer), strings.ToLower(secret)) {
			t.Errorf("%s has contents: %s", what, answer)
		}
	}
	var decoded any
	if err := json.Unmarshal([]byte(answer), &decoded); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	var look func(v any)
	look = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, one := range v {
				look(one)
			}
		case map[string]any:
			offset, _ := v["offset"].(float64)
			length, _ := v["length"].(float64)
			captured, _ := v["captured"].(float64)
			_, placed := v["offset"]
			if v["bytes"] != nil && v["layers"] != nil || captured > appliance.HeaderBytes || placed && offset+length > appliance.HeaderBytes {
				t.Errorf("%s has something behind the headers: %v", what, v)
			}
			for _, one := range v {
				look(one)
			}
		}
	}
	look(decoded)
}

// socketsTellNothing looks at the packet sockets of a capture as those who may not have its packets
// see them: that there is one, as packetcapture status says too, but not how many packets came or
// were lost, nor what it looks for.
func socketsTellNothing(t *testing.T, a *appliance.Appliance) {
	t.Helper()
	for _, user := range []string{"ro", "sup"} {
		r := a.SSH(user, "netstat sockets protocol packet processes yes details yes --json")
		var rows []map[string]any
		if err := json.Unmarshal([]byte(r.Out), &rows); err != nil || r.Status != 0 {
			t.Fatalf("%s: %+v, %v", user, r, err)
		}
		of := 0
		for _, row := range rows {
			if row["interface"] != "eth0" {
				continue
			}
			of++
			for member, value := range row {
				known := []string{"protocol", "type", "recvQ", "sendQ", "etherType", "etherTypeName", "state", "interface", "pid", "process", "user"}
				if !slices.Contains(known, member) || (member == "recvQ" || member == "sendQ") && value != 0.0 {
					t.Errorf("%s sees of the socket of a capture: %s %v", user, member, value)
				}
			}
		}
		if of == 0 {
			t.Errorf("%s sees no socket of the capture: %v", user, rows)
		}
	}
}

// unpacked is the content of all files of a report.
func unpacked(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for files := tar.NewReader(z); ; {
		if _, err := files.Next(); err == io.EOF {
			return all.Bytes()
		} else if err != nil {
			t.Fatal(err)
		}
		io.Copy(&all, files)
	}
}

// A session process is the first to go when memory runs out and can have few threads; others of the
// machine see no name in the data folder.
func TestSessionsAndFolderAreConfined(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	a.Terminal("ro", 80, 24).Says("mx1> ", "whoami")
	sessions := a.Sessions()
	if len(sessions) != 1 {
		t.Fatalf("the sessions are %v", sessions)
	}
	proc := fmt.Sprintf("/proc/%d/", sessions[0])
	score, err := os.ReadFile(proc + "oom_score_adj")
	if err != nil || strings.TrimSpace(string(score)) != "500" {
		t.Errorf("oom_score_adj: %s, %v", score, err)
	}
	limits, err := os.ReadFile(proc + "limits")
	if err != nil || !regexp.MustCompile(`Max processes +64 +64 `).Match(limits) {
		t.Errorf("limits: %v\n%s", err, limits)
	}
	mode := func() string {
		info, err := os.Stat(a.Data)
		if err != nil {
			t.Fatal(err)
		}
		return strconv.FormatUint(uint64(info.Mode().Perm()), 8)
	}
	if mode() != "711" && mode() != "700" {
		t.Errorf("the data folder is %s", mode())
	}
	// As an earlier version made it.
	if err := os.Chmod(a.Data, 0o755); err != nil {
		t.Fatal(err)
	}
	a.Kill()
	a.Restart()
	if mode() != "711" {
		t.Errorf("behind a restart the data folder is %s", mode())
	}
}
