package azure

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/tether"
)

// Who the appliance is to clients; the names are the defaults.
const (
	subscription  = "6f1c2d3e-0000-4000-8000-00000000d1a6"
	resourceGroup = "lab"
	watcherGroup  = "NetworkWatcherRG"
	watcher       = "NetworkWatcher_lab"
	location      = "lab"
	machine       = appliance.Host
	account       = "packetstore" // a target of the appliance, which is azurite's account too
	container     = "network-watcher-logs"
)

const (
	groupID   = "/subscriptions/" + subscription + "/resourceGroups/" + resourceGroup
	machineID = groupID + "/providers/Microsoft.Compute/virtualMachines/" + machine
	accountID = groupID + "/providers/Microsoft.Storage/storageAccounts/" + account
	watcherID = "/subscriptions/" + subscription + "/resourceGroups/" + watcherGroup +
		"/providers/Microsoft.Network/networkWatchers/" + watcher
)

// interfaces is how many of the appliance's own each frame of a bed goes by: both ends of its cable.
const interfaces = 2

// nodeModules is where internal/test/packages.sh puts what comes from npm.
const nodeModules = "/var/cache/diagsh-tests/node/node_modules"

// A bed is an appliance that is a virtual machine to clients, in a network of its own, in which two
// interfaces, left and right, are the ends of one cable.
type bed struct {
	*appliance.Appliance
	t     *testing.T
	ns    *netnstest.Namespace
	right *netnstest.Frames

	url   string // of the port that is forwarded to the appliance
	http  *http.Client
	token string // of the operator
}

func newBed(t *testing.T) *bed {
	t.Helper()
	ns := netnstest.New(t)
	ns.Veth(t, "left", "right")
	a := appliance.Start(t, appliance.Options{Network: ns, Config: "azure:\n  subscription: " + subscription + "\n"})
	transport := &http.Transport{TLSClientConfig: a.TLS()}
	t.Cleanup(transport.CloseIdleConnections)
	b := &bed{Appliance: a, t: t, ns: ns, right: ns.Frames(t, "right"), url: a.Outside(), http: &http.Client{Transport: transport}}
	b.token = b.login("op", appliance.Password("op"))
	return b
}

// login returns a token for an account, as a service principal gets it.
func (b *bed) login(user, secret string) string {
	b.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {user}, "client_secret": {secret}, "scope": {b.url + "//.default"}}
	r, err := b.http.PostForm(b.url+"/adfs/oauth2/token", form)
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct {
		Type  string `json:"token_type"`
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || r.StatusCode != http.StatusOK || answer.Type != "Bearer" {
		b.t.Fatalf("log in as %s: %d %+v %v", user, r.StatusCode, answer, err)
	}
	return answer.Token
}

// as is the bed as another account has it.
func (b *bed) as(user string) *bed {
	other := *b
	other.token = b.login(user, appliance.Password(user))
	return &other
}

// of is the bed as a part of the test sees it.
func (b *bed) of(t *testing.T) *bed {
	part := *b
	part.t = t
	return &part
}

// sdk is a client of a major version.
func (b *bed) sdk(version string, policies ...policy.Policy) sdk {
	b.t.Helper()
	return sdks[version](b, b.options(policies...))
}

// send puts frames on the cable.
func (b *bed) send(frames [][]byte) {
	b.t.Helper()
	for n, f := range frames {
		if err := b.right.Send(f); err != nil {
			b.t.Fatalf("frame %d: %v", n, err)
		}
	}
}

// do runs a line as an administrator of the appliance, which must succeed.
func (b *bed) do(line string) string {
	b.t.Helper()
	r := b.Local(line)
	if r.Status != 0 {
		b.t.Fatalf("%q: %+v", line, r)
	}
	return r.Out
}

// file is a file of the diagnostic directory as the API gives it.
func (b *bed) file(name string) []byte {
	b.t.Helper()
	code, content := b.API("op", http.MethodGet, "/v1/files/"+name, "")
	if code != http.StatusOK {
		b.t.Fatalf("%s: %d %s", name, code, content)
	}
	return []byte(content)
}

// A store is azurite, Azure's own emulator of its object storage.
type store struct {
	b      *bed
	client *azblob.Client
}

// key of azurite's account, which is no secret.
var key = base64.StdEncoding.EncodeToString([]byte("the key of the store of the bench"))

// newStore starts azurite where the appliance is, and makes it a target.
func newStore(b *bed) *store {
	b.t.Helper()
	program := filepath.Join(nodeModules, "azurite", "dist", "src", "blob", "main.js")
	if _, err := os.Stat(program); err != nil {
		netnstest.Missing(b.t, "azurite is missing: internal/test/packages.sh installs it")
	}
	cmd, end := tether.Command(b.t, netnstest.Tool(b.t, "node"), program, "--blobHost", "127.0.0.1", "--blobPort", "10000", "--location", b.t.TempDir(),
		"--silent", "--disableTelemetry", "--skipApiVersionCheck")
	cmd.Env = append(os.Environ(), "AZURITE_ACCOUNTS="+account+":"+key)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := b.Launch(cmd); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(end)
	const address = "127.0.0.1:10000"
	dial := func(ctx context.Context, network, _ string) (c net.Conn, err error) {
		b.ns.Do(b.t, func() { c, err = new(net.Dialer).DialContext(ctx, network, address) })
		return c, err
	}
	transport := &http.Transport{DialContext: dial}
	b.t.Cleanup(transport.CloseIdleConnections)
	await.Until(b.t, "azurite", func() bool {
		c, err := dial(b.t.Context(), "tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	credential, err := azblob.NewSharedKeyCredential(account, key)
	if err != nil {
		b.t.Fatal(err)
	}
	o := &azblob.ClientOptions{}
	o.Transport = &http.Client{Transport: transport}
	client, err := azblob.NewClientWithSharedKeyCredential("http://"+address+"/"+account, credential, o)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := client.CreateContainer(b.t.Context(), container, nil); err != nil {
		b.t.Fatalf("%v\n%s", err, said.String())
	}
	b.do("packetcapture target new " + account + " url azblob://" + account + "@" + address + "/" + container + "?tls=no secret " + key)
	return &store{b, client}
}

// object waits for what a capture's storagePath names, and reads it. It says what it is.
func (s *store) object(path string) []byte {
	s.b.t.Helper()
	_, name, found := strings.Cut(path, "/"+container+"/")
	if !found {
		s.b.t.Fatalf("storagePath is %q", path)
	}
	var content []byte
	await.Until(s.b.t, "the object "+name, func() bool {
		r, err := s.client.DownloadStream(s.b.t.Context(), container, name, nil)
		if bloberror.HasCode(err, bloberror.BlobNotFound) {
			return false
		}
		if err == nil {
			content, err = io.ReadAll(r.Body)
			err = errors.Join(err, r.Body.Close())
		}
		if err != nil {
			s.b.t.Fatal(err)
		}
		said := map[string]string{}
		for name, value := range r.Metadata { // by names in any case
			said[strings.ToLower(name)] = *value
		}
		if sum := sha256.Sum256(content); said["sha256"] != hex.EncodeToString(sum[:]) || said["host"] != appliance.Host || said["capture"] == "" {
			s.b.t.Errorf("the metadata of %s are %v; its sum is %x", name, said, sum)
		}
		return true
	})
	return content
}
