package commands_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/crypto/ssh"

	"diagsh/commands"
	"diagsh/internal/menu"
	"diagsh/internal/test/appliance"
	"diagsh/internal/test/netnstest"
	"diagsh/internal/test/transcript"
)

// tree returns the tree of commands, without an appliance: the tests here only read it.
func tree() *menu.Menu { return commands.Tree(nil, commands.Version{}) }

func TestEveryCommandHasATranscript(t *testing.T) { transcript.Cover(t, tree(), ".") }

// What people read about a command comes from its declaration, so every declaration must say
// enough.
func TestEveryCommandIsDeclaredWhole(t *testing.T) {
	tree().Walk(func(path []string, item menu.Item) {
		name := strings.Join(path, " ")
		if fault := faultOf(item.Summary()); fault != "" {
			t.Errorf("%s: its help %s: %q", name, fault, item.Summary())
		}
		c, ok := item.(*menu.Command)
		if !ok {
			return
		}
		if !c.Role.Valid() {
			t.Errorf("%s requires no role", name)
		}
		for _, text := range []string{c.Details, c.Terminal} {
			if text != "" && faultOf(text) != "" {
				t.Errorf("%s: of its details one %s: %q", name, faultOf(text), text)
			}
		}
		for _, p := range c.Params {
			if fault := faultOf(p.Help); fault != "" {
				t.Errorf("%s, %s: its help %s: %q", name, p.Name, fault, p.Help)
			}
			if strings.ToLower(p.Name) != p.Name {
				t.Errorf("%s, %s: a keyword is written in small letters", name, p.Name)
			}
		}
	})
}

// What a command says of itself is read on the page and in the API's description too: how it is at a
// terminal or in a pipe is told apart, in Terminal and by the option stdin.
func TestHelpIsForEveryFace(t *testing.T) {
	ofTerminals := regexp.MustCompile(`Ctrl-|\bstandard (input|output|error)\b|\bterminal\b|\bprompt\b|\bssh HOST\b|\bEnter\b`)
	tree().Walk(func(path []string, item menu.Item) {
		c, ok := item.(*menu.Command)
		if !ok {
			return
		}
		texts := map[string]string{"help": c.Help, "details": c.Details}
		for _, p := range c.Params {
			texts["help of "+p.Name], texts["label of "+p.Name] = p.Help, p.Label
		}
		for what, text := range texts {
			if found := ofTerminals.FindString(text); found != "" {
				t.Errorf("%s: its %s speaks of %q: %s", strings.Join(path, " "), what, found, text)
			}
		}
	})
}

// A path leads to its file by one rule, docs/internals/map.md, "A command".
func TestEveryPathLeadsToItsFile(t *testing.T) {
	tree().Walk(func(path []string, item menu.Item) {
		want := fileOf(path)
		if c, ok := item.(*menu.Command); ok {
			if got := c.File; !strings.HasSuffix(filepath.ToSlash(got), "/commands/"+want) {
				t.Errorf("%s is declared in %s, want commands/%s", strings.Join(path, " > "), got, want)
			}
			return
		}
		source, err := os.ReadFile(want)
		if err != nil {
			t.Errorf("the menu %s: %v", strings.Join(path, " > "), err)
			return
		}
		declaration := regexp.MustCompile(`&menu\.Menu\{\s*Name: +` + strconv.Quote(item.Keyword()))
		if !declaration.Match(source) {
			t.Errorf("commands/%s does not declare the menu %s", want, strings.Join(path, " > "))
		}
	})
}

// fileOf returns the file of a path, from the folder commands on: menu.go of a menu that is a
// folder, otherwise the file named for the first word that is no folder.
func fileOf(path []string) string {
	folder := "."
	for _, word := range path {
		below := filepath.Join(folder, word)
		if info, err := os.Stat(below); err != nil || !info.IsDir() {
			return below + ".go"
		}
		folder = below
	}
	return filepath.Join(folder, "menu.go")
}

// formerMembers are names that members of records had, beside another name for the same thing
// elsewhere.
var formerMembers = map[string]string{
	"began": "startTime", "ended": "endTime", "finished": "finishedTime", "nextTry": "nextTryTime",
	"idleSince": "idleSinceTime",
	"kind":      "type", "kinds": "types", "localIPAddress": "localAddress", "remoteIPAddress": "remoteAddress",
	"foreignAddress": "remoteAddress", "foreignPort": "remotePort",
}

// One thing has one name in the records of all commands, and the keyword of an argument is the name
// of the member that it sets.
func TestOneNameForOneThing(t *testing.T) {
	word := regexp.MustCompile(`\w+`)
	tree().Walk(func(path []string, item menu.Item) {
		c, ok := item.(*menu.Command)
		if !ok {
			return
		}
		for _, member := range word.FindAllString(strings.Join(c.Members, " "), -1) {
			if now := formerMembers[member]; now != "" {
				t.Errorf("%s has the member %s, which is called %s", strings.Join(path, " "), member, now)
			}
		}
	})
	for line, keyword := range map[string]string{
		"diagnostic raid verify array": "name", "diagnostic raid cancel array": "name",
		"diagnostic services status service":  "name",
		"diagnostic services restart service": "name", "filter build mac": "ethernetaddress",
		"filter build interface": "captureinterface", "diagnostic network routeget from": "source",
	} {
		words := strings.Fields(line)
		former := words[len(words)-1]
		c := tree().Find(words[:len(words)-1]).(*menu.Command)
		if !slices.ContainsFunc(c.Params, func(p menu.Param) bool { return p.Name == keyword && p.Called(former) }) {
			t.Errorf("%s is no longer another word for %s", line, keyword)
		}
	}
}

// faultOf returns what is wrong with a sentence for users, or "".
func faultOf(sentence string) string {
	switch {
	case sentence == "":
		return "is missing"
	case !unicode.IsUpper([]rune(sentence)[0]):
		return "does not begin with a capital letter"
	case !strings.HasSuffix(sentence, "."):
		return "does not end with a full stop"
	}
	return ""
}

// Tab offers all that can be typed: in a menu its verbs, after a command its arguments. The
// state is one in which every verb can work: a capture runs, another has ended, a user is locked,
// there is a VLAN. Of two verbs of which only one can work at a time, the second is offered when
// the first was used.
func TestTabOffersEverything(t *testing.T) {
	network := netnstest.New(t)
	network.Veth(t, "eth0", "eth1")
	a := appliance.Start(t, appliance.Options{Network: network, Config: "login:\n  lockAfter: 1\n"})
	if r := a.Local("packetcapture start ended interface lo operation begun; packetcapture stop ended; packetcapture start running " +
		"interface lo; " +
		"diagnostic reporting new; packetcapture target new vault url https://127.0.0.1:1/; packetcapture export ended target vault; " +
		"packetcapture target new cellar manifest no url https://127.0.0.1:1/; packetcapture export ended target cellar; packetcapture copies pause cellar ended"); r.Status != 0 {
		t.Fatalf("the captures: %+v", r)
	}
	if _, err := a.LoginBy("ro", ssh.Password("wrong")); err == nil {
		t.Fatal("a wrong password logged in")
	}
	found := func(at []string, line string) menu.Completion {
		request, _ := json.Marshal(map[string]any{"at": at, "line": line, "abbreviate": true})
		status, body := a.API("", "POST", "/v1/complete", string(request))
		var c menu.Completion
		if err := json.Unmarshal([]byte(body), &c); status != http.StatusOK || err != nil {
			t.Fatalf("complete %q: %d %v", line, status, err)
		}
		return c
	}
	missing := map[string]int{}
	offered := func(at []string, line string, word string) {
		for _, c := range found(at, line).Candidates {
			if c.Text == word {
				return
			}
		}
		missing[fmt.Sprintf("in the menu %v, Tab behind %q does not offer %s", at, line, word)]++
	}
	states := []string{"etherconfig vlan new 34 interface eth0",
		"etherconfig loopback enable 192.0.2.1; etherconfig multicast reject; certificate request; portlog start"}
	for _, line := range states {
		if r := a.Local(line); r.Status != 0 {
			t.Fatalf("%s: %+v", line, r)
		}
		offerAll(offered)
	}
	for what, times := range missing {
		if times == len(states) {
			t.Error(what)
		}
	}
}

// offerAll goes through everything that can be typed.
func offerAll(offered func(at []string, line string, word string)) {
	tree().Walk(func(path []string, item menu.Item) {
		if m, ok := item.(*menu.Menu); ok && m.Hidden != nil && m.Hidden(context.Background()) {
			return // this machine has nothing for it
		}
		above, name := path[:len(path)-1], path[len(path)-1]
		for _, line := range []string{"", name[:1], strings.ToUpper(name)} {
			offered(above, line, name)
		}
		whole := strings.Join(path, " ")
		offered(nil, whole, name)
		for _, p := range paramsOf(item) {
			begun := p.Name[:1]
			if slices.ContainsFunc(paramsOf(item), func(p menu.Param) bool { return p.Main && p.Assisted }) {
				begun = "" // what is begun there is the main value, which has its own completion
			}
			offered(nil, whole+" "+begun, p.Name)
			for _, choice := range p.Choices {
				offered(nil, whole+" "+p.Name+" ", choice)
			}
		}
	})
}

func paramsOf(item menu.Item) []menu.Param {
	if c, ok := item.(*menu.Command); ok {
		return c.Params
	}
	return nil
}

// Every command that lets its caller choose where its packets come from sends some. nslookup asks
// from anywhere, and routeget only asks the kernel.
func TestSenders(t *testing.T) {
	found := []string{"nslookup"}
	tree().Walk(func(path []string, item menu.Item) {
		c, ok := item.(*menu.Command)
		if ok && c.Name != "routeget" && slices.ContainsFunc(c.Params, func(p menu.Param) bool { return p.Name == "source" }) {
			for _, name := range append([]string{c.Name}, c.Aliases...) {
				found = append(found, strings.Join(append(path[:len(path)-1:len(path)-1], name), " "))
			}
		}
	})
	slices.Sort(found)
	if !slices.Equal(found, commands.Senders) {
		t.Errorf("these send packets: %q; listed are %q", found, commands.Senders)
	}
}
