package azure

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
)

// TestJavaScript: @azure/arm-network runs the life of a capture, on node's own TLS.
func TestJavaScript(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := newStore(b)
	client := newScript(b)
	const name = "fromNode"
	client.tell(map[string]any{"group": watcherGroup, "watcher": watcher, "name": name,
		"parameters": stored(source004...), "other": stored()})

	var made flatResource
	client.step("create", &made)
	if made.Name != name || made.Etag == "" || made.State != "Succeeded" || made.Target != machineID || !slices.Equal(made.Filters, source004) || made.Storage.Path == "" {
		t.Fatalf("made is %+v", made)
	}
	running := client.status("running")
	if running.State != "Running" || running.Reason != "" || time.Since(running.Started) > time.Hour {
		t.Errorf("it should run: %+v", running)
	}
	var again flatResource
	client.step("again", &again)
	if again.ID != made.ID || again.Storage != made.Storage {
		t.Errorf("again it is %+v", again)
	}
	client.refused("other", 409, "PacketCaptureAlreadyExists")

	sent := traffic(5)
	b.send(sent)
	client.tell("sent")
	client.step("stop", new(any))
	if got := client.status("stopped"); got.State != "Stopped" || got.Reason != "Manual" || got.Started != running.Started {
		t.Errorf("stopped it is %+v", got)
	}
	var got flatResource
	client.step("get", &got)
	if got.Etag == made.Etag || !reflect.DeepEqual(got.properties, made.properties) {
		t.Errorf("get says %+v, made was %+v", got, made)
	}
	var names []string
	if client.step("list", &names); !slices.Equal(names, []string{name}) {
		t.Errorf("the list is %v", names)
	}
	client.step("delete", new(any))
	client.refused("gone", 404, "ResourceNotFound")
	if client.step("empty", &names); len(names) != 0 {
		t.Errorf("the list is %v", names)
	}
	exactly(t, s.object(made.Storage.Path), source004, sent)
}

// A flatResource is a resource as clients other than Go's show it: its properties are its own members.
type flatResource struct {
	Name string `json:"name"`
	ID   string `json:"id"`
	Etag string `json:"etag"`
	properties
}

// A script is the program in testdata that runs in node.
type script struct {
	t    *testing.T
	in   io.Writer
	out  *json.Decoder
	errs bytes.Buffer
}

func newScript(b *bed) *script {
	b.t.Helper()
	folder := b.t.TempDir()
	text, err := os.ReadFile("testdata/client.mjs")
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "client.mjs"), text, 0o600)
	}
	if err == nil {
		err = os.Symlink(nodeModules, filepath.Join(folder, "node_modules"))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(nodeModules, "@azure", "arm-network")); err != nil {
		netnstest.Missing(b.t, "@azure/arm-network is missing: internal/test/packages.sh installs it")
	}
	s := &script{t: b.t}
	cmd := exec.CommandContext(b.t.Context(), netnstest.Tool(b.t, "node"), filepath.Join(folder, "client.mjs"), b.url, b.token, subscription)
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+b.certificate())
	in, err := cmd.StdinPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	s.in, s.out, cmd.Stderr = in, json.NewDecoder(out), &s.errs
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	late := time.AfterFunc(2*appliance.Patience, func() { cmd.Process.Kill() })
	b.t.Cleanup(func() { late.Stop(); cmd.Process.Kill(); cmd.Wait() })
	return s
}

// tell gives the script a line.
func (s *script) tell(v any) {
	s.t.Helper()
	if err := json.NewEncoder(s.in).Encode(v); err != nil {
		s.t.Fatalf("%v\n%s", err, s.errs.String())
	}
}

// step reads what a step gave.
func (s *script) step(name string, result any) {
	s.t.Helper()
	var line struct {
		Step   string
		Result json.RawMessage
	}
	if err := s.out.Decode(&line); err != nil || line.Step != name {
		s.t.Fatalf("%s: %v, %+v\n%s", name, err, line, s.errs.String())
	}
	if err := json.Unmarshal(line.Result, result); err != nil {
		s.t.Fatalf("%s: %v: %s", name, err, line.Result)
	}
}

func (s *script) status(step string) (got status) {
	s.t.Helper()
	s.step(step, &got)
	return got
}

// refused reads a step that fails.
func (s *script) refused(step string, status int, code string) {
	s.t.Helper()
	var got struct {
		Status int
		Code   string
	}
	if s.step(step, &got); got.Status != status || got.Code != code {
		s.t.Errorf("%s: %+v", step, got)
	}
}

// certificate is the path of a file with the certificate of the appliance, as its users save it.
func (b *bed) certificate() string {
	b.t.Helper()
	address := strings.TrimPrefix(b.url, "https://")
	out, err := exec.CommandContext(b.t.Context(), netnstest.Tool(b.t, "sh"), "-c",
		`openssl s_client -connect "$0" </dev/null 2>/dev/null | openssl x509`, address).Output()
	path := filepath.Join(b.t.TempDir(), "appliance.pem")
	if err == nil {
		err = os.WriteFile(path, out, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return path
}
