package azure

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
)

// chroots is a folder with a Debian of each release that has azure-cli, by its name, as chroots.sh makes
// them.
var chroots = flag.String("chroots", "", "a folder with Debian releases that have azure-cli (make azure)")

// An az is azure-cli of a Debian release, as it is, in the network of an appliance, which has no way out.
type az struct {
	*bed
	root string   // of the release
	env  []string // beside what each run has
}

// newAz installs nothing and asks for nothing of the network: a release and a certificate are enough.
func newAz(t *testing.T, release string) *az {
	t.Helper()
	if *chroots == "" {
		t.Skip("make azure runs it: a Debian with azure-cli takes 1.8 GB and minutes to unpack")
	}
	b := newBed(t)
	a := &az{bed: b, root: filepath.Join(*chroots, release)}
	certificate, err := os.ReadFile(b.certificate())
	b.url = b.URL() // az is where the appliance is
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp(filepath.Join(a.root, "tmp"), "az-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.WriteFile(filepath.Join(folder, "ca.pem"), certificate, 0o644); err != nil {
		t.Fatal(err)
	}
	inside := strings.TrimPrefix(folder, a.root)
	a.env = []string{"PATH=/usr/bin:/bin", "HOME=" + inside, "AZURE_CONFIG_DIR=" + inside, "REQUESTS_CA_BUNDLE=" + inside + "/ca.pem",
		"AZURE_CORE_COLLECT_TELEMETRY=false", "PYTHONWARNINGS=ignore"}
	return a
}

// run runs az with its words, and says what it was and how it ended.
func (a *az) run(words ...string) appliance.Result {
	a.t.Helper()
	shell := []string{"--mount", "sh", "-c", `mount -t proc proc "$0/proc" && exec chroot "$0" env -i "$@"`, a.root}
	r := a.Exec("", "unshare", slices.Concat(shell, a.env, []string{"az"}, words)...)
	return r
}

// does runs az, which must succeed, and reads what it prints into a value, unless that is nil. It tells
// whoever reads the log of the test what passed.
func (a *az) does(result any, words ...string) {
	a.t.Helper()
	began := time.Now()
	r := a.run(words...)
	if r.Status != 0 {
		a.t.Fatalf("az %s: status %d\n%s%s", strings.Join(words, " "), r.Status, r.Out, r.Err)
	}
	if result != nil {
		if err := json.Unmarshal([]byte(r.Out), result); err != nil {
			a.t.Fatalf("az %s: %v\n%s", strings.Join(words, " "), err, r.Out)
		}
	}
	a.t.Logf("passed in %.1f s: az %s", time.Since(began).Seconds(), strings.Join(words, " "))
}

// fails runs az, which must end with a status and a text.
func (a *az) fails(status int, text string, words ...string) {
	a.t.Helper()
	if r := a.run(words...); r.Status != status || !strings.Contains(r.Err, text) {
		a.t.Errorf("az %s: status %d, not %d with %q\n%s%s", strings.Join(words, " "), r.Status, status, text, r.Out, r.Err)
		return
	}
	a.t.Logf("passed: az %s ends with %d", strings.Join(words, " "), status)
}

// loginAs makes the appliance az's cloud and logs in.
func (a *az) loginAs(user, secret string, register ...string) {
	a.t.Helper()
	a.does(nil, append([]string{"cloud", "register", "-n", "diagsh", "--endpoint-resource-manager", a.url}, register...)...)
	a.does(nil, "cloud", "set", "-n", "diagsh")
	a.fails(1, "", "login", "--service-principal", "-u", user, "-p", "wrong", "--tenant", "lab")
	a.does(nil, "login", "--service-principal", "-u", user, "-p", secret, "--tenant", "lab")
}

// source004JSON are the filters as the document gives them on the command line.
const source004JSON = `[{"protocol":"TCP", "remoteIPAddress":"1.1.1.1-255.255.255","localIPAddress":"10.0.0.3", "remotePort":"20"},` +
	`{"protocol":"TCP", "remoteIPAddress":"1.1.1.1-255.255.255","localIPAddress":"10.0.0.3", "remotePort":"80"},` +
	`{"protocol":"TCP", "remoteIPAddress":"1.1.1.1-255.255.255","localIPAddress":"10.0.0.3", "remotePort":"443"},{"protocol":"UDP"}]`

// TestAzTrixie walks through the document on captures by azure-cli, line by line, with az of Debian 13.
func TestAzTrixie(t *testing.T) {
	a := newAz(t, "trixie")
	s := newStore(a.bed)
	a.loginAs("op", appliance.Password("op"))
	a.walk(s, "packetCaptureName")

	// The same for an appliance as a scale set of one, and by another way in.
	a.logInByIdentity()
	var made flatResource
	a.does(&made, "network", "watcher", "packet-capture", "create", "--resource-group", resourceGroup, "--target", groupID+
		"/providers/Microsoft.Compute/virtualMachineScaleSets/"+machine, "--target-type", "AzureVMSS", "--include", "0",
		"--name", "ofSet", "--file-path", "/var/captures/set.cap")
	if made.TargetType != "AzureVMSS" || made.Scope == nil || len(made.Scope.Include) != 1 || !strings.HasSuffix(made.Scope.Include[0], "/virtualMachines/0") {
		t.Errorf("made is %+v", made)
	}
	a.does(nil, "network", "watcher", "packet-capture", "stop", "--name", "ofSet", "--location", location)
	a.does(nil, "network", "watcher", "packet-capture", "delete", "--name", "ofSet", "--location", location)
}

// walk is the document, from the extension to the delete.
func (a *az) walk(s *store, name string) {
	t := a.t
	t.Helper()
	of := []string{"--resource-group", resourceGroup, "--vm-name", machine}
	a.does(nil, append([]string{"vm", "extension", "set", "--publisher", "Microsoft.Azure.NetworkWatcher", "--name", "NetworkWatcherAgentLinux", "--version", "1.4"}, of...)...)
	for _, extension := range []string{"NetworkWatcherAgentLinux", "AzureNetworkWatcherExtension"} {
		var shown struct{ Name, ProvisioningState, Publisher string }
		a.does(&shown, append([]string{"vm", "extension", "show", "--name", extension}, of...)...)
		if shown.Name != extension || shown.ProvisioningState != "Succeeded" || shown.Publisher != "Microsoft.Azure.NetworkWatcher" {
			t.Errorf("the extension is %+v", shown)
		}
	}
	var accounts []struct{ Name, ID string }
	a.does(&accounts, "storage", "account", "list")
	if len(accounts) != 1 || accounts[0].Name != account || !strings.EqualFold(accounts[0].ID, accountID) {
		t.Errorf("the accounts are %+v", accounts)
	}

	capture := func(verb string, more ...string) []string {
		return append([]string{"network", "watcher", "packet-capture", verb, "--name", name}, more...)
	}
	var made flatResource
	a.does(&made, capture("create", "--resource-group", resourceGroup, "--vm", machine, "--storage-account", account, "--filters", source004JSON)...)
	if made.State != "Succeeded" || !slices.Equal(made.Filters, source004) || !strings.EqualFold(made.Storage.ID, accountID) || made.Storage.Path == "" ||
		made.Total == nil || *made.Total != 1<<30 || made.Seconds == nil || *made.Seconds != 18000 || made.Target != machineID {
		t.Errorf("made is %+v", made)
	}
	a.isNow(name, "Running", "")
	sent := traffic(uint64(len(name)))
	a.send(sent)
	for range 2 {
		a.does(nil, capture("stop", "--location", location)...)
	}
	a.isNow(name, "Stopped", "Manual")
	var shown flatResource
	a.does(&shown, capture("show", "--location", location)...)
	if shown.Storage != made.Storage || shown.Etag == made.Etag {
		t.Errorf("shown is %+v, made was %+v", shown, made)
	}
	var listed []flatResource
	a.does(&listed, "network", "watcher", "packet-capture", "list", "--location", location)
	if len(listed) != 1 || listed[0].Name != name {
		t.Errorf("the list is %+v", listed)
	}
	a.fails(1, "PacketCaptureAlreadyExists", capture("create", "--resource-group", resourceGroup, "--vm", machine, "--storage-account", account)...)
	a.does(nil, capture("delete", "--location", location)...)
	a.fails(3, "ResourceNotFound", capture("show", "--location", location)...)
	exactly(t, s.object(made.Storage.Path), source004, sent)

	// A time limit, as the document's status shows it.
	a.does(&made, "network", "watcher", "packet-capture", "create", "--resource-group", resourceGroup, "--vm", machine,
		"--name", "limited", "--file-path", "/var/captures/limited.cap", "--time-limit", "1")
	await.Until(t, "the end of its time", func() bool {
		var all []struct{ Name, State string }
		a.Ask("op", "packetcapture status", "{}", &all)
		return slices.ContainsFunc(all, func(c struct{ Name, State string }) bool { return c.Name == "limited" && c.State == "Stopped" })
	})
	a.isNow("limited", "Stopped", "TimeExceeded")
	a.does(nil, "network", "watcher", "packet-capture", "delete", "--name", "limited", "--location", location)
}

// isNow checks what az shows of a capture's state.
func (a *az) isNow(name, state, reason string) {
	a.t.Helper()
	var got status
	a.does(&got, "network", "watcher", "packet-capture", "show-status", "--name", name, "--location", location)
	if got.State != state || got.Reason != reason || len(got.Errors) != 0 || got.Started.IsZero() {
		a.t.Errorf("%s is %+v", name, got)
	}
}

// logInByIdentity logs in as a program of the machine does, with variables in place of a secret.
func (a *az) logInByIdentity() {
	a.t.Helper()
	a.does(nil, "logout")
	a.fails(1, "az login", "network", "watcher", "packet-capture", "list", "--location", location)
	a.env = append(a.env, identityVariables(a)...)
	a.does(nil, "login", "--identity")
	var listed []flatResource
	a.does(&listed, "network", "watcher", "packet-capture", "list", "--location", location)
	if len(listed) != 0 {
		a.t.Errorf("the list is %+v", listed)
	}
}

// identityVariables are those by which az of Debian 13 finds the endpoint of managed identities: the header
// that programs get from their machine is an API token.
func identityVariables(a *az) []string {
	return []string{"IDENTITY_ENDPOINT=" + a.url + "/metadata/identity/oauth2/token", "IDENTITY_HEADER=" + a.newToken()}
}

// newToken makes an API token of the operator.
func (b *bed) newToken() string {
	b.t.Helper()
	var made struct{ Secret string }
	if err := b.Web("op").Run("token new", map[string]string{"name": "client"}).JSON(&made); err != nil || made.Secret == "" {
		b.t.Fatalf("a new token is %+v: %v", made, err)
	}
	return made.Secret
}

// TestAzBookworm goes as far as az of Debian 12 does: its libraries lack what most commands on networks
// import, so what it cannot send by a command of its own it sends by az rest.
func TestAzBookworm(t *testing.T) {
	a := newAz(t, "bookworm")
	s := newStore(a.bed)
	a.loginAs("op", appliance.Password("op"), "--profile", "2020-09-01-hybrid")
	var shown struct{ Name, ProvisioningState string }
	a.does(&shown, "vm", "extension", "show", "--resource-group", resourceGroup, "--vm-name", machine, "--name", "AzureNetworkWatcherExtension")
	if shown.ProvisioningState != "Succeeded" {
		t.Errorf("the extension is %+v", shown)
	}
	var accounts []struct{ Name string }
	a.does(&accounts, "storage", "account", "list")
	if len(accounts) != 1 || accounts[0].Name != account {
		t.Errorf("the accounts are %+v", accounts)
	}
	var made struct {
		ProvisioningState string
		StorageLocation   struct{ StoragePath string }
	}
	const name = "packetCaptureName"
	a.does(&made, "network", "watcher", "packet-capture", "create", "--resource-group", resourceGroup, "--vm", machine, "--name", name,
		"--storage-account", account, "--filters", source004JSON)
	if made.ProvisioningState != "Succeeded" {
		t.Errorf("made is %+v", made)
	}
	rest := func(result any, method, path string) {
		a.does(result, "rest", "--method", method, "--url", a.url+path+"?api-version=2022-07-01")
	}
	var now status
	path := watcherID + "/packetCaptures/" + name
	if rest(&now, "post", path+"/queryStatus"); now.State != "Running" {
		t.Errorf("it should run: %+v", now)
	}
	sent := traffic(7)
	a.send(sent)
	rest(nil, "post", path+"/stop")
	if rest(&now, "post", path+"/queryStatus"); now.State != "Stopped" || now.Reason != "Manual" {
		t.Errorf("stopped it is %+v", now)
	}
	exactly(t, s.object(made.StorageLocation.StoragePath), source004, sent)
	rest(nil, "delete", path)

	// This profile has no slashes in the names of files.
	a.does(nil, "network", "watcher", "packet-capture", "create", "--resource-group", resourceGroup, "--vm", machine, "--name", "local",
		"--file-path", "/var/captures/local.cap", "--time-limit", "60")
	rest(nil, "delete", watcherID+"/packetCaptures/local")

	a.does(nil, "logout")
	a.env = append(a.env, "MSI_ENDPOINT="+strings.Replace(a.url, "://", "://token:"+a.newToken()+"@", 1)+"/metadata/identity/oauth2/token")
	a.does(nil, "login", "--identity")
	var listed struct{ Value []resource }
	if rest(&listed, "get", watcherID+"/packetCaptures"); len(listed.Value) != 0 {
		t.Errorf("the list is %+v", listed)
	}
}
