// Package directories asks servers about people who have no account here: directories (LDAP),
// RADIUS servers, a provider of OpenID Connect. What a server says decides their role, by a table of
// groups.
//
// A server is believed as far as TLS or a shared secret proves it, and may still be hostile: how
// long each answer may take and how large it may be is bounded, and what it says of groups counts by
// the table alone.
package directories

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"diagsh/internal/access"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/menu"
)

// maxGroups bounds how many groups of a person are looked at.
const maxGroups = 1000

// Options are what Directories are opened with.
type Options struct {
	SignIn   settings.SignIn
	Hostname func() string // of the appliance, for RADIUS
	Log      *slog.Logger
}

// Directories are the servers that are configured. Their methods may be called from any goroutine.
type Directories struct {
	signIn    settings.SignIn
	log       *slog.Logger
	passwords []passwordServer
	provider  *provider // nil: none
}

// A passwordServer checks passwords.
type passwordServer interface {
	method() string

	// ask returns who a user is. The error is a *refusal.
	ask(ctx context.Context, q question) (access.Person, error)

	// renew returns who a person is now, without a password.
	renew(ctx context.Context, p access.Person, q question) (access.Person, error)
}

// A question is about one user.
type question struct {
	user     string
	password menu.Secret
	source   string // the address that the user comes from
	unproved bool   // in a test: without a password, nothing is proved
	note     func(format string, args ...any)
}

// Open reads the certificates of the servers. It asks none of them.
func Open(o Options) *Directories {
	d := &Directories{signIn: o.SignIn, log: o.Log}
	if l := o.SignIn.LDAP; len(l.Servers) > 0 {
		d.passwords = append(d.passwords, newLDAP(l))
	}
	if r := o.SignIn.RADIUS; len(r.Servers) > 0 {
		d.passwords = append(d.passwords, &radiusServer{c: r, hostname: o.Hostname})
	}
	if o.SignIn.OIDC.Issuer != "" {
		d.provider = newProvider(o.SignIn.OIDC)
	}
	return d
}

// Close ends nothing: each question ends by itself.
func (d *Directories) Close(context.Context) error { return nil }

// A refusal is why a server does not let somebody in.
type refusal struct {
	kind   refusalKind
	reason string
}

type refusalKind int

const (
	wrong      refusalKind = iota // the password
	unknown                       // the user
	noRole                        // none of the groups has one
	unanswered                    // the server did not say anything that can be believed
)

func (r *refusal) Error() string { return r.reason }

func refused(kind refusalKind, format string, args ...any) error {
	return &refusal{kind, menu.Bounded(menu.Clean(fmt.Sprintf(format, args...)), maxReason)}
}

// maxReason bounds a reason in bytes, of which a server may choose a part.
const maxReason = 400

// AsksPasswords reports whether a server is configured that checks passwords.
func (d *Directories) AsksPasswords() bool { return len(d.passwords) > 0 }

// AskPerson returns who a user is, by the first server that knows. A server is asked when those
// before do not know the user or do not answer. The error is a *access.SignInError.
func (d *Directories) AskPerson(ctx context.Context, user string, password menu.Secret, source string) (access.Person, error) {
	return d.ask(ctx, question{user: user, password: password, source: source, note: func(string, ...any) {}})
}

func (d *Directories) ask(ctx context.Context, q question) (access.Person, error) {
	var reasons []string
	all := &access.SignInError{Unanswered: true}
	for _, s := range d.passwords {
		p, err := s.ask(ctx, q)
		if err == nil {
			return p, nil
		}
		var r *refusal
		if !errors.As(err, &r) {
			r = &refusal{unanswered, err.Error()}
		}
		reasons = append(reasons, s.method()+": "+r.reason)
		all.Unanswered = all.Unanswered && r.kind == unanswered
		if r.kind == wrong || r.kind == noRole {
			all.NoRole = r.kind == noRole
			break
		}
		if r.kind == unanswered {
			d.log.Warn("a server of logins did not answer", "method", s.method(), "error", r.reason)
		}
	}
	all.Reason = strings.Join(reasons, "; ")
	return access.Person{}, all
}

// RenewPerson asks again who a person is that is logged in. The error is access.ErrNoRecheck, or a
// *access.SignInError.
func (d *Directories) RenewPerson(ctx context.Context, p access.Person) (access.Person, error) {
	i := slices.IndexFunc(d.passwords, func(s passwordServer) bool { return s.method() == p.Method })
	if i < 0 {
		return p, access.ErrNoRecheck
	}
	now, err := d.passwords[i].renew(ctx, p, question{user: p.User, note: func(string, ...any) {}})
	var r *refusal
	if errors.As(err, &r) {
		return p, &access.SignInError{Reason: p.Method + ": " + r.reason, Unanswered: r.kind == unanswered}
	}
	return now, err
}

// SignInWays returns the other ways to sign in than by a password.
func (d *Directories) SignInWays() []access.SignInWay {
	if d.provider == nil || d.provider.c.Off != "" {
		return nil
	}
	return []access.SignInWay{{Kind: access.OIDC, Name: d.provider.c.Label, Address: "/v1/login/oidc"}}
}

// SignInMethods returns what is configured, in the order in which it is asked.
func (d *Directories) SignInMethods() []access.SignInMethod {
	list := []access.SignInMethod{}
	add := func(method string, servers []string, s settings.Server, detail string) {
		roles := []access.GroupRole{}
		for _, group := range slices.Sorted(maps.Keys(s.Roles)) {
			roles = append(roles, access.GroupRole{Group: group, Role: s.Roles[group]})
		}
		list = append(list, access.SignInMethod{Method: method, Servers: servers, State: cmp.Or(s.Off, "on"), Detail: detail,
			Roles: roles})
	}
	if l := d.signIn.LDAP; len(l.Servers) > 0 {
		detail := "users bind as " + l.UserDN
		if l.BindDN != "" {
			detail = "users are searched below " + l.Base + " by " + l.Filter + ", as " + l.BindDN +
				"; roles are asked again every " + menu.FormatDuration(l.Recheck)
		}
		add(access.LDAP, l.Servers, l.Server, detail)
	}
	if r := d.signIn.RADIUS; len(r.Servers) > 0 {
		add(access.RADIUS, r.Servers, r.Server, "groups come in "+r.Attribute)
	}
	if o := d.signIn.OIDC; o.Issuer != "" {
		add(access.OIDC, []string{o.Issuer}, o.Server, "client "+o.ClientID+", users by "+o.UserClaim+", groups by "+o.RolesClaim)
	}
	return list
}

// TestSignIn asks the servers of a method about a user as a login would, and says what each step
// gave. Without a password LDAP searches the user and proves nothing, and RADIUS cannot be asked. Of
// OpenID Connect it only asks whether the provider can be used.
func (d *Directories) TestSignIn(ctx context.Context, method, user string, password menu.Secret) (access.SignInTest, error) {
	t := access.SignInTest{Method: method, User: user, Steps: []string{}, Groups: []access.GroupRole{}, Result: "ok"}
	note := func(format string, args ...any) {
		t.Steps = append(t.Steps, menu.Bounded(menu.Clean(fmt.Sprintf(format, args...)), maxReason))
	}
	if method == access.OIDC && d.provider != nil {
		t.User = ""
		if err := d.provider.test(note); err != nil {
			t.Result = err.Error()
		}
		return t, nil
	}
	i := slices.IndexFunc(d.passwords, func(s passwordServer) bool { return s.method() == method })
	switch {
	case i < 0:
		return t, &menu.Error{Code: menu.State, Argument: "method", Message: "No login by " + method + " is configured",
			Hint: "The configuration's signIn says how (`userconfig signin show`)"}
	case user == "":
		return t, menu.BadArgument("user", "A user is needed to ask about")
	case password == "" && (method == access.RADIUS || d.signIn.LDAP.BindDN == ""):
		return t, menu.BadArgument("password", "This server says nothing without a password")
	}
	q := question{user: strings.ToLower(user), password: password, source: access.Local, unproved: password == "", note: note}
	p, err := d.passwords[i].ask(ctx, q)
	if err != nil {
		t.Result = err.Error()
		return t, nil
	}
	t.Role = p.Role
	for _, g := range p.Groups {
		t.Groups = append(t.Groups, access.GroupRole{Group: g, Role: roleOf(d.serverOf(method).Roles, g, method == access.LDAP)})
	}
	return t, nil
}

func (d *Directories) serverOf(method string) settings.Server {
	if method == access.LDAP {
		return d.signIn.LDAP.Server
	}
	return d.signIn.RADIUS.Server
}

// rolesOf returns the role of the groups by the table, the highest that one of them has, and the
// groups that have any. The error is a refusal.
func rolesOf(table settings.Roles, groups []string, names bool) (role menu.Role, with []string, err error) {
	for _, g := range groups {
		r := roleOf(table, g, names)
		if r == "" {
			continue
		}
		with = append(with, g)
		if role == "" || access.LesserRole(role, r) == role {
			role = r
		}
	}
	switch {
	case role != "":
		return role, with, nil
	case len(groups) == 0:
		return "", nil, refused(noRole, "the user is in no group that the server tells")
	}
	const most = 5
	more := ""
	if len(groups) > most {
		more = fmt.Sprintf(" and %d more", len(groups)-most)
		groups = groups[:most]
	}
	return "", nil, refused(noRole, "none of the groups has a role: %s%s", strings.Join(groups, ", "), more)
}

// tlsFor returns how a server is spoken with. Its certificate must be from a CA that is trusted, and
// for the name that it is called by.
func tlsFor(s settings.Server, host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if len(s.CA) > 0 {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(s.CA) {
			return nil, errors.New("the caFile has no certificate in PEM")
		}
	}
	return c, nil
}

// inWords returns why a server could not be asked. A time that was over is one thing, whoever noticed
// it: the context, the socket or the library, which tells it by its text alone.
func inWords(err error) string {
	var slow interface{ Timeout() bool }
	if errors.As(err, &slow) && slow.Timeout() || strings.Contains(err.Error(), "timed out") {
		return "timeout: it did not answer in time"
	}
	return err.Error()
}
