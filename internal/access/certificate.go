package access

import (
	"time"

	"diagsh/internal/menu"
)

// Where certificates come from.
const (
	SelfSigned = "selfSigned" // made by the appliance
	Installed  = "installed"  // by an administrator
	ByACME     = "acme"       // fetched from a CA that speaks ACME
)

// A Certificate is what clients of HTTPS are shown, without the key.
type Certificate struct {
	Fingerprint string    `json:"fingerprint"` // SHA-256
	Origin      string    `json:"origin"`
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Names       []string  `json:"names"` // and addresses
	KeyType     string    `json:"keyType"`
	Begin       time.Time `json:"beginTime"`
	End         time.Time `json:"endTime"`
	FromCA      bool      `json:"fromCA"` // it does not sign itself
	Chain       []string  `json:"chain"`  // the subjects of what leads to its CA
	Warnings    []string  `json:"warnings"`
	// Setting is what the configuration calls it; empty for the one that holds without a setting.
	Setting string `json:"setting,omitempty"`
}

// A CertificateRequest is for a CA to sign. Its key stays in the appliance.
type CertificateRequest struct {
	Time    time.Time `json:"time"`
	Names   []string  `json:"names"`
	KeyType string    `json:"keyType"`
	PEM     menu.Text `json:"pem"`
}

// ACME is how it stands with the certificate that a CA gives by ACME.
type ACME struct {
	Directory string   `json:"directory"`
	Names     []string `json:"names"`
	// State is waiting for the first one, valid, or failed: the last try gave none.
	State    string     `json:"state"`
	LastTry  *time.Time `json:"lastTryTime,omitempty"`
	NextTry  *time.Time `json:"nextTryTime,omitempty"`
	Failure  string     `json:"failure,omitempty"` // of the last try, in a sentence
	Failures int        `json:"failures"`          // since the last success
}

// Certificates are all that the appliance has.
type Certificates struct {
	Present Certificate         `json:"present"` // that clients are shown
	Others  []Certificate       `json:"others"`  // that commits can bring back, or that are pending
	Request *CertificateRequest `json:"request,omitempty"`
	ACME    *ACME               `json:"acme,omitempty"` // if the configuration asks a CA for the certificate
	// Trouble says why another one is shown than the configuration wants.
	Trouble string `json:"trouble,omitempty"`
}
