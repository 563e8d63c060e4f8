package directories

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"diagsh/internal/access"
	"diagsh/internal/daemon/settings"
	"diagsh/internal/menu"
)

// Bounds of what a directory may send, in bytes: one message, and all of a connection.
const (
	maxLDAPMessage = 1 << 20
	maxLDAPAnswers = 4 << 20
)

// An ldapServer asks directories, the first one that answers.
type ldapServer struct{ c settings.LDAP }

var boundMessages sync.Once

func newLDAP(c settings.LDAP) *ldapServer {
	// It is a variable of the package for all of its connections.
	boundMessages.Do(func() { ber.MaxPacketLengthBytes = maxLDAPMessage })
	return &ldapServer{c}
}

func (l *ldapServer) method() string { return access.LDAP }

// ask searches the user and then binds as the user, or binds at once where nobody is configured who
// searches.
func (l *ldapServer) ask(ctx context.Context, q question) (access.Person, error) {
	if q.password == "" && !q.unproved {
		// A bind without a password succeeds with many directories: it proves nothing (RFC 4513
		// section 5.1.2).
		return access.Person{}, refused(wrong, "the password is empty")
	}
	return l.connected(ctx, q, func(c *ldap.Conn) (access.Person, error) {
		if l.c.BindDN != "" {
			return l.searchThenBind(c, q)
		}
		return l.bindThenSearch(c, q)
	})
}

// renew searches the person again. It takes one who searches.
func (l *ldapServer) renew(ctx context.Context, p access.Person, q question) (access.Person, error) {
	if l.c.BindDN == "" {
		return p, access.ErrNoRecheck
	}
	q.unproved = true
	return l.connected(ctx, q, func(c *ldap.Conn) (access.Person, error) {
		now, err := l.searchThenBind(c, q)
		if err == nil && !sameDN(now.ID, p.ID) {
			return p, refused(unknown, "the user is another entry now: %s", now.ID)
		}
		return now, err
	})
}

// connected connects to the first server that answers and has do ask it.
func (l *ldapServer) connected(ctx context.Context, q question, do func(*ldap.Conn) (access.Person, error)) (p access.Person, err error) {
	if l.c.Off != "" {
		return p, refused(unanswered, "%s", l.c.Off)
	}
	// What is not an answer of LDAP may still be a value that the library does not expect.
	defer func() {
		if fault := recover(); fault != nil {
			p, err = access.Person{}, refused(unanswered, "the server's answer cannot be read: %v", fault)
		}
	}()
	var silent []string
	for _, server := range l.c.Servers {
		c, end, err := l.dial(ctx, server, q)
		if err != nil {
			silent = append(silent, server+": "+inWords(err))
			q.note("%s: %s", server, inWords(err))
			continue
		}
		defer end()
		p, err := do(c)
		p.Server = server
		return p, err
	}
	return p, refused(unanswered, "no server can be used: %s", strings.Join(silent, "; "))
}

// dial connects to one server by TLS. The whole conversation must be over within twice the timeout.
func (l *ldapServer) dial(ctx context.Context, server string, q question) (*ldap.Conn, func(), error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, nil, err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	}
	config, err := tlsFor(l.c.Server, u.Hostname())
	if err != nil {
		return nil, nil, err
	}
	dialing, cancel := context.WithTimeout(ctx, l.c.Timeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(dialing, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, nil, err
	}
	raw.SetDeadline(time.Now().Add(l.c.Timeout))
	wire := net.Conn(&boundedConn{Conn: raw, left: maxLDAPAnswers})
	if u.Scheme == "ldaps" {
		secured := tls.Client(wire, config)
		if err := secured.HandshakeContext(dialing); err != nil {
			raw.Close()
			return nil, nil, err
		}
		wire = secured
	}
	c := ldap.NewConn(wire, u.Scheme == "ldaps")
	c.SetTimeout(l.c.Timeout)
	c.Start()
	if u.Scheme == "ldap" {
		if err := c.StartTLS(config); err != nil {
			c.Close()
			return nil, nil, fmt.Errorf("StartTLS: %w", err)
		}
	}
	raw.SetDeadline(time.Now().Add(l.c.Timeout))
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	if state, ok := c.TLSConnectionState(); ok {
		q.note("%s: connected by %s, certificate of %s", server, tls.VersionName(state.Version),
			state.PeerCertificates[0].Subject)
	}
	return c, func() { stop(); c.Close() }, nil
}

// A boundedConn reads so much and no more.
type boundedConn struct {
	net.Conn
	left int
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errors.New("the server sends too much")
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// searchThenBind searches the user and the groups as the one who is configured to, and then binds as
// the user.
func (l *ldapServer) searchThenBind(c *ldap.Conn, q question) (access.Person, error) {
	if err := c.Bind(l.c.BindDN, string(l.c.Secret)); err != nil {
		return access.Person{}, refused(unanswered, "the bind as %s failed: %v", l.c.BindDN, err)
	}
	q.note("bound as %s", l.c.BindDN)
	entry, err := l.entryOf(c, q)
	if err != nil {
		return access.Person{}, err
	}
	p, err := l.personOf(c, q, entry)
	if q.unproved {
		return p, err
	}
	// The password first: who does not know it learns nothing of groups.
	if e := l.bind(c, entry.DN, q); e != nil {
		return access.Person{}, e
	}
	return p, err
}

// bindThenSearch binds as the user, and then reads the user's own entry and the groups.
func (l *ldapServer) bindThenSearch(c *ldap.Conn, q question) (access.Person, error) {
	name := strings.ReplaceAll(l.c.UserDN, "{user}", ldap.EscapeDN(q.user))
	if err := l.bind(c, name, q); err != nil {
		return access.Person{}, err
	}
	var entry *ldap.Entry
	var err error
	if l.c.Base != "" && l.c.Filter != "" {
		entry, err = l.entryOf(c, q)
	} else {
		entry, err = l.one(c, ldap.NewSearchRequest(name, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, l.seconds(), false,
			"(objectClass=*)", l.attributes(), nil))
	}
	if err != nil {
		return access.Person{}, err
	}
	return l.personOf(c, q, entry)
}

func (l *ldapServer) bind(c *ldap.Conn, name string, q question) error {
	err := c.Bind(name, string(q.password))
	switch {
	case err == nil:
		q.note("the password is that of %s", name)
		return nil
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject,
		ldap.LDAPResultInvalidDNSyntax, ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultConstraintViolation,
		ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultInsufficientAccessRights):
		return refused(wrong, "the bind as %s failed: %v", name, err)
	}
	return refused(unanswered, "the bind as %s failed: %v", name, err)
}

func (l *ldapServer) seconds() int { return max(1, int(l.c.Timeout/time.Second)) }

// attributes returns those of a user's entry that are read.
func (l *ldapServer) attributes() []string { return []string{l.c.GroupAttribute, l.c.NameAttribute} }

// entryOf searches the entry of the user, of which there must be one.
func (l *ldapServer) entryOf(c *ldap.Conn, q question) (*ldap.Entry, error) {
	filter := strings.ReplaceAll(l.c.Filter, "{user}", ldap.EscapeFilter(q.user))
	entry, err := l.one(c, ldap.NewSearchRequest(l.c.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, l.seconds(),
		false, filter, l.attributes(), nil))
	if err == nil {
		q.note("found %s", entry.DN)
	}
	return entry, err
}

// one returns the only entry that a search finds.
func (l *ldapServer) one(c *ldap.Conn, search *ldap.SearchRequest) (*ldap.Entry, error) {
	found, err := c.Search(search)
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) || err == nil && len(found.Entries) == 0:
		return nil, refused(unknown, "there is no such user below %s", search.BaseDN)
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) || err == nil && len(found.Entries) > 1:
		return nil, refused(unknown, "several users below %s are found by %s", search.BaseDN, search.Filter)
	case err != nil:
		return nil, refused(unanswered, "the search below %s failed: %v", search.BaseDN, err)
	}
	return found.Entries[0], nil
}

// personOf returns who an entry is, with the groups that it names and those that name it.
func (l *ldapServer) personOf(c *ldap.Conn, q question, entry *ldap.Entry) (access.Person, error) {
	groups := entry.GetEqualFoldAttributeValues(l.c.GroupAttribute)
	if l.c.GroupBase != "" {
		filter := strings.NewReplacer("{dn}", ldap.EscapeFilter(entry.DN), "{user}", ldap.EscapeFilter(q.user)).
			Replace(l.c.GroupFilter)
		found, err := c.Search(ldap.NewSearchRequest(l.c.GroupBase, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, maxGroups,
			l.seconds(), false, filter, []string{"1.1"}, nil)) // no attributes (RFC 4511 section 4.5.1.8)
		if err != nil {
			return access.Person{}, refused(unanswered, "the search of groups below %s failed: %v", l.c.GroupBase, err)
		}
		for _, g := range found.Entries {
			groups = append(groups, g.DN)
		}
	}
	groups = groups[:min(len(groups), maxGroups)]
	q.note("in %d groups: %s", len(groups), strings.Join(groups, "; "))
	role, with, err := rolesOf(l.c.Roles, groups, true)
	return access.Person{User: q.user, FullName: menu.Bounded(menu.Clean(entry.GetEqualFoldAttributeValue(l.c.NameAttribute)), 100),
		Role: role, Groups: with, Method: access.LDAP, ID: entry.DN}, err
}

// sameDN reports whether two names are of one entry, however they are written.
func sameDN(a, b string) bool {
	first, err := ldap.ParseDN(a)
	second, e := ldap.ParseDN(b)
	return err == nil && e == nil && first.EqualFold(second)
}

// roleOf returns the role of a group by the table, or "". Where groups have names of LDAP, case and
// blanks between their parts do not count.
func roleOf(table settings.Roles, group string, names bool) menu.Role {
	if role, ok := table[group]; ok || !names {
		return role
	}
	for name, role := range table {
		if sameDN(name, group) {
			return role
		}
	}
	return ""
}
