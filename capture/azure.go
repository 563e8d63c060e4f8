package capture

import (
	"bytes"
	"encoding/json"
	"time"
	"unicode/utf8"
)

// Azure is the identity of a capture that was made as a resource of Azure Resource Manager. The engine
// keeps it and obeys none of it.
type Azure struct {
	ID          string          `json:"id"`                    // of the resource: a path that begins with /subscriptions
	Sent        json.RawMessage `json:"sent"`                  // the properties as the client sent them
	StoragePath string          `json:"storagePath,omitempty"` // URL of the object that the first file becomes
	Created     time.Time       `json:"createdTime"`
}

// Bounds of an Azure in bytes: of its text in JSON, and of its ID and StoragePath.
const (
	maxAzure     = 64 << 10
	maxAzureText = 2 << 10
)

// ParseAzure reads an Azure from its text in JSON. It returns nil for an empty text. The error is a
// *SpecError.
func ParseAzure(text string) (*Azure, error) {
	if text == "" {
		return nil, nil
	}
	fault := func(what string) (*Azure, error) {
		return nil, &SpecError{Member: "azure", Text: "the identity of a resource of Azure " + what,
			Hint: "It is for programs: leave it out"}
	}
	if len(text) > maxAzure {
		return fault("is longer than 64 KB")
	}
	var a Azure
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil || d.More() || !utf8.ValidString(text) {
		return fault("is a JSON object with id, sent, storagePath and createdTime")
	}
	var compact bytes.Buffer
	switch {
	case a.ID == "" || len(a.ID) > maxAzureText || len(a.StoragePath) > maxAzureText:
		return fault("has an id, and a storagePath, of at most 2 KB")
	case !bytes.HasPrefix(a.Sent, []byte("{")) || json.Compact(&compact, a.Sent) != nil:
		return fault("has the properties that were sent, as a JSON object")
	}
	a.Sent = compact.Bytes()
	return &a, nil
}
