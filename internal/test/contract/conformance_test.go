package contract

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/nameserver"
	"diagsh/internal/test/netnstest"
)

// A call runs a command or asks for a resource, and its answer is compared with the document.
type call struct {
	path string // of a command, or METHOD and path of a resource
	body string
	keep string // of the answer's members, the one that later calls name as $MEMBER
}

// calls are those of every command that is safe on an appliance in a network of its own, in an order
// in which each finds what it needs.
var calls = []call{
	{"whoami", ``, ""}, {"who", ``, ""}, {"last", ``, ""}, {"version", ``, ""}, {"status", ``, ""}, {"hostname", ``, ""}, {"date", ``, ""},
	{"auditlog", `{"count":20}`, ""}, {"auditverify", ``, ""}, {"dnsstatus", ``, ""},
	{"packetcapture settings", ``, ""}, {"packetcapture azure", ``, ""},
	{"packetcapture setup", `{"comment":"tests"}`, ""},
	{"packetcapture start", `{"name":"one","interfaces":["lo"],"filter":"udp","limits":{"durationSeconds":60}}`, ""},
	{"packetcapture status", ``, ""},
	{"packetcapture status", `{"name":"one"}`, ""},
	{"ping", `{"host":"127.0.0.1","count":2,"interval":"20ms"}`, ""},
	{"ping6", `{"host":"::1","count":1}`, ""},
	{"traceroute", `{"host":"127.0.0.1","numeric":true}`, ""},
	{"traceroute6", `{"host":"::1","numeric":true}`, ""},
	{"packetcapture stop", `{"name":"one"}`, ""},
	{"packetcapture list", ``, ""},
	{"packetcapture show", `{"name":"one"}`, ""},
	{"packetcapture show", `{"name":"one","detail":2}`, ""},
	{"packetcapture packets", `{"name":"one"}`, ""},
	{"packetcapture packet", `{"name":"one","position":1}`, ""},
	{"packetcapture note set", `{"name":"one","position":1,"text":"The first"}`, ""},
	{"packetcapture note list", `{"name":"one"}`, ""}, {"GET /v1/captures/one/notes", ``, ""}, {"GET /v1/captures/one/notes/1", ``, ""},
	{"packetcapture note delete", `{"name":"one","position":1}`, ""},
	{"PUT /v1/captures/one/notes/2", `{}`, ""}, {"DELETE /v1/captures/one/notes/2", ``, ""},
	{"packetcapture flows", `{"name":"one"}`, ""},
	{"packetcapture followstream", `{"name":"one","position":1}`, ""},
	{"packetcapture graph", `{"name":"one","buckets":4,"filter":"udp","filter2":"tcp"}`, ""},
	{"packetcapture summary", `{"name":"one"}`, ""},
	{"GET /v1/captures", ``, ""}, {"GET /v1/captures/one", ``, ""}, {"GET /v1/captures/one/packets", ``, ""},
	{"GET /v1/captures/one/packets/1", ``, ""}, {"GET /v1/captures/one/flows", ``, ""},
	{"GET /v1/captures/one/flows/1/data", ``, ""}, {"GET /v1/captures/one/graph", ``, ""},
	{"packetcapture scenarios", ``, ""}, {"GET /v1/scenarios", ``, ""},
	{"packetcapture report", `{"name":"one"}`, ""}, {"POST /v1/captures/one/report", ``, ""},
	{"packetcapture exports", ``, ""},
	{"packetcapture target new", `{"name":"away","url":"https://127.0.0.1:1/x","secret":"s"}`, ""},
	{"packetcapture target list", ``, ""},
	{"packetcapture export", `{"name":"one","target":"away"}`, ""},
	{"GET /v1/exports", ``, ""}, {"GET /v1/targets", ``, ""}, {"GET /v1/targets/away", ``, ""},
	{"packetcapture copies pause", `{"target":"away"}`, ""},
	{"POST /v1/targets/away/resume", ``, ""},
	{"packetcapture copies resume", `{"target":"away"}`, ""},
	{"packetcapture copies again", `{"target":"away"}`, ""},
	{"POST /v1/exports/one/away/pause", ``, ""},
	{"POST /v1/targets/away/pause", ``, ""},
	{"POST /v1/exports/one/away/resume", ``, ""},
	{"POST /v1/exports/one/away/again", ``, ""},
	{"POST /v1/targets/away/again", ``, ""},
	{"packetcapture copies cancel", `{"target":"away"}`, ""},
	{"POST /v1/exports/one/away/again", ``, ""},
	{"POST /v1/exports/one/away/cancel", ``, ""},
	{"POST /v1/targets/away/again", ``, ""},
	{"POST /v1/targets/away/cancel", ``, ""},
	{"packetcapture copies settings", ``, ""},
	{"packetcapture copies setup", `{"parallel":3}`, ""},
	{"GET /v1/export-settings", ``, ""},
	{"PUT /v1/export-settings", `{"parallelPerTarget":1}`, ""},
	{"PATCH /v1/export-settings", `{"bytesPerSecond":0}`, ""},
	{"packetcapture target edit", `{"name":"away","auto":false}`, ""},
	{"PATCH /v1/targets/away", `{"bytesPerSecond":1048576}`, ""},
	{"packetcapture target delete", `{"name":"away","confirm":true}`, ""},
	{"packetcapture delete", `{"name":"one","confirm":true}`, ""},
	{"POST /v1/captures", `{"name":"two","interfaces":["lo"]}`, ""},
	{"POST /v1/captures/two/stop", `{"operation":"a-1"}`, ""}, {"DELETE /v1/captures/two?files=keep&stop=yes&operation=a-2", ``, ""},
	{"packetcapture operations", ``, ""}, {"GET /v1/operations", ``, ""}, {"GET /v1/operations/a-1", ``, ""},
	{"GET /v1/capture-settings", ``, ""}, {"PATCH /v1/capture-settings", `{"comment":"again"}`, ""},
	{"PUT /v1/capture-settings", `{"comment":"once more"}`, ""},
	{"portlog settings", ``, ""}, {"portlog setup", `{"ports":["25"]}`, ""}, {"portlog start", `{"defaults":true}`, ""},
	{"portlog show", `{"count":5,"ports":["25"]}`, ""}, {"portlog report", `{"top":3}`, ""}, {"GET /v1/portlog/records?events=close&count=5", ``, ""},
	{"GET /v1/portlog/report?top=3", ``, ""}, {"portlog status", ``, ""}, {"portlog stop", ``, ""}, {"GET /v1/portlog", ``, ""}, {"POST /v1/portlog/start", `{"days":7}`, ""},
	{"POST /v1/portlog/stop", ``, ""}, {"GET /v1/portlog-settings", ``, ""}, {"PATCH /v1/portlog-settings", `{"ports":[]}`, ""},
	{"PUT /v1/portlog-settings", `{"coalesce":false}`, ""},
	{"filter explain", `{"expression":"tcp port 25"}`, ""}, {"filter build", `{"protocol":"tcp","localport":"25"}`, ""},
	{"filter save", `{"name":"mail","expression":"port 25"}`, ""}, {"filter list", ``, ""}, {"filter delete", `{"name":"mail"}`, ""},
	{"diagnostic raid tasks", ``, ""}, {"diagnostic raid status", ``, ""}, {"diagnostic disk_usage", ``, ""},
	{"diagnostic network arpshow", ``, ""}, {"diagnostic network ndpshow", ``, ""}, {"diagnostic network flush", ``, ""},
	{"diagnostic network routeget", `{"host":"127.0.0.1"}`, ""},
	{"diagnostic network smtpping", `{"host":"127.0.0.1","port":2525,"timeout":2}`, ""},
	{"diagnostic network tcpdump start", `{"name":"three"}`, ""},
	{"diagnostic network tcpdump status", ``, ""}, {"diagnostic network tcpdump stop", `{"name":"three"}`, ""},
	{"diagnostic network tcpdump filter", `{"filter":"port 25"}`, ""}, {"diagnostic network tcpdump interface", `{"interfaces":["lo"]}`, ""},
	{"diagnostic network tcpdump clear", `{"confirm":true}`, ""},
	{"diagnostic reporting new", `{"files":["NONE"]}`, "name"}, {"diagnostic reporting list", ``, ""},
	{"GET /v1/reports", ``, ""}, {"GET /v1/reports/$name", ``, ""}, {"diagnostic reporting delete", `{"name":"$name","confirm":true}`, ""},
	{"supportrequest", `{"contact":"Ann","description":"It is slow"}`, ""},
	{"diagnostic services status", ``, ""}, {"diagnostic services status", `{"all":true}`, ""},
	{"netstat sockets", ``, ""}, {"netstat interfaces", ``, ""}, {"netstat routes", ``, ""}, {"netstat queues", ``, ""},
	{"netstat traffic", `{"count":1,"every":1}`, ""}, {"netstat drops", `{"seconds":1}`, ""}, {"netstat sysctl", `{"name":"ipv4.tcp_"}`, ""}, {"netstat firewall", ``, ""}, {"tcpservices", ``, ""},
	{"nslookup", `{"name":"mx.test"}`, ""}, {"dig", `{"name":"mx.test"}`, ""},
	{"telnet", `{"host":"127.0.0.1","port":2525,"say":"QUIT","wait":1}`, ""},
	{"userconfig new", `{"user":"new","password":"correct horse new"}`, ""}, {"userconfig edit", `{"user":"new","fullName":"New"}`, ""},
	{"userconfig password", `{"user":"new","password":"battery staple new"}`, ""}, {"userconfig role", `{"user":"new","role":"readonly"}`, ""},
	{"userconfig key", `{"user":"new","action":"new","key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS new"}`, ""},
	{"userconfig unlock", `{"user":"new"}`, ""}, {"userconfig list", ``, ""}, {"userconfig signin show", ``, ""},
	{"GET /v1/accounts", ``, ""}, {"GET /v1/accounts/new", ``, ""}, {"PATCH /v1/accounts/new", `{"fullName":"Newer"}`, ""},
	{"POST /v1/accounts/new/unlock", ``, ""}, {"PUT /v1/accounts/new/role", `{"role":"operator"}`, ""},
	{"userconfig delete", `{"user":"new","confirm":true}`, ""},
	{"POST /v1/accounts", `{"user":"newest"}`, ""}, {"DELETE /v1/accounts/newest", ``, ""},
	{"token new", `{"name":"script"}`, "token"}, {"token list", ``, ""}, {"GET /v1/tokens", ``, ""}, {"GET /v1/tokens/$token", ``, ""},
	{"token delete", `{"token":"$token","confirm":true}`, ""},
	{"POST /v1/tokens", `{"name":"second"}`, "token"}, {"DELETE /v1/tokens/$token", ``, ""},
	{"etherconfig media list", ``, ""}, {"etherconfig vlan list", ``, ""}, {"etherconfig loopback status", ``, ""},
	{"etherconfig mtu list", ``, ""}, {"etherconfig multicast status", ``, ""},
	{"etherconfig vlan new", `{"interface":"x0","vlan":34}`, ""}, {"etherconfig vlan edit", `{"name":"x0.34","interface":"x0","vlan":35}`, ""},
	{"etherconfig vlan delete", `{"name":"x0.35"}`, ""},
	{"etherconfig loopback enable", `{"address":"192.0.2.1"}`, ""}, {"etherconfig loopback disable", ``, ""},
	{"etherconfig multicast accept", ``, ""}, {"etherconfig multicast reject", ``, ""}, {"sethostname", `{"hostname":"mx2"}`, ""},
	{"showchanges", ``, ""}, {"showconfig", ``, ""}, {"showconfig", `{"pending":true}`, ""},
	{"GET /v1/configuration", ``, ""}, {"GET /v1/configuration/candidate", ``, ""}, {"GET /v1/configuration/changes", ``, ""},
	{"DELETE /v1/configuration/candidate", ``, ""},
	{"etherconfig mtu edit", `{"interface":"x0","mtu":1400}`, ""}, {"commit", `{"comment":"tests"}`, ""}, {"commitdetail", ``, ""},
	{"commitlist", ``, ""}, {"GET /v1/configuration/commits", ``, ""}, {"GET /v1/configuration/commits/1", ``, ""},
	{"etherconfig mtu edit", `{"interface":"x0","mtu":1410}`, ""}, {"POST /v1/configuration/commits", `{"comment":"more"}`, ""},
	{"rollbackconfig", `{"number":1,"confirm":true}`, ""}, {"clearchanges", `{"confirm":true}`, ""},
	{"POST /v1/configuration/commits/1/rollback", ``, ""}, {"DELETE /v1/configuration/candidate", ``, ""},
	{"saveconfig", `{"name":"kept"}`, ""}, {"PUT /v1/configuration/candidate", `{"text":"hostname: mx3\n"}`, ""},
	{"loadconfig", `{"text":"hostname: mx4\n"}`, ""}, {"resetconfig", `{"confirm":true}`, ""}, {"DELETE /v1/configuration/candidate", ``, ""},
	{"certificate acme", `{"directory":"https://127.0.0.1:1/directory","names":["mx1.example.com"]}`, ""}, {"certificate show", ``, ""}, {"certificate new", ``, ""}, {"certificate request", `{"confirm":true}`, ""}, {"certificate show", ``, ""},
	{"certificate withdraw", `{"confirm":true}`, ""}, {"DELETE /v1/configuration/candidate", ``, ""},
	{"POST /v1/targets", `{"name":"far","url":"https://127.0.0.1:1/x","secret":"s"}`, ""},
	{"POST /v1/captures", `{"name":"four","interfaces":["lo"]}`, ""}, {"POST /v1/captures/four/stop", ``, ""},
	{"POST /v1/captures/four/export", `{"target":"far"}`, ""}, {"DELETE /v1/targets/far", ``, ""},
	{"POST /v1/reports", `{"files":["NONE"]}`, "name"}, {"DELETE /v1/reports/$name", ``, ""},
	{"POST /v1/history", `{"line":"status"}`, ""},
	{"ping (async)", `{"host":"127.0.0.1","count":2,"interval":"1s"}`, "run"}, {"GET /v1/runs", ``, ""}, {"GET /v1/runs/$run", ``, ""},
	{"DELETE /v1/runs/$run", ``, ""},
	{"GET /v1/sessions", ``, ""}, {"GET /v1/audit-events?count=5", ``, ""},
	{"GET /v1/session", ``, ""}, {"GET /v1/hostname", ``, ""}, {"GET /v1/leaving", ``, ""}, {"GET /v1/tree", ``, ""}, {"GET /v1/menu/packetcapture", ``, ""},
	{"GET /v1/help/ping", ``, ""}, {"POST /v1/parse", `{"at":[],"line":"ping host 127.0.0.1"}`, ""}, {"POST /v1/complete", `{"at":[],"line":"pi"}`, ""},
	{"POST /v1/ask/ping", `{"mode":2}`, ""}, {"POST /v1/assist/filter/explain", `{"argument":"expression","text":"po"}`, ""}, {"GET /v1/files", ``, ""}, {"GET /v1/problems/state", ``, ""},
}

// notRun are the commands that are not run here, each with its reason.
var notRun = map[string]string{
	"packetcapture watch":                 "a stream without an end of its own; transcripts and internal/test/e2e have it",
	"packetcapture wireshark":             "writes a file: internal/test/resources has it read by tshark",
	"GET /v1/diagsh.lua":                  "is that file",
	"packetcapture stream":                "writes bytes: internal/test/e2e reads them with tshark",
	"diagnostic raid verify":              "no array is here: its own test has a made-up one",
	"diagnostic raid cancel":              "no array is here: its own test has a made-up one",
	"diagnostic reload":                   "ends the appliance",
	"diagnostic services restart":         "restarts services of this machine",
	"etherconfig media edit":              "a pair of veth has no media to set",
	"POST /v1/login":                      "of the front: internal/front/https, and what reads only one answer has it",
	"GET /v1/login":                       "of the front",
	"DELETE /v1/login":                    "of the front",
	"GET /v1/login/methods":               "of the front: the generated clients ask it",
	"GET /v1/openapi.json":                "it is the document",
	"GET /v1/events":                      "a stream without an end of its own; internal/api has it",
	"GET /v1/files/{name}":                "bytes; the generated clients read them",
	"DELETE /v1/files/{name}":             "docs/api/README.md plays it",
	"GET /v1/archive":                     "bytes; internal/api/archive has them",
	"POST /v1/interrupt/{run}":            "is for a run of the same connection; internal/api has it",
	"POST /v1/input/{run}":                "is for a run of the same connection; internal/api has it",
	"certificate install":                 "needs a CA that signs the request: its own test has one",
	"certificate remove":                  "needs a certificate that was installed: its own test has one",
	"GET /v1/live.pcapng":                 "bytes without an end of their own; internal/test/resources reads them with tshark",
	"GET /v1/captures/{name}/live.pcapng": "bytes without an end of their own; internal/test/resources reads them with tshark",
	"GET /v1/runs/{run}/result":           "is what the command answers: internal/api has it",
	"passwd":                              "its proof of the old password takes a second of the processor; transcripts have it",
	"userconfig signin test":              "asks a server elsewhere: internal/test/signin has some",
	"tail":                                "a stream without an end of its own; its own test has it",
}

// refusals are the statuses with which a call may also end: the answer is then a problem as described.
var refusals = []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusNotImplemented}

// mayRefuse are the calls that this machine may refuse, with the reason.
var mayRefuse = map[string]string{
	"ping6":                        "a namespace without IPv6",
	"traceroute6":                  "a namespace without IPv6",
	"diagnostic raid tasks":        "a machine without software RAID",
	"diagnostic raid status":       "a machine without software RAID",
	"diagnostic network flush":     "a namespace without neighbours",
	"userconfig unlock":            "an account that is not locked",
	"POST /v1/accounts/new/unlock": "an account that is not locked",
}

// TestConformance runs every command that is safe and every resource, and compares each live answer
// with the document. A command without a call needs a reason.
func TestConformance(t *testing.T) {
	t.Parallel()
	network := netnstest.New(t)
	network.Veth(t, "x0", "x1")
	nameserver.Start(t, network, "mx.test. 60 IN A 192.0.2.1")
	network.Serve(t, "127.0.0.1:2525", mail)
	a := appliance.Start(t, appliance.Options{Network: network, Files: map[string]string{"/etc/resolv.conf": nameserver.ResolvConf}})
	document, _ := documentOf(t, a)
	covered := map[string]bool{}
	kept := map[string]string{}
	for _, c := range calls {
		for name, value := range kept {
			c.path, c.body = strings.ReplaceAll(c.path, "$"+name, value), strings.ReplaceAll(c.body, "$"+name, value)
		}
		called, async := strings.CutSuffix(c.path, " (async)")
		method, path, isResource := strings.Cut(called, " /")
		if path = "/" + path; !isResource {
			method, path = http.MethodPost, "/v1/run/"+strings.ReplaceAll(called, " ", "/")
		}
		status, body, err := ask(t, a, method, path, c.body, async)
		if err != nil {
			t.Errorf("%s: %v after %s", c.path, err, body)
			continue
		}
		operation, known := find(document, method, path)
		if !known {
			t.Errorf("%s is not described", c.path)
			continue
		}
		covered[operation.OperationID] = true
		if status >= 300 && (mayRefuse[c.path] == "" || !slices.Contains(refusals, status)) {
			t.Errorf("%s %s: %d %s", c.path, c.body, status, body)
			continue
		}
		if err := conforms(document, operation, status, body); err != nil {
			t.Errorf("%s: %v\n%.600s", c.path, err, body)
		}
		if c.keep != "" {
			var answer map[string]any
			json.Unmarshal([]byte(body), &answer)
			kept[c.keep] = fmt.Sprint(answer[c.keep])
		}
	}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			name := method + " " + path
			if command, isRun := strings.CutPrefix(path, "/v1/run/"); isRun {
				name = strings.ReplaceAll(command, "/", " ")
			}
			reason, excused := notRun[name]
			delete(notRun, name)
			if excused == covered[operation.OperationID] || excused && reason == "" {
				t.Errorf("%s: run: %t, not run because %q; what is new needs a call or a reason", name, covered[operation.OperationID], reason)
			}
		}
	}
	for name := range notRun {
		t.Errorf("%s is not run, and neither a command nor a resource", name)
	}
}

// ask sends a request as the administrator on the appliance's socket.
func ask(t *testing.T, a *appliance.Appliance, method, path, body string, async bool) (status int, answer string, err error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return a.DialSocket("admin") }}}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://appliance"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if async {
		request.Header.Set("Prefer", "respond-async")
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// mail is a mail server that takes nothing.
func mail(c net.Conn) {
	fmt.Fprint(c, "220 mx.test ESMTP\r\n")
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "QUIT") {
			fmt.Fprint(c, "221 mx.test\r\n")
			return
		}
		fmt.Fprint(c, "250 mx.test\r\n")
	}
}

// find returns the operation of a request.
func find(document *openapi3.T, method, path string) (*openapi3.Operation, bool) {
	path, _, _ = strings.Cut(path, "?")
	words := strings.Split(path, "/")
	best := -1
	var found *openapi3.Operation
	for pattern, item := range document.Paths.Map() {
		o := item.GetOperation(method)
		parts := strings.Split(pattern, "/")
		several := parts[len(parts)-1] == "{path}" // words of the path of a command
		if o == nil || len(parts) != len(words) && (!several || len(words) < len(parts)) {
			continue
		}
		same, fits := 0, true
		for i, part := range parts {
			switch {
			case part == words[i]:
				same++
			case !strings.HasPrefix(part, "{"):
				fits = false
			}
		}
		if fits && same > best {
			best, found = same, o
		}
	}
	return found, found != nil
}

// conforms returns what of an answer is not as described.
func conforms(d *openapi3.T, o *openapi3.Operation, status int, body string) error {
	response := o.Responses.Value(fmt.Sprint(status))
	if response == nil && status >= 300 {
		response = o.Responses.Default()
	}
	if response == nil {
		return fmt.Errorf("the status %d is not described", status)
	}
	if len(response.Value.Content) == 0 {
		if body != "" {
			return fmt.Errorf("a body is not described")
		}
		return nil
	}
	for kind, media := range response.Value.Content {
		if kind == "application/x-ndjson" && status != http.StatusAccepted && !strings.HasPrefix(body, "[") {
			return eachLine(d, media, body)
		}
	}
	for kind, media := range response.Value.Content {
		if strings.HasSuffix(kind, "json") && kind != "application/x-ndjson" {
			return valid(media.Schema, []byte(body))
		}
	}
	return nil
}

// eachLine compares the records of a stream with what x-item says.
func eachLine(d *openapi3.T, media *openapi3.MediaType, body string) error {
	text, err := json.Marshal(media.Extensions["x-item"])
	if err != nil {
		return err
	}
	var item openapi3.SchemaRef
	if err := json.Unmarshal(text, &item); err != nil {
		return err
	}
	if item.Ref != "" {
		item.Value = d.Components.Schemas[strings.TrimPrefix(item.Ref, "#/components/schemas/")].Value
	}
	for line := range strings.Lines(body) {
		if err := valid(&item, []byte(line)); err != nil {
			return err
		}
	}
	return nil
}

// valid compares a value with a schema, by the validator, and sees that it has no member that the
// schema lacks, which a validator allows.
func valid(s *openapi3.SchemaRef, text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	var value any
	if err := decoder.Decode(&value); err != nil {
		return err
	}
	if err := s.Value.VisitJSON(value); err != nil {
		if fault, ok := errors.AsType[*openapi3.SchemaError](err); ok {
			return fmt.Errorf("at %v: %s", fault.JSONPointer(), fault.Reason)
		}
		return err
	}
	return known(s.Value, value, "")
}

// known returns an error for a member of a value that its schema does not have.
func known(s *openapi3.Schema, value any, at string) error {
	for _, one := range s.OneOf {
		if one.Value.VisitJSON(value) == nil {
			return known(one.Value, value, at)
		}
	}
	switch v := value.(type) {
	case []any:
		for _, e := range v {
			if s.Items == nil {
				return nil
			}
			if err := known(s.Items.Value, e, at+"[]"); err != nil {
				return err
			}
		}
	case map[string]any:
		if s.AdditionalProperties.Schema != nil || len(s.Properties) == 0 {
			return nil // any members
		}
		for name, e := range v {
			p := s.Properties[name]
			if p == nil {
				return fmt.Errorf("the member %s.%s is not described", at, name)
			}
			if err := known(p.Value, e, at+"."+name); err != nil {
				return err
			}
		}
	}
	return nil
}
