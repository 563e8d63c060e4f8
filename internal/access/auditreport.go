package access

// An AuditReport is the result of checking the whole audit log for changed or removed lines.
type AuditReport struct {
	Files int    `json:"files"`
	Lines int64  `json:"lines"`
	Last  string `json:"last"` // hash of the last line, to compare a copy of the log with
	// what was changed, removed or torn, as sentences without a full stop; the first few
	Faults []string `json:"faults"`
}
