package browser_test

import (
	"fmt"
	"os"
	"testing"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/browser"
	"diagsh/internal/test/netnstest"
)

// TestMain ends the browser that the tests share. A browser breaks requests off when the machine's
// interfaces change (net::ERR_NETWORK_CHANGED), so the tests have a network of their own.
func TestMain(m *testing.M) {
	netnstest.Alone()
	code := m.Run()
	browser.Close()
	os.Exit(code)
}

// pages bounds how many tests use the browser at a time: more than a few leave a small machine no room
// for others.
var pages = make(chan struct{}, 3)

// open returns the browser when there is room for another test.
func open(t *testing.T) *browser.Browser {
	t.Helper()
	pages <- struct{}{}
	t.Cleanup(func() { <-pages })
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
