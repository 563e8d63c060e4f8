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

	// Proxy is http://[USER@]HOST:PORT or socks5://[USER@]HOST:PORT, through which the target is
	// reached. ProxySecret is its password, which is given and never told.
	Proxy       string `json:"proxy,omitempty"`
	ProxySecret string `json:"-"`

	// Authorities are certificates in PEM that vouch for the target in the place of those that the
	// machine trusts.
	Authorities string `json:"authorities,omitempty"`

	// Template is the place of a file at the target, below the folder of the URL, as PlaceTemplate
	// describes it; empty: its name.
	Template string `json:"template,omitempty"`

	BytesPerSecond int64 `json:"bytesPerSecond,omitempty"` // that all copies to it may take together; 0: no limit
	Manifest       bool  `json:"manifest,omitempty"`       // copy a list of a capture's files there after them
	Paused         bool  `json:"paused,omitempty"`         // nothing is copied there until a user resumes it
}

// TargetChange is what of a target is to be another than it is; nil leaves it.
type TargetChange struct {
	URL, HostKey, Secret  *string
	Proxy, ProxySecret    *string
	Authorities, Template *string
	Auto, Manifest        *bool
	BytesPerSecond        *int64
}

// ExportSettings bound the copies to all targets together.
type ExportSettings struct {
	Parallel       int64 `json:"parallel" arg:"" min:"1" max:"16" help:"How many files are copied at a time, to all targets together."`
	PerTarget      int64 `json:"parallelPerTarget" arg:"" label:"Parallel for each target" min:"1" max:"16" help:"How many files are copied to one target at a time."`
	BytesPerSecond int64 `json:"bytesPerSecond" arg:",size,zero" label:"Bytes per second" min:"1024" help:"How many bytes a second all copies may take together, such as 5MB; 0 for no limit."`
	GiveUpSeconds  int64 `json:"giveUpSeconds" arg:",seconds,unlimited,zero" label:"Give up after" min:"1" max:"31536000" help:"After what time without progress a copy gives up, such as 3d; unlimited for never."`
}

// Copies selects copies to a target.
type Copies struct {
	Target string
	File   string // a file, or a capture; empty: all of the target
}

// ExportState is the state of a copy.
type ExportState string

const (
	ExportWaiting ExportState = "waiting" // for its turn, or for its next try
	ExportSending ExportState = "sending"
	ExportPaused  ExportState = "paused" // by a user, or its target is
	ExportDone    ExportState = "done"

	// ExportFailed copies are over until a user begins them anew: the file or the target is gone, or
	// too much time went by without progress.
	ExportFailed    ExportState = "failed"
	ExportCancelled ExportState = "cancelled" // by a user
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

	Packets      int64     `json:"packets,omitempty"`
	CaseNumber   string    `json:"caseNumber,omitempty"`      // of the capture
	CaptureStart time.Time `json:"captureStartTime,omitzero"` // when the capture began
	Manifest     bool      `json:"manifest,omitempty"`        // it is the list of the capture's files, copied after them
	Held         bool      `json:"held,omitempty"`            // it failed, and its file is kept until a user begins it anew or cancels it
	Upload       string    `json:"upload,omitempty"`          // how the target calls what it has of a copy that is not whole, if that has a name of its own
	Failing      time.Time `json:"failingTime,omitzero"`      // since when no try has brought a byte more to the target

	// What is left, and how fast it goes, of a copy that is under way.
	BytesLeft      int64  `json:"bytesLeft"`
	Checked        int64  `json:"checked,omitempty"` // of Bytes, those that were read back from the target, to compare their sum
	BytesPerSecond int64  `json:"bytesPerSecond,omitempty"`
	SecondsLeft    *int64 `json:"secondsLeft,omitempty"`
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
