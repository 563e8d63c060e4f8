package settings

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// SignIn is how people come in who have no account here: servers that know them, and the roles of
// their groups. A server without an address, or a provider without an issuer, is not configured.
type SignIn struct {
	LongestSession time.Duration // of a login of such a person
	LDAP           LDAP
	RADIUS         RADIUS
	OIDC           OIDC
}

// Roles says which role a group has; a group that it does not name has none.
type Roles map[string]menu.Role

// A Server is what is common to all of them.
type Server struct {
	Timeout time.Duration // of each question
	Roles   Roles
	CA      []byte // certificates in PEM that are trusted; empty: those of the machine
	Secret  menu.Secret
	Off     string // why it cannot be asked, as after a file that cannot be read; empty: it can

	caFile, secretFile string
}

// LDAP is a directory.
type LDAP struct {
	Server
	Servers        []string // URLs: ldaps, or ldap, which begins with StartTLS; asked in this order
	BindDN         string   // who searches, with Secret; empty: the user binds at once, as UserDN
	UserDN         string   // the name that a user binds as, with {user} in it
	Base           string   // where users are searched
	Filter         string   // how one is searched, with {user} in it
	GroupAttribute string   // of the user's entry: names of groups
	GroupBase      string   // where groups are searched; empty: they are not
	GroupFilter    string   // how, with {dn} or {user} in it
	NameAttribute  string   // of the user's entry: the full name
	Recheck        time.Duration
}

// RADIUS is one or more servers of RFC 2865.
type RADIUS struct {
	Server
	Servers    []string // HOST:PORT, asked in this order
	Attribute  string   // in which groups come: Filter-Id or Class
	Identifier string   // NAS-Identifier; empty: the host name
	Tries      int      // of each server
}

// OIDC is a provider of OpenID Connect.
type OIDC struct {
	Server
	Issuer      string // URL
	ClientID    string
	RedirectURL string // of /v1/login/oidc/callback on this appliance, as browsers call it
	Scopes      []string
	UserClaim   string // whose value is the user name
	UserSuffix  string // that the value must have and loses, such as @example.net
	RolesClaim  string // whose values are groups
	Label       string // of the button
}

func defaultSignIn() SignIn {
	return SignIn{
		LongestSession: 12 * time.Hour,
		LDAP: LDAP{Server: Server{Timeout: 5 * time.Second}, GroupAttribute: "memberOf", NameAttribute: "cn",
			Recheck: 5 * time.Minute},
		RADIUS: RADIUS{Server: Server{Timeout: 3 * time.Second}, Attribute: "Filter-Id", Tries: 2},
		OIDC: OIDC{Server: Server{Timeout: 10 * time.Second}, Scopes: []string{"openid", "profile", "groups"},
			UserClaim: "preferred_username", RolesClaim: "groups", Label: "Single sign-on"},
	}
}

// SignIn returns how people come in who have no account here.
func (s *Settings) SignIn() SignIn { return s.host.SignIn }

// settings is every line about sign-in that a configuration file may have.
func (s *SignIn) settings() map[string]setting {
	const longest = time.Minute
	all := map[string]setting{
		"longestSession":      duration(&s.LongestSession, time.Minute, 7*24*time.Hour),
		"ldap.servers":        texts(&s.LDAP.Servers, checkLDAPServer),
		"ldap.bindDN":         text(&s.LDAP.BindDN, nil),
		"ldap.userDN":         text(&s.LDAP.UserDN, holds("{user}")),
		"ldap.base":           text(&s.LDAP.Base, nil),
		"ldap.filter":         text(&s.LDAP.Filter, holds("{user}")),
		"ldap.groupAttribute": text(&s.LDAP.GroupAttribute, nil),
		"ldap.groupBase":      text(&s.LDAP.GroupBase, nil),
		"ldap.groupFilter":    text(&s.LDAP.GroupFilter, holds("{dn}", "{user}")),
		"ldap.nameAttribute":  text(&s.LDAP.NameAttribute, nil),
		"ldap.recheck":        duration(&s.LDAP.Recheck, 30*time.Second, 24*time.Hour),
		"radius.servers":      texts(&s.RADIUS.Servers, checkAddress),
		"radius.attribute":    text(&s.RADIUS.Attribute, oneOf("Filter-Id", "Class")),
		"radius.identifier":   text(&s.RADIUS.Identifier, nil),
		"radius.tries":        number(&s.RADIUS.Tries, 1, 5),
		"oidc.issuer":         text(&s.OIDC.Issuer, checkHTTPS),
		"oidc.clientID":       text(&s.OIDC.ClientID, nil),
		"oidc.redirectURL":    text(&s.OIDC.RedirectURL, checkHTTPS),
		"oidc.scopes":         texts(&s.OIDC.Scopes, nil),
		"oidc.userClaim":      text(&s.OIDC.UserClaim, nil),
		"oidc.userSuffix":     text(&s.OIDC.UserSuffix, nil),
		"oidc.rolesClaim":     text(&s.OIDC.RolesClaim, nil),
		"oidc.label":          text(&s.OIDC.Label, nil),
	}
	for name, server := range s.servers() {
		all[name+".timeout"] = duration(&server.Timeout, time.Second, longest)
		all[name+".roles"] = roles(&server.Roles)
		all[name+".secretFile"] = text(&server.secretFile, nil)
		if name != "radius" {
			all[name+".caFile"] = text(&server.caFile, nil)
		}
	}
	return all
}

func (s *SignIn) servers() map[string]*Server {
	return map[string]*Server{"ldap": &s.LDAP.Server, "radius": &s.RADIUS.Server, "oidc": &s.OIDC.Server}
}

// check says what a configuration lacks, by the name of the setting.
func (s *SignIn) check() error {
	missing := func(name, why string) error { return fmt.Errorf("%q is missing: %s", "signIn."+name, why) }
	if l := s.LDAP; len(l.Servers) > 0 {
		switch {
		case len(l.Roles) == 0:
			return missing("ldap.roles", "without it nobody has a role")
		case l.BindDN == "" && l.UserDN == "":
			return missing("ldap.bindDN", "it is who searches users; or set ldap.userDN, so that users bind at once")
		case l.BindDN != "" && l.secretFile == "":
			return missing("ldap.secretFile", "it is the file with the password of ldap.bindDN")
		case l.UserDN == "" && (l.Base == "" || l.Filter == ""):
			return missing("ldap.filter", "a user is searched by it in ldap.base")
		case (l.GroupBase == "") != (l.GroupFilter == ""):
			return missing("ldap.groupFilter", "groups are searched by it in ldap.groupBase")
		}
	}
	if r := s.RADIUS; len(r.Servers) > 0 {
		switch {
		case len(r.Roles) == 0:
			return missing("radius.roles", "without it nobody has a role")
		case r.secretFile == "":
			return missing("radius.secretFile", "it is the file with the secret that is shared with the servers")
		}
	}
	if o := s.OIDC; o.Issuer != "" {
		switch {
		case len(o.Roles) == 0:
			return missing("oidc.roles", "without it nobody has a role")
		case o.ClientID == "":
			return missing("oidc.clientID", "it is by what name the provider knows the appliance")
		case o.RedirectURL == "":
			return missing("oidc.redirectURL", "it is https://THE-APPLIANCE/v1/login/oidc/callback")
		}
	}
	return nil
}

// finish reads the files that are named. One that cannot be read switches its server off, which is
// said, and keeps nobody with an account out.
func (s *SignIn) finish(ignore func(setting, why string)) {
	for _, name := range slices.Sorted(maps.Keys(s.servers())) {
		server := s.servers()[name]
		read := func(setting, path string, to func(string)) {
			if path == "" {
				return
			}
			data, err := store.ReadBounded(path, maxTextFile)
			if err == nil && len(data) == 0 {
				err = errors.New("it is empty")
			}
			if err != nil {
				server.Off = "the " + setting + " cannot be read: " + withoutPath(err)
				ignore("signIn."+name+"."+setting, "the file cannot be read: "+withoutPath(err))
				return
			}
			to(string(data))
		}
		read("caFile", server.caFile, func(text string) { server.CA = []byte(text) })
		read("secretFile", server.secretFile, func(text string) {
			server.Secret = menu.Secret(strings.TrimRight(text, "\r\n"))
		})
	}
}

// texts is a setting that is a list of lines of text.
func texts(to *[]string, check func(string) error) setting {
	return func(value *yaml.Node) error {
		if value.Kind != yaml.SequenceNode {
			return errors.New("it is a list, such as [a, b]")
		}
		var list []string
		for _, item := range value.Content {
			var one string
			if err := text(&one, check)(item); err != nil {
				return err
			}
			list = append(list, one)
		}
		*to = list
		return nil
	}
}

// roles is a setting of the form {group: role}.
func roles(to *Roles) setting {
	return func(value *yaml.Node) error {
		wrong := errors.New("it has lines of the form \"group: role\", with the roles administrator, operator, readonly and support")
		if value.Kind != yaml.MappingNode {
			return wrong
		}
		m := make(Roles)
		for i := 0; i+1 < len(value.Content); i += 2 {
			group, role := value.Content[i], value.Content[i+1]
			if group.Kind != yaml.ScalarNode || group.Value == "" || m[group.Value] != "" ||
				role.Kind != yaml.ScalarNode || !menu.Role(role.Value).Valid() {
				return wrong
			}
			m[group.Value] = menu.Role(role.Value)
		}
		*to = m
		return nil
	}
}

// holds returns a check that a text has one of some words in it.
func holds(words ...string) func(string) error {
	return func(text string) error {
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) }) {
			return nil
		}
		return fmt.Errorf("it has %s in it", strings.Join(words, " or "))
	}
}

func oneOf(words ...string) func(string) error {
	return func(text string) error {
		if slices.Contains(words, text) {
			return nil
		}
		return fmt.Errorf("it is %s", strings.Join(words, " or "))
	}
}

func checkLDAPServer(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return errors.New("it is ldaps://HOST or ldap://HOST, with a port if need be; the latter begins with StartTLS")
	}
	return nil
}

func checkAddress(text string) error {
	if host, port, err := net.SplitHostPort(text); err != nil || host == "" || port == "" {
		return errors.New("it is HOST:PORT, such as 192.0.2.5:1812")
	}
	return nil
}

func checkHTTPS(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return errors.New("it is a URL that begins with https://")
	}
	return nil
}
