package azure

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// A captured is a capture as the appliance tells of it, as far as it is translated.
type captured struct {
	Name       string    `json:"name"`
	State      string    `json:"state"`
	StopReason string    `json:"stopReason"`
	StartTime  time.Time `json:"startTime"`
	EndTime    time.Time `json:"endTime"`

	SnapLength int64 `json:"snapLength"`
	Limits     struct {
		SizeBytes       int64 `json:"sizeBytes"`
		DurationSeconds int64 `json:"durationSeconds"`
	} `json:"limits"`
	Filters []ownFilter `json:"filters"`
	Target  string      `json:"target"`

	PacketsDiscarded  int64  `json:"packetsDiscarded"`
	FilesFailedExport int64  `json:"filesFailedExport"`
	Error             string `json:"error"`

	Azure *identity `json:"azure"`
}

// An identity is that of a capture which a client of Azure made.
type identity struct {
	ID          string          `json:"id"`
	Sent        json.RawMessage `json:"sent"`
	StoragePath string          `json:"storagePath,omitempty"`
	Created     time.Time       `json:"createdTime"`
}

// An ownFilter is a packetFilter with the names that the appliance has.
type ownFilter struct {
	Protocol      string `json:"protocol,omitempty"`
	LocalAddress  string `json:"localAddress,omitempty"`
	LocalPort     string `json:"localPort,omitempty"`
	RemoteAddress string `json:"remoteAddress,omitempty"`
	RemotePort    string `json:"remotePort,omitempty"`
}

// The states of a capture, which Azure has by the same names.
const (
	notStarted = "NotStarted"
	running    = "Running"
)

// active reports whether a capture runs or is still to begin.
func (c captured) active() bool { return c.State == running || c.State == notStarted }

// A resource is a capture as Azure has it.
type resource struct {
	Name       string     `json:"name"`
	ID         string     `json:"id"`
	ETag       string     `json:"etag"`
	Properties properties `json:"properties"`
	Type       string     `json:"type"`
}

const captureType = "Microsoft.Network/networkWatchers/packetCaptures"

// The states of a resource.
const (
	succeeded = "Succeeded"
	updating  = "Updating"
	failed    = "Failed"
)

// resourceOf returns a capture as a resource.
func (s *Server) resourceOf(c captured) resource {
	p := s.propertiesOf(c)
	p.ProvisioningState = succeeded
	if c.State == "Error" {
		p.ProvisioningState = failed
	}
	return resource{Name: c.Name, ID: s.captureID(c.Name), ETag: c.etag(), Properties: p, Type: captureType}
}

// propertiesOf returns the properties of a capture: those that were sent, or for a capture that was made
// elsewhere those that would make it.
func (s *Server) propertiesOf(c captured) properties {
	if c.Azure != nil {
		p, refused := parseProperties(c.Azure.Sent)
		if refused == nil {
			refused = p.complete()
		}
		if refused == nil {
			s.checkTarget(&p) // completes the scope; a machine of another name is the appliance before it was renamed
			p.Storage.StoragePath = c.Azure.StoragePath
			return p
		}
	}
	p := properties{Target: s.machineID(), TargetType: vmType, Bytes: numberOf(c.SnapLength), Total: numberOf(max(c.Limits.SizeBytes, 0)),
		Seconds: numberOf(max(c.Limits.DurationSeconds, 0)), Filters: []packetFilter{}}
	if p.Storage.FilePath = captureFolder + c.Name + captureEnding; c.Target != "" {
		p.Storage.StorageID = s.accountID(c.Target)
	}
	for _, f := range c.Filters {
		p.Filters = append(p.Filters, packetFilter{Protocol: f.Protocol, RemoteAddress: f.RemoteAddress, LocalAddress: f.LocalAddress,
			LocalPort: f.LocalPort, RemotePort: f.RemotePort})
	}
	return p
}

// etag returns what changes whenever the state of a capture does.
func (c captured) etag() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %d %d", c.Name, c.State, c.StopReason, c.StartTime.UnixNano(), c.EndTime.UnixNano()))
	return fmt.Sprintf(`W/"%x-%x-%x-%x-%x"`, sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// A queryStatus is how a capture is, as Azure has it.
type queryStatus struct {
	Name       string   `json:"name"`
	ID         string   `json:"id"`
	StartTime  string   `json:"captureStartTime,omitempty"`
	State      string   `json:"packetCaptureStatus"`
	StopReason string   `json:"stopReason,omitempty"`
	Errors     []string `json:"packetCaptureError"`
}

// timeForm is how Azure writes a time, which is in UTC.
const timeForm = "2006-01-02T15:04:05.0000000Z"

// statusOf returns how a capture is.
func (s *Server) statusOf(c captured) queryStatus {
	q := queryStatus{Name: c.Name, ID: s.captureID(c.Name), State: c.State, Errors: []string{}}
	if !c.StartTime.IsZero() {
		q.StartTime = c.StartTime.UTC().Format(timeForm)
	}
	if c.active() {
		return q
	}
	if q.StopReason = c.StopReason; c.StopReason == "StoppedByUser" {
		q.StopReason = "Manual"
	}
	switch {
	case c.StopReason == "DiskLow" || c.StopReason == "FileError" || c.PacketsDiscarded > 0:
		q.Errors = append(q.Errors, "LocalFileFailed")
	case c.StopReason == "Interrupted" || c.StopReason == "Shutdown":
		q.Errors = append(q.Errors, "AgentStopped")
	case c.State == "Error":
		q.Errors = append(q.Errors, "CaptureFailed")
	}
	if c.FilesFailedExport > 0 {
		q.Errors = append(q.Errors, "StorageFailed")
	}
	return q
}

// own returns filters with the names of the appliance.
func own(filters []packetFilter) []ownFilter {
	list := []ownFilter{}
	for _, f := range filters {
		list = append(list, ownFilter{Protocol: strings.ToLower(f.Protocol), LocalAddress: f.LocalAddress, LocalPort: f.LocalPort,
			RemoteAddress: f.RemoteAddress, RemotePort: f.RemotePort})
	}
	return list
}
