package azure

import (
	"net/http"
)

// loginFolder is where clients log in. A library that does not know a host asks Microsoft's about it,
// unless the path begins with this word.
const loginFolder = "adfs"

// endpoints answers where everything is, in the two forms that clients read: the older one has no name.
func (s *Server) endpoints(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	at := base(r)
	login := map[string]any{"loginEndpoint": at + loginFolder, "audiences": []string{at}}
	if parameter(r, "api-version") < "2018" {
		writeJSON(w, http.StatusOK, map[string]any{"galleryEndpoint": at, "graphEndpoint": at, "portalEndpoint": at, "authentication": login})
		return
	}
	login["tenant"], login["identityProvider"] = loginFolder, "ADFS"
	writeJSON(w, http.StatusOK, map[string]any{"name": "diagsh", "authentication": login, "graphAudience": at, "graph": at,
		"resourceManager": at, "portal": at, "gallery": at, "media": at, "suffixes": map[string]string{"storage": storageSuffix}})
}

// openIDConfiguration answers where a tenant's clients get tokens. The tenant is any word: there is one
// appliance.
func (s *Server) openIDConfiguration(w http.ResponseWriter, r *http.Request, vars map[string]string) {
	at := base(r) + loginFolder
	token, authorize := at+"/oauth2/token", at+"/oauth2/authorize"
	if _, other := vars["tenant"]; other {
		at = base(r) + s.settings.Subscription
		token, authorize = at+"/oauth2/v2.0/token", at+"/oauth2/v2.0/authorize"
	}
	writeJSON(w, http.StatusOK, map[string]any{"issuer": at, "authorization_endpoint": authorize, "token_endpoint": token,
		"jwks_uri": at + "/discovery/keys", "response_types_supported": []string{"token"},
		"grant_types_supported":                 []string{"client_credentials"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic"}})
}
