package resources_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// tool runs a program that people have, and returns what it prints.
func tool(t *testing.T, folder, name string, arguments ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		netnstest.Missing(t, name+" is missing: run internal/test/packages.sh")
	}
	c := exec.Command(name, arguments...)
	c.Dir = folder
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, arguments, err, out)
	}
	return string(out)
}

// curl runs curl on the appliance's socket, as root, which is administrator.
func curl(t *testing.T, a *appliance.Appliance, folder string, arguments ...string) string {
	t.Helper()
	return tool(t, folder, "curl", append([]string{"-sS", "--unix-socket", a.Socket}, arguments...)...)
}

// captured makes captures of pings that have ended, and returns the names of their files.
func captured(t *testing.T, a *appliance.Appliance, names ...string) (files []string) {
	t.Helper()
	for i, name := range names {
		address := "127.0.0." + strconv.Itoa(90+i)
		run(t, a, "op", "packetcapture start", `{"name": "`+name+`", "interfaces": ["lo"], "filter": "icmp and host `+address+`", "comment": "of `+name+`", "caseNumber": "4711"}`)
		run(t, a, "op", "ping", `{"host": "`+address+`", "count": 2, "interval": 0.1}`)
		run(t, a, "op", "packetcapture stop", `{"name": "`+name+`"}`)
		var status struct{ Files []struct{ Name string } }
		a.Ask("ro", "packetcapture status", `{"name": "`+name+`"}`, &status)
		files = append(files, status.Files[0].Name)
	}
	return files
}

func sumOf(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	return sum[:]
}

// TestDownloads fetches files as curl does: whole, begun again where it was cut off, with its digest,
// and in the other format as tshark reads it.
func TestDownloads(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	folder := t.TempDir()
	name := captured(t, a, "d")[0]
	stored := filepath.Join(a.Data, "diagnostic", name)
	url := "http://diagsh/v1/files/" + name

	head := curl(t, a, folder, "-D", "-", "-H", "Want-Repr-Digest: sha-256=1", "-OJ", url)
	if !strings.Contains(head, "Content-Type: application/x-pcapng") ||
		!strings.Contains(head, "Repr-Digest: sha-256=:"+base64.StdEncoding.EncodeToString(sumOf(t, stored))+":") {
		t.Errorf("the head is %s", head)
	}
	got := filepath.Join(folder, name) // curl's -J takes the name of Content-Disposition
	if string(sumOf(t, got)) != string(sumOf(t, stored)) {
		t.Error("the file that was fetched is another one")
	}
	if err := os.Truncate(got, 100); err != nil {
		t.Fatal(err)
	}
	curl(t, a, folder, "-C", "-", "-o", name, url)
	if string(sumOf(t, got)) != string(sumOf(t, stored)) {
		t.Error("the file whose rest was fetched is another one")
	}
	curl(t, a, folder, "-o", "as.pcap", url+"?format=pcap")
	if out := tool(t, folder, "capinfos", "-tTc", "as.pcap"); !strings.Contains(out, "pcap") || strings.Contains(out, "pcapng") {
		t.Errorf("the file in the other format: %s", out)
	}
	fields := []string{"-T", "fields", "-e", "frame.time_epoch", "-e", "ip.src", "-e", "icmp.seq", "-e", "frame.len", "-r"}
	if one, other := tshark(t, append(fields, stored)...), tshark(t, append(fields, filepath.Join(folder, "as.pcap"))...); one != other || strings.Count(one, "\n") < 4 {
		t.Errorf("the packets of both formats differ:\n%s\n%s", one, other)
	}
	curl(t, a, folder, "-o", "back.pcapng", url+"?format=pcapng")
	if string(sumOf(t, filepath.Join(folder, "back.pcapng"))) != string(sumOf(t, stored)) {
		t.Error("the format that the file has is made anew")
	}
}

// tshark returns the standard output of tshark alone: it complains of root on the other one.
func tshark(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := exec.Command("tshark", arguments...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// packets counts the packets of a file by tshark.
func packets(t *testing.T, path string) int64 {
	return int64(strings.Count(tshark(t, "-r", path), "\n"))
}

// TestArchives unpacks an archive by the programs that people have, and compares it with the
// manifest in it and with the files.
func TestArchives(t *testing.T) {
	t.Parallel()
	a := appliance.Start(t, appliance.Options{})
	folder := t.TempDir()
	names := captured(t, a, "one", "two")
	curl(t, a, folder, "-o", "files.zip", "http://diagsh/v1/archive?name="+names[0]+"&name="+names[1])
	for unpacker, arguments := range map[string][]string{
		"unzip":   {"-q", "../files.zip"},
		"bsdtar":  {"-xf", "../files.zip"},
		"python3": {"-c", "import zipfile; z = zipfile.ZipFile('../files.zip'); assert z.testzip() is None; z.extractall()"},
		"sh":      {"-c", "bsdtar -xf - <../files.zip"},
	} {
		t.Run(unpacker, func(t *testing.T) {
			to := filepath.Join(folder, unpacker)
			if err := os.Mkdir(to, 0o700); err != nil {
				t.Fatal(err)
			}
			tool(t, to, unpacker, arguments...)
			text, err := os.ReadFile(filepath.Join(to, "manifest.json"))
			if err != nil {
				t.Fatal(err)
			}
			var m struct {
				Hostname string
				Files    []struct {
					Name, SHA256, Comment, CaseNumber, Capture, Owner string
					Bytes, Packets                                    int64
				}
			}
			if err := json.Unmarshal(text, &m); err != nil {
				t.Fatal(err)
			}
			if m.Hostname != appliance.Host || len(m.Files) != 2 {
				t.Fatalf("the manifest is %s", text)
			}
			for i, name := range names {
				sum := sumOf(t, filepath.Join(a.Data, "diagnostic", name))
				if string(sumOf(t, filepath.Join(to, name))) != string(sum) {
					t.Errorf("%s is another file", name)
				}
				f := m.Files[i]
				if f.Name != name || f.SHA256 != hex.EncodeToString(sum) || f.Packets != packets(t, filepath.Join(to, name)) || f.Owner != "op" ||
					f.Capture != []string{"one", "two"}[i] || f.Comment != "of "+f.Capture || f.CaseNumber != "4711" {
					t.Errorf("the manifest says of %s: %+v", name, f)
				}
			}
		})
	}
	if status, body := a.API("ro", "GET", "/v1/archive?name="+names[0], ""); status != 403 {
		t.Errorf("a user who may only read gets %d %s", status, body)
	}
	var events []struct {
		Act, User, Path string
		Arguments       map[string]string
	}
	a.Ask("admin", "auditlog", `{}`, &events)
	whole := 0
	info, err := os.Stat(filepath.Join(a.Data, "diagnostic", names[0]))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Act == "download" && e.User == "root" && e.Path == names[0] && e.Arguments["bytes"] == strconv.FormatInt(info.Size(), 10) {
			whole++
		}
	}
	if whole != 1 {
		t.Errorf("%s was downloaded once, and the audit log has %d lines of that", names[0], whole)
	}
}
