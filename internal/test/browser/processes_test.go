package browser_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"

	"diagsh/internal/test/await"
	"diagsh/internal/test/browser"
)

// The packets of a capture that keeps processes have columns of them, and are chosen by them. Other
// packets have neither.
func TestProcessesOfPackets(t *testing.T) {
	t.Parallel()
	a, network, b := lab(t)
	written := func(name string, want int) {
		await.Until(t, "the packets of "+name, func() bool {
			var s struct{ PacketsWritten int }
			r := a.SSH("op", "packetcapture status "+name+" --json")
			return json.Unmarshal([]byte(r.Out), &s) == nil && s.PacketsWritten == want
		})
		a.SSH("op", "packetcapture stop "+name)
	}
	a.SSH("op", "packetcapture start owned interfaces lo processes yes filter 'udp dst port 5002'")
	a.SSH("op", "packetcapture start plain interfaces lo filter 'udp dst port 5002'")
	network.Do(t, func() {
		c, err := net.Dial("udp4", "127.0.0.1:5002")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write([]byte("x"))
		if err := exec.Command("bash", "-c", "echo x > /dev/udp/127.0.0.1/5002").Run(); err != nil {
			t.Fatal(err)
		}
	})
	written("owned", 2)
	written("plain", 2)
	p := b.SignedIn(a, "op", browser.Look{})
	p.Go("#/captures/owned/packets")
	p.WaitText(".counts", "2 packets")
	p.WaitText("[role=columnheader]", "Process of sender")
	mine := fmt.Sprintf("(%d)", os.Getpid())
	p.WaitText("[role=gridcell]", "bash (")
	p.WaitText("[role=gridcell]", mine)
	p.Accessible(t, "packets with processes")
	p.Type("form[aria-label='Packets of a process'] input", "bash")
	p.Choose("form[aria-label='Packets of a process'] [type=submit]")
	p.WaitText(".counts", "1 of 2 packets")
	p.Wait("only its packet", fmt.Sprintf("![...document.querySelectorAll('[role=gridcell]')].some((c) => c.innerText.includes(%q))", mine))
	if got := browser.Eval[string](p, "location.hash"); got != "#/captures/owned/packets?process=bash" {
		t.Errorf("the address is %s", got)
	}
	p.Choose(button(p, "Of all processes"))
	p.WaitText(".counts", "2 packets")

	p.Go("#/captures/plain/packets")
	p.WaitText(".counts", "2 packets")
	if browser.Eval[bool](p, "document.body.innerText.includes('Process of sender') || !!document.querySelector(\"form[aria-label='Packets of a process']\")") {
		t.Error("packets without processes have columns or a choice of them")
	}
}
