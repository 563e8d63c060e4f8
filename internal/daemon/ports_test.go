package daemon

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"diagsh/diag/ports"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/roomtest"
)

// logPorts is what the child does that is killed.
func logPorts(d *Daemon) {
	request := ports.LogRequest{}
	request.Persistent, request.Format = true, ports.BothFormats
	_, err := d.StartPortLog(roomtest.Admin, request)
	status, _ := d.PortsStatus()
	fmt.Println("tier", status.Tier, err)
	select {}
}

// An appliance that is killed while connections come and go has a log of whole lines, with every
// connection until a second before, and goes on with it at its next start.
func TestKillWhilePortsAreLogged(t *testing.T) {
	netnstest.NeedsRoot(t, "eBPF")
	dir := roomtest.DataDir(t)
	v := startVictim(t, nil, "portlog", dir)
	if said := v.hear(); said != "tier A <nil>" && said != "tier B <nil>" {
		netnstest.Missing(t, "eBPF: the child says "+said)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	connected := map[uint16]time.Time{} // when, by the port at this end
	for begun := time.Now(); time.Since(begun) < 2500*time.Millisecond; {
		c, err := net.Dial("tcp4", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		connected[uint16(c.LocalAddr().(*net.TCPAddr).Port)] = time.Now()
		c.Close()
	}
	killed := time.Now()
	v.kill()

	d := start(t, Options{Dir: dir})
	if s := d.PortLogStatus(); s.State != ports.LogRunning || !s.Persistent || s.Sets < 2 {
		t.Errorf("it does not go on: %+v", s)
	}
	there := map[uint16]bool{}
	names, err := filepath.Glob(filepath.Join(dir, "diagnostic", "*-portlog-*.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var r ports.Record
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Errorf("%s: %v", lines.Bytes(), err)
			}
			if r.Event == ports.Gap {
				t.Errorf("%s", lines.Bytes())
			}
			if r.Event == ports.Connected && r.PID == os.Getpid() {
				there[r.LocalPort] = true
			}
		}
		f.Close()
	}
	sure, missing := 0, 0
	for port, at := range connected {
		if killed.Sub(at) > time.Second {
			sure++
			if !there[port] {
				missing++
			}
		}
	}
	if sure < 100 || missing > 0 {
		t.Errorf("%d of %d connections are missing that were there a second before", missing, sure)
	}
}

// The administrator of the machine lowers the tier, and the status says what that does not see.
func TestTierIsLowered(t *testing.T) {
	dir := roomtest.DataDir(t)
	roomtest.Configure(t, dir, "ports: {tier: C}\n")
	d := start(t, Options{Dir: dir})
	if _, err := d.StartPortLog(roomtest.Admin, ports.LogRequest{}); err != nil {
		t.Fatal(err)
	}
	if s := d.PortLogStatus(); s.Engine == nil || s.Engine.Tier != ports.Polling || len(s.Engine.Blind) == 0 {
		t.Errorf("%+v", s.Engine)
	}
}

// A factory reset with the files ends the log that writes some, and forgets its settings.
func TestReloadEndsThePortLog(t *testing.T) {
	d := start(t, Options{Dir: roomtest.DataDir(t)})
	given := ports.PartialLog{}
	given.Days = 9
	if err := d.SetPortLogSettings(roomtest.Admin, given); err != nil {
		t.Fatal(err)
	}
	if _, err := d.StartPortLog(roomtest.Admin, ports.LogRequest{}); err != nil {
		t.Fatal(err)
	}
	lost, err := d.Reload(roomtest.Admin, true)
	if err != nil || !strings.Contains(fmt.Sprint(lost.Lost), "settings of the port log") {
		t.Errorf("%+v, %v", lost.Lost, err)
	}
	if s := d.PortLogStatus(); s.State != ports.LogNotStarted || s.Owner != "" || s.Sets != 0 || d.PortLogSettings().Days != 0 {
		t.Errorf("%+v, %+v", s, d.PortLogSettings())
	}
}
