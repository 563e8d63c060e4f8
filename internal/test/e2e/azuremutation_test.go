package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// azureRequests is how many requests the appliance is sent that no client of Azure would send.
const azureRequests = 10000

// Requests of clients of Azure with members, paths and values that are wrong in every way: the appliance
// goes on answering, each failure says what was wrong, none is a fault of its own or one that clients try
// again, and nothing is written outside of the diagnostic directory.
func TestMutatedRequestsOfAzure(t *testing.T) {
	t.Parallel()
	network := netnstest.New(t)
	network.Veth(t, "left", "right")
	a := appliance.Start(t, appliance.Options{Network: network, Config: azureConfig + "limits:\n  sessionsPerUser: 100\n"})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	before := filesOf(t, filepath.Dir(a.Data))
	var all sync.WaitGroup
	var statuses sync.Map
	for n, user := range []string{"admin", "op", "sup", "ro"} {
		m := azureMutator{Rand: rand.New(rand.NewPCG(seed, uint64(n))), t: t, a: a, token: azureToken(t, a, user), statuses: &statuses}
		m.client = m.from(n + 2)
		all.Go(func() {
			for i := range azureRequests / 4 {
				if t.Failed() {
					return
				}
				m.send()
				if i%250 == 249 {
					m.clear()
				}
			}
		})
	}
	all.Wait()
	said := map[any]any{}
	statuses.Range(func(status, count any) bool { said[status] = count.(*atomic.Int64).Load(); return true })
	t.Logf("answers by their status: %v", said)

	if !a.Alive() || strings.Contains(a.Log(), "panic") {
		t.Fatalf("the appliance did not stand it:\n%s", a.Log())
	}
	for path := range filesOf(t, filepath.Dir(a.Data)) {
		within, _ := filepath.Rel(a.Data, path)
		ours := strings.HasPrefix(within, "diagnostic/") || strings.HasPrefix(within, "audit/") || filepath.Dir(within) == "." && strings.HasSuffix(within, ".json")
		if !before[path] && !ours {
			t.Errorf("there is a file %s", path)
		}
	}
	if r := a.SSH("admin", "whoami"); r.Status != 0 {
		t.Errorf("nobody can log in any more: %+v", r)
	}
}

// filesOf returns the files below a folder.
func filesOf(t *testing.T, folder string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			all[path] = true
		}
		if os.IsNotExist(err) {
			return nil // it was written and renamed meanwhile
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// An azureMutator sends requests that are wrong somewhere.
type azureMutator struct {
	*rand.Rand
	t        *testing.T
	a        *appliance.Appliance
	token    string
	client   *http.Client
	statuses *sync.Map
}

// from returns a client with an address of its own, so that none of them sends too many requests.
func (m azureMutator) from(n int) *http.Client {
	dial := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(n))}}
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: m.a.TLS(),
		DialContext: func(ctx context.Context, network, address string) (c net.Conn, err error) {
			return m.a.DialFrom(ctx, dial, network, address)
		}}
	m.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (m azureMutator) pick(of ...string) string { return of[m.IntN(len(of))] }

// send sends one request and judges the answer.
func (m azureMutator) send() {
	method, path, body := m.request()
	for {
		q, err := http.NewRequest(method, m.a.URL()+path, strings.NewReader(body))
		if err != nil {
			return // no client can send it
		}
		q.Header.Set("Authorization", "Bearer "+m.token)
		for _, name := range []string{"User-Agent", "CommandName", "Prefer", "x-ms-client-request-id", "Content-Type", "If-None-Match"} {
			if m.IntN(6) == 0 {
				q.Header.Set(name, m.pick("respond-async", "*", "../../x", strings.Repeat("y", 900), "application/json", "\u202eabc"))
			}
		}
		r, err := m.client.Do(q)
		if err != nil {
			if !strings.Contains(err.Error(), "invalid") {
				m.t.Errorf("%s %s %s: %v", method, path, body, err)
			}
			return
		}
		answer, err := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode == http.StatusTooManyRequests {
			time.Sleep(50 * time.Millisecond) // what the appliance asks for
			continue
		}
		if err != nil {
			m.t.Errorf("%s %s %s: %v", method, path, body, err)
		}
		m.judge(method, path, body, r, answer)
		return
	}
}

// judge fails the test for an answer that no client should get.
func (m azureMutator) judge(method, path, body string, r *http.Response, answer []byte) {
	count, _ := m.statuses.LoadOrStore(r.StatusCode, new(atomic.Int64))
	count.(*atomic.Int64).Add(1)
	if r.StatusCode >= 500 || r.StatusCode == http.StatusRequestTimeout {
		m.t.Errorf("%s %s %s: %d %s", method, path, body, r.StatusCode, answer)
	}
	if r.StatusCode < 400 || !strings.HasPrefix(path, "/subscriptions") || method == http.MethodHead {
		return
	}
	var e struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(answer, &e) != nil || e.Error.Code == "" || e.Error.Message == "" || bytes.ContainsRune(answer, 0x1b) {
		m.t.Errorf("%s %s %s: %d, which says %s", method, path, body, r.StatusCode, answer)
	}
}

// request returns a request of a client, with one to three faults.
func (m azureMutator) request() (method, path, body string) {
	name := m.pick("one", "two", "One", "a.b-c_d", fmt.Sprint("n", m.IntN(20)))
	method, path = "PUT", azureCaptures+"/"+name
	switch m.IntN(10) {
	case 0:
		method = "GET"
	case 1:
		method = "DELETE"
	case 2:
		method, path = "POST", path+"/stop"
	case 3:
		method, path = "POST", path+"/queryStatus"
	case 4:
		method, path = "GET", azureSubscription+"/providers/Microsoft.Network/locations/lab/"+m.pick("operations", "operationResults")+"/"+name
	default:
		body = m.properties()
	}
	path += azureVersion
	for range 1 + m.IntN(3) {
		switch m.IntN(8) {
		case 0:
			method = m.pick("GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW")
		case 1:
			words := strings.Split(path, "/")
			words[m.IntN(len(words))] = m.pick("..", "%2e%2e%2f%2e%2e%2fetc", "", "*", "%00", "x%0a", strings.Repeat("z", 300), "ALL", "%ff", "a b")
			path = strings.ReplaceAll(strings.Join(words, "/"), " ", "%20")
		case 2:
			path = strings.Replace(path, azureVersion, m.pick("", "?api-version=", "?api-version=x", "?API-version=2099-01-01-preview", "?api-version=2022-01-01&x=%zz"), 1)
		case 3:
			if body != "" {
				b := []byte(body)
				for range 1 + m.IntN(4) {
					b[m.IntN(len(b))] = byte(m.IntN(256))
				}
				body = string(b)
			}
		case 4:
			body = body[:len(body)/(1+m.IntN(3))]
		}
	}
	return method, path, body
}

// properties returns the body of a PUT, some values of which are wrong.
func (m azureMutator) properties() string {
	p := map[string]any{"target": azureMachine, "targetType": "AzureVM", "bytesToCapturePerPacket": 0, "totalBytesPerSession": 1 << 20,
		"timeLimitInSeconds": 60, "storageLocation": map[string]any{"filePath": "/var/captures/x.cap"},
		"filters": []any{map[string]any{"protocol": "TCP", "remoteIPAddress": "1.1.1.1-255.255.255", "localPort": "1-65535"}, map[string]any{"protocol": "UDP"}}}
	for range m.IntN(4) {
		names := []string{"target", "targetType", "bytesToCapturePerPacket", "totalBytesPerSession", "timeLimitInSeconds", "storageLocation", "filters",
			"scope", "continuousCapture", "captureSettings", "provisioningState"}
		p[m.pick(names...)] = m.value(3)
	}
	if l, is := p["storageLocation"].(map[string]any); is {
		for range m.IntN(3) {
			l[m.pick("storageId", "storagePath", "filePath", "localPath")] = m.value(1)
		}
	}
	if list, is := p["filters"].([]any); is && len(list) > 0 {
		if f, is := list[0].(map[string]any); is {
			for range m.IntN(3) {
				f[m.pick("protocol", "remoteIPAddress", "localIPAddress", "localPort", "remotePort")] = m.value(1)
			}
		}
	}
	text, err := json.Marshal(map[string]any{"properties": p})
	if err != nil {
		m.t.Fatal(err)
	}
	return string(text)
}

// value returns a value of JSON that seldom fits.
func (m azureMutator) value(deep int) any {
	switch m.IntN(7) {
	case 0:
		return nil
	case 1:
		return m.IntN(2) == 0
	case 2:
		return []any{-1, 0, 1, 4095, 18001, int64(1) << 32, 1e30, 1.5}[m.IntN(8)]
	case 3:
		if deep > 0 {
			return []any{m.value(deep - 1), m.value(deep - 1)}
		}
	case 4:
		if deep > 0 {
			return map[string]any{m.pick("include", "exclude", "fileCount", "protocol", "filePath", "storageId", "x"): m.value(deep - 1)}
		}
	}
	return m.pick("", "0", "99999", "1.1.1.1) or (tcp", "10.0.0.1-10.0.0.0", "::1-::ffff", "80;443;", "/var/captures/../../etc/x.cap", `\var\captures\..\x.cap`,
		"/var/captures/%2e%2e/x.cap", azureSubscription, azureMachine+"/", "\x1b[31m", "\u202e", strings.Repeat("9;", 700), "AzureVMSS", "Any", "icmp",
		azureSubscription+"/resourceGroups/lab/providers/Microsoft.Storage/storageAccounts/../x")
}

// clear deletes all captures that there are, as far as the user may.
func (m azureMutator) clear() {
	c := azureClient{t: m.t, a: m.a, token: m.token}
	var all struct{ Value []struct{ Name string } }
	r := c.do("GET", azureCaptures+azureVersion, "")
	if r.Status != http.StatusOK || r.JSON(&all) != nil {
		m.t.Errorf("the list is %d %s", r.Status, r.Body)
	}
	for _, one := range all.Value {
		c.do("DELETE", azureCaptures+"/"+one.Name+azureVersion, "")
	}
}
