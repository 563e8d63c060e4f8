package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
)

// The appliance of these tests as Azure has it.
const (
	azureSubscription = "/subscriptions/7a1f0e2c-9f4b-4d3e-8a55-0c6f5d1b2e90"
	azureConfig       = "azure:\n  subscription: 7a1f0e2c-9f4b-4d3e-8a55-0c6f5d1b2e90\n"
	azureMachine      = azureSubscription + "/resourceGroups/lab/providers/Microsoft.Compute/virtualMachines/" + appliance.Host
	azureCaptures     = azureSubscription + "/resourceGroups/NetworkWatcherRG/providers/Microsoft.Network/networkWatchers/NetworkWatcher_lab/packetCaptures"
	azureVersion      = "?api-version=2022-01-01"
)

// An azureClient is a program with an API token.
type azureClient struct {
	t       *testing.T
	a       *appliance.Appliance
	token   string
	headers http.Header
}

// azureToken returns an API token of a user.
func azureToken(t *testing.T, a *appliance.Appliance, user string) string {
	t.Helper()
	var made struct{ Secret string }
	if r := a.Web(user).Run("token new", map[string]string{"name": "azure"}); r.JSON(&made) != nil || made.Secret == "" {
		t.Fatalf("a token of %s: %d %s", user, r.Status, r.Body)
	}
	return made.Secret
}

// do sends a request with a body of JSON.
func (c azureClient) do(method, path, body string) appliance.Answer {
	c.t.Helper()
	w := c.a.HTTPS()
	w.Header = c.headers.Clone()
	if w.Header == nil {
		w.Header = http.Header{}
	}
	w.Header.Set("Authorization", "Bearer "+c.token)
	var content any
	if body != "" {
		content = json.RawMessage(body)
	}
	r, err := w.Open(context.Background(), method, path, content)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return appliance.Answer{Status: r.StatusCode, Header: r.Header, Body: text}
}

// want fails the test unless a request is answered with a status, and returns the answer.
func (c azureClient) want(status int, method, path, body string) string {
	c.t.Helper()
	r := c.do(method, path, body)
	if r.Status != status {
		c.t.Fatalf("%s %s %s: %d %s; want %d", method, path, body, r.Status, r.Body, status)
	}
	return string(r.Body)
}

// A client of Azure begins a capture, which takes packets as one of people does; its states and reasons
// are told as Azure tells them, and its file stays when it is deleted.
func TestCaptureOfAzure(t *testing.T) {
	t.Parallel()
	network := netnstest.New(t)
	network.Veth(t, "left", "right")
	a := appliance.Start(t, appliance.Options{Network: network, Config: azureConfig})
	c := azureClient{t: t, a: a, token: azureToken(t, a, "op"), headers: http.Header{"Commandname": {"network watcher packet-capture create"}}}
	properties := `"target":"` + azureMachine + `","storageLocation":{"filePath":"/var/captures/one.cap"},"timeLimitInSeconds":3600`
	filters := `,"filters":[{"protocol":"TCP","remoteIPAddress":"1.1.1.1-255.255.255","localPort":"20"},` +
		`{"protocol":"UDP","localIPAddress":"192.0.2.2;","localPort":"9","remoteIPAddress":"192.0.2.0-192.0.2.1"}]`
	for field, wrong := range map[string]string{"[0].remotePort": `{"remotePort":"99999"}`, "[1].localIPAddress": `{},{"localIPAddress":"1.1.1.1) or (tcp"}`,
		"[0].remoteIPAddress": `{"remoteIPAddress":"10.0.0.2-10.0.0.1"}`} {
		e := c.want(400, "PUT", azureCaptures+"/one"+azureVersion, `{"properties":{`+properties+`,"filters":[`+wrong+`]}}`)
		if !strings.Contains(e, `"message":"properties.filters`+field+`: `) {
			t.Errorf("%s is refused as %s", wrong, e)
		}
	}
	properties += filters
	begun := c.want(201, "PUT", azureCaptures+"/one"+azureVersion, `{"properties":{`+properties+`}}`)
	if again := c.want(201, "PUT", azureCaptures+"/One"+azureVersion, `{"properties":{`+properties+`,"scope":null}}`); again != begun {
		t.Errorf("the same again is %s; it was %s", again, begun)
	}
	c.want(409, "PUT", azureCaptures+"/one"+azureVersion, `{"properties":{`+properties+`,"bytesToCapturePerPacket":64}}`)
	appliance.Send(t, network, "left", 40)
	if err := network.Frames(t, "left").Send(netnstest.UDP(53, []byte("of no filter"))); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the packets", func() bool {
		var s capture.Status
		a.Ask("op", "packetcapture/status", `{"name":"one"}`, &s)
		return s.PacketsReceived >= 2*40
	})
	if s := a.SSH("op", "packetcapture status one").Out; !strings.Contains(s, "Azure:") || !strings.Contains(s, "duration 1h") {
		t.Errorf("people see %s", s)
	}
	c.want(200, "POST", azureCaptures+"/one/stop"+azureVersion, "")
	if s := c.want(200, "POST", azureCaptures+"/one/queryStatus"+azureVersion, ""); !strings.Contains(s, `"packetCaptureStatus":"Stopped","stopReason":"Manual","packetCaptureError":[]`) {
		t.Errorf("its state is %s", s)
	}
	c.want(200, "POST", azureCaptures+"/one/stop"+azureVersion, "")

	var s capture.Status
	a.Ask("op", "packetcapture/status", `{"name":"one"}`, &s)
	if len(s.Remarks) != 1 || !strings.Contains(s.Remarks[0], "255.255.255") {
		t.Errorf("of an end of three octets it says %q", s.Remarks)
	}
	if len(s.Files) != 1 || s.Files[0].Packets != 2*40 { // both ends of the wire are here
		t.Fatalf("its files are %+v", s.Files)
	}
	a.Kill()
	a.Restart()
	if list := c.want(200, "GET", azureCaptures+azureVersion, ""); !strings.Contains(list, `"name":"one"`) || !strings.Contains(list, `"timeLimitInSeconds":3600`) {
		t.Errorf("after a restart there are %s", list)
	}
	reader := azureClient{t: t, a: a, token: azureToken(t, a, "ro")}
	reader.want(200, "GET", azureCaptures+azureVersion, "")
	for _, q := range []struct{ method, path, body string }{{"PUT", "/two", properties}, {"PUT", "/one", properties}, {"POST", "/one/stop", ""},
		{"DELETE", "/one", ""}, {"DELETE", "/none", ""}} {
		if e := reader.want(403, q.method, azureCaptures+q.path+azureVersion, `{"properties":{`+q.body+`}}`); !strings.Contains(e, "AuthorizationFailed") {
			t.Errorf("who may only read is told %s", e)
		}
	}
	a.Local("packetcapture start menus interfaces left filters 'icmp or udp'")
	if read := c.want(200, "GET", azureCaptures+"/menus"+azureVersion, ""); c.want(201, "PUT", azureCaptures+"/menus"+azureVersion, read) != read {
		t.Errorf("what was read, %s, is another capture when it is written back", read)
	}
	c.want(204, "DELETE", azureCaptures+"/one"+azureVersion, "")
	c.want(404, "GET", azureCaptures+"/one"+azureVersion, "")
	if r := a.SSH("op", "packetcapture show "+s.Files[0].Name+" count 1"); r.Status != 0 || !strings.Contains(r.Out, "192.0.2.1") {
		t.Errorf("its file is %+v", r)
	}
	seen := false
	for _, e := range a.Audit() {
		seen = seen || e.Path == "packetcapture start" && strings.HasPrefix(e.Client, "network watcher packet-capture create, ") && e.Token != ""
	}
	if !seen {
		t.Errorf("the audit log does not name the client: %+v", a.Audit())
	}
}

// A capture ends by its time limit, and an operation is known after the appliance has died.
func TestOperationOfAzure(t *testing.T) {
	t.Parallel()
	network := netnstest.New(t)
	network.Veth(t, "left", "right")
	a := appliance.Start(t, appliance.Options{Network: network, Config: azureConfig})
	c := azureClient{t: t, a: a, token: azureToken(t, a, "op"), headers: http.Header{"Prefer": {"respond-async"}}}
	r := c.do("PUT", azureCaptures+"/brief"+azureVersion, `{"properties":{"target":"`+azureMachine+
		`","storageLocation":{"filePath":"/var/captures/x.cap"},"timeLimitInSeconds":1}}`)
	operation := r.Header.Get("Azure-AsyncOperation")
	if r.Status != 201 || !strings.HasPrefix(operation, a.URL()) || !bytes.Contains(r.Body, []byte(`"provisioningState":"Updating"`)) {
		t.Fatalf("%d %v %s", r.Status, r.Header, r.Body)
	}
	path := strings.TrimPrefix(operation, a.URL())
	a.Kill()
	a.Restart()
	if s := c.want(200, "GET", path, ""); !strings.Contains(s, `"status":"Succeeded"`) {
		t.Errorf("after its death it says %s", s)
	}
	c.want(204, "DELETE", azureCaptures+"/none"+azureVersion, "")
	c.want(201, "PUT", azureCaptures+"/limited"+azureVersion, `{"properties":{"target":"`+azureMachine+
		`","storageLocation":{"filePath":"/var/captures/x.cap"},"timeLimitInSeconds":1}}`)
	await.Until(t, "the time limit", func() bool {
		return strings.Contains(c.want(200, "POST", azureCaptures+"/limited/queryStatus"+azureVersion, ""), `"Stopped","stopReason":"TimeExceeded"`)
	})
	deleted := c.do("DELETE", azureCaptures+"/limited"+azureVersion, "")
	if deleted.Status != 202 || deleted.Header.Get("Location") == "" {
		t.Fatalf("%d %v", deleted.Status, deleted.Header)
	}
	await.Until(t, "the deletion", func() bool {
		return c.do("GET", strings.TrimPrefix(deleted.Header.Get("Location"), a.URL()), "").Status == http.StatusNoContent
	})
	c.want(404, "GET", azureCaptures+"/limited"+azureVersion, "")
}
