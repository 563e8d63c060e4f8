package access

// An AuditReport is what reading the whole audit log found: whether a line was changed or taken out.
type AuditReport struct {
	Files  int      `json:"files"`
	Lines  int64    `json:"lines"`
	Last   string   `json:"last"`   // hash of the last line, by which a copy of the log can be compared
	Faults []string `json:"faults"` // what was changed, taken out or torn, as sentences without a full stop; the first few
}
