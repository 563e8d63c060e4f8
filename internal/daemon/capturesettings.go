package daemon

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strings"

	"diagsh/capture"
	"diagsh/capture/afpacket"
	"diagsh/diag/interfaces"
	"diagsh/internal/menu"
)

// CaptureSettings is what a capture starts with when its request says nothing else.
func (d *Daemon) CaptureSettings() capture.Settings {
	d.captures.settingsMu.Lock()
	defer d.captures.settingsMu.Unlock()
	return d.settled(d.captures.current)
}

// settled fills in what the settings leave to the appliance.
func (d *Daemon) settled(s capture.Settings) capture.Settings {
	s.Interfaces = slices.Clone(s.Interfaces)
	if s.Limits.SizeBytes == 0 {
		s.Limits.SizeBytes = d.CaptureRules().SizeBytes
	}
	return s
}

// firstSettings are those of a new appliance.
func firstSettings() capture.Settings { return capture.Settings{Interfaces: []string{capture.All}} }

// SetCaptureSettings changes it, for captures to come.
func (d *Daemon) SetCaptureSettings(caller menu.Caller, s capture.Settings) error {
	spec := specOfSettings(s)
	// Others capture with it, whose counts everybody sees. A filter that stays is not the caller's.
	if s.Filter != d.CaptureSettings().Filter {
		if err := permitFilter(caller, s.Filter); err != nil {
			return err
		}
	}
	if spec.Limits.SizeBytes == 0 {
		spec.Limits.SizeBytes = d.CaptureRules().SizeBytes
	}
	if err := spec.Check(); err != nil {
		return captureError("keep the settings", err)
	}
	if _, err := resolve(spec.Interfaces); err != nil {
		return captureError("keep the settings", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	if err := d.CheckFilter(ctx, s.Filter); err != nil {
		return err
	}
	s.Interfaces, s.Limits = spec.Interfaces, spec.Limits
	c := d.captures
	c.settingsMu.Lock()
	defer c.settingsMu.Unlock()
	if err := c.settings.Store(s); err != nil {
		return menu.Failing("keep the settings", err)
	}
	c.current = s
	return nil
}

func specOfSettings(s capture.Settings) capture.Spec {
	return capture.Spec{
		Interfaces: interfaceNames(s.Interfaces), OnInterfaceGone: s.OnInterfaceGone, Filter: strings.TrimSpace(s.Filter), Direction: s.Direction,
		Promiscuous: !s.NotPromiscuous, SnapLength: s.SnapLength, HeadersOnly: s.HeadersOnly, Format: s.Format, Precision: s.Precision,
		Mode: s.Mode, Limits: withoutUnlimited(s.Limits), Rotation: s.Rotation, Persistent: s.Persistent, Keep: s.Keep,
		Comment: s.Comment, CaseNumber: s.CaseNumber, RingBytes: s.RingBytes, Rings: s.Rings, CPUs: s.CPUs,
	}
}

// specOf puts settings and defaults in the place of what a request leaves out. management says whether the packets of management
// sessions are kept.
func (d *Daemon) specOf(r capture.Request) (spec capture.Spec, management bool, err error) {
	settings := d.CaptureSettings()
	if r.Defaults {
		settings = d.settled(firstSettings())
	}
	spec, management = specOfSettings(settings), settings.Management
	spec.Name, spec.StartAt = r.Name, r.StartAt
	if len(r.Interfaces) > 0 {
		spec.Interfaces = interfaceNames(r.Interfaces)
	}
	given(&spec.Filter, trimmed(r.Filter))
	given(&spec.Promiscuous, r.Promiscuous)
	given(&spec.SnapLength, r.SnapLength)
	given(&spec.HeadersOnly, r.HeadersOnly)
	given(&spec.Persistent, r.Persistent)
	given(&spec.Keep, r.Keep)
	given(&spec.Comment, trimmed(r.Comment))
	given(&spec.CaseNumber, trimmed(r.CaseNumber))
	given(&management, r.Management)
	spec.Management = management
	spec.OnInterfaceGone = cmp.Or(r.OnInterfaceGone, spec.OnInterfaceGone)
	spec.Direction = cmp.Or(r.Direction, spec.Direction)
	spec.Format = cmp.Or(r.Format, spec.Format)
	if err := fitsIn(r.Format, r, "Leave format out, or write format pcapng"); err != nil {
		return spec, management, err
	}
	if r.Format == "" && (spec.Comment != "" || spec.CaseNumber != "") {
		spec.Format = capture.PCAPNG // a pcap file has no place for them
	}
	spec.Precision = cmp.Or(r.Precision, spec.Precision)
	spec.RingBytes = cmp.Or(r.RingBytes, spec.RingBytes)
	spec.Rings = cmp.Or(r.Rings, spec.Rings)
	if r.CPUs != nil {
		spec.CPUs = r.CPUs
	}
	spec.Limits.SizeBytes = cmp.Or(r.Limits.SizeBytes, spec.Limits.SizeBytes)
	spec.Limits.DurationSeconds = cmp.Or(r.Limits.DurationSeconds, spec.Limits.DurationSeconds)
	spec.Limits.Packets = cmp.Or(r.Limits.Packets, spec.Limits.Packets)
	spec.Limits.Files = cmp.Or(r.Limits.Files, spec.Limits.Files)
	d.mode(&spec, r)
	spec.Limits = withoutUnlimited(spec.Limits)
	spec.ReserveBytes = d.Reserve()
	switch {
	case spec.Name != "" && !capture.PlainName(spec.Name):
		return spec, management, menu.BadArgument("name", "%s is not a name for a capture", menu.Quoted(spec.Name)).
			WithHint("%s", capture.PlainNameHint)
	case spec.Name == "" && spec.Mode == capture.Append:
		return spec, management, menu.BadArgument("name", "A capture that appends needs the name of the one to append to")
	}
	if err := spec.Check(); err != nil {
		return spec, management, captureError("start the capture", err)
	}
	return spec, management, nil
}

// fitsIn refuses the comment or the case number of a request for a file that has no place for it. One of the settings is for files
// that have.
func fitsIn(format capture.Format, r capture.Request, hint string) error {
	switch given := func(s *string) bool { return s != nil && strings.TrimSpace(*s) != "" }; {
	case format != capture.PCAP:
		return nil
	case given(r.Comment):
		return menu.BadArgument("comment", "A pcap file has no place for a comment").WithHint("%s", hint)
	case given(r.CaseNumber):
		return menu.BadArgument("case", "A pcap file has no place for a case number").WithHint("%s", hint)
	}
	return nil
}

// mode puts together what belongs to a mode. A mode that is asked for takes the place of the settings' own, with what belongs to
// that; and what belongs to rings only asks for one.
func (d *Daemon) mode(spec *capture.Spec, r capture.Request) {
	rotation := capture.Rotation{
		FileBytes:   cmp.Or(r.Rotation.FileBytes, spec.Rotation.FileBytes),
		FileSeconds: cmp.Or(r.Rotation.FileSeconds, spec.Rotation.FileSeconds),
		KeepFiles:   cmp.Or(r.Rotation.KeepFiles, spec.Rotation.KeepFiles),
	}
	switch {
	case r.Mode != "":
		spec.Mode = r.Mode
	case r.Rotation != (capture.Rotation{}):
		spec.Mode = capture.Ring
	}
	if spec.Mode != capture.Ring {
		spec.Rotation = r.Rotation // which Check finds wrong unless it is empty
		if spec.Mode != capture.Circular && r.Limits.Files == 0 {
			spec.Limits.Files = 0
		}
		return
	}
	spec.Rotation = rotation
	if rotation.FileBytes == 0 && rotation.FileSeconds == 0 {
		spec.Rotation.FileBytes = d.CaptureRules().SizeBytes
	}
	// The settings' size is that of a single file; a ring that deletes its oldest file is bounded by its files.
	if r.Limits.SizeBytes == 0 && rotation.KeepFiles > 0 {
		spec.Limits.SizeBytes = capture.Unlimited
	}
}

// given puts a value that a request has in the place of another.
func given[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}

func trimmed(s *string) *string {
	if s == nil {
		return nil
	}
	t := strings.TrimSpace(*s)
	return &t
}

// interfaceNames writes interfaces as the engine knows them: the word for all, and the names of those that were given by alternative ones.
func interfaceNames(names []string) []string {
	names = slices.Clone(names)
	for i, n := range names {
		if strings.EqualFold(n, capture.All) {
			names[i] = capture.All
		} else {
			names[i] = interfaces.RealName(n)
		}
	}
	return names
}

// withoutUnlimited writes "no limit" of time and packets as the engine does. A size keeps the difference between no limit, which
// somebody must have asked for, and nothing said.
func withoutUnlimited(l capture.Limits) capture.Limits {
	if l.DurationSeconds == capture.Unlimited {
		l.DurationSeconds = 0
	}
	if l.Packets == capture.Unlimited {
		l.Packets = 0
	}
	if l.Files == capture.Unlimited {
		l.Files = 0
	}
	return l
}

// resolve finds interfaces.
func resolve(names []string) ([]capture.Interface, error) {
	list, err := afpacket.Resolve(names)
	if err == nil && len(list) == 0 {
		err = menu.Errorf(menu.Unsupported, "This machine has no interface that packets can be captured on")
	}
	return list, err
}

// interfaceHint names the interface that was probably meant, else those that there are.
func interfaceHint(name string) string {
	list, err := afpacket.Interfaces()
	if err != nil || len(list) == 0 {
		return "This machine has none that packets can be captured on"
	}
	var names []string
	for _, i := range list {
		names = append(names, i.Name)
	}
	if slices.Contains(names, name) {
		return "It is there now: try again"
	}
	if near := menu.Nearest(name, names); near != "" {
		return "Did you mean " + near + "?"
	}
	if len(names) > 12 {
		names = append(names[:12], "...")
	}
	return "The interfaces are " + strings.Join(names, ", ") + ", and ALL"
}

// CaptureInterfaces lists the interfaces that can be captured on.
func (d *Daemon) CaptureInterfaces() []capture.InterfaceInfo {
	list, err := afpacket.Interfaces()
	if err != nil {
		d.log.Error("the interfaces cannot be listed", "error", err)
	}
	infos := make([]capture.InterfaceInfo, 0, len(list))
	for _, i := range list {
		info := capture.InterfaceInfo{Name: i.Name, Loopback: i.Loopback, LinkType: linkName(i), Addresses: []string{}}
		if link, err := net.InterfaceByIndex(i.Index); err == nil {
			info.Up = link.Flags&net.FlagUp != 0
			addresses, _ := link.Addrs()
			for _, a := range addresses {
				info.Addresses = append(info.Addresses, a.String())
			}
		}
		infos = append(infos, info)
	}
	return infos
}

func linkName(i capture.Interface) string {
	switch {
	case i.Loopback:
		return "loopback"
	case i.LinkType == capture.Raw:
		return "raw IP"
	}
	return "Ethernet"
}
