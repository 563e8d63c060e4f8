package https_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
)

const (
	azureConfig   = "azure: {subscription: 7a1f0e2c-9f4b-4d3e-8a55-0c6f5d1b2e90}\n"
	azureAccounts = "/subscriptions/7a1f0e2c-9f4b-4d3e-8a55-0c6f5d1b2e90/providers/Microsoft.Storage/storageAccounts?api-version=2022-01-01"
)

// An azureClient logs in as clients of Azure do, and keeps its pass.
type azureClient struct {
	t *testing.T
	a *appliance.Appliance
	w *appliance.Web
}

// logIn logs in and keeps the pass. It returns the status.
func (c *azureClient) logIn(client, secret string) int {
	c.t.Helper()
	r, err := c.w.Client.PostForm(c.a.URL()+"/adfs/oauth2/token", url.Values{"grant_type": {"client_credentials"},
		"client_id": {client}, "client_secret": {secret}, "scope": {c.a.URL() + "//.default"}})
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Body.Close()
	var got struct {
		Token string `json:"access_token"`
	}
	body, _ := io.ReadAll(r.Body)
	if answer := (appliance.Answer{Body: body}); r.StatusCode == http.StatusOK && answer.JSON(&got) != nil {
		c.t.Fatalf("the login: %s", body)
	}
	if got.Token != "" {
		c.w.Header.Set("Authorization", "Bearer "+got.Token)
	}
	return r.StatusCode
}

func newAzureClient(t *testing.T, a *appliance.Appliance, client, secret string) *azureClient {
	t.Helper()
	c := &azureClient{t, a, a.HTTPS()}
	if status := c.logIn(client, secret); status != http.StatusOK {
		t.Fatalf("the login of %s: %d", client, status)
	}
	return c
}

// again returns a client with the pass of another one, for the port that a restarted appliance has.
func again(a *appliance.Appliance, w *appliance.Web) *appliance.Web {
	next := a.HTTPS()
	next.Header = w.Header
	return next
}

// A client of Azure comes in by what it once got, after a restart and a crash as well, until what it
// logged in by has ended. What it may do follows the account.
func TestClientOfAzure(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{Config: azureConfig})
	op := newAzureClient(t, a, "op", appliance.Password("op"))
	accounts := func(what string, c *azureClient, status int) {
		t.Helper()
		expect(t, what, c.w.Get(azureAccounts), status)
	}
	accounts("with a pass", op, 200)
	if !strings.Contains(a.Local("who").Out, "azure") {
		t.Error("`who` does not show a session of a client of Azure")
	}
	a.Stop()
	a.Restart()
	op.w = again(a, op.w)
	accounts("after a restart", op, 200)
	a.Kill()
	a.Restart()
	op.w = again(a, op.w)
	accounts("after a crash", op, 200)
	expect(t, "a pass on the API's own paths", op.w.Get("/v1/captures"), 401)

	admin := a.Web("admin")
	expect(t, "a lower role", admin.Run("userconfig role", map[string]string{"user": "op", "role": "readonly"}), 200)
	vm := strings.Replace(azureAccounts, "Microsoft.Storage/storageAccounts", "Microsoft.Compute/virtualMachines", 1)
	expect(t, "with a lower role", op.w.Get(vm), 200)
	if out := a.Local("who --json").Out; strings.Contains(out, `"role":"operator"`) {
		t.Errorf("with a lower role: %s", out)
	}
	expect(t, "another password", admin.Run("userconfig password", map[string]string{"user": "op", "password": "another one 4711"}), 200)
	await.Until(t, "the pass of the former password to end", func() bool { return op.w.Get(azureAccounts).Status == 401 })
	if status := op.logIn("op", appliance.Password("op")); status != 401 {
		t.Errorf("the former password: %d", status)
	}
	op.logIn("op", "another one 4711")
	expect(t, "the new password", op.w.Get(vm), 200)
	expect(t, "the account's end", admin.Run("userconfig delete", map[string]string{"user": "op", "confirm": "yes"}), 200)
	await.Until(t, "the pass of an account that is gone to end", func() bool { return op.w.Get(vm).Status == 401 })
	audit := a.Local("auditlog user op").Out
	for _, want := range []string{"pass", "A pass for a client of Azure was made"} {
		if !strings.Contains(audit, want) {
			t.Errorf("the audit log lacks %q:\n%s", want, audit)
		}
	}
}

// An API token opens the same paths, as it is or by a pass, from where and for what it is.
func TestTokenOfAzure(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{Config: azureConfig})
	made := func(name string, arguments map[string]any) string {
		t.Helper()
		arguments["name"], arguments["expirytime"] = name, "1d"
		var token struct {
			Secret string `json:"secret"`
		}
		if r := a.Web("op").Run("token new", arguments); r.Status != 200 || r.JSON(&token) != nil || token.Secret == "" {
			t.Fatalf("token new: %d %s", r.Status, r.Body)
		}
		return token.Secret
	}
	ci := made("ci", map[string]any{})
	c := newAzureClient(t, a, "token:ci", ci)
	expect(t, "by a pass", c.w.Get(azureAccounts), 200)
	bare := a.HTTPS()
	bare.Header.Set("Authorization", "Bearer "+ci)
	expect(t, "by the token as it is", bare.Get(azureAccounts), 200)
	wrong := &azureClient{t, a, a.HTTPS()}
	for client, secret := range map[string]string{"token:other": ci, "token:ci": ci + "x", "ci": ci, "op": ci} {
		if status := wrong.logIn(client, secret); status != 401 {
			t.Errorf("%s: %d", client, status)
		}
	}
	elsewhere := made("elsewhere", map[string]any{"sources": []string{"198.51.100.0/24"}})
	if status := wrong.logIn("token:elsewhere", elsewhere); status != 401 {
		t.Errorf("from where the token is not for: %d", status)
	}
	narrow := newAzureClient(t, a, "token:narrow", made("narrow", map[string]any{"paths": []string{"netstat"}}))
	expect(t, "what the token is not for", narrow.w.Get(azureAccounts), 403)
	if !strings.Contains(a.Local("auditlog act refused").Out, "packetcapture target list") {
		t.Error("the refusal is not in the audit log")
	}
	expect(t, "the token's end", a.Web("op").Run("token delete", map[string]any{"token": "ci", "confirm": "yes"}), 200)
	await.Until(t, "the pass of a token that is gone to end", func() bool { return c.w.Get(azureAccounts).Status == 401 })
	expect(t, "the token that is gone", bare.Get(azureAccounts), 401)
}

// Wrong secrets of clients of Azure count as those of SSH and the page do, and lock as theirs.
func TestLockOfAzure(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{Config: azureConfig + "login: {lockAfter: 3, longestDelay: 0s}\n"})
	c := &azureClient{t, a, a.HTTPS()}
	for range 3 {
		if status := c.logIn("op", "wrong"); status != 401 {
			t.Errorf("a wrong password: %d", status)
		}
	}
	if status := c.logIn("op", appliance.Password("op")); status != 400 {
		t.Errorf("the right password after three wrong ones: %d", status)
	}
	expect(t, "the page after that", a.HTTPS().Login("op", appliance.Password("op")), 409)
	if out := a.Local("auditlog user op").Out; !strings.Contains(out, "locked") {
		t.Errorf("the audit log lacks the lock:\n%s", out)
	}
	if status := c.logIn("ro", appliance.Password("ro")); status != 200 {
		t.Errorf("another user: %d", status)
	}
}
