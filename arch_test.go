package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A room is a folder and what is below it, but for folders below that have a row of their own.
type room struct {
	name    string
	imports []string // packages of ours: "x" is that one alone, "x/" that one and those below, "*" is all
	modules []string // other people's modules, beside the standard library
	tests   []string // what its tests may import as well, beside internal/test/ and all modules
	why     string
}

// rooms is the plan of the house, from the ground up: a room imports only rooms above it in this
// table. Each entry is needed: one that no package uses fails the test, too.
var rooms = []room{
	{name: "internal/menu", imports: []string{"internal/menu/"},
		why: "the ground floor knows no packet, socket or terminal"},
	{name: "internal/access", imports: []string{"internal/menu"},
		why: "words only"},
	{name: "internal/config", imports: []string{"internal/menu"}, modules: []string{modYaml},
		why: "words and their schema; it changes nothing"},
	{name: "assets",
		why: "only what is embedded"},
	{name: "internal/bpf", modules: []string{modEbpf, modSys},
		why: "it loads programs into the kernel, whatever they watch"},
	{name: "capture/filter", imports: []string{"capture/filter"},
		why: "others import the compiler, so it stands alone"},
	{name: "capture", imports: []string{"capture/", "internal/bpf"},
		modules: []string{modGopacket, modDns, modEbpf, modNet, modSys},
		tests:   []string{"assets"},
		why:     "the engine knows nothing of the people and commands above it"},
	{name: "diag", imports: []string{"diag/", "internal/bpf"},
		modules: []string{modDns, modNetlink, modSystemd, modDbus, modYaml, modNet, modSys},
		why:     "what is true of the host depends on no command"},
	{name: "internal/netconf", modules: []string{modNetlink, modEthtool, modNftables, modSys},
		tests: []string{"internal/netconf"},
		why:   "it changes what diag reads, for whoever commits"},
	{name: "commands", imports: []string{"commands/", "assets", "internal/menu", "internal/access", "internal/config",
		"internal/netconf", "capture/", "diag/"}, modules: []string{modRunewidth, modSys},
		tests: []string{"internal/api", "internal/daemon"},
		why:   "commands get the daemon's services through interfaces that they declare"},
	{name: "internal/api", imports: []string{"internal/api/", "internal/access", "internal/menu/"}, modules: []string{modSys},
		tests: []string{"internal/daemon/feed"},
		why:   "the boundary is handed the tree and the appliance by main"},
	{name: "internal/privsep", imports: []string{"internal/access", "internal/menu"}, modules: []string{modSys},
		why: "both ends of the protocol in which the unprivileged front asks serve; accounts and the boundary are " +
			"interfaces that main fills"},
	{name: "internal/loglimit",
		why: "how many lines a log takes from strangers is the same for each log"},
	{name: "internal/daemon/store",
		why: "it brings bytes onto the disk, whatever they are"},
	{name: "internal/daemon/settings",
		imports: []string{"internal/daemon/store", "internal/access", "internal/config", "internal/menu"},
		modules: []string{modYaml}, why: "it knows what holds, and asks no room for it"},
	{name: "internal/daemon/audit", imports: []string{"internal/daemon/store", "internal/access", "internal/menu"},
		why: "it records what others did, and decides nothing"},
	{name: "internal/daemon/tokens", imports: []string{"internal/daemon/store", "internal/access", "internal/menu"},
		why: "it keeps API tokens and their hashes; what an account may is known above it"},
	{name: "internal/daemon/feed", imports: []string{"internal/access"},
		why: "what a change is, the rooms that tell of it know"},
	{name: "internal/daemon/directories",
		imports: []string{"internal/daemon/settings", "internal/access", "internal/menu"},
		modules: []string{modLdap, modBer, modOidc, modOauth2},
		why:     "it asks servers who somebody is; whether that lets them in is decided above it"},
	{name: "internal/daemon/people/loginlog",
		imports: []string{"internal/daemon/store", "internal/access"},
		why:     "it keeps who came in; who may is decided above it"},
	{name: "internal/daemon/people/passes",
		imports: []string{"internal/daemon/store", "internal/access", "internal/menu"}, modules: []string{modJose},
		why: "it signs what a pass says; whether that still stands is asked above it"},
	{name: "internal/daemon/people",
		imports: []string{"internal/daemon/store", "internal/daemon/settings", "internal/daemon/audit",
			"internal/daemon/people/loginlog", "internal/daemon/people/passes", "internal/daemon/tokens", "internal/loglimit", "internal/access", "internal/menu"}, modules: []string{modCrypto},
		why: "who may come in, and who is in; what a deleted account leaves elsewhere is told upward"},
	{name: "internal/daemon/commits",
		imports: []string{"internal/daemon/store", "internal/access", "internal/config", "internal/netconf",
			"internal/menu"}, modules: []string{modSys},
		why: "it changes the machine for whoever commits; what holds is told upward"},
	{name: "internal/daemon/certificates",
		imports: []string{"internal/daemon/store", "internal/access", "internal/config", "internal/menu"},
		modules: []string{modCrypto},
		why:     "the keys of TLS stay in the process that signs; what speaks TLS asks it"},
	{name: "internal/daemon/files",
		imports: []string{"internal/daemon/store", "internal/access", "internal/menu", "capture", "diag/disks"},
		modules: []string{modSys},
		why:     "what its files are, their owners tell it"},
	{name: "internal/daemon/exports/sending", imports: []string{"diag/dns"}, modules: []string{modSftp, modCrypto, modNet},
		why: "it sends one file to one place; which, and when again, the queue decides"},
	{name: "internal/daemon/exports/objects", imports: []string{"internal/daemon/exports/sending"},
		modules: []string{modAzblob, modAzcore, modAws, modSmithy},
		why:     "what a storage is told and proves is the same for every queue"},
	{name: "internal/daemon/exports",
		imports: []string{"internal/daemon/exports/sending", "internal/daemon/exports/objects", "internal/daemon/store", "internal/access", "internal/menu", "capture", "diag/dns"},
		modules: []string{modCrypto},
		why:     "it copies files by their names: what writes them is above it"},
	{name: "internal/daemon/captures/notes",
		imports: []string{"internal/daemon/store", "internal/access", "internal/menu"},
		why:     "what users note at packets is words by the names of files; what a file is, the captures know"},
	{name: "internal/daemon/captures/savedfilters",
		imports: []string{"internal/daemon/store", "internal/access", "internal/menu"},
		why:     "a filter that a user keeps is a text; whether it is one, the captures know"},
	{name: "internal/daemon/captures/management",
		why: "which packets are of management sessions follows from ports and addresses"},
	{name: "internal/daemon/captures/programs",
		imports: []string{"internal/menu", "capture/"}, modules: []string{modNet},
		why: "what a capture asks for says which packets it gets; what this machine's own are is handed to it"},
	{name: "internal/daemon/captures/beside",
		imports: []string{"internal/daemon/store", "capture/", "diag/netlink", "diag/ports"},
		modules: []string{modSys},
		why:     "what grows beside a capture is closed, kept and deleted by the captures; who writes it is handed to it"},
	{name: "internal/daemon/captures/outgoing",
		imports: []string{"internal/daemon/captures/notes", "internal/daemon/captures/beside", "internal/access", "internal/menu", "capture/"},
		why:     "which files there are and who had their conversations, the captures tell it"},
	{name: "internal/daemon/captures/dropped",
		imports: []string{"internal/daemon/captures/beside", "internal/menu", "capture/"},
		why:     "what the kernel drops, the engine tells; who had the conversation, a table that it is handed"},
	{name: "internal/daemon/captures/machine", imports: []string{"internal/menu", "capture/"}, modules: []string{modSys},
		why: "what the machine is, the kernel tells; what captures make of it, the captures decide"},
	{name: "internal/daemon/captures/deliveries", imports: []string{"internal/daemon/captures/beside", "internal/daemon/exports", "capture/"}, modules: []string{modSys},
		why: "where files go follows from what a capture asked for; how they get there, the queue knows"},
	{name: "internal/daemon/captures",
		imports: []string{"internal/daemon/store", "internal/daemon/settings", "internal/daemon/audit",
			"internal/daemon/files", "internal/daemon/exports", "internal/daemon/captures/notes",
			"internal/daemon/captures/savedfilters", "internal/daemon/captures/beside",
			"internal/daemon/captures/outgoing", "internal/daemon/captures/management", "internal/daemon/captures/programs",
			"internal/daemon/captures/machine", "internal/daemon/captures/deliveries",
			"internal/access", "internal/menu", "capture/", "diag/dns", "diag/interfaces"}, modules: []string{modNet, modSys},
		tests: []string{"internal/daemon/exports/sending"},
		why:   "it runs the engine for users, keeps what was captured, and hands it to the queue of copies"},
	{name: "internal/daemon/portlog/reporter",
		imports: []string{"internal/menu", "diag/netlink", "diag/ports", "diag/processes", "diag/services", "diag/sockets",
			"diag/system", "diag/users"}, modules: []string{modSys},
		why: "it writes records in another form; which records, and for how long, is decided above it"},
	{name: "internal/daemon/portlog",
		imports: []string{"internal/daemon/store", "internal/daemon/files", "internal/daemon/portlog/reporter",
			"internal/access", "internal/menu", "diag/ports", "diag/ports/records", "diag/services"},
		why: "what happens to sockets, the engine tells it; what of it is wanted, its callers do"},
	{name: "internal/daemon/reports",
		imports: []string{"internal/daemon/store", "internal/daemon/files", "internal/access", "internal/menu"},
		why:     "what a report says, the boundary runs and opens for its caller"},
	{name: "internal/daemon/scenarios",
		imports: []string{"internal/daemon/store", "internal/daemon/files", "internal/daemon/reports", "internal/access",
			"internal/menu", "capture"}, modules: []string{modYaml}, tests: []string{"assets"},
		why: "it begins captures by scenarios and reports on them, through interfaces that it declares"},
	{name: "internal/daemon/operations",
		imports: []string{"internal/daemon/store", "internal/access", "internal/menu", "capture"},
		why:     "it keeps what became of acts on captures; the acts are an interface that it declares"},
	{name: "internal/daemon",
		imports: []string{"internal/daemon/store", "internal/daemon/settings", "internal/daemon/audit",
			"internal/daemon/captures/beside",
			"internal/daemon/directories", "internal/daemon/people", "internal/daemon/commits", "internal/daemon/certificates", "internal/daemon/files",
			"internal/daemon/exports", "internal/daemon/captures", "internal/daemon/captures/beside", "internal/daemon/captures/dropped", "internal/daemon/portlog", "internal/daemon/reports", "internal/daemon/scenarios", "internal/daemon/operations", "internal/daemon/feed",
			"internal/api", "internal/access",
			"internal/config", "internal/netconf", "internal/menu", "capture", "capture/drops", "capture/owners", "diag/names", "diag/ports", "diag/services"},
		modules: []string{modSys},
		tests:   []string{"internal/daemon/exports/sending"},
		why:     "the appliance does not know its commands: main hands the tree to the boundary"},
	{name: "shell", imports: []string{"shell/", "internal/api", "internal/access", "internal/menu"},
		modules: []string{modGoPrompt, modRunewidth, modSys, modXterm},
		why:     "a session can do what the API offers and nothing else"},
	{name: "internal/confine", modules: []string{modLandlock, modSys},
		why: "what it takes from a process depends on nothing that runs there"},
	{name: "internal/spawn", imports: []string{"internal/access"}, modules: []string{modSys},
		why: "it starts processes with fewer rights than the appliance has, whatever asks for them"},
	{name: "internal/hostkeys", modules: []string{modCrypto},
		why: "the keys stay in the process that decides who comes in"},
	{name: "internal/front/gate", imports: []string{"internal/loglimit"},
		why: "what it bounds are connections and requests, whoever makes them"},
	{name: "internal/front", imports: []string{"internal/front/gate", "internal/front/azure", "internal/access", "internal/menu",
		"internal/menu/problem"},
		modules: []string{modCrypto, modSys}, tests: []string{"internal/hostkeys", "internal/spawn"},
		why: "what faces the network holds no privilege: it asks through the connections that main hands it"},
	{name: "internal/licenses", imports: []string{"internal/licenses"},
		why: "it writes what assets embeds"},
	{name: "internal/scaffold",
		why: "it writes the skeleton of a command"},
	{name: "internal/test", imports: []string{"*"}, modules: []string{"*"},
		why: "test benches"},
	{name: "bench", modules: []string{"*"},
		why: "it measures whole processes, ours and others'"},
	{name: "", imports: []string{"*"}, modules: []string{modSystemd, modSys, modXterm}, tests: []string{"*"},
		why: "main joins the parts"},
}

// The modules that rooms name; docs/dependencies.md gives the reason for each of them.
const (
	modAws       = "github.com/aws/aws-sdk-go-v2"
	modAzblob    = "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	modAzcore    = "github.com/Azure/azure-sdk-for-go/sdk/azcore"
	modBer       = "github.com/go-asn1-ber/asn1-ber"
	modCrypto    = "golang.org/x/crypto"
	modDbus      = "github.com/godbus/dbus/v5"
	modDns       = "github.com/miekg/dns"
	modEbpf      = "github.com/cilium/ebpf"
	modEthtool   = "github.com/safchain/ethtool"
	modGoPrompt  = "github.com/c-bata/go-prompt"
	modGopacket  = "github.com/google/gopacket"
	modJose      = "github.com/go-jose/go-jose/v4"
	modLdap      = "github.com/go-ldap/ldap/v3"
	modLandlock  = "github.com/landlock-lsm/go-landlock"
	modNet       = "golang.org/x/net"
	modNetlink   = "github.com/vishvananda/netlink"
	modNftables  = "github.com/google/nftables"
	modOauth2    = "golang.org/x/oauth2"
	modOidc      = "github.com/coreos/go-oidc/v3"
	modRunewidth = "github.com/mattn/go-runewidth"
	modSftp      = "github.com/pkg/sftp"
	modSmithy    = "github.com/aws/smithy-go"
	modSys       = "golang.org/x/sys"
	modSystemd   = "github.com/coreos/go-systemd/v22"
	modXterm     = "golang.org/x/term"
	modYaml      = "go.yaml.in/yaml/v3"
)

// unlinked are modules that a room may not link through other rooms either. A process that faces
// the network or a person parses no packets with other people's code and cannot change a link.
var unlinked = map[string][]string{
	"internal/front": {modGopacket, modNetlink, modNftables, modEthtool, modSystemd, modDbus},
	"shell":          {modGopacket, modNetlink, modNftables, modEthtool, modSystemd, modDbus, modCrypto},
	"commands":       {modCrypto, modSftp, modAzblob, modAws},
	"capture":        {modNetlink, modCrypto},
}

func TestArrows(t *testing.T) {
	house := readHouse(t)
	checkTable(t)
	used := map[string]bool{}
	for _, i := range house {
		from := roomOf(i.folder)
		entry, ok := from.allows(i)
		if !ok {
			t.Errorf("%s imports %s: %q may not, because %s", i.file, i.path, from.name, from.why)
		}
		if !i.test || entry.tests {
			used[from.name+" "+entry.name] = true
		}
	}
	for _, r := range rooms {
		for _, entry := range slices.Concat(r.imports, r.modules, r.tests) {
			if !used[r.name+" "+entry] && entry != "*" {
				t.Errorf("The row of %q allows %s, which nothing there imports", r.name, entry)
			}
		}
	}
	for name, modules := range unlinked {
		for _, module := range modules {
			if chain := house.chain(name, module); chain != nil {
				t.Errorf("%s links %s, by %s", name, module, strings.Join(chain, " -> "))
			}
		}
	}
}

// checkTable reports rows that name nothing, and arrows that do not go down.
func checkTable(t *testing.T) {
	for n, r := range rooms {
		if info, err := os.Stat(filepath.FromSlash(path.Join(".", r.name))); err != nil || !info.IsDir() {
			t.Errorf("A row names the room %q, which is not there", r.name)
		}
		for _, entry := range r.imports {
			if entry == "*" {
				continue
			}
			below := slices.ContainsFunc(rooms[:n+1],
				func(lower room) bool { return lower.name == roomOf(strings.TrimSuffix(entry, "/")).name })
			if !below {
				t.Errorf("The row of %q allows %s, which stands above it: arrows go down", r.name, entry)
			}
		}
	}
}

// An entry is what a row allows an import by.
type entry struct {
	name  string
	tests bool // of the column for tests
}

// allows reports whether the room may have the import, and by which entry of its row.
func (r room) allows(i imported) (entry, bool) {
	if !i.ours {
		if i.test {
			return entry{}, true
		}
		for _, m := range r.modules {
			if m == "*" || i.path == m || strings.HasPrefix(i.path, m+"/") {
				return entry{m, false}, true
			}
		}
		return entry{}, false
	}
	for _, name := range r.imports {
		if covers(name, i.path) {
			return entry{name, false}, true
		}
	}
	if !i.test {
		return entry{}, false
	}
	for _, name := range r.tests {
		if covers(name, i.path) {
			return entry{name, true}, true
		}
	}
	return entry{}, covers("internal/test/", i.path)
}

func covers(entry, target string) bool {
	folder, below := strings.CutSuffix(entry, "/")
	return entry == "*" || target == folder || below && strings.HasPrefix(target, entry)
}

// roomOf returns the room with the longest name that folder is or lies below.
func roomOf(folder string) room {
	found := rooms[len(rooms)-1]
	for _, r := range rooms {
		if (folder == r.name || strings.HasPrefix(folder, r.name+"/")) && len(r.name) > len(found.name) {
			found = r
		}
	}
	return found
}

// An imported is one import of one file.
type imported struct {
	file, folder string
	path         string // without the module's own name
	ours, test   bool
}

type house []imported

// readHouse returns the imports of all files that are not the standard library's.
func readHouse(t *testing.T) house {
	var all house
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			hidden := strings.HasPrefix(d.Name(), ".") && d.Name() != "."
			if hidden || slices.Contains([]string{"testdata", "var", "bin", "third_party"}, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder := strings.TrimPrefix(path.Dir(filepath.ToSlash(file)), ".")
		for _, spec := range parsed.Imports {
			target, _ := strconv.Unquote(spec.Path.Value)
			name, ours := strings.CutPrefix(target, "diagsh/")
			if ours || strings.Contains(strings.Split(target, "/")[0], ".") {
				all = append(all, imported{file, folder, name, ours, strings.HasSuffix(file, "_test.go")})
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// chain returns how a room comes to link a module, package by package; nil if it does not.
func (h house) chain(name, module string) []string {
	from := map[string]string{} // the package that brought each one
	var queue []string
	for _, i := range h {
		if _, known := from[i.folder]; !known && roomOf(i.folder).name == name && !i.test {
			from[i.folder] = ""
			queue = append(queue, i.folder)
		}
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, i := range h {
			if i.folder != at || i.test {
				continue
			}
			if !i.ours && (i.path == module || strings.HasPrefix(i.path, module+"/")) {
				chain := []string{i.path}
				for p := at; p != ""; p = from[p] {
					chain = append(chain, p)
				}
				slices.Reverse(chain)
				return chain
			}
			if _, known := from[i.path]; i.ours && !known {
				from[i.path] = at
				queue = append(queue, i.path)
			}
		}
	}
	return nil
}

const (
	mapFile  = "docs/internals/map.md"
	mapBegin = "<!-- arrows: written by make reference -->\n"
	mapEnd   = "<!-- end of arrows -->\n"
)

// TestArrowsOnPaper holds the table of docs/internals/map.md to the one that the build checks.
func TestArrowsOnPaper(t *testing.T) {
	text, err := os.ReadFile(mapFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), mapBegin)
	got, after, ends := strings.Cut(rest, mapEnd)
	if !begins || !ends {
		t.Fatalf("%s has no place for the arrows", mapFile)
	}
	want := arrowsOnPaper()
	switch {
	case got == want:
	case *update:
		if err := os.WriteFile(mapFile, []byte(before+mapBegin+want+mapEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("The arrows in %s are not those of arch_test.go: run make reference", mapFile)
	}
}

func arrowsOnPaper() string {
	var b strings.Builder
	b.WriteString("| room | imports of ours | other modules | because |\n|---|---|---|---|\n")
	words := func(entries []string) string {
		switch {
		case len(entries) == 0:
			return "-"
		case entries[0] == "*":
			return "everything"
		}
		return "`" + strings.Join(entries, "` `") + "`"
	}
	for _, r := range rooms {
		name := r.name
		if name == "" {
			name = "main"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, words(r.imports), words(r.modules), r.why)
	}
	return b.String()
}

// TestModulesAreNamed fails for a direct requirement of go.mod that no row and no test uses.
func TestModulesAreNamed(t *testing.T) {
	named := map[string]bool{}
	for _, i := range readHouse(t) {
		if !i.ours {
			named[i.path] = true
		}
	}
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(words) < 2 || !strings.HasPrefix(words[1], "v") || strings.Contains(line, "// indirect") {
			continue
		}
		of := func(p string) bool { return p == words[0] || strings.HasPrefix(p, words[0]+"/") }
		if !slices.ContainsFunc(slices.Collect(maps.Keys(named)), of) {
			t.Errorf("go.mod requires %s, which nothing imports", words[0])
		}
	}
}
