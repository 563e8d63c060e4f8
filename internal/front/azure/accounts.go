package azure

import (
	"context"
	"net"
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

// A shelf is where the files of a target are, as Azure says it.
type shelf struct {
	endpoint string // with a slash at the end
	folder   string // below it, with a container at the beginning; empty: none
}

// shelf returns where the files of a target are: their true address if a URL of HTTP can name it, else
// one of a host that does not exist.
func (t target) shelf() shelf {
	at, err := url.Parse(t.URL)
	if err != nil || at.Host == "" {
		at = new(url.URL)
	}
	root, folder := "https://"+at.Host+"/", strings.Trim(at.Path, "/")
	if at.Query().Get("tls") == "no" {
		root = "http://" + at.Host + "/"
	}
	switch strings.ToLower(at.Scheme) {
	case "azblob":
		if inPath(at, false) {
			return shelf{root + url.PathEscape(at.User.Username()) + "/", folder}
		}
		return shelf{root, folder}
	case "s3":
		if inPath(at, true) {
			return shelf{root, folder}
		}
		bucket, rest, _ := strings.Cut(folder, "/")
		return shelf{strings.Replace(root, "://", "://"+bucket+".", 1), rest}
	case "https":
		return shelf{root, folder}
	}
	return shelf{"https://" + strings.ToLower(t.Name) + ".blob." + storageSuffix + "/", logsContainer}
}

// inPath reports whether the path of a target's URL says what the name of its host would: the account, or
// the bucket. usual is what holds if the URL does not say it, for a host that has names below it.
func inPath(at *url.URL, usual bool) bool {
	switch at.Query().Get("style") {
	case "path":
		return true
	case "virtual":
		return false
	}
	return usual || net.ParseIP(at.Hostname()) != nil || at.Hostname() == "localhost"
}

// accountResource returns a target as a storage account.
func (s *Server) accountResource(t target) map[string]any {
	return map[string]any{"id": s.accountID(t.Name), "name": t.Name, "type": "Microsoft.Storage/storageAccounts", "location": s.settings.Location,
		"kind": "StorageV2", "sku": map[string]string{"name": "Standard_LRS", "tier": "Standard"},
		"properties": map[string]any{"provisioningState": "Succeeded", "primaryLocation": s.settings.Location, "statusOfPrimary": "available",
			"primaryEndpoints": map[string]string{"blob": t.shelf().endpoint}}}
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
