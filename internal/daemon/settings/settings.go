// Package settings knows what holds: the host configuration, and what is committed on top of it.
//
// The host configuration is a file that the administrator of the machine writes. It is read once,
// at the start; a change in the file counts from the next start on. A commit that sets a host name,
// banner, welcome or idle timeout goes before the file, from the moment that Apply is called.
package settings

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"diagsh/internal/config"
	"diagsh/internal/menu"
)

// Options are what Settings are opened with.
type Options struct {
	Dir             string   // the data directory, which may have a host configuration
	ConfigFile      string   // the host configuration; empty: config.yaml in Dir, if it is there
	Hostname        string   // goes before the file, and not before a commit; may be empty
	ManagementPorts []uint16 // TCP ports that the appliance serves
	Log             *slog.Logger
}

// Settings are read by all rooms. Their methods may be called from any goroutine.
type Settings struct {
	host host
	now  atomic.Pointer[applied]
}

// applied is what commits can change.
type applied struct {
	hostname, banner, welcome string
	idle                      time.Duration
}

// Open reads the host configuration. Its error is for the administrator of the machine: it names
// the file, the line and the setting.
func Open(o Options) (*Settings, error) {
	path, err := hostPath(o.ConfigFile, o.Dir)
	if err != nil {
		return nil, err
	}
	h, err := readHost(path)
	if err != nil {
		return nil, err
	}
	if o.Hostname != "" {
		if err := config.CheckHostname(o.Hostname); err != nil {
			return nil, fmt.Errorf("the host name %s: %w", menu.Quoted(o.Hostname), err)
		}
		h.Hostname = o.Hostname
	}
	h.ManagementPorts = append(h.ManagementPorts, o.ManagementPorts...)
	h.finish()
	for _, sentence := range h.ignored {
		o.Log.Warn("the configuration is not obeyed in full", "file", path, "what", sentence)
	}
	s := &Settings{host: h}
	s.Apply(nil)
	return s, nil
}

// Apply makes a committed document hold on top of the host configuration. Members that it does not
// set are again those of the file.
func (s *Settings) Apply(committed config.Document) {
	a := applied{s.host.Hostname, s.host.banner, s.host.welcome, s.host.IdleTimeout}
	for path, to := range map[config.Path]*string{config.Hostname: &a.hostname, config.Banner: &a.banner,
		config.Welcome: &a.welcome} {
		if text := committed[path]; text != "" {
			*to = text
		}
	}
	if text := committed[config.IdleTimeout]; text != "" {
		a.idle, _ = menu.ParseDuration(text) // the schema has read it
	}
	s.now.Store(&a)
}

// Hostname returns the name of the appliance, in prompts and file names.
func (s *Settings) Hostname() string { return s.now.Load().hostname }

// Banner returns the text before a login, or "". It implements api.Logins.
func (s *Settings) Banner() string { return s.now.Load().banner }

// Welcome returns the text after a login, or "".
func (s *Settings) Welcome() string { return s.now.Load().welcome }

// IdleTimeout returns how long a session may be idle; 0 is for ever.
func (s *Settings) IdleTimeout() time.Duration { return s.now.Load().idle }

// CaptureRules returns the bounds of captures.
func (s *Settings) CaptureRules() CaptureRules { return s.host.Captures }

// ScenarioFolder returns the folder with a vendor's scenarios of captures; empty is the one beside the
// configuration file.
func (s *Settings) ScenarioFolder() string { return s.host.ScenarioFolder }

// PortTier returns the best tier by which the port log and captures learn of sockets, "A", "B" or
// "C"; empty is the best that the kernel has.
func (s *Settings) PortTier() string { return s.host.PortTier }

// LongestWebSession returns after which time a session of the page ends, however busy it is.
func (s *Settings) LongestWebSession() time.Duration { return s.host.LongestWeb }

// SessionLimits returns how many sessions and logins there may be.
func (s *Settings) SessionLimits() SessionLimits { return s.host.Limits }

// LoginRules returns how guessing of passwords is slowed down.
func (s *Settings) LoginRules() LoginRules { return s.host.Login }

// ManagementPorts returns the TCP ports whose packets captures leave out unless they are told
// otherwise.
func (s *Settings) ManagementPorts() []uint16 { return s.host.ManagementPorts }

// LocalAccount returns the account that a user of this machine has by the socket, or "".
func (s *Settings) LocalAccount(uid uint32) string { return s.host.localUsers[uid] }

// Ignored returns what the host configuration refers to and is not there any more, in full
// sentences.
func (s *Settings) Ignored() []string { return s.host.ignored }
