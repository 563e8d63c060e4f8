package access

import (
	"encoding/json"
	"time"
)

// UnmarshalJSON also takes the name that the time had in tables of builds before 0.1.
func (f *File) UnmarshalJSON(b []byte) error {
	type members File
	former := struct {
		*members
		Modified *time.Time `json:"modified"`
	}{members: (*members)(f)}
	if err := json.Unmarshal(b, &former); err != nil {
		return err
	}
	if former.Modified != nil {
		f.Modified = *former.Modified
	}
	return nil
}

// UnmarshalJSON also takes the name that the case number had in tables of builds before 0.1.
func (r *Report) UnmarshalJSON(b []byte) error {
	type members Report
	former := struct {
		*members
		Case *string `json:"case"`
	}{members: (*members)(r)}
	if err := json.Unmarshal(b, &former); err != nil {
		return err
	}
	if former.Case != nil {
		r.Case = *former.Case
	}
	return nil
}
