package directories

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/menu"
	"diagsh/internal/test/signin"
)

// open opens directories that log to the test.
func open(t *testing.T, s settings.SignIn) *Directories {
	t.Helper()
	return Open(Options{SignIn: s, Hostname: func() string { return "mx1" }, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const groups = "ou=groups,dc=example,dc=net"

// searching is how a directory is asked by somebody who searches.
func searching(t *testing.T, ca *signin.CA, servers ...string) settings.LDAP {
	return settings.LDAP{
		Server: settings.Server{Timeout: 5 * time.Second, CA: read(t, ca.File), Secret: "searcher", Roles: settings.Roles{
			"CN=netops, " + groups: menu.Operator, "cn=viewers," + groups: menu.ReadOnly}},
		Servers: servers, BindDN: "cn=searcher,dc=example,dc=net", Base: "ou=people,dc=example,dc=net",
		Filter: "(&(objectClass=person)(uid={user}))", GroupAttribute: "memberOf", NameAttribute: "cn",
		GroupBase: groups, GroupFilter: "(member={dn})", Recheck: time.Minute,
	}
}

// An outcome is what comes of a question: a role, or a part of the reason.
type outcome struct {
	role       menu.Role
	reason     string
	unanswered bool
	noRole     bool
}

func asked(t *testing.T, d *Directories, user, password string, want outcome) access.Person {
	t.Helper()
	p, err := d.AskPerson(t.Context(), user, menu.Secret(password), "192.0.2.1")
	if got := outcomeOf(t, p, err, want); got != want {
		t.Errorf("%s with %q: %+v; want %+v", user, password, got, want)
	}
	return p
}

// outcomeOf returns what came of a question, with the reason that is wanted if the whole one has it.
func outcomeOf(t *testing.T, p access.Person, err error, want outcome) outcome {
	t.Helper()
	refused, ok := errors.AsType[*access.SignInError](err)
	switch {
	case err == nil:
		return outcome{role: p.Role}
	case !ok:
		t.Fatal(err)
	}
	got := outcome{"", refused.Reason, refused.Unanswered, refused.NoRole}
	if want.reason != "" && strings.Contains(got.reason, want.reason) {
		got.reason = want.reason
	}
	return got
}

// A real directory, by LDAPS and by StartTLS, by search and bind and by bind alone.
func TestLDAP(t *testing.T) {
	ca := signin.NewCA(t)
	server := signin.NewDirectory(t, ca)
	direct := searching(t, ca, server.LDAPS)
	direct.BindDN, direct.Base, direct.Filter, direct.Secret = "", "", "", ""
	direct.UserDN = "uid={user},ou=people,dc=example,dc=net"
	direct.GroupBase = "" // who binds as a user may not search groups in this directory
	direct.GroupAttribute, direct.Roles = "objectClass", settings.Roles{"inetOrgPerson": menu.Operator}
	for name, c := range map[string]settings.LDAP{
		"LDAPS": searching(t, ca, server.LDAPS), "StartTLS": searching(t, ca, server.LDAP), "bind": direct,
		"the second server": searching(t, ca, "ldaps://localhost:1", server.LDAPS),
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, settings.SignIn{LDAP: c})
			p := asked(t, d, "jane", "jane-secret", outcome{role: menu.Operator})
			if p.FullName != "jane of Example" || p.Method != access.LDAP || p.ID != "uid=jane,ou=people,dc=example,dc=net" || len(p.Groups) != 1 {
				t.Errorf("jane is %+v", p)
			}
			asked(t, d, "jane", "wrong", outcome{reason: "Invalid Credentials"})
			asked(t, d, "jane", "", outcome{reason: "the password is empty"})
			if c.BindDN == "" {
				asked(t, d, "nobody", "x", outcome{reason: "Invalid Credentials"})
				return
			}
			asked(t, d, "rita", "rita-secret", outcome{role: menu.ReadOnly})
			asked(t, d, "otto", "otto-secret", outcome{reason: "none of the groups has a role: cn=cooks," + groups, noRole: true})
			// Without the password nothing is told of groups.
			asked(t, d, "otto", "wrong", outcome{reason: "Invalid Credentials"})
			asked(t, d, "admin", "admin-secret", outcome{reason: "in no group", noRole: true})
			asked(t, d, "nobody", "x", outcome{reason: "there is no such user"})
			asked(t, d, "twin", "twin-secret", outcome{reason: "several users"})
			// A name cannot change the question.
			for _, name := range []string{"*", "jane)(uid=*", "j*", "jane,ou=people", `\2a`} {
				asked(t, d, name, "jane-secret", outcome{reason: "there is no such user"})
			}
		})
	}
}

// Servers that must not be believed, or do not answer: nothing is found out about the password.
func TestLDAPThatCannotBeBelieved(t *testing.T) {
	ca := signin.NewCA(t)
	server := signin.NewDirectory(t, ca)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	port := func(url string) string { return url[strings.LastIndex(url, ":"):] }
	other := searching(t, signin.NewCA(t), server.LDAPS)
	starting := searching(t, signin.NewCA(t), server.LDAP)
	machine := searching(t, ca, server.LDAPS)
	machine.CA = nil
	noCA := searching(t, ca, server.LDAPS)
	noCA.CA = []byte("no certificate")
	name := searching(t, ca, "ldaps://127.0.0.1"+port(server.LDAPS))
	secret := searching(t, ca, server.LDAPS)
	secret.Secret = "wrong"
	slow := searching(t, ca, "ldaps://"+silent.Addr().String(), "ldap://"+silent.Addr().String())
	slow.Timeout = 100 * time.Millisecond
	off := searching(t, ca, server.LDAPS)
	off.Off = "the caFile cannot be read"
	for what, c := range map[string]struct {
		settings.LDAP
		reason string
	}{
		"by another CA":             {other, "certificate signed by unknown authority"},
		"by another CA, StartTLS":   {starting, "certificate signed by unknown authority"},
		"by no CA of the machine":   {machine, "certificate signed by unknown authority"},
		"with a CA that is none":    {noCA, "no certificate in PEM"},
		"under another name":        {name, "doesn't contain any IP SANs"},
		"that refuses the searcher": {secret, "the bind as cn=searcher,dc=example,dc=net failed"},
		"that is away":              {searching(t, ca, "ldaps://localhost:1"), "connection refused"},
		"that says nothing":         {slow, "timeout"},
		"without its file":          {off, "the caFile cannot be read"},
		"without TLS on its port":   {searching(t, ca, "ldaps://localhost"+port(server.LDAP)), "no server can be used"},
	} {
		began := time.Now()
		asked(t, open(t, settings.SignIn{LDAP: c.LDAP}), "jane", "jane-secret", outcome{reason: c.reason, unanswered: true})
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("a server %s took %v", what, took)
		}
	}
}

// A server that sends what it likes ends the question within its bounds, and breaks nothing.
func TestHostileLDAP(t *testing.T) {
	ca := signin.NewCA(t)
	for what, bytes := range map[string]string{
		"a message of 2 GB":   "\x30\x84\x7f\xff\xff\xff",
		"an endless message":  "\x30\x80" + strings.Repeat("\x04\x7e"+strings.Repeat("x", 126), 40000),
		"no BER":              "HTTP/1.1 400 Bad Request\r\n\r\n",
		"an empty message":    "\x30\x00",
		"one without an act":  "\x30\x03\x02\x01\x01",
		"one of strange form": "\x30\x05\x02\x01\x01\x61\x00",
		"nested deeply":       strings.Repeat("\x30\x80", 5000),
	} {
		address := signin.Answer(t, ca, []byte(bytes))
		c := searching(t, ca, "ldaps://"+address)
		c.Timeout = 2 * time.Second
		p, err := open(t, settings.SignIn{LDAP: c}).AskPerson(t.Context(), "jane", "jane-secret", "192.0.2.1")
		if refused, ok := errors.AsType[*access.SignInError](err); !ok || !refused.Unanswered {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
	}
}

// Roles are asked again without the password, and what has changed is told.
func TestRenewByLDAP(t *testing.T) {
	ca := signin.NewCA(t)
	server := signin.NewDirectory(t, ca)
	d := open(t, settings.SignIn{LDAP: searching(t, ca, server.LDAPS)})
	p := asked(t, d, "jane", "jane-secret", outcome{role: menu.Operator})
	renewed := func(role menu.Role, reason string, unanswered bool) {
		t.Helper()
		now, err := d.RenewPerson(t.Context(), p)
		refused, isRefusal := errors.AsType[*access.SignInError](err)
		if isRefusal != (reason != "") || !isRefusal && (err != nil || now.Role != role) ||
			isRefusal && (!strings.Contains(refused.Reason, reason) || refused.Unanswered != unanswered) {
			t.Errorf("asked again: %+v, %v; want %s %s", now, err, role, reason)
		}
	}
	renewed(menu.Operator, "", false)
	server.SetMembers("viewers", "jane")
	server.SetMembers("netops", "rita")
	renewed(menu.ReadOnly, "", false)
	server.SetMembers("viewers", "rita")
	renewed("", "none of the groups has a role", false)
	server.Remove("jane")
	renewed("", "there is no such user", false)
	server.Stop()
	renewed("", "connection refused", true)
}

// A dry run says each step, and needs no password to say who a user is.
func TestSignInTest(t *testing.T) {
	ca := signin.NewCA(t)
	server := signin.NewDirectory(t, ca)
	d := open(t, settings.SignIn{LDAP: searching(t, ca, server.LDAP)})
	for _, c := range []struct {
		user, password, result, step string
		role                         menu.Role
	}{
		{"jane", "", "ok", "certificate of CN=localhost", menu.Operator},
		{"Jane", "jane-secret", "ok", "the password is that of uid=jane", menu.Operator},
		{"jane", "wrong", "the bind as uid=jane", "found uid=jane", ""},
		{"otto", "", "none of the groups has a role", "in 1 groups: cn=cooks", ""},
	} {
		got, err := d.TestSignIn(t.Context(), access.LDAP, c.user, menu.Secret(c.password))
		if err != nil || !strings.HasPrefix(got.Result, c.result) || got.Role != c.role || !strings.Contains(strings.Join(got.Steps, "\n"), c.step) {
			t.Errorf("%s: %+v, %v", c.user, got, err)
		}
		if c.role != "" && (len(got.Groups) != 1 || got.Groups[0].Role != c.role) {
			t.Errorf("%s is in %+v", c.user, got.Groups)
		}
	}
	for _, c := range []struct{ method, user string }{{access.RADIUS, "jane"}, {access.LDAP, ""}} {
		if _, err := d.TestSignIn(t.Context(), c.method, c.user, "x"); err == nil {
			t.Errorf("a test of %s about %q", c.method, c.user)
		}
	}
}
