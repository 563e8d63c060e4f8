package capture

import (
	"encoding/json"
	"time"
)

// Target is a place to which captures are copied.
type Target struct {
	Name string `json:"name"`

	// URL is sftp://USER@HOST[:PORT]/FOLDER, https://[USER@]HOST[:PORT]/FOLDER,
	// azblob://ACCOUNT@HOST/CONTAINER/FOLDER or s3://KEY@HOST/BUCKET/FOLDER. It contains no secret.
	URL string `json:"url"`

	// HostKey is the fingerprint of the only key that the host may have: of its SSH key as
	// ssh-keygen -l prints it, or of its certificate. For HTTPS it may be empty: then the
	// certificate must be signed by an authority that the machine trusts.
	HostKey string `json:"hostKey"`

	Login string `json:"login"` // how the appliance authenticates: password, key, token or none
	Auto  bool   `json:"auto"`  // copy each capture file as it closes
}

// ExportState is the state of a copy.
type ExportState string

const (
	ExportWaiting ExportState = "waiting" // for its turn, or for its next try
	ExportSending ExportState = "sending"
	ExportDone    ExportState = "done"
	ExportFailed  ExportState = "failed" // final: its file or its target is gone
)

// Export is the copying of one file to a target.
type Export struct {
	File     string      `json:"file"`                 // its name, at the target too unless Path says another
	Source   string      `json:"sourceFile,omitempty"` // whose packets it has, with their processes; empty: File is copied as it is
	Path     string      `json:"path,omitempty"`       // its place at the target, below the folder of the URL; empty: File
	Capture  string      `json:"capture,omitempty"`
	Target   string      `json:"target"`
	State    ExportState `json:"state"`
	Bytes    int64       `json:"bytes"`
	Sent     int64       `json:"sent"`   // of Bytes, those that are safe at the target
	SHA256   string      `json:"sha256"` // of the file, in hexadecimal digits
	Tries    int         `json:"tries"`
	Error    string      `json:"error,omitempty"` // of the last try
	Queued   time.Time   `json:"queuedTime"`
	NextTry  time.Time   `json:"nextTryTime,omitzero"`
	Finished time.Time   `json:"finishedTime,omitzero"`
	Owner    string      `json:"owner"` // the user who asked for it; "system" if the target has Auto
}

// UnmarshalJSON also takes the names that the times had in queues of builds before 0.1.
func (e *Export) UnmarshalJSON(b []byte) error {
	type members Export
	former := struct {
		*members
		Queued   time.Time `json:"queued"`
		NextTry  time.Time `json:"nextTry"`
		Finished time.Time `json:"finished"`
	}{members: (*members)(e)}
	if err := json.Unmarshal(b, &former); err != nil {
		return err
	}
	for _, t := range []struct{ to, from *time.Time }{{&e.Queued, &former.Queued}, {&e.NextTry, &former.NextTry},
		{&e.Finished, &former.Finished}} {
		if t.to.IsZero() {
			*t.to = *t.from
		}
	}
	return nil
}
