package daemon

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"diagsh/capture"
	"diagsh/diag/ports"
	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/await"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/roomtest"
)

// vendorScenario writes a scenario of a vendor into a folder.
func vendorScenario(t *testing.T, folder, name, text string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// byScenario begins a capture by a scenario on the loopback interface, of packets that there are none.
func byScenario(d *Daemon, name, scenario string, persistent bool) (capture.Status, error) {
	request := capture.Request{Name: name, Partial: capture.Partial{Given: []string{"interfaces", "scenario", "persistent"}}}
	request.Interfaces, request.Scenario, request.Persistent = []string{"lo"}, scenario, persistent
	return d.StartCapture(roomtest.Admin, request)
}

// A vendor's scenarios are beside the appliance's own, in the folder that the configuration names or
// the one beside it, and take the place of those of their name. A change holds at once; a fault is
// named with its file, begins no capture, and is gone when it is mended.
func TestVendorsScenarios(t *testing.T) {
	netnstest.NeedsRoot(t, "a packet socket")
	for name, folder := range map[string]string{"beside the configuration": "scenarios", "named": "vendor"} {
		t.Run(name, func(t *testing.T) {
			dir := roomtest.DataDir(t)
			text := "hostname: mx1\n"
			if folder != scenariosFolder {
				text += "captures:\n  scenarios: " + folder + "\n"
			}
			roomtest.Configure(t, dir, text)
			d := start(t, Options{Dir: dir, Scenarios: fstest.MapFS{"mail.yaml": {Data: []byte("description: Mail\noptions: {filter: tcp port 25}\n")}}})
			own, err := d.Scenarios()
			if err != nil || len(own) == 0 {
				t.Fatal(own, err)
			}
			folder := filepath.Join(dir, folder)
			vendorScenario(t, folder, "phones", "description: Calls\noptions: {filter: udp port 5060, snapLength: 200}\n")
			vendorScenario(t, folder, "mail", "description: Our mail\noptions: {filter: tcp port 2525}\n")
			list, err := d.Scenarios()
			if err != nil || len(list) != len(own)+1 {
				t.Fatalf("%d scenarios beside %d own, %v", len(list), len(own), err)
			}
			for _, want := range []string{"phones", "mail"} {
				if i := slices.IndexFunc(list, func(s access.Scenario) bool { return s.Name == want }); i < 0 || !list[i].Vendor {
					t.Errorf("%s is not the vendor's: %+v", want, list)
				}
			}
			for capture, want := range map[string]struct{ scenario, filter string }{"a": {"phones", "udp port 5060"}, "b": {"mail", "tcp port 2525"}} {
				if s, err := byScenario(d, capture, want.scenario, false); err != nil || s.Filter != want.filter || s.Scenario != want.scenario {
					t.Errorf("the capture by %s is %+v, %v", want.scenario, s, err)
				}
			}
			vendorScenario(t, folder, "phones", "description: Calls\noptions: {colour: red}\n")
			_, err = byScenario(d, "c", "phones", false)
			if menu.AsError(err).Code != menu.Failed || !strings.Contains(err.Error(), "phones.yaml") || strings.Contains(err.Error(), dir) {
				t.Errorf("the fault is told as %v", err)
			}
			if _, err := d.Capture("c"); err == nil {
				t.Error("a capture begins by a scenario that is not right")
			}
			vendorScenario(t, folder, "phones", "description: Calls\noptions: {filter: udp port 5061}\n")
			if s, err := byScenario(d, "c", "phones", false); err != nil || s.Filter != "udp port 5061" {
				t.Errorf("mended it is %+v, %v", s, err)
			}
		})
	}
}

// The port log of a scenario goes on with its capture after a restart of the appliance, and ends with
// the last capture that wants it. One that a user began goes on after the capture.
func TestPortLogOfAScenarioAcrossRestarts(t *testing.T) {
	netnstest.NeedsRoot(t, "a packet socket")
	for name, byUser := range map[string]bool{"the scenario's": false, "a user's": true} {
		t.Run(name, func(t *testing.T) {
			dir := roomtest.DataDir(t)
			vendorScenario(t, filepath.Join(dir, "scenarios"), "logged", "description: Logged\noptions: {filter: port 1}\nportLog: true\n")
			d := start(t, Options{Dir: dir})
			if byUser {
				request := ports.LogRequest{}
				request.Persistent = true
				if _, err := d.StartPortLog(roomtest.Admin, request); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"a", "b"} {
				if _, err := byScenario(d, name, "logged", true); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if err := d.Close(context.Background()); err != nil {
					t.Fatal(err)
				}
				d = start(t, Options{Dir: dir})
				await.Until(t, "captures and port log to go on", func() bool {
					a, _ := d.Capture("a")
					return a.State == capture.Running && d.PortLogStatus().State == ports.LogRunning
				})
			}
			for i, name := range []string{"a", "b"} {
				if d.PortLogStatus().State != ports.LogRunning {
					t.Errorf("the port log ended with %d captures that want it", 2-i)
				}
				if _, err := d.StopCapture(roomtest.Admin, name); err != nil {
					t.Fatal(err)
				}
			}
			if !byUser {
				await.Until(t, "the port log to end", func() bool { return d.PortLogStatus().State != ports.LogRunning })
				return
			}
			d.Close(context.Background())
			d = start(t, Options{Dir: dir})
			await.Until(t, "the user's port log to go on", func() bool { return d.PortLogStatus().State == ports.LogRunning })
		})
	}
}
