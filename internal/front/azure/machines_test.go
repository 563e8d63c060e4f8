package azure

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What clients read of the machine, its extension, its scale set and the subscription.
func TestResources(t *testing.T) {
	targets := boundaryFunc(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		if r.URL.Path == "/v1/ask/packetcapture/start" {
			w.WriteString(`{"question":null}`) // who logs in may start captures
			return w.Result(), nil
		}
		if r.URL.Path != "/v1/targets" {
			t.Errorf("it asks for %s", r.URL)
		}
		w.WriteString(`{"targets":[{"name":"Lab","url":"sftp://u@h/f"},{"name":"blob","url":"azblob://acct@acct.blob.example/c/p"},` +
			`{"name":"azurite","url":"azblob://acct@127.0.0.1:10000/c"}]}`)
		return w.Result(), nil
	})
	s := serverOf(targets)
	sub := "/subscriptions/" + settings.Subscription
	vm := sub + "/resourceGroups/LAB/providers/Microsoft.Compute/virtualMachines/MX1"
	set := sub + "/resourceGroups/lab/providers/Microsoft.Compute/virtualMachineScaleSets/mx1"
	for _, c := range []struct {
		method, target string
		status         int
		want           string
	}{
		{"GET", "/tenants", 200, `"tenantId":"` + settings.Subscription + `"`},
		{"GET", "/subscriptions", 200, `"state":"Enabled"`},
		{"GET", sub, 200, `"displayName":"mx1"`},
		{"GET", sub + "/locations", 200, `"name":"lab"`},
		{"GET", sub + "/resourcegroups", 200, `"name":"NetworkWatcherRG"`},
		{"GET", sub + "/resourceGroups/networkWATCHERrg", 200, `"name":"NetworkWatcherRG"`},
		{"HEAD", sub + "/resourceGroups/lab", 204, ""},
		{"HEAD", sub + "/resourceGroups/other", 404, ""},
		{"GET", sub + "/resourceGroups/other", 404, `"ResourceGroupNotFound"`},
		{"GET", sub + "/providers", 200, `"namespace":"Microsoft.Compute"`},
		{"POST", sub + "/providers/Microsoft.Network/register", 200, `"registrationState":"Registered"`},
		{"GET", vm, 200, `"id":"` + sub + `/resourceGroups/lab/providers/Microsoft.Compute/virtualMachines/mx1"`},
		{"GET", vm, 200, `"resources":[{`},
		{"GET", vm + "?$expand=instanceView", 200, `"instanceView":{"extensions":[],"statuses":[]}`},
		{"GET", strings.TrimSuffix(vm, "MX1") + "other", 404, `The Resource 'Microsoft.Compute/virtualMachines/other' under resource group 'lab' was not found.`},
		{"GET", vm + "/extensions", 200, `"name":"AzureNetworkWatcherExtension"`},
		{"PUT", vm + "/extensions/NetworkWatcherAgentLinux", 200, `"publisher":"Microsoft.Azure.NetworkWatcher"`},
		{"GET", vm + "/extensions/azurenetworkwatcherextension", 200, `"name":"AzureNetworkWatcherExtension"`},
		{"GET", vm + "/extensions/CustomScript", 404, `"ResourceNotFound"`},
		{"GET", set, 200, `"capacity":1`},
		{"GET", set + "/virtualMachines", 200, `"instanceId":"0"`},
		{"GET", set + "/virtualMachines/1", 404, `"ResourceNotFound"`},
		{"GET", sub + "/providers/Microsoft.Storage/storageAccounts", 200, `"blob":"https://lab.blob.diagsh.invalid/"`},
		{"GET", sub + "/providers/Microsoft.Storage/storageAccounts", 200, `"blob":"https://acct.blob.example/"`},
		{"GET", sub + "/providers/Microsoft.Storage/storageAccounts", 200, `"blob":"https://127.0.0.1:10000/acct/"`},
		{"GET", sub + "/resourceGroups/lab/providers/Microsoft.Storage/storageAccounts/lab", 200, `"name":"Lab"`},
		{"GET", sub + "/resourceGroups/lab/providers/Microsoft.Storage/storageAccounts/none", 404, `"ResourceNotFound"`},
	} {
		target := c.target + version
		if strings.Contains(c.target, "?") {
			target = c.target + "&" + version[1:]
		}
		if w := ask(s, c.method, target, ""); w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s; want %d %s", c.method, c.target, w.Code, w.Body, c.status, c.want)
		}
	}
}

// The address of what is stored is the true one, wherever HTTP can name it.
func TestShelves(t *testing.T) {
	for at, want := range map[string]string{
		"azblob://acct@acct.blob.example/c/p":           "https://acct.blob.example/ https://acct.blob.example/c/p/",
		"azblob://acct@store.example/c":                 "https://store.example/ https://store.example/c/",
		"azblob://acct@store.example/c?style=path":      "https://store.example/acct/ https://store.example/acct/c/",
		"azblob://acct@127.0.0.1:10000/c?tls=no":        "http://127.0.0.1:10000/acct/ http://127.0.0.1:10000/acct/c/",
		"s3://K@s3.example/bucket/p?region=x":           "https://s3.example/ https://s3.example/bucket/p/",
		"s3://K@s3.example/bucket/p?style=virtual":      "https://bucket.s3.example/ https://bucket.s3.example/p/",
		"s3://K@s3.example/bucket?style=virtual":        "https://bucket.s3.example/ https://bucket.s3.example/",
		"https://user@files.example:8443/captures/mx1/": "https://files.example:8443/ https://files.example:8443/captures/mx1/",
		"sftp://u@h/f": "https://lab.blob.diagsh.invalid/ https://lab.blob.diagsh.invalid/network-watcher-logs/",
		"azblob://%":   "https://lab.blob.diagsh.invalid/ https://lab.blob.diagsh.invalid/network-watcher-logs/",
	} {
		one := target{Name: "Lab", URL: at}
		if got := one.shelf().endpoint + " " + one.folderURL(); got != want {
			t.Errorf("%s: %s; want %s", at, got, want)
		}
	}
}
