package e2e_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"diagsh/internal/menu"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/await"
)

// A command ends when whoever read its output has had enough, as in `ssh HOST ping X | head -2`:
// the client ends too, the login is gone, and nothing of it is an error, to the client or in the
// log.
func TestCommandsEndWithTheirReader(t *testing.T) {
	t.Parallel()
	need(t, "plink", "putty-tools")
	b := newBed(t)
	right := b.ns.Frames(t, "right")
	if r := b.SSH("op", "packetcapture start name watched interface left"); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	for _, c := range []struct {
		name    string
		program []string
		line    string
		silent  bool // the client ends without a word
	}{
		{"ssh", append([]string{"ssh"}, b.OpenSSH("op")...), "packetcapture stream left filter 'udp port 9999'", true},
		{"ssh", append([]string{"ssh"}, b.OpenSSH("op")...), "packetcapture watch watched", true},
		{"ssh", append([]string{"ssh"}, b.OpenSSH("op")...), "ping 127.0.0.1", true},
		{"plink", append([]string{"env"}, b.puttyArguments("plink", "op")...), "ping 127.0.0.1", false},
	} {
		t.Run(c.name+" "+c.line, func(t *testing.T) {
			b := b.of(t)
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			cmd := exec.Command(c.program[0], append(c.program[1:], c.line)...)
			var errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = writer, &errs
			if err := b.Launch(cmd); err != nil {
				t.Fatal(err)
			}
			writer.Close()
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			// A client finds out when it next has something to write.
			traffic := time.NewTicker(20 * time.Millisecond)
			defer traffic.Stop()
			read := make(chan error, 1)
			go func() {
				_, err := io.ReadFull(reader, make([]byte, 24))
				reader.Close()
				read <- err
			}()
			late := time.After(appliance.Patience)
			for running := true; running; {
				select {
				case <-traffic.C:
					load(t, right, 1)
				case err := <-read:
					if err != nil {
						t.Errorf("nothing came: %v", err)
					}
				case err := <-ended:
					running = false
					if c.silent && (err != nil || errs.Len() > 0) {
						t.Errorf("%v, %s", err, errs.String())
					}
				case <-late:
					cmd.Process.Kill()
					t.Fatal("the client went on without a reader")
				}
			}
			word, _, _ := strings.Cut(c.line, " ")
			await.Until(b.t, "the end of the login", func() bool { return !strings.Contains(b.who(), word) })
		})
	}
	if strings.Contains(b.Log(), "level=ERROR") {
		t.Errorf("the log has errors:\n%s", b.Log())
	}
}

// Who asks for a file that is not finished is told so, and what makes it one.
func TestFileStillWritten(t *testing.T) {
	t.Parallel()
	need(t, "scp", "openssh-client")
	b := newBed(t)
	if r := b.SSH("op", "packetcapture start name growing interface left"); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	name := b.capture("growing").Files[0].Name
	want := "The file " + menu.Quote(name) + " is still being written"
	for client, r := range map[string]appliance.Result{
		"show":    b.SSH("op", "packetcapture show "+name),
		"summary": b.SSH("op", "packetcapture summary "+name),
		"scp -O":  b.scp("op", true, "diagnostic/"+name, filepath.Join(t.TempDir(), "x"), "-O"),
	} {
		if r.Status == 0 || !strings.Contains(strings.ReplaceAll(r.Err, `"`, ""), strings.ReplaceAll(want, `"`, "")) {
			t.Errorf("%s: %+v", client, r)
		}
	}
}

// What stands behind a command whose reader is gone is done all the same.
func TestTheLineGoesOnWithoutAReader(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	defer writer.Close()
	var errs bytes.Buffer
	cmd := exec.Command(appliance.Binary(t), "--socket", b.Socket, "-c", "date; ping 127.0.0.1; packetcapture start name later interface left")
	cmd.Stdout, cmd.Stderr = writer, &errs
	if err := cmd.Run(); err != nil || errs.Len() > 0 {
		t.Errorf("%v, %s", err, errs.String())
	}
	if s := b.capture("later"); s.Name != "later" {
		t.Errorf("%+v", s)
	}
}
