package captures

import (
	"encoding/json"
	"time"

	"diagsh/capture"
	"diagsh/capture/tuples"
)

// Files that were written before the version 2 have other names for some options.

// settingsFile is the content of settings.json.
type settingsFile struct{ capture.Settings }

// UnmarshalJSON reads both forms. Where an option is not there it keeps its value.
func (f *settingsFile) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &f.Settings); err != nil {
		return err
	}
	var former struct {
		NotPromiscuous *bool `json:"notPromiscuous"`
		Keep           bool  `json:"keep"`
	}
	if err := json.Unmarshal(data, &former); err != nil {
		return err
	}
	if former.NotPromiscuous != nil {
		f.Promiscuous = !*former.NotPromiscuous
	}
	f.Protect = f.Protect || former.Keep
	return nil
}

// UnmarshalJSON reads both forms of a capture in captures.json.
func (r *entry) UnmarshalJSON(data []byte) error {
	type present entry // without this method
	if err := json.Unmarshal(data, (*present)(r)); err != nil {
		return err
	}
	type options struct {
		Keep    bool      `json:"keep"`
		StartAt time.Time `json:"startAt"`
	}
	var former struct {
		Status     options `json:"status"`
		Spec       options `json:"spec"`
		Management bool    `json:"management"`
	}
	if err := json.Unmarshal(data, &former); err != nil {
		return err
	}
	for _, o := range []struct {
		options *capture.Options
		start   *time.Time
		former  options
	}{{&r.Status.Options, &r.Status.Start, former.Status}, {&r.Spec.Options, &r.Spec.Start, former.Spec}} {
		o.options.Protect = o.options.Protect || o.former.Keep
		o.options.Management = o.options.Management || former.Management
		if o.start.IsZero() {
			*o.start = o.former.StartAt
		}
		if o.options.Filters == nil {
			o.options.Filters = tuples.List{} // as an array in JSON, which can be written back
		}
	}
	return nil
}
