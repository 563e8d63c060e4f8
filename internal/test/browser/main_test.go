package browser_test

import (
	"fmt"
	"testing"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/browser"
	"diagsh/internal/test/netnstest"
)

// browsers bounds how many browsers run at a time: each is several processes, of which more than two
// leave a small machine no room for others.
var browsers = make(chan struct{}, 2)

// open starts a browser when there is room for it.
func open(t *testing.T) *browser.Browser {
	t.Helper()
	browsers <- struct{}{}
	t.Cleanup(func() { <-browsers })
	return browser.Open(t)
}

// A bench is an appliance on a network of its own, with a browser there.
func bench(t *testing.T) (*appliance.Appliance, *browser.Browser) {
	t.Helper()
	b := open(t)
	return appliance.Start(t, appliance.Options{}), b
}

// ping sends so many packets with an answer each over the loopback interface.
func ping(t *testing.T, a *appliance.Appliance, count int) {
	t.Helper()
	if r := a.Exec("", netnstest.Tool(t, "ping"), "-n", "-q", "-i", "0.002", "-c", fmt.Sprint(count), "127.0.0.77"); r.Status != 0 {
		t.Fatalf("ping: %+v", r)
	}
}
