package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"diagsh/internal/menu"
)

// wantSignIn is what testdata/config.yaml says of sign-in.
func wantSignIn(t *testing.T) SignIn {
	t.Helper()
	ca, err := os.ReadFile("testdata/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	return SignIn{
		LongestSession: 8 * time.Hour,
		LDAP: LDAP{
			Server: Server{Timeout: 4 * time.Second, CA: ca, Secret: "a secret of tests", caFile: "testdata/ca.pem", secretFile: "testdata/secret.txt",
				Roles: Roles{"cn=netops,ou=groups,dc=example,dc=net": menu.Operator, "cn=admins,ou=groups,dc=example,dc=net": menu.Administrator}},
			Servers: []string{"ldaps://ldap1.example.net", "ldap://ldap2.example.net:3389"},
			BindDN:  "cn=diagsh,ou=services,dc=example,dc=net", UserDN: "uid={user},ou=people,dc=example,dc=net",
			Base: "ou=people,dc=example,dc=net", Filter: "(&(objectClass=person)(uid={user}))", GroupAttribute: "memberOf",
			GroupBase: "ou=groups,dc=example,dc=net", GroupFilter: "(member={dn})", NameAttribute: "displayName", Recheck: 10 * time.Minute,
		},
		RADIUS: RADIUS{Server: Server{Timeout: 2 * time.Second, Secret: "a secret of tests", secretFile: "testdata/secret.txt",
			Roles: Roles{"diagsh-view": menu.ReadOnly}}, Servers: []string{"192.0.2.5:1812"}, Attribute: "Class", Identifier: "mx1-console", Tries: 3},
		OIDC: OIDC{Server: Server{Timeout: 8 * time.Second, CA: ca, Secret: "a secret of tests", caFile: "testdata/ca.pem", secretFile: "testdata/secret.txt",
			Roles: Roles{"diagsh-support": menu.Support}}, Issuer: "https://login.example.net/realms/staff", ClientID: "diagsh",
			RedirectURL: "https://mx1.example.net:8443/v1/login/oidc/callback", Scopes: []string{"openid", "roles"}, UserClaim: "email",
			UserSuffix: "@example.net", RolesClaim: "realm_access.roles", Label: "Example staff"},
	}
}

func TestSignInErrors(t *testing.T) {
	const ldap, radius, oidc = "signIn: {ldap: {", "signIn: {radius: {", "signIn: {oidc: {"
	for text, want := range map[string]string{
		ldap + "servers: ldaps://a}}":                                       `line 1: "signIn.ldap.servers": it is a list`,
		ldap + "servers: [http://a]}}":                                      `line 1: "signIn.ldap.servers": it is ldaps://HOST`,
		ldap + "servers: ['ldap://u:p@a']}}":                                `line 1: "signIn.ldap.servers": it is ldaps://HOST`,
		ldap + "filter: (uid=x)}}":                                          `line 1: "signIn.ldap.filter": it has {user} in it`,
		ldap + "roles: {a: king}}}":                                         `line 1: "signIn.ldap.roles": it has lines`,
		ldap + "roles: [a]}}":                                               `line 1: "signIn.ldap.roles": it has lines`,
		ldap + "timeout: 2m}}":                                              `line 1: "signIn.ldap.timeout": it is a duration`,
		ldap + "servers: [ldaps://a]}}":                                     `"signIn.ldap.roles" is missing`,
		ldap + "servers: [ldaps://a], roles: {a: operator}}}":               `"signIn.ldap.bindDN" is missing`,
		ldap + "servers: [ldaps://a], roles: {a: operator}, bindDN: cn=x}}": `"signIn.ldap.secretFile" is missing`,
		ldap + "servers: [ldaps://a], roles: {a: operator}, bindDN: cn=x, secretFile: f}}":      `"signIn.ldap.filter" is missing`,
		ldap + "servers: [ldaps://a], roles: {a: operator}, userDN: 'u={user}', groupBase: x}}": `"signIn.ldap.groupFilter" is missing`,
		radius + "servers: [a]}}":                                       `line 1: "signIn.radius.servers": it is HOST:PORT`,
		radius + "attribute: Name}}":                                    `line 1: "signIn.radius.attribute": it is Filter-Id or Class`,
		radius + "caFile: x}}":                                          `line 1: "signIn.radius.caFile": there is no such setting`,
		radius + "servers: ['a:1812']}}":                                `"signIn.radius.roles" is missing`,
		radius + "servers: ['a:1812'], roles: {a: operator}}}":          `"signIn.radius.secretFile" is missing`,
		oidc + "issuer: http://a}}":                                     `line 1: "signIn.oidc.issuer": it is a URL that begins with https://`,
		oidc + "issuer: https://a}}":                                    `"signIn.oidc.roles" is missing`,
		oidc + "issuer: https://a, roles: {a: operator}}}":              `"signIn.oidc.clientID" is missing`,
		oidc + "issuer: https://a, roles: {a: operator}, clientID: x}}": `"signIn.oidc.redirectURL" is missing`,
		"signIn: {saml: {}}":                                            `line 1: "signIn.saml": there is no such setting`,
	} {
		h := defaultHost()
		if err := h.parse([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v; want %s", text, err, want)
		}
	}
}

// A file that is gone switches its server off, says so, and keeps the appliance up.
func TestSignInFilesThatAreGone(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "empty"), "")
	write(t, filepath.Join(dir, "config.yaml"), `signIn:
  radius: {servers: ["192.0.2.5:1812"], secretFile: /nowhere/secret, roles: {a: operator}}
  ldap: {servers: ["ldaps://a"], userDN: "u={user}", caFile: `+filepath.Join(dir, "empty")+`, roles: {a: operator}}
`)
	s, err := open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	in, said := s.SignIn(), strings.Join(s.Ignored(), "\n")
	if in.RADIUS.Off != "the secretFile cannot be read: no such file or directory" || in.LDAP.Off != "the caFile cannot be read: it is empty" ||
		!strings.Contains(said, "signIn.radius.secretFile") || !strings.Contains(said, "signIn.ldap.caFile") {
		t.Errorf("RADIUS is off for %q, LDAP for %q; said is\n%s", in.RADIUS.Off, in.LDAP.Off, said)
	}
}
