package azure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/internal/test/await"
)

// A cmdlet is a command of Az PowerShell: its requests, in the form that the module's recorded sessions
// have.
type cmdlet struct {
	name     string
	requests []request
}

// A request is one of a cmdlet's, and what its answer must be.
type request struct {
	method, path, body string
	status             int
	answer             string // a pattern that the answer has
}

// asOperation is a status that stands for those of an act that may be done at once or be waited for.
const asOperation = 0

// TestPowerShell plays the requests of Az PowerShell's cmdlets on captures. The module itself cannot be had
// from a Debian or npm.
func TestPowerShell(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	newStore(b)
	// As the second document has it: `-TargetType "azurevmss"`, and filters with all their members. A scope without
	// its lists is all instances.
	set := groupID + "/providers/Microsoft.Compute/virtualMachineScaleSets/" + machine
	filters := `"filters": [{"protocol": "TCP", "remoteIPAddress": "1.1.1.1-255.255.255.255", "localIPAddress": "10.0.0.3", "localPort": "1-65535", "remotePort": "20;80;443"}, {"protocol": "UDP"}]`
	bodies := map[string]string{
		"machine":   fmt.Sprintf(`{"properties": {"target": %q, "storageLocation": {"storageId": %q}, "timeLimitInSeconds": 60, %s}}`, machineID, accountID, filters),
		"set":       fmt.Sprintf(`{"properties": {"target": %q, "scope": {"include": ["0"], "exclude": []}, "targetType": "azurevmss", "storageLocation": {"storageId": %q}, %s}}`, set, accountID, filters),
		"instances": fmt.Sprintf("{\r\n  \"properties\": {\r\n    \"target\": %q,\r\n    \"scope\": {\r\n      \"include\": [],\r\n      \"exclude\": []\r\n    },\r\n    \"targetType\": \"AzureVMSS\",\r\n    \"storageLocation\": {\r\n      \"filePath\": \"\\\\var\\\\captures\\\\Capture.cap\"\r\n    }\r\n  }\r\n}", set),
		"ring":      fmt.Sprintf(`{"properties": {"target": %q, "targetType": "AzureVM", "storageLocation": {"localPath": "/var/captures/ring.cap"}, "continuousCapture": true, "captureSettings": {"fileCount": 2, "fileSizeInBytes": 102400000, "sessionTimeLimitInSeconds": 3600}}}`, machineID),
	}
	for name, body := range bodies {
		for _, prefer := range []string{"", "respond-async"} {
			t.Run(name+" "+prefer, func(t *testing.T) { play(b.of(t), name, body, prefer) })
		}
	}
}

// play runs the cmdlets of one capture.
func play(b *bed, name, body, prefer string) {
	p := watcherID + "/packetCaptures/" + name
	get := request{"GET", p, "", 200, `"provisioningState": ?"Succeeded"`}
	status := request{"POST", p + "/queryStatus", "", 200, `"packetCaptureStatus": ?"(Running|Stopped)"`}
	for _, c := range []cmdlet{
		{"New-AzNetworkWatcherPacketCaptureV2", []request{{"GET", p, "", 404, `"error": ?\{"code"`}, {"PUT", p, body, asOperation, ""}, get}},
		{"Get-AzNetworkWatcherPacketCapture", []request{get, status, {"GET", watcherID + "/packetCaptures", "", 200, `"name": ?"` + name + `"`}}},
		{"Stop-AzNetworkWatcherPacketCapture", []request{{"POST", p + "/stop", "", asOperation, ""}}},
		{"Stop-AzNetworkWatcherPacketCapture", []request{{"POST", p + "/stop", "", asOperation, ""}}},
		{"Get-AzNetworkWatcherPacketCapture", []request{get, {"POST", p + "/queryStatus", "", 200, `"stopReason": ?"Manual"`}}},
		{"Remove-AzNetworkWatcherPacketCapture", []request{{"DELETE", p, "", asOperation, ""}}},
		{"Remove-AzNetworkWatcherPacketCapture", []request{{"DELETE", p, "", asOperation, ""}}},
	} {
		for _, r := range c.requests {
			b.one(c.name, r, prefer)
		}
	}
	var left []capture.Status
	b.Ask("op", "packetcapture status", "{}", &left)
	if len(left) != 0 {
		b.t.Errorf("there are %+v", left)
	}
}

// one sends a request and judges its answer.
func (b *bed) one(cmdlet string, r request, prefer string) {
	b.t.Helper()
	what := cmdlet + ": " + r.method + " " + r.path
	code, header, answer := b.powerShell(r.method, b.url+r.path+"?api-version=2021-06-01", r.body, prefer)
	switch {
	case r.status != asOperation && code != r.status:
		b.t.Fatalf("%s: %d %s", what, code, answer)
	case r.status == asOperation:
		b.finish(what, code, header, answer)
	case !regexp.MustCompile(r.answer).Match(answer):
		b.t.Errorf("%s: %s has no %s", what, answer, r.answer)
	case r.method == "GET" && code == 200 && !strings.HasSuffix(r.path, "Captures") && header.Get("ETag") == "":
		b.t.Errorf("%s: no ETag", what)
	}
}

// finish waits for the end of an act as the module does: by the operation that is named, then its result.
func (b *bed) finish(what string, code int, header http.Header, answer []byte) {
	b.t.Helper()
	done := map[string]int{"PUT": 201, "POST": 200, "DELETE": 204}
	_, rest, _ := strings.Cut(what, ": ")
	method, _, _ := strings.Cut(rest, " ")
	operation := header.Get("Azure-AsyncOperation")
	if operation == "" {
		if code != done[method] {
			b.t.Fatalf("%s: %d %s", what, code, answer)
		}
		return
	}
	if method != "PUT" && (code != 202 || len(bytes.TrimSpace(answer)) != 0 || header.Get("Location") == "") {
		b.t.Fatalf("%s: %d %q %v", what, code, answer, header)
	}
	var state struct {
		Status string
		Error  any
	}
	await.Until(b.t, "the operation of "+what, func() bool {
		code, polled, answer := b.powerShell("GET", operation, "", "")
		if err := json.Unmarshal(answer, &state); err != nil || code != 200 || state.Status == "InProgress" && polled.Get("Retry-After") == "" {
			b.t.Fatalf("%s: %s: %d %s, %v", what, operation, code, answer, polled)
		}
		return state.Status != "InProgress"
	})
	if state.Status != "Succeeded" {
		b.t.Fatalf("%s: %+v", what, state)
	}
	if location := header.Get("Location"); location != "" {
		if code, _, answer := b.powerShell("GET", location, "", ""); code != 204 && code != 200 {
			b.t.Errorf("%s: %s: %d %s", what, location, code, answer)
		}
	}
}

// powerShell sends a request with the headers of the module's recorded sessions.
func (b *bed) powerShell(method, url, body, prefer string) (int, http.Header, []byte) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	const id = "d91920d6-3ffe-40bb-95f3-d95c041edd38"
	for name, value := range map[string]string{"Authorization": "Bearer " + b.token, "x-ms-client-request-id": id, "Accept-Language": "en-US",
		"User-Agent": "FxVersion/4.6.27110.04 OSName/Windows Microsoft.Azure.Management.Network.NetworkManagementClient/21.0.0.0"} {
		r.Header.Set(name, value)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	if prefer != "" {
		r.Header.Set("Prefer", prefer)
	}
	answer, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if answer.Header.Get("x-ms-request-id") == "" || answer.Header.Get("x-ms-client-request-id") != id || answer.Header.Get("Cache-Control") != "no-cache" {
		b.t.Errorf("%s %s: headers %v", method, url, answer.Header)
	}
	if len(text) > 0 && answer.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		b.t.Errorf("%s %s is %s", method, url, answer.Header.Get("Content-Type"))
	}
	return answer.StatusCode, answer.Header, text
}
