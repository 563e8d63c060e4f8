package access

import "time"

// Logs that the appliance keeps.
const (
	AuditLog     = "audit"
	ApplianceLog = "appliance"
)

// A LogLine is a line of either log.
type LogLine struct {
	Log        string            `json:"log"`
	Time       time.Time         `json:"time"`
	Event      *Event            `json:"event,omitempty"` // of the audit log
	Level      string            `json:"level,omitempty"` // of the appliance's: INFO, WARN, ERROR
	Message    string            `json:"message,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}
