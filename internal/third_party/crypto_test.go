package thirdparty

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var (
	update   = flag.Bool("update", false, "write the copy from upstream and the patches")
	upstream = flag.String("upstream", pinned, "the release of upstream that TestUpstreamLacksThePatches looks at; latest asks the network")
	all      = flag.Bool("all", false, "run all of upstream's tests of ssh on the copy")
)

const (
	module = "golang.org/x/crypto"
	pinned = "v0.58.0" // as go.mod has it
	copied = "crypto"
)

// packages are those that the program, its tests and its tools import, directly or by others.
var packages = []string{
	"acme", "argon2", "blake2b", "blowfish", "chacha20", "cryptobyte", "cryptobyte/asn1", "curve25519",
	"internal/alias", "internal/poly1305", "md4", "pbkdf2", "ssh", "ssh/internal/bcrypt_pbkdf",
}

// TestCopy holds the copy to upstream's files and the patches, byte for byte, in both directions.
func TestCopy(t *testing.T) {
	want := files(t, patched(t), false)
	if *update {
		write(t, want)
	}
	got := files(t, copied, true)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if text, ok := got[name]; !ok || !bytes.Equal(text, want[name]) {
			t.Errorf("%s/%s is not upstream's with the patches: write it with make crypto", copied, name)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s/%s is not in upstream: a change belongs into patches/", copied, name)
	}
}

// TestPatches runs the tests that the patches bring along.
func TestPatches(t *testing.T) {
	t.Parallel()
	tree := patched(t)
	args := []string{"test", "-run", patchTests, "./ssh"}
	if *all {
		tree, args = download(t, pinned), []string{"test", "./ssh"}
		whole := t.TempDir()
		if err := os.CopyFS(whole, os.DirFS(tree)); err != nil {
			t.Fatal(err)
		}
		tree = whole
		apply(t, tree)
	} else {
		makeModule(t, tree)
	}
	if out, err := goTool(tree, args...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

const patchTests = "^(TestRepeatedServiceRequest|TestRepeatedServiceRequestCounts|TestServiceRequestsAreBounded|" +
	"TestAnotherServiceBeforeAuthentication|TestPublicKeyProof|TestExchangeSigner)$"

// TestUpstreamLacksThePatches fails for a release of upstream that makes a patch superfluous. `make
// upstream` runs it on the newest one.
func TestUpstreamLacksThePatches(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	release := download(t, *upstream)
	take(t, release, tree)
	makeModule(t, tree)
	apply(t, tree, "--include=ssh/service_request_test.go")
	out, err := goTool(tree, "test", "-run", "^TestRepeatedServiceRequest$", "./ssh")
	if err == nil {
		t.Errorf("%s@%s answers a repeated service request: patch 0001 can go", module, *upstream)
	} else if !strings.Contains(out, "--- FAIL: TestRepeatedServiceRequest") {
		t.Errorf("%v\n%s", err, out)
	}
	if got := configFields(t, filepath.Join(release, "ssh", "server.go")); !slices.Equal(got, knownFields) {
		t.Errorf("ServerConfig of %s@%s has the fields\n%s\nand not\n%s\nDoes one have the signature of a public key, "+
			"or the key exchange? Then patch 0002 or 0003 can go.",
			module, *upstream, strings.Join(got, "\n"), strings.Join(knownFields, "\n"))
	}
}

// knownFields are those that have been looked at: none has the signature of a user's key or what a
// host key signs.
var knownFields = []string{
	"AuthLogCallback/3", "BannerCallback/1", "GSSAPIWithMICConfig", "KeyboardInteractiveCallback/2", "MaxAuthTries", "NoClientAuth",
	"NoClientAuthCallback/1", "PasswordCallback/2", "PreAuthConnCallback/1", "PublicKeyAuthAlgorithms", "PublicKeyCallback/2",
	"ServerVersion", "VerifiedPublicKeyCallback/4", "hostKeys",
}

// configFields returns the fields of ServerConfig, functions with the number of their parameters.
func configFields(t *testing.T, file string) (found []string) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "ServerConfig" {
			return true
		}
		for _, field := range spec.Type.(*ast.StructType).Fields.List {
			for _, name := range field.Names {
				text := name.Name
				if f, ok := field.Type.(*ast.FuncType); ok {
					text = fmt.Sprintf("%s/%d", text, f.Params.NumFields())
				}
				found = append(found, text)
			}
		}
		return false
	})
	slices.Sort(found)
	return found
}

// TestReplaced holds go.mod to the copy's release: a replacement of another one would not take
// place, and nobody would know what the copy is of.
func TestReplaced(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	replaced := "replace " + module + " " + pinned + " => ./internal/third_party/" + copied + "\n"
	for _, line := range []string{"\t" + module + " " + pinned + "\n", replaced} {
		if !strings.Contains(string(text), line) {
			t.Errorf("go.mod lacks the line %q", line)
		}
	}
}

// patched returns a folder with upstream's packages and the patches.
func patched(t *testing.T) string {
	t.Helper()
	tree := t.TempDir()
	take(t, download(t, pinned), tree)
	apply(t, tree)
	return tree
}

// download returns the folder of the module cache with a release of upstream. The pinned one is
// compared with the sums in crypto.sum, as go.sum would have them if go.mod replaced nothing.
func download(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "go.mod"), []byte("module download\n"))
	sums, err := os.ReadFile("crypto.sum")
	if err != nil {
		t.Fatal(err)
	}
	out, err := goTool(dir, "mod", "download", "-json", module+"@"+version)
	if err != nil {
		t.Fatalf("%s@%s is neither in the module cache nor to be had: %v\n%s", module, version, err, out)
	}
	var m struct{ Version, Dir, Sum, GoModSum string }
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := module + " " + pinned + " " + m.Sum + "\n" + module + " " + pinned + "/go.mod " + m.GoModSum + "\n"
	if version == pinned && string(sums) != want {
		t.Fatalf("upstream is\n%sand crypto.sum has\n%s", want, sums)
	}
	return m.Dir
}

// take copies the packages, without their tests, and what says under what terms they may be passed
// on.
func take(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range []string{"go.mod", "LICENSE", "PATENTS"} {
		put(t, filepath.Join(to, name), get(t, filepath.Join(from, name)))
	}
	for _, p := range packages {
		entries, err := os.ReadDir(filepath.Join(from, p))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Type().IsRegular() && !strings.HasSuffix(e.Name(), "_test.go") {
				put(t, filepath.Join(to, p, e.Name()), get(t, filepath.Join(from, p, e.Name())))
			}
		}
	}
}

// apply applies all patches in their order.
func apply(t *testing.T, tree string, options ...string) {
	t.Helper()
	patches, err := filepath.Glob("patches/*.patch")
	if err != nil || len(patches) == 0 {
		t.Fatal("there are no patches: ", err)
	}
	for _, p := range patches {
		p, err := filepath.Abs(p)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("git", append(append([]string{"apply", "--whitespace=nowarn"}, options...), p)...)
		cmd.Dir = tree
		cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(tree)) // not a repository of ours
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", path.Base(p), err, out)
		}
	}
}

// makeModule gives a folder with the packages a go.mod with what these alone need, in the versions
// of the program: the module cache has them.
func makeModule(t *testing.T, tree string) {
	t.Helper()
	main := string(get(t, filepath.Join("..", "..", "go.mod")))
	_, sys, _ := strings.Cut(main, "\tgolang.org/x/sys ")
	sys, _, _ = strings.Cut(sys, "\n")
	put(t, filepath.Join(tree, "go.mod"), []byte("module "+module+"\n\ngo 1.26.0\n\nrequire golang.org/x/sys "+sys+"\n"))
	put(t, filepath.Join(tree, "go.sum"), get(t, filepath.Join("..", "..", "go.sum")))
}

func goTool(dir string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-trimpath -buildvcs=false")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		return stdout.String() + stderr.String(), err
	}
	return stdout.String(), nil
}

// files reads a tree; tests are not of the copy, but a test in the copy would be a fault.
func files(t *testing.T, root string, tests bool) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !tests && strings.HasSuffix(file, "_test.go") {
			return err
		}
		name, err := filepath.Rel(root, file)
		found[filepath.ToSlash(name)] = get(t, file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func write(t *testing.T, tree map[string][]byte) {
	t.Helper()
	if err := os.RemoveAll(copied); err != nil {
		t.Fatal(err)
	}
	for name, text := range tree {
		put(t, filepath.Join(copied, name), text)
	}
}

func put(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
