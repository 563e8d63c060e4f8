package appliance_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"diagsh/commands"
	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/appliance"
)

// refusalSentence is what a role is told, in every form.
func refusalSentence(role, required menu.Role) string {
	return fmt.Sprintf("The role %s may not do this. It needs the role %s.", role, required)
}

// Every command, every role, every way in: what the declaration refuses is refused, alike, and
// leaves a line in the audit log; what it allows is not refused.
func TestRoles(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	tree := a.Tree()
	for _, role := range menu.Roles() {
		t.Run(string(role), func(t *testing.T) {
			t.Parallel()
			rolesOf(t, a, tree, role)
		})
	}
}

func rolesOf(t *testing.T, a *appliance.Appliance, tree []menu.Node, role menu.Role) {
	user := appliance.User(role)
	term := a.Terminal(user, 200, 50)
	page, program, token := a.Web(user), a.HTTPS(), tokenOf(t, a, user)
	program.Header.Set("Authorization", "Bearer "+token.Secret)
	for _, node := range tree {
		if role.Includes(node.Role) {
			allowedResources(t, a, user, node)
			if node.Kind == "command" && node.Output != "bytes" { // which ends only when told to
				allowed(t, a, user, node)
			}
			continue
		}
		before := refusals(a, user, node.Path)
		ways := 1
		refusedAtPrompt(t, term, role, node)
		if node.Kind == "command" {
			ways = 5
			refusedAsLine(t, a, user, role, node)
			refusedByAPI(t, a, user, role, node)
			refusedByHTTPS(t, page, "the page", role, node)
			refusedByHTTPS(t, program, "a token", role, node)
			if last := lastRefusal(a, user); last.Token != token.ID || last.Session == "" {
				t.Errorf("%s, %s: the refusal of a token is in the audit log as %+v", user, node.Path, last)
			}
			ways += refusedResources(t, a, user, node)
		}
		if got := refusals(a, user, node.Path) - before; got != ways {
			t.Errorf("%s, %s: %d refusals left %d lines in the audit log", user, node.Path, ways, got)
		}
	}
}

func refusedAtPrompt(t *testing.T, term *appliance.Terminal, role menu.Role, node menu.Node) {
	t.Helper()
	if got := term.Says("mx1> ", node.Path); got != refusalSentence(role, node.Role) {
		t.Errorf("%s typed by %s shows:\n%s", node.Path, role, got)
	}
}

func refusedAsLine(t *testing.T, a *appliance.Appliance, user string, role menu.Role, node menu.Node) {
	t.Helper()
	want := appliance.Result{Err: "diagsh: " + refusalSentence(role, node.Role) + "\n", Status: int(menu.Denied)}
	if got := a.SSH(user, node.Path); got != want {
		t.Errorf("%s as a line of %s: %+v", node.Path, user, got)
	}
}

func refusedByAPI(t *testing.T, a *appliance.Appliance, user string, role menu.Role, node menu.Node) {
	t.Helper()
	status, body := a.API(user, http.MethodPost, "/v1/run/"+strings.ReplaceAll(node.Path, " ", "/"), "{}")
	if status != http.StatusForbidden || !strings.Contains(body, `"exit":3`) {
		t.Errorf("%s by the API for %s: %d %s", node.Path, user, status, body)
	}
}

// A newToken is a token that an account has just made.
type newToken struct {
	ID     string `json:"token"`
	Secret string `json:"secret"`
}

func tokenOf(t *testing.T, a *appliance.Appliance, user string) (made newToken) {
	t.Helper()
	if r := a.Web(user).Run("token new", map[string]string{"name": "roles"}); r.JSON(&made) != nil || made.Secret == "" {
		t.Fatalf("a token of %s: %d %s", user, r.Status, r.Body)
	}
	return made
}

func refusedByHTTPS(t *testing.T, w *appliance.Web, face string, role menu.Role, node menu.Node) {
	t.Helper()
	r := w.Run(node.Path, nil)
	if r.Status != http.StatusForbidden || !strings.Contains(string(r.Body), `"kind":"denied"`) {
		t.Errorf("%s by %s for %s: %d %s", node.Path, face, role, r.Status, r.Body)
	}
}

// resources are those of each command, by its path.
var resources = sync.OnceValue(func() map[string][]menu.Resource {
	of := map[string][]menu.Resource{}
	for _, node := range commands.Tree(nil, commands.Version{}).Nodes() {
		of[node.Path] = node.Resources
	}
	return of
})

// pathOf is a path of a resource: what it names is called 1, which is a name and a number.
func pathOf(r menu.Resource) string {
	return "/v1/" + regexp.MustCompile(`\{[A-Za-z]+\}`).ReplaceAllString(r.Path, "1")
}

// refusedResources asks for the resources of a command that is refused, and returns their number.
func refusedResources(t *testing.T, a *appliance.Appliance, user string, node menu.Node) int {
	t.Helper()
	for _, r := range resources()[node.Path] {
		if status, body := a.API(user, r.Method, pathOf(r), ""); status != http.StatusForbidden || !strings.Contains(body, `"kind":"denied"`) {
			t.Errorf("%s %s for %s: %d %s", r.Method, pathOf(r), user, status, body)
		}
	}
	return len(resources()[node.Path])
}

// allowedResources reads the resources of a command that is allowed: there may be no such thing, or
// arguments may be missing, but none may be refused. What is a stream is left to allowed.
func allowedResources(t *testing.T, a *appliance.Appliance, user string, node menu.Node) {
	t.Helper()
	for _, r := range resources()[node.Path] {
		if r.Method != http.MethodGet || node.Output == menu.Stream.String() || node.Output == menu.Bytes.String() {
			continue
		}
		if status, body := a.API(user, r.Method, pathOf(r), ""); status == http.StatusForbidden || status >= 500 {
			t.Errorf("%s %s for %s: %d %s", r.Method, pathOf(r), user, status, body)
		}
	}
}

// lastRefusal is the newest line of the audit log that says that a user was refused something.
func lastRefusal(a *appliance.Appliance, user string) (last access.Event) {
	for _, e := range a.Audit() {
		if e.Act == access.ActRefused && e.User == user {
			last = e
		}
	}
	return last
}

// allowed runs a command without arguments. Some want arguments, some cannot work in this state;
// none may be refused. One that runs until it is interrupted is only asked what it wants to know.
func allowed(t *testing.T, a *appliance.Appliance, user string, node menu.Node) {
	t.Helper()
	if node.Output == menu.Stream.String() {
		if status, body := a.API(user, http.MethodPost, "/v1/ask/"+strings.ReplaceAll(node.Path, " ", "/"), `{"mode":0}`); status == http.StatusForbidden {
			t.Errorf("%s by the API for %s is refused: %s", node.Path, user, body)
		}
		return
	}
	if r := a.SSH(user, node.Path); r.Status == int(menu.Denied) {
		t.Errorf("%s as a line of %s is refused: %+v", node.Path, user, r)
	}
	status, body := a.API(user, http.MethodPost, "/v1/run/"+strings.ReplaceAll(node.Path, " ", "/"), "{}")
	if status == http.StatusForbidden {
		t.Errorf("%s by the API for %s is refused: %s", node.Path, user, body)
	}
}

// refusals counts the lines of the audit log that say that a user was refused an item.
func refusals(a *appliance.Appliance, user, path string) (n int) {
	for _, e := range a.Audit() {
		if e.Act == access.ActRefused && e.User == user && e.Path == path && e.Exit == int(menu.Denied) {
			n++
		}
	}
	return n
}

// A role that is taken away is gone at once, in sessions that are open too.
func TestRoleTakenAway(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	term := a.Terminal("op", 100, 40)
	if got := term.Says("mx1> ", "packetcapture start x interface lo"); !strings.Contains(got, "started") {
		t.Fatalf("an operator cannot start a capture:\n%s", got)
	}
	if r := a.SSH("admin", "userconfig role op role readonly"); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	if got, want := term.Says("mx1> ", "packetcapture stop x"), refusalSentence(menu.ReadOnly, menu.Operator); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if r := a.SSH("admin", "userconfig delete op confirm yes"); r.Status != 0 {
		t.Fatalf("%+v", r)
	}
	if status := term.Ended(); status != 1 {
		t.Errorf("the session of a deleted user ended with status %d", status)
	}
	if !strings.Contains(term.All(), "The appliance has ended the session.") {
		t.Errorf("the session of a deleted user ended without a word:\n%s", term.All())
	}
}

// Who is in by a key that is removed is out, and the answer says so.
func TestKeyTakenAway(t *testing.T) {
	t.Parallel()
	a := start(t, appliance.Options{})
	term := a.Terminal("op", 100, 40)
	term.Prompted("mx1> ")
	fingerprint := ssh.FingerprintSHA256(appliance.Key("op").PublicKey())
	r := a.SSH("admin", "userconfig key op action delete key "+fingerprint)
	if r.Status != 0 || !strings.HasSuffix(r.Out, "\n1 login of op was ended.\n") {
		t.Errorf("the answer is %+v", r)
	}
	if status := term.Ended(); status != 1 || !strings.Contains(term.All(), "The appliance has ended the session.") {
		t.Errorf("the session ended with status %d:\n%s", status, term.All())
	}
	// Whoever removes the key by which they are in stays in.
	fingerprint = ssh.FingerprintSHA256(appliance.Key("admin").PublicKey())
	second := a.Terminal("admin", 100, 40)
	second.Prompted("mx1> ")
	r = a.SSH("admin", "userconfig key admin action delete key "+fingerprint+" --json")
	if r.Status != 0 || !strings.HasSuffix(r.Out, "\"loginsEnded\":1}\n") {
		t.Errorf("the answer is %+v", r)
	}
	second.Ended()
	if r := a.SSH("admin", "whoami"); r.Status != 0 {
		t.Errorf("the login that removed its key is told %+v", r)
	}
}
