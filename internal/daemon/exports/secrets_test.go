package exports

import (
	"encoding/pem"
	"net/http/httptest"
	"strings"
	"testing"

	"diagsh/capture"
	"diagsh/internal/menu"
)

// Who changes a target may not know its secret: whatever lets another read it needs it given again.
func TestSecretIsGivenAgain(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	key := "SHA256:" + strings.Repeat("A", 43)
	for what, c := range map[string]struct {
		target capture.Target
		change capture.TargetChange
		free   bool
	}{
		"host":                  {change: capture.TargetChange{URL: new("https://me@other/captures")}},
		"port":                  {change: capture.TargetChange{URL: new("https://me@host:8443/captures")}},
		"scheme":                {change: capture.TargetChange{URL: new("sftp://me@host/captures"), HostKey: new(key)}},
		"key":                   {change: capture.TargetChange{HostKey: new(key)}},
		"key that goes":         {target: capture.Target{HostKey: key}, change: capture.TargetChange{HostKey: new("")}},
		"authorities":           {change: capture.TargetChange{Authorities: &authority}},
		"authorities that go":   {target: capture.Target{Authorities: authority}, change: capture.TargetChange{Authorities: new("")}},
		"proxy":                 {change: capture.TargetChange{Proxy: new("http://proxy:3128")}},
		"another proxy":         {target: capture.Target{Proxy: "http://proxy:3128"}, change: capture.TargetChange{Proxy: new("socks5://proxy:3128")}},
		"proxy that goes":       {target: capture.Target{Proxy: "http://proxy:3128"}, change: capture.TargetChange{Proxy: new("")}},
		"no TLS":                {target: capture.Target{URL: "s3://key@host/bucket"}, change: capture.TargetChange{URL: new("s3://key@host/bucket?tls=no")}},
		"another name":          {target: capture.Target{URL: "s3://key@host/bucket"}, change: capture.TargetChange{URL: new("s3://key@host/bucket?style=virtual")}},
		"folder":                {change: capture.TargetChange{URL: new("https://me@host/others")}, free: true},
		"region":                {target: capture.Target{URL: "s3://key@host/bucket"}, change: capture.TargetChange{URL: new("s3://key@host/bucket?region=eu")}, free: true},
		"user of the proxy":     {target: capture.Target{Proxy: "http://proxy:3128"}, change: capture.TargetChange{Proxy: new("http://me@proxy:3128")}, free: true},
		"authorities as before": {target: capture.Target{Authorities: authority}, change: capture.TargetChange{Authorities: new("\n" + authority)}, free: true},
	} {
		r := newRig(t)
		c.target.Name = "vault"
		if c.target.URL == "" {
			c.target.URL = "https://me@host/captures"
		}
		if _, err := r.q.AddTarget(t.Context(), menu.Caller{}, c.target, secret); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		_, err := r.q.ChangeTarget(t.Context(), menu.Caller{}, "vault", c.change)
		if (err == nil) != c.free || !c.free && menu.AsError(err).Argument != "secret" {
			t.Errorf("%s without the secret: %v", what, err)
		}
		c.change.Secret = new(secret)
		if _, err := r.q.ChangeTarget(t.Context(), menu.Caller{}, "vault", c.change); err != nil {
			t.Errorf("%s with the secret: %v", what, err)
		}
	}
}
