package azure

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/menu/problem"
)

// tokenPrefix begins the name of a client that has an API token.
const tokenPrefix = "token:"

// maxForm bounds a form with credentials, in bytes. Clients send claims and scopes along.
const maxForm = 64 << 10

// A Login gives a pass for what a client shows: a user name and a password, or an API token.
type Login func(ctx context.Context, r *http.Request, c access.Credentials, client string) (access.Pass, error)

// credentials returns what a client's name and secret are.
func credentials(client, secret string) access.Credentials {
	if name, isToken := strings.CutPrefix(client, tokenPrefix); isToken {
		return access.Credentials{User: name, Token: menu.Secret(secret)}
	}
	return access.Credentials{User: client, Password: menu.Secret(secret)}
}

// Bounds of a client's name and secret, in bytes: a name of a token has at most 64 characters.
const (
	maxClient = 300
	maxSecret = 1024
)

// An oauthError is a refusal in the form of RFC 6749 section 5.2.
type oauthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// refuseForm answers a login whose body is refused.
func refuseForm(w http.ResponseWriter, refused *menu.Error) {
	status, _ := codeOf(refused)
	writeJSON(w, status, oauthError{"invalid_request", refused.Error()})
}

// readForm reads a form that a client sent as a body. What is no form is answered, with ok false.
func readForm(w http.ResponseWriter, r *http.Request) (form url.Values, ok bool) {
	body, err := io.ReadAll(r.Body) // which has been read
	if err == nil {
		form, err = url.ParseQuery(string(body))
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, oauthError{"invalid_request", "The body is no form (application/x-www-form-urlencoded)."})
		return nil, false
	}
	return form, true
}

// issueToken answers a client that logs in with its name and its secret (RFC 6749 section 4.4).
func (s *Server) issueToken(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	w.Header().Set("Cache-Control", "no-store") // RFC 6749 section 5.1
	form, ok := readForm(w, r)
	if !ok {
		return
	}
	client, secret := form.Get("client_id"), form.Get("client_secret")
	if name, password, basic := r.BasicAuth(); basic && client == "" {
		client, secret = unescaped(name), unescaped(password)
	}
	switch {
	case form.Get("grant_type") != "client_credentials":
		writeJSON(w, http.StatusBadRequest, oauthError{"unsupported_grant_type", "Only client_credentials is served here: " +
			"log in as a service principal, with a user's name or token:NAME."})
		return
	case client == "" || client == tokenPrefix || secret == "" || len(client) > maxClient || len(secret) > maxSecret:
		writeJSON(w, http.StatusUnauthorized, oauthError{"invalid_client", "client_id is the name of a user or token:NAME, " +
			"and client_secret the password or the token."})
		return
	}
	pass, ok := s.pass(w, r, credentials(client, secret), client)
	if !ok {
		return
	}
	seconds := left(pass)
	writeJSON(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds,
		"access_token": string(pass.Text)})
}

// unescaped returns a name or a secret as RFC 6749 section 2.3.1 has clients escape it; what is not
// escaped, as it is.
func unescaped(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

// left returns for how many seconds a pass lasts. A client that asks for another one in its last second
// would come late.
func left(pass access.Pass) int { return max(1, int(time.Until(pass.Expires)/time.Second)) }

// pass gets a pass for credentials. A refusal is answered, with ok false.
func (s *Server) pass(w http.ResponseWriter, r *http.Request, c access.Credentials, client string) (pass access.Pass, ok bool) {
	pass, err := s.login(r.Context(), r, c, client)
	if err == nil {
		return pass, true
	}
	refused, told := errors.AsType[*menu.Error](err)
	switch {
	case r.Context().Err() != nil: // nobody waits for the answer
	case !told:
		s.log.Error("azure: a login failed for a fault of the appliance", "error", err)
		writeJSON(w, http.StatusInternalServerError, oauthError{"server_error", errNoAnswer.Error()})
	case refused.Code == menu.Denied || refused.Type == problem.Login:
		writeJSON(w, http.StatusUnauthorized, oauthError{"invalid_client", "The client's name or its secret is wrong."})
	default: // a lock, or too many logins: clients repeat what is answered with 429 or 503 at once
		if refused.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((refused.RetryAfter+time.Second-1)/time.Second)))
		}
		writeJSON(w, http.StatusBadRequest, oauthError{"temporarily_unavailable", refused.Error()})
	}
	return pass, false
}

// identityToken answers a client that takes the machine's own identity. There is none: the secret of an
// API token stands for it, in the header that Azure's services have for this, or a name with its secret
// as the user information of the address (RFC 7617).
func (s *Server) identityToken(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	w.Header().Set("Cache-Control", "no-store")
	values := r.URL.Query()
	if r.Method == http.MethodPost {
		form, ok := readForm(w, r)
		if !ok {
			return
		}
		values = form
	}
	var c access.Credentials
	client := "managed identity"
	name, secret, basic := r.BasicAuth()
	switch header := cmp.Or(r.Header.Get("X-IDENTITY-HEADER"), r.Header.Get("Secret")); {
	case header != "" && len(header) <= maxSecret:
		c.Token = menu.Secret(header)
	case basic && name == "token" && len(secret) <= maxSecret:
		c.Token = menu.Secret(secret)
	case basic && name != "" && secret != "" && len(name) <= maxClient && len(secret) <= maxSecret:
		c, client = credentials(unescaped(name), secret), unescaped(name)
	default:
		writeJSON(w, http.StatusUnauthorized, oauthError{"invalid_client", "Send an API token in the header X-IDENTITY-HEADER " +
			"(IDENTITY_HEADER of the client), or token:TOKEN before the host of MSI_ENDPOINT."})
		return
	}
	pass, ok := s.pass(w, r, c, client)
	if !ok {
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"token_type": "Bearer", "access_token": string(pass.Text),
		"expires_on": strconv.FormatInt(pass.Expires.Unix(), 10), "expires_in": strconv.Itoa(left(pass)),
		"not_before": strconv.FormatInt(time.Now().Unix(), 10), "resource": cmp.Or(values.Get("resource"), base(r)), "client_id": client})
}
