package browser_test

import (
	"fmt"
	"testing"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/browser"
	"diagsh/internal/test/netnstest"
)

// A bench is an appliance on a network of its own, with a browser there.
func bench(t *testing.T) (*appliance.Appliance, *browser.Browser) {
	t.Helper()
	a := appliance.Start(t, appliance.Options{})
	return a, browser.Open(t)
}

// ping sends so many packets with an answer each over the loopback interface.
func ping(t *testing.T, a *appliance.Appliance, count int) {
	t.Helper()
	if r := a.Exec("", netnstest.Tool(t, "ping"), "-n", "-q", "-i", "0.002", "-c", fmt.Sprint(count), "127.0.0.77"); r.Status != 0 {
		t.Fatalf("ping: %+v", r)
	}
}
