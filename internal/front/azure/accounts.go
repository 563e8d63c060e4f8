package azure

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"diagsh/internal/menu"
)

// storageSuffix is of the names of accounts that are no blob storage: there is no such host (RFC 6761
// section 6.4), and a client that tries it is told so at once.
const storageSuffix = "diagsh.invalid"

// A target is an export target of the appliance.
type target struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// targets returns the export targets.
func (s *Server) targets(ctx context.Context, b Boundary) ([]target, *menu.Error) {
	var all struct{ Targets []target }
	refused := call(ctx, b, http.MethodGet, "/v1/targets", nil, &all)
	return all.Targets, refused
}

// blobEndpoint returns where the blobs of a target are, with a slash at the end.
func (t target) blobEndpoint() string {
	at, err := url.Parse(t.URL)
	if err == nil && strings.EqualFold(at.Scheme, "azblob") && at.Host != "" {
		if account := at.User.Username(); account != "" && !strings.HasPrefix(strings.ToLower(at.Host), strings.ToLower(account)+".") {
			return "https://" + at.Host + "/" + url.PathEscape(account) + "/"
		}
		return "https://" + at.Host + "/"
	}
	return "https://" + strings.ToLower(t.Name) + ".blob." + storageSuffix + "/"
}

// accountResource returns a target as a storage account.
func (s *Server) accountResource(t target) map[string]any {
	return map[string]any{"id": s.accountID(t.Name), "name": t.Name, "type": "Microsoft.Storage/storageAccounts", "location": s.settings.Location,
		"kind": "StorageV2", "sku": map[string]string{"name": "Standard_LRS", "tier": "Standard"},
		"properties": map[string]any{"provisioningState": "Succeeded", "primaryLocation": s.settings.Location, "statusOfPrimary": "available",
			"primaryEndpoints": map[string]string{"blob": t.blobEndpoint()}}}
}

func (s *Server) listAccounts(w http.ResponseWriter, r *http.Request, b Boundary, _ map[string]string) {
	targets, refused := s.targets(r.Context(), b)
	if refused != nil {
		refuse(w, r, refused)
		return
	}
	all := list{[]any{}}
	for _, t := range targets {
		all.Value = append(all.Value, s.accountResource(t))
	}
	writeJSON(w, http.StatusOK, all)
}

func (s *Server) showAccount(w http.ResponseWriter, r *http.Request, b Boundary, vars map[string]string) {
	targets, refused := s.targets(r.Context(), b)
	if refused != nil {
		refuse(w, r, refused)
		return
	}
	for _, t := range targets {
		if strings.EqualFold(t.Name, vars["account"]) {
			writeJSON(w, http.StatusOK, s.accountResource(t))
			return
		}
	}
	notFound(w, "Microsoft.Storage", "storageAccounts", vars["account"], s.settings.ResourceGroup)
}
