package azure

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

var (
	subscriptionID = "/subscriptions/" + settings.Subscription
	vm             = subscriptionID + "/resourceGroups/lab/providers/Microsoft.Compute/virtualMachines/mx1"
	set            = subscriptionID + "/resourceGroups/lab/providers/Microsoft.Compute/virtualMachineScaleSets/mx1"
	account        = subscriptionID + "/resourceGroups/lab/providers/Microsoft.Storage/storageAccounts/vault"
	capturesPath   = subscriptionID + "/resourceGroups/NetworkWatcherRG/providers/Microsoft.Network/networkWatchers/NetworkWatcher_lab/packetCaptures"
)

// put asks for a capture with properties.
func put(s *Server, name, properties string) *httptest.ResponseRecorder {
	return ask(s, "PUT", capturesPath+"/"+name+version, `{"properties":`+properties+`}`)
}

// sources are the properties of source 004.
var sources = `{"target":"` + vm + `","storageLocation":{"storageId":"` + account + `"},"filters":[` +
	`{"protocol":"TCP","remoteIPAddress":"1.1.1.1-255.255.255","localIPAddress":"10.0.0.3","remotePort":"20"},{"protocol":"UDP"}]}`

func decode(t *testing.T, w *httptest.ResponseRecorder, into any) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
}

// A capture is begun, asked for, stopped, listed and deleted, as the clients of Azure do it.
func TestLifeOfACapture(t *testing.T) {
	a := newFake(t)
	s := serverOf(a)
	w := put(s, "one", sources)
	if w.Code != 201 || w.Header().Get("ETag") == "" || w.Header().Get("Azure-AsyncOperation") != "" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	begun := w.Body.String()
	want := `^\{"name":"one","id":"` + capturesPath + `/one","etag":"W/\\"[0-9a-f-]{36}\\"","properties":\{"provisioningState":"Succeeded",` +
		`"target":"` + vm + `","targetType":"AzureVM","bytesToCapturePerPacket":0,"totalBytesPerSession":1073741824,"timeLimitInSeconds":18000,` +
		`"storageLocation":\{"storageId":"` + account + `","storagePath":"https://acct\.blob\.example/network-watcher-logs/subscriptions/` + settings.Subscription +
		`/resourcegroups/lab/providers/microsoft\.compute/virtualmachines/mx1/\d{4}/\d\d/\d\d/packetcapture_\d\d_\d\d_\d\d_\d{3}\.cap"\},` +
		`"filters":\[\{"protocol":"TCP","remoteIPAddress":"1\.1\.1\.1-255\.255\.255","localIPAddress":"10\.0\.0\.3","localPort":"","remotePort":"20"\},` +
		`\{"protocol":"UDP","remoteIPAddress":"","localIPAddress":"","localPort":"","remotePort":""\}\]\},` +
		`"type":"Microsoft\.Network/networkWatchers/packetCaptures"\}\n$`
	if !regexp.MustCompile(want).MatchString(begun) {
		t.Errorf("it begins as %s; want %s", begun, want)
	}
	q := a.requests[0]
	place, _ := q["targetPath"].(string)
	delete(q, "operation")
	delete(q, "azure")
	delete(q, "targetPath")
	wanted := map[string]any{"name": "one", "defaults": true, "interfaces": []any{"ALL"}, "snapLength": 0., "target": "vault",
		"limits": map[string]any{"sizeBytes": float64(1 << 30), "durationSeconds": 18000.},
		"filters": []any{map[string]any{"protocol": "tcp", "remoteAddress": "1.1.1.1-255.255.255", "localAddress": "10.0.0.3", "remotePort": "20"},
			map[string]any{"protocol": "udp"}}}
	if !reflect.DeepEqual(q, wanted) || !strings.Contains(begun, "/network-watcher-logs/"+place+`"`) {
		t.Errorf("the appliance is asked for %v at %s; want %v", q, place, wanted)
	}

	// The same again changes nothing, in whatever case; other parameters are refused.
	again := put(s, "ONE", strings.Replace(strings.Replace(sources, "resourceGroups", "RESOURCEGROUPS", 1), `"filters"`, `"TimeLimitInSeconds":18000,"extra":null,"filters"`, 1))
	if again.Code != 201 || again.Body.String() != begun {
		t.Errorf("the same again: %d %s", again.Code, again.Body)
	}
	other := put(s, "one", strings.Replace(sources, `"20"`, `"21"`, 1))
	if code, message := codeIn(t, other); other.Code != 409 || code != "PacketCaptureAlreadyExists" || !strings.Contains(message, "'one'") {
		t.Errorf("with another port: %d %s", other.Code, other.Body)
	}
	if len(a.requests) != 1 {
		t.Errorf("the appliance was asked %d times", len(a.requests))
	}

	get := ask(s, "GET", capturesPath+"/one"+version, "")
	if get.Code != 200 || get.Body.String() != begun || get.Header().Get("ETag") != w.Header().Get("ETag") {
		t.Errorf("it is %d %s", get.Code, get.Body)
	}
	running := ask(s, "POST", capturesPath+"/one/queryStatus"+version, "")
	if form := `^\{"name":"one","id":"` + capturesPath + `/one","captureStartTime":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z",` +
		`"packetCaptureStatus":"Running","packetCaptureError":\[\]\}\n$`; running.Code != 200 || !regexp.MustCompile(form).MatchString(running.Body.String()) {
		t.Errorf("it runs as %d %s", running.Code, running.Body)
	}
	if stop := ask(s, "POST", capturesPath+"/one/stop"+version, ""); stop.Code != 200 || stop.Body.Len() != 0 {
		t.Errorf("it stops with %d %s", stop.Code, stop.Body)
	}
	stopped := ask(s, "POST", capturesPath+"/One/querystatus"+version, "")
	if !strings.Contains(stopped.Body.String(), `"packetCaptureStatus":"Stopped","stopReason":"Manual","packetCaptureError":[]`) {
		t.Errorf("it has stopped as %s", stopped.Body)
	}
	if stop := ask(s, "POST", capturesPath+"/one/stop"+version, ""); stop.Code != 200 {
		t.Errorf("it stops again with %d %s", stop.Code, stop.Body)
	}
	var all struct{ Value []resource }
	decode(t, ask(s, "GET", capturesPath+version, ""), &all)
	if len(all.Value) != 1 || all.Value[0].ETag == get.Header().Get("ETag") {
		t.Errorf("the list is %+v", all)
	}
	for range 2 {
		if gone := ask(s, "DELETE", capturesPath+"/one"+version, ""); gone.Code != 204 || gone.Body.Len() != 0 {
			t.Errorf("it goes with %d %s", gone.Code, gone.Body)
		}
	}
	for _, at := range []struct{ method, path string }{{"GET", "/one"}, {"POST", "/one/stop"}, {"POST", "/one/queryStatus"}} {
		if w := ask(s, at.method, capturesPath+at.path+version, ""); w.Code != 404 {
			t.Errorf("%s %s of none is %d", at.method, at.path, w.Code)
		}
	}
}

// Each field is checked, and an error begins with its name.
func TestFieldsOfACapture(t *testing.T) {
	good := `"target":"` + vm + `","storageLocation":{"filePath":"/var/captures/x.cap"}`
	local := `"target":"` + vm + `","storageLocation":{"localPath":"/var/captures/x.cap"}`
	inSet := `"target":"` + set + `","targetType":"azurevmss","storageLocation":{"storageId":"` + account + `"}`
	for _, c := range []struct {
		properties, begins string // "": it is right
	}{
		{`{` + good + `}`, ""},
		{`{` + strings.Replace(good, "/var/captures/x.cap", `\\var\\captures\\x.cap`, 1) + `}`, ""},
		{`{` + good + `,"filters":null,"scope":null,"continuousCapture":null,"captureSettings":{},"tags":{"a":1}}`, ""},
		{`{` + good + `,"BYTESTOCAPTUREPERPACKET":4294967295,"totalBytesPerSession":0,"timeLimitInSeconds":"1"}`, ""},
		{`{` + good + `,"filters":[{"protocol":"any"},{}]}`, ""},
		{`{` + inSet + `,"scope":{"include":["0"],"exclude":[]}}`, ""},
		{`{` + inSet + `,"scope":{"include":["` + set + `/virtualmachines/0/"]}}`, ""},
		{`{` + local + `,"continuousCapture":true,"captureSettings":{"fileCount":3,"fileSizeInBytes":2000000,"sessionTimeLimitInSeconds":90}}`, ""},
		{`{}`, "properties.storageLocation: one of"},
		{`{"target":5}`, "properties.target: it cannot be a JSON number"},
		{`{"storageLocation":{"filePath":"/var/captures/x.cap"}}`, "properties.target: it is missing"},
		{`{` + strings.Replace(good, "mx1", "mx2", 1) + `}`, "properties.target: there is no virtual machine '"},
		{`{` + strings.Replace(good, settings.Subscription, "0", 1) + `}`, "properties.target: "},
		{`{` + good + `,"targetType":"AzureVMSS"}`, "properties.targetType: the target is a virtual machine"},
		{`{` + strings.Replace(inSet, "azurevmss", "AzureVM", 1) + `}`, "properties.targetType: the target is a scale set"},
		{`{` + good + `,"targetType":"Moon"}`, "properties.targetType: 'Moon'"},
		{`{` + good + `,"scope":{"include":["0"]}}`, "properties.scope: it is for scale sets"},
		{`{` + inSet + `,"scope":{"include":["0","1"]}}`, "properties.scope.include[1]: there is no instance '1'"},
		{`{` + inSet + `,"scope":{"exclude":["0"]}}`, "properties.scope.exclude: no instance is left"},
		{`{` + inSet + `,"scope":{"include":["` + vm + `"]}}`, "properties.scope.include[0]: "},
		{`{` + good + `,"bytesToCapturePerPacket":-1}`, "properties.bytesToCapturePerPacket: '-1' is no number from 0 to 4294967295"},
		{`{` + good + `,"bytesToCapturePerPacket":4294967296}`, "properties.bytesToCapturePerPacket: "},
		{`{` + good + `,"totalBytesPerSession":1.5}`, "properties.totalBytesPerSession: '1.5'"},
		{`{` + good + `,"totalBytesPerSession":100}`, "properties.totalBytesPerSession: '100' is less"},
		{`{` + good + `,"timeLimitInSeconds":0}`, "properties.timeLimitInSeconds: '0' is no number from 1 to 18000"},
		{`{` + good + `,"timeLimitInSeconds":true}`, "properties.timeLimitInSeconds: 'true' is no number from 1 to 18000"},
		{`{` + good + `,"timeLimitInSeconds":"x"}`, "properties.timeLimitInSeconds: 'x' is no number from 1 to 18000"},
		{`{` + good + `,"totalBytesPerSession":{}}`, "properties.totalBytesPerSession: '{}' is no number from 0 to 4294967295"},
		{`{` + good + `,"continuousCapture":true,"captureSettings":{"fileCount":"x"},"storageLocation":{"localPath":"/var/captures/x.cap"}}`,
			"properties.captureSettings.fileCount: 'x' is no number from 2 to 10000"},
		{`{` + good + `,"filters":{}}`, "properties.filters: it cannot be a JSON object"},
		{`{` + good + `,"filters":[{},{"protocol":"ICMP"}]}`, "properties.filters[1].protocol: 'ICMP' is no protocol (TCP, UDP, Any)"},
		{`{` + good + `,"filters":[{},{"localPort":80}]}`, "properties.filters[1].localPort: it cannot be a JSON number"},
		{`{` + good + `,"filters":[null]}`, "properties.filters[0]: it is null"},
		{`{` + good + `,"filters":[7]}`, "properties.filters[0]: it cannot be a JSON number"},
		{`{"target":"` + vm + `","storageLocation":{"filePath":"/var/captures/../x.cap"}}`, "properties.storageLocation.filePath: "},
		{`{"target":"` + vm + `","storageLocation":{"filePath":"/etc/x.cap"}}`, "properties.storageLocation.filePath: '/etc/x.cap' is no path"},
		{`{"target":"` + vm + `","storageLocation":{"filePath":"/var/captures/x.pcap"}}`, "properties.storageLocation.filePath: "},
		{`{"target":"` + vm + `","storageLocation":{"storagePath":"https://x/y"}}`, "properties.storageLocation: one of"},
		{`{"target":"` + vm + `","storageLocation":{"storageId":"` + account + `x"}}`, "properties.storageLocation.storageId: there is no storage account"},
		{`{"target":"` + vm + `","storageLocation":{"storageId":"` + account + `","storagePath":"https://elsewhere.example/x.cap"}}`, "properties.storageLocation.storagePath: "},
		{`{"target":"` + vm + `","storageLocation":{"storageId":"` + account + `","storagePath":"https://acct.blob.example/network-watcher-logs/../x.cap"}}`, "properties.storageLocation.storagePath: "},
		{`{"target":"` + vm + `","storageLocation":{"storageId":"` + account + `","storagePath":"https://ACCT.blob.example/network-watcher-logs/my/x.cap"}}`, ""},
		{`{` + local + `}`, "properties.storageLocation.localPath: it is for a continuous capture"},
		{`{` + good + `,"continuousCapture":false}`, "properties.storageLocation.filePath: it is not for a continuous capture"},
		{`{` + good + `,"captureSettings":{"fileCount":3}}`, "properties.captureSettings: it needs continuousCapture"},
		{`{` + local + `,"continuousCapture":true,"captureSettings":{"fileCount":1}}`, "properties.captureSettings.fileCount: '1'"},
		{`{` + local + `,"continuousCapture":true,"captureSettings":{"fileSizeInBytes":5}}`, "properties.captureSettings.fileSizeInBytes: '5'"},
	} {
		s := serverOf(newFake(t))
		w := put(s, "one", c.properties)
		if c.begins == "" {
			if w.Code != 201 {
				t.Errorf("%s: %d %s", c.properties, w.Code, w.Body)
			}
			continue
		}
		if code, message := codeIn(t, w); w.Code != 400 || code != "InvalidRequestFormat" || !strings.HasPrefix(message, c.begins) {
			t.Errorf("%s: %d %s %q; want %q", c.properties, w.Code, code, message, c.begins)
		}
	}
	for body, want := range map[string]string{"": "InvalidRequestContent", "[]": "InvalidRequestContent", "{": "InvalidRequestContent",
		"{}": "InvalidRequestFormat", `{"properties":null}`: "InvalidRequestFormat", `{"properties":[]}`: "InvalidRequestFormat"} {
		w := ask(serverOf(newFake(t)), "PUT", capturesPath+"/one"+version, body)
		if code, _ := codeIn(t, w); w.Code != 400 || code != want {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	}
	for _, name := range []string{"-x", "a b", strings.Repeat("x", 81), "ALL", "clear", "a%2Fb", "a%1b"} {
		w := ask(serverOf(newFake(t)), "PUT", capturesPath+"/"+strings.ReplaceAll(name, " ", "%20")+version, `{"properties":`+sources+`}`)
		if code, _ := codeIn(t, w); w.Code != 400 && w.Code != 404 || code == "" {
			t.Errorf("the name %q: %d %s", name, w.Code, w.Body)
		}
	}
}

// What a continuous capture is bounded by becomes a ring of files, or a number of them.
func TestContinuousCaptures(t *testing.T) {
	for continuous, want := range map[string]string{
		"true":  `{"limits":{"durationSeconds":90,"sizeBytes":-1},"mode":"ring","rotation":{"fileBytes":2000000,"keepFiles":3}}`,
		"false": `{"limits":{"durationSeconds":90,"files":3,"sizeBytes":-1},"mode":"ring","rotation":{"fileBytes":2000000}}`,
	} {
		a := newFake(t)
		w := put(serverOf(a), "one", `{"target":"`+vm+`","storageLocation":{"localPath":"/var/captures/x.cap"},"continuousCapture":`+continuous+
			`,"captureSettings":{"fileCount":3,"fileSizeInBytes":2000000,"sessionTimeLimitInSeconds":90}}`)
		if w.Code != 201 || !strings.Contains(w.Body.String(), `"continuousCapture":`+continuous+
			`,"captureSettings":{"fileCount":3,"fileSizeInBytes":2000000,"sessionTimeLimitInSeconds":90},"storageLocation":{"storagePath":"","localPath":"/var/captures/x.cap"}`) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		q := a.requests[0]
		got, _ := json.Marshal(map[string]any{"mode": q["mode"], "rotation": q["rotation"], "limits": q["limits"]})
		if string(got) != want {
			t.Errorf("%s is asked for as %s; want %s", continuous, got, want)
		}
	}
}

// How captures ended, in the words of Azure.
func TestHowCapturesEnded(t *testing.T) {
	for _, c := range []struct {
		members map[string]any
		want    string
	}{
		{map[string]any{"state": "Stopped", "stopReason": "TimeExceeded"}, `"Stopped","stopReason":"TimeExceeded","packetCaptureError":[]`},
		{map[string]any{"state": "Stopped", "stopReason": "SizeExceeded"}, `"Stopped","stopReason":"SizeExceeded","packetCaptureError":[]`},
		{map[string]any{"state": "Stopped", "stopReason": "DiskLow"}, `"Stopped","stopReason":"DiskLow","packetCaptureError":["LocalFileFailed"]`},
		{map[string]any{"state": "Error", "stopReason": "FileError"}, `"Error","stopReason":"FileError","packetCaptureError":["LocalFileFailed"]`},
		{map[string]any{"state": "Error", "stopReason": "StartFailed"}, `"Error","stopReason":"StartFailed","packetCaptureError":["CaptureFailed"]`},
		{map[string]any{"state": "Stopped", "stopReason": "Interrupted", "filesFailedExport": 1}, `"Stopped","stopReason":"Interrupted","packetCaptureError":["AgentStopped","StorageFailed"]`},
		{map[string]any{"state": "NotStarted"}, `"packetCaptureStatus":"NotStarted","packetCaptureError":[]`},
	} {
		a := newFake(t)
		c.members["name"] = "one"
		a.captures = append(a.captures, c.members)
		w := ask(serverOf(a), "POST", capturesPath+"/one/queryStatus"+version, "")
		if w.Code != 200 || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%v is %s", c.members, w.Body)
		}
	}
}

// A capture that was made elsewhere is listed as what would make it, and is none that a PUT asks for who has
// not read it.
func TestCapturesMadeElsewhere(t *testing.T) {
	a := newFake(t)
	a.captures = append(a.captures, map[string]any{"name": "web", "state": "Running", "startTime": time.Now(), "snapLength": 96, "target": "vault",
		"limits": map[string]any{"sizeBytes": -1, "durationSeconds": 60}, "filters": []any{map[string]any{"protocol": "tcp", "localPort": "80"}}})
	s := serverOf(a)
	w := ask(s, "GET", capturesPath+version, "")
	want := `"target":"` + vm + `","targetType":"AzureVM","bytesToCapturePerPacket":96,"totalBytesPerSession":0,"timeLimitInSeconds":60,` +
		`"storageLocation":{"storageId":"` + account + `","storagePath":"","filePath":"/var/captures/web.cap"},"filters":[{"protocol":"tcp",` +
		`"remoteIPAddress":"","localIPAddress":"","localPort":"80","remotePort":""}]`
	if !strings.Contains(w.Body.String(), want) {
		t.Errorf("it is %s", w.Body)
	}
	if w := put(s, "web", sources); w.Code != 409 {
		t.Errorf("a PUT takes it over: %d %s", w.Code, w.Body)
	}
}

// What a client has read of a capture can be written back, and changes nothing: also what a PUT could not
// have asked for, and of a machine that has another name by now.
func TestWhatIsReadCanBeWritten(t *testing.T) {
	for name, c := range map[string]map[string]any{
		"endless":  {"limits": map[string]any{"sizeBytes": -1, "durationSeconds": 0}},
		"long":     {"limits": map[string]any{"sizeBytes": 1 << 40, "durationSeconds": 1 << 20}, "target": "gone"},
		"small":    {"limits": map[string]any{"sizeBytes": 100, "durationSeconds": 60}},
		"protocol": {"filters": []any{map[string]any{"protocol": "icmp"}, map[string]any{"protocol": "6", "localAddress": "10.0.0.0/8"}, map[string]any{}}},
		"renamed": {"azure": map[string]any{"sent": json.RawMessage(strings.ReplaceAll(sources, "mx1", "mx0")),
			"storagePath": "https://acct.blob.example/network-watcher-logs/x.cap"}},
		"set": {"azure": map[string]any{"sent": json.RawMessage(`{"target":"` + set + `","targetType":"azurevmss","scope":{"include":["0"]},` +
			`"storageLocation":{"localPath":"/var/captures/x.cap"},"continuousCapture":true}`)}},
	} {
		a := newFake(t)
		c["name"], c["state"], c["startTime"], c["snapLength"] = name, "Running", time.Now(), 0
		a.captures = append(a.captures, c)
		s := serverOf(a)
		at := capturesPath + "/" + name + version
		read := ask(s, "GET", at, "")
		w := ask(s, "PUT", at, read.Body.String())
		if w.Code != 201 || w.Body.String() != read.Body.String() || len(a.requests) > 0 {
			t.Errorf("%s: %s written back is %d %s", name, read.Body, w.Code, w.Body)
		}
		var other struct{ Properties map[string]any }
		decode(t, read, &other)
		other.Properties["bytesToCapturePerPacket"] = 77
		text, _ := json.Marshal(other)
		if w := ask(s, "PUT", at, string(text)); w.Code < 400 || w.Code >= 500 || len(a.requests) > 0 {
			t.Errorf("%s: %s is %d %s", name, text, w.Code, w.Body)
		}
	}
}

// What the appliance refuses names the property, and is no failure that clients try again.
func TestRefusedCaptures(t *testing.T) {
	for _, c := range []struct {
		refusal *menu.Error
		status  int
		message string
	}{
		{menu.BadArgument("filters[1].remoteAddress", "'x' is no address"), 400, "properties.filters[1].remoteIPAddress: 'x' is no address."},
		{menu.BadArgument("filters", "filters[0].remotePort: '99999' is no port"), 400, "properties.filters[0].remotePort: '99999' is no port."},
		{menu.BadArgument("durationseconds", "it is wrong"), 400, "properties.timeLimitInSeconds: it is wrong."},
		{menu.Errorf(menu.Denied, "Your role may not"), 403, "Your role may not."},
		{menu.Errorf(menu.State, "The disk is low"), 409, "The disk is low."},
	} {
		a := newFake(t)
		a.refuse = c.refusal
		w := put(serverOf(a), "one", sources)
		if _, message := codeIn(t, w); w.Code != c.status || message != c.message {
			t.Errorf("%v: %d %q", c.refusal, w.Code, message)
		}
	}
}

// An act that takes long becomes an operation, of which the client learns how it ends.
func TestLongActs(t *testing.T) {
	a := newFake(t)
	a.hold, a.act = make(chan struct{}), access.Operation{Act: access.OperationStart, Capture: "one"}
	s := serverOf(a)
	s.patience = time.Millisecond
	w := put(s, "one", sources)
	operation := w.Header().Get("Azure-AsyncOperation")
	if w.Code != 201 || !strings.HasPrefix(operation, "https://mx1.lab.example:8443"+subscriptionID+"/providers/Microsoft.Network/locations/lab/operations/") ||
		!strings.HasSuffix(operation, version) || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), `"provisioningState":"Updating"`) {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	path := strings.TrimPrefix(operation, "https://mx1.lab.example:8443")
	asked := ask(s, "GET", path, "")
	if asked.Code != 200 || !strings.Contains(asked.Body.String(), `"status":"InProgress"`) || asked.Header().Get("Retry-After") != "1" {
		t.Errorf("while it runs: %d %v %s", asked.Code, asked.Header(), asked.Body)
	}
	result := strings.Replace(path, "/operations/", "/operationResults/", 1)
	if w := ask(s, "GET", result, ""); w.Code != 202 || w.Header().Get("Location") == "" {
		t.Errorf("its result is %d %v", w.Code, w.Header())
	}
	close(a.hold)
	id := strings.TrimSuffix(path[strings.LastIndex(path, "/")+1:], version)
	for _, c := range []struct {
		operation    access.Operation
		status, code string
		result       int
	}{
		{access.Operation{ID: id, Act: access.OperationStop, Capture: "one", State: access.OperationSucceeded, EndTime: time.Now()}, `"status":"Succeeded"`, "", 204},
		{access.Operation{ID: id, Act: access.OperationStart, Capture: "gone", State: access.OperationSucceeded}, `"status":"Succeeded"`, "", 404},
		{access.Operation{ID: id, Act: access.OperationStart, Capture: "one", State: access.OperationFailed, Fault: &access.OperationFault{Kind: "usage",
			Argument: "filters", Message: "filters[0].localAddress: 'x' is no address"}},
			`"status":"Failed"`, `"error":{"code":"InvalidRequestFormat","message":"properties.filters[0].localIPAddress: 'x' is no address."`, 400},
	} {
		a.mu.Lock()
		a.operations[id] = c.operation
		a.mu.Unlock()
		w := ask(s, "GET", path, "")
		if w.Code != 200 || !strings.Contains(w.Body.String(), c.status) || !strings.Contains(w.Body.String(), c.code) {
			t.Errorf("%+v is %d %s", c.operation, w.Code, w.Body)
		}
		if w := ask(s, "GET", result, ""); w.Code != c.result {
			t.Errorf("%+v comes to %d %s", c.operation, w.Code, w.Body)
		}
	}
}

// A client that prefers so is told of an operation also where the act has ended.
func TestPreferredOperations(t *testing.T) {
	a := newFake(t)
	s := serverOf(a)
	prefer := func(method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "https://mx1.lab.example:8443"+path+version, bytes.NewReader([]byte(body)))
		r.Header.Set("Authorization", "Bearer x")
		r.Header.Set("Prefer", "wait=5, respond-async")
		r.Header.Set("CommandName", "network watcher packet-capture create\x1b[31m")
		r.Header.Set("User-Agent", strings.Repeat("x", 200))
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	if w := prefer("PUT", capturesPath+"/one", `{"properties":`+sources+`}`); w.Code != http.StatusCreated || w.Header().Get("Azure-AsyncOperation") == "" ||
		w.Header().Get("Location") != "" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	for _, at := range []struct{ method, path string }{{"POST", "/one/stop"}, {"DELETE", "/one"}} {
		if w := prefer(at.method, capturesPath+at.path, ""); w.Code != http.StatusAccepted || w.Header().Get("Azure-AsyncOperation") == "" ||
			!strings.Contains(w.Header().Get("Location"), "/operationResults/") || w.Body.Len() != 0 {
			t.Errorf("%s %s: %d %v %s", at.method, at.path, w.Code, w.Header(), w.Body)
		}
	}
	for _, client := range a.clients {
		if !strings.HasPrefix(client, "network watcher packet-capture create") || strings.Contains(client, "\x1b") || len(client) > 140 {
			t.Errorf("the appliance hears of the client %q", client)
		}
	}
}

// A capture is told as its client made it, also after the owner has given the machine another name.
func TestCapturesOfAFormerName(t *testing.T) {
	a := newFake(t)
	put(serverOf(a), "one", `{"target":"`+vm+`","storageLocation":{"filePath":"/var/captures/web.cap"},"filters":[{"protocol":"Any"}]}`)
	s := serverOf(a)
	s.settings.Machine = "mx2"
	w := ask(s, "GET", capturesPath+"/one"+version, "")
	for _, want := range []string{`"target":"` + vm + `"`, `"filePath":"/var/captures/web.cap"`, `"protocol":"Any"`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%d %s; want %s", w.Code, w.Body, want)
		}
	}
}
