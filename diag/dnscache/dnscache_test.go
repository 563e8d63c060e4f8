package dnscache

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestFind makes a /proc with a service that handles its signal, one that it would kill, and one
// that only has the name.
func TestFind(t *testing.T) {
	proc := t.TempDir()
	for pid, status := range map[string]string{
		"11": "Name:\tdnsmasq\nSigCgt:\t0000000000000001\n", // SIGHUP
		"12": "Name:\tunbound\nSigCgt:\t0000000000000000\n", // catches nothing
		"13": "Name:\tdnsmasq2\nSigCgt:\tffffffffffffffff\n",
		"14": "Name:\tsystemd-resolve\nSigCgt:\t0000000000000800\n", // SIGUSR2
		"15": "Name:\tdnsmasq\nSigCgt:\tgarbage\n",
	} {
		if err := os.MkdirAll(filepath.Join(proc, pid), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "status"), []byte(status), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for _, c := range find(proc, filepath.Join(proc, "nothing")) {
		names = append(names, c.Name)
	}
	if len(names) != 2 || names[0] != "systemd-resolved" || names[1] != "dnsmasq" {
		t.Errorf("found %q", names)
	}
	if pids := running(proc, "dnsmasq", 1); len(pids) != 1 || pids[0] != 11 {
		t.Errorf("dnsmasq is %v", pids)
	}
}

func TestNSCD(t *testing.T) {
	for answer, works := range map[string]bool{"\x00\x00\x00\x00": true, "\x01\x00\x00\x00": false, "": false} {
		path := filepath.Join(t.TempDir(), "socket")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		asked := make(chan []byte, 1)
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			request := make([]byte, 18)
			io.ReadFull(c, request)
			asked <- request
			io.WriteString(c, answer)
			c.Close()
		}()
		found := find(t.TempDir(), path)
		if len(found) != 1 || found[0].Name != "nscd" {
			t.Fatalf("found %v", found)
		}
		if err := found[0].Flush(t.Context()); (err == nil) != works {
			t.Errorf("the answer %q gives %v", answer, err)
		}
		if request := <-asked; !bytes.HasSuffix(request, []byte("hosts\x00")) ||
			request[0] != nscdVersion && request[3] != nscdVersion {
			t.Errorf("it asked %q", request)
		}
		l.Close()
	}
}
