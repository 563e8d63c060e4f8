// Package transcript plays the golden transcripts that stand beside the commands and compares what
// comes with what stands there.
//
// A transcript is a txtar file. Its sections are played in their order on one appliance, which has
// the accounts of package appliance and two quiet interfaces, eth0 and eth1, each the far end of
// the other. There are two kinds:
//
//	-- dialogue as op --
//	mx1> packetcapture
//	...
//	[]> start
//	...
//	[]>
//
// A dialogue is the screen as a person sees it, and drives itself: what stands behind a prompt is
// typed. Special keys are written ^C, ^D, <Tab>, <?>, <Up>; a secret, which is not shown, as
// `Password> <secret correct horse>`. Where the keys make another line than they are, " => " and
// that line follow; where <Tab> or <?> show a list, the line goes on below it without Enter. A bare
// prompt is Enter alone, except at the end, where nothing more is typed. Output above the first
// prompt is left out unless the section begins with it. If the session ends, the last line is `=
// status`. The heading may name a window: `-- dialogue as op in 40x10 --`; it is 132x200 otherwise.
//
//	-- line as ro --
//	$ packetcapture start
//	! diagsh: The role readonly may not do this. It needs the role operator.
//	= 3
//
// A line is the one-line form over SSH: `$ LINE`, what came on standard output, `! ` and what came
// on standard error, `= ` and the exit status. Any number of them may follow each other. `as root`
// is diagsh -c on the machine itself.
//
// Two kinds of section come before the appliance starts, wherever they stand: `-- network --` has
// lines for `ip -batch`, and `-- names --` the records of a zone, which a name server of the
// network then answers from; other names do not exist.
//
// `-- packets as UDP 3 --` is no section but puts three frames on eth1, which arrive at eth0: UDP
// from 192.0.2.1 to 192.0.2.2, port 9.
//
// What differs from run to run is replaced by its name: <time>, <session>, ... (normal.go). The
// rows of a menu stand in the transcript of that menu alone, menu.txtar; elsewhere <menu> stands
// for them (menus.go). `go test ./commands/... -update` writes what came into the files, and never
// changes what is typed.
package transcript

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"diagsh/internal/test/appliance"
	"diagsh/internal/test/nameserver"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/systemdtest"
)

var update = flag.Bool("update", false, "write what came into the transcripts")

// A section of a transcript.
type section struct {
	kind          string // dialogue, line, or what it makes
	user          string
	width, height int
	packets       int // frames to send; else 0
	lines         []string
}

// The kinds of section that make the surroundings of the appliance.
const (
	networkKind = "network"
	namesKind   = "names"
)

// parseSection reads a heading and splits the text.
func parseSection(f txtar.File) (section, error) {
	s := section{width: 132, height: 200, lines: strings.Split(strings.TrimRight(string(f.Data), "\n"), "\n")}
	if len(s.lines) == 1 && s.lines[0] == "" {
		s.lines = nil
	}
	if s.kind = f.Name; s.kind == networkKind || s.kind == namesKind {
		return s, nil
	}
	words := strings.Fields(f.Name)
	if _, err := fmt.Sscanf(f.Name, "packets as UDP %d", &s.packets); err == nil {
		return s, nil
	}
	if len(words) < 3 || words[1] != "as" || words[0] != "dialogue" && words[0] != "line" {
		return s, fmt.Errorf("the heading %q is neither `dialogue as USER` nor `line as USER`", f.Name)
	}
	s.kind, s.user = words[0], words[2]
	if len(words) > 3 {
		if n, err := fmt.Sscanf(strings.Join(words[3:], " "), "in %dx%d", &s.width, &s.height); n != 2 || err != nil {
			return s, fmt.Errorf("the heading %q has a window that is not such as `in 80x24`", f.Name)
		}
	}
	return s, nil
}

// A Scene is what a transcript needs around its appliance.
type Scene struct {
	// Files are what the appliance finds instead of those of this machine.
	Files map[string]string
	// Captures are capture files, by their paths, that lie in the diagnostic directory.
	Captures []string
	// Systemd starts a real one, which the appliance takes for this machine's.
	Systemd bool
	// Setup puts others into the network before the appliance is started.
	Setup func(t testing.TB, network *netnstest.Namespace)
	// Config returns lines of the configuration file, after Setup. May be nil.
	Config func(t testing.TB, network *netnstest.Namespace) string
}

// Run plays the transcripts of a folder, each on an appliance of its own. Scenes are by the name of
// a transcript without its ending; the one of the empty name is for those that have none.
func Run(t *testing.T, folder string, scenes ...map[string]Scene) {
	t.Helper()
	scene := map[string]Scene{}
	for _, s := range scenes {
		maps.Copy(scene, s)
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s has no transcripts (%v)", folder, err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			its, ok := scene[name]
			if !ok {
				its = scene[""]
			}
			play(t, path, its)
		})
	}
}

// play plays one transcript.
func play(t *testing.T, path string, scene Scene) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	archive := txtar.Parse(text)
	network := netnstest.New(t)
	network.Veth(t, "eth0", "eth1")
	if scene.Setup != nil {
		scene.Setup(t, network)
	}
	scene.make(t, archive, network)
	options := appliance.Options{Network: network, Files: scene.Files, SSHOnly: true}
	if scene.Config != nil {
		options.Config = scene.Config(t, network)
	}
	if scene.Systemd {
		options.Bus = systemdtest.Boot(t).Bus
	}
	p := &player{t: t, appliance: appliance.Start(t, options)}
	for _, path := range scene.Captures {
		p.giveFile(path)
	}
	p.normal = newNormal(p.appliance)
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	p.menus = newMenus(p.appliance.Tree(), folder, strings.TrimSuffix(filepath.Base(path), ".txtar"))
	for i, f := range archive.Files {
		s, err := parseSection(f)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if s.kind == networkKind || s.kind == namesKind {
			continue
		}
		if s.packets > 0 {
			appliance.Send(t, network, "eth1", s.packets)
			continue
		}
		var got []string
		if s.kind == "line" {
			got = p.playLines(s)
		} else {
			got = p.playDialogue(s)
		}
		archive.Files[i].Data = []byte(joinLines(got))
		if !*update {
			compare(t, fmt.Sprintf("%s, section %d (%s)", path, i+1, f.Name), s.lines, got)
		}
	}
	if now := txtar.Format(archive); *update && !t.Failed() && !bytes.Equal(now, text) {
		if err := os.WriteFile(path, now, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// giveFile copies a capture file into the appliance's diagnostic directory.
func (p *player) giveFile(path string) {
	content, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(filepath.Join(p.appliance.Data, "diagnostic", filepath.Base(path)), content, 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// make does what the sections network and names of a transcript say.
func (scene *Scene) make(t *testing.T, archive *txtar.Archive, network *netnstest.Namespace) {
	for _, f := range archive.Files {
		switch f.Name {
		case networkKind:
			ip := exec.Command(netnstest.Tool(t, "ip"), "-batch", "-")
			ip.Stdin = bytes.NewReader(f.Data)
			network.Do(t, func() {
				if out, err := ip.CombinedOutput(); err != nil {
					t.Fatalf("the section network: %v: %s", err, out)
				}
			})
		case namesKind:
			nameserver.Start(t, network, strings.Split(strings.TrimSpace(string(f.Data)), "\n")...)
			scene.Files = maps.Clone(scene.Files)
			if scene.Files == nil {
				scene.Files = map[string]string{}
			}
			scene.Files["/etc/resolv.conf"], scene.Files["/etc/hosts"] = nameserver.ResolvConf, "127.0.0.1 localhost\n"
		}
	}
}

func joinLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

// A player plays sections on one appliance.
type player struct {
	t         *testing.T
	appliance *appliance.Appliance
	normal    normal
	menus     menus
}

// compare reports the lines that differ, with a few around them that do not.
func compare(t *testing.T, where string, want, got []string) {
	t.Helper()
	trimmed := make([]string, len(want))
	for i, line := range want {
		trimmed[i] = strings.TrimRight(line, " ")
	}
	if joinLines(trimmed) != joinLines(got) {
		t.Errorf("%s is not as written (- is written, + came; -update writes what came):\n%s", where, diff(trimmed, got))
	}
}

// diff lists two texts as one, by their longest common subsequence of lines.
func diff(a, b []string) string {
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out strings.Builder
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			fmt.Fprintf(&out, "  %s\n", a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			fmt.Fprintf(&out, "- %s\n", a[i])
			i++
		default:
			fmt.Fprintf(&out, "+ %s\n", b[j])
			j++
		}
	}
	return out.String()
}
