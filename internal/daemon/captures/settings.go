package captures

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"diagsh/capture"
	"diagsh/diag/interfaces"
	"diagsh/internal/access"
	"diagsh/internal/daemon/captures/machine"
	"diagsh/internal/menu"
)

// CaptureSettings returns what a capture starts with where its request says nothing else.
func (t *Table) CaptureSettings() capture.Settings {
	t.settingsMu.Lock()
	defer t.settingsMu.Unlock()
	return t.complete(t.current)
}

// complete fills in what the settings leave to the appliance.
func (t *Table) complete(s capture.Settings) capture.Settings {
	s.Options = s.Normal()
	s.Interfaces = slices.Clone(s.Interfaces)
	if s.Limits.SizeBytes == 0 {
		s.Limits.SizeBytes = t.settings.CaptureRules().SizeBytes
	}
	return s
}

// firstSettings returns the settings of a new appliance.
func firstSettings() capture.Settings {
	return capture.Settings{Options: capture.Options{Interfaces: []string{capture.All}, Promiscuous: true}}
}

// SetCaptureSettings changes the settings that are given, for captures to come.
func (t *Table) SetCaptureSettings(caller menu.Caller, given capture.Partial) error {
	if err := given.CheckFormat(given.Format, leaveFormatOut); err != nil {
		return captureError("save the settings", err)
	}
	t.changing.Lock()
	defer t.changing.Unlock()
	if err := caller.CheckCondition(); err != nil {
		return err
	}
	present := t.CaptureSettings()
	s := capture.Settings{Options: withNames(given).Over(present.Options).Normal()}
	// Other users capture with it, and the caller sees their counts. A filter that stays is not
	// the caller's.
	if s.Filter != present.Filter {
		if err := permitFilter(caller, s.Filter); err != nil {
			return err
		}
	}
	spec := capture.Spec{Options: t.complete(s).Options}
	if err := spec.Check(); err != nil {
		return captureError("save the settings", err)
	}
	if _, err := machine.Resolve(spec.Interfaces); err != nil {
		return captureError("save the settings", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	if err := t.CheckFilter(ctx, s.Filter); err != nil {
		return err
	}
	if err := t.settingsFile.Store(settingsFile{s}); err != nil {
		return menu.Failing("save the settings", err)
	}
	t.settingsMu.Lock()
	defer t.settingsMu.Unlock()
	t.current = s
	t.settled.Changed(captureSettings)
	return nil
}

// Losses lists what Reset takes away.
func (t *Table) Losses() (losses []access.Loss) {
	if _, err := os.Stat(t.settingsFile.Path); err == nil {
		losses = append(losses, access.Loss{
			What: "settings of captures", Count: 1, Detail: "interfaces, filter and limits that captures begin with",
		})
	}
	if n := t.CountFilters(); n > 0 {
		losses = append(losses, access.Loss{What: "filters that users keep", Count: n})
	}
	if n := t.notes.Count(); n > 0 {
		losses = append(losses, access.Loss{What: "notes at packets of captures", Count: n})
	}
	return losses
}

// Reset makes captures begin as on a new appliance. It ends and deletes none.
func (t *Table) Reset() error {
	t.settingsMu.Lock()
	defer t.settingsMu.Unlock()
	if err := os.Remove(t.settingsFile.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	t.current = firstSettings()
	t.settled.Changed(captureSettings)
	if err := t.notes.Forget(func(string) bool { return true }); err != nil {
		return err
	}
	return t.ForgetAllFilters()
}

// captureSettings names what the Table tells of when the settings change.
const captureSettings = "captures"

const leaveFormatOut = "Leave format out, or write format pcapng"

// specOf completes a request with the settings and defaults.
func (t *Table) specOf(r capture.Request) (capture.Spec, error) {
	settings := t.CaptureSettings()
	if r.Defaults {
		settings = t.complete(firstSettings())
	}
	spec := capture.Spec{
		Name: r.Name, Start: r.Start, Delivery: r.Delivery, Options: withNames(r.Partial).Over(settings.Options),
		ReserveBytes: t.directory.Reserve(),
	}
	var err error
	if spec.Azure, err = capture.ParseAzure(r.Azure); err != nil {
		return spec, captureError("start the capture", err)
	}
	if err := r.CheckFormat(r.Format, leaveFormatOut); err != nil {
		return spec, captureError("start the capture", err)
	}
	if r.Format == "" && (spec.Comment != "" || spec.CaseNumber != "") {
		spec.Format = capture.PCAPNG // a pcap file has no place for them
	}
	if spec.Limits.SizeBytes == 0 {
		spec.Limits.SizeBytes = t.settings.CaptureRules().SizeBytes
	}
	if spec.Mode == capture.Ring {
		t.ring(&spec, r)
	}
	switch {
	case spec.Name != "" && !capture.PlainName(spec.Name):
		return spec, menu.BadArgument("name", "%s is not a name for a capture", menu.Quoted(spec.Name)).
			WithHint("%s", capture.PlainNameHint(spec.Name))
	case spec.Name == "" && spec.Mode == capture.Append:
		return spec, menu.BadArgument("name", "A capture that appends needs the name of the one to append to")
	}
	if err := spec.Check(); err != nil {
		return spec, captureError("start the capture", err)
	}
	spec.Options = spec.Normal()
	return spec, nil
}

// ring bounds a ring of files where the request does not.
func (t *Table) ring(spec *capture.Spec, r capture.Request) {
	if spec.Rotation.FileBytes == 0 && spec.Rotation.FileSeconds == 0 {
		spec.Rotation.FileBytes = t.settings.CaptureRules().SizeBytes
	}
	// The size in the settings is that of a single file. A ring that deletes its oldest file is
	// bounded by its files.
	if r.Limits.SizeBytes == 0 && spec.Rotation.KeepFiles > 0 {
		spec.Limits.SizeBytes = capture.Unlimited
	}
}

// withNames returns options whose interfaces have the names that the engine knows: its word for
// all, and no alternative names.
func withNames(p capture.Partial) capture.Partial {
	p.Interfaces = slices.Clone(p.Interfaces)
	for i, n := range p.Interfaces {
		if strings.EqualFold(n, capture.All) {
			p.Interfaces[i] = capture.All
		} else {
			p.Interfaces[i] = interfaces.RealName(n)
		}
	}
	return p
}

// CaptureInterfaces returns the interfaces that can be captured on.
func (t *Table) CaptureInterfaces() []capture.InterfaceInfo {
	list, err := machine.Interfaces()
	if err != nil {
		t.log.Error("the interfaces cannot be listed", "error", err)
	}
	return list
}
