package resources_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"diagsh/capture"
	"diagsh/capture/owners"
	"diagsh/capture/pcapfile"
	"diagsh/internal/test/appliance"
)

// The plug-in for Wireshark, as anybody downloads it, makes fields of what files say of the sender, of
// the receiver and of drops.
func TestWiresharkPlugin(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	status, lua := a.API("ro", "GET", "/v1/diagsh.lua", "")
	if status != 200 {
		t.Fatalf("the plug-in: %d: %s", status, lua)
	}
	folder := t.TempDir()
	plugin, file := filepath.Join(folder, "diagsh.lua"), filepath.Join(folder, "said.pcapng")
	if err := os.WriteFile(plugin, []byte(lua), 0o600); err != nil {
		t.Fatal(err)
	}
	curl := &owners.Process{PID: 4242, Name: "curl", User: "alice", Exe: "/opt/my tools/curl"}
	nginx := &owners.Process{PID: 80, Name: "nginx", UID: 33}
	nameless := &owners.Process{PID: 7, UID: 1}
	said := [][]string{
		owners.Owners{Sender: curl, Receiver: nginx}.Comments(),
		owners.Owners{Receiver: curl}.Comments(),
		owners.Owners{Sender: nameless}.Comments(),
		append([]string{"dropped: NETFILTER_DROP at nft_do_chain (interface eth0)"}, owners.Owners{Sender: curl}.Comments()...),
		{"dropped: NO_SOCKET (interface eth0)"},
		{"a user noted: process=x pid=1", "process=x"},
		nil,
	}
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w, err := pcapfile.NewStream(out, capture.FileHeader{Format: capture.PCAPNG, Start: time.Now(), Interfaces: []capture.Interface{{Name: "eth0", LinkType: capture.Raw}}})
	if err != nil {
		t.Fatal(err)
	}
	data := append([]byte{0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1}, 3, 232, 7, 208, 0, 8, 0, 0)
	for n, comments := range said {
		p := capture.Packet{Time: time.Now().UnixNano() + int64(n), Data: data, Length: uint32(len(data))}
		if err := w.WriteCommented(&p, comments...); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command("tshark", "-n", "-X", "lua_script:"+plugin, "-r", file, "-T", "fields", "-E", "separator=|")
	for _, field := range []string{"process", "pid", "user", "exe", "to.process", "to.pid", "to.user", "to.exe", "drop.reason", "drop.place"} {
		command.Args = append(command.Args, "-e", "diagsh."+field)
	}
	command.Stderr = os.Stderr
	got, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"curl|4242|alice|/opt/my tools/curl|nginx|80|33|||",
		"||||curl|4242|alice|/opt/my tools/curl||",
		"|7|1|||||||",
		"curl|4242|alice|/opt/my tools/curl|||||NETFILTER_DROP|nft_do_chain",
		"||||||||NO_SOCKET|",
		"|||||||||",
		"|||||||||",
	}
	if text := strings.TrimSuffix(string(got), "\n"); text != strings.Join(want, "\n") {
		t.Errorf("tshark shows\n%s\nwant\n%s", text, strings.Join(want, "\n"))
	}
}
