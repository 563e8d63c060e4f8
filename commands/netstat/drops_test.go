package netstat_test

import (
	"encoding/json"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/udptest"
)

// A shownDrop is a row of netstat drops.
type shownDrop struct {
	Reason, Place, Interface, Protocol, Process, Meaning string
	DestinationPort, PID                                 int
	Packets                                              uint64
	PacketsPerSecond                                     float64
	Time                                                 time.Time
}

// What is dropped while the command runs is counted exactly, with the process that sent it, or that
// did not read.
func TestDropsAreCounted(t *testing.T) {
	network := netnstest.New(t)
	a := appliance.Start(t, appliance.Options{Network: network})
	session, out := a.Stream("ro", "netstat drops every 1 --json")
	defer session.Close()
	rows := json.NewDecoder(out)
	next := func() (r shownDrop) {
		if err := rows.Decode(&r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	const probed, closed = 7777, 9
	stop, probing := make(chan struct{}), make(chan struct{})
	go func() { // until the command is seen to watch
		defer close(probing)
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			network.Do(t, func() { udptest.Send(t, probed, 1) })
			select {
			case <-tick.C:
			case <-stop:
				tick.Stop()
				return
			}
		}
	}()
	for next().DestinationPort != probed {
	}
	close(stop)
	<-probing
	full := 0
	network.Do(t, func() {
		udptest.Send(t, closed, 7)
		for range 5 {
			if c, err := net.Dial("tcp4", "127.0.0.1:9"); err == nil {
				c.Close()
				t.Error("somebody listens")
			}
		}
		full = udptest.Overfill(t)
	})
	counted := map[string]uint64{}
	var table time.Time
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		r := next()
		if !r.Time.Equal(table) {
			if counted["udp"] == 7 && counted["tcp"] == 5 && counted["full"] == uint64(full) {
				return
			}
			table = r.Time
			clear(counted)
		}
		switch {
		case r.Reason == "NO_SOCKET" && r.DestinationPort == closed:
			counted[r.Protocol] += r.Packets
			if r.Interface != "lo" || r.Place == "" || r.Meaning == "" || r.PID != os.Getpid() {
				t.Fatalf("%+v", r)
			}
		case r.Reason == "SOCKET_RCVBUFF":
			counted["full"] += r.Packets
			if r.PID != os.Getpid() || r.Process == "" {
				t.Fatalf("%+v, not of %d", r, os.Getpid())
			}
		}
	}
	t.Errorf("%v of 7 udp, 5 tcp and %d full", counted, full)
}

// Without the rights both commands say which are missing, and end with the status for that.
func TestDropsWithoutRights(t *testing.T) {
	a := appliance.Start(t, appliance.Options{Network: netnstest.New(t), User: 65534})
	for _, line := range []string{"netstat drops seconds 1", "packetcapture start one interfaces lo drops yes"} {
		if r := a.SSH("op", line); r.Status != 6 || !strings.Contains(r.Err, "lacks CAP_BPF") {
			t.Errorf("%s: %+v", line, r)
		}
	}
	if r := a.SSH("op", "packetcapture status one"); r.Status != 4 {
		t.Errorf("a capture that was refused is %+v", r)
	}
}
