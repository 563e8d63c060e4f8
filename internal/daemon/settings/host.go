package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"diagsh/internal/access"
	"diagsh/internal/config"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// A host is the host configuration.
type host struct {
	Hostname        string        // in prompts and file names
	BannerFile      string        // text before a login
	WelcomeFile     string        // text after it
	IdleTimeout     time.Duration // 0: sessions never end for idleness
	LongestWeb      time.Duration // of a session of the page, however busy
	Limits          SessionLimits
	Login           LoginRules
	LocalUsers      map[string]string // a user of this machine, by name or number: the account it has by the socket
	SignIn          SignIn
	Azure           access.Azure // who it is to clients of Azure
	Captures        CaptureRules
	PortTier        string   // how sockets are watched, at best; empty: as well as the kernel can
	ScenarioFolder  string   // with a vendor's scenarios of captures; empty: scenarios, beside the configuration file
	ManagementPorts []uint16 // TCP ports beside those of Options whose packets captures leave out

	banner, welcome string
	localUsers      map[uint32]string
	ignored         []string // what refers to something that is not there any more, in sentences
}

// SessionLimits bound what users take.
type SessionLimits struct {
	SessionsPerUser int
	Logins          int // of all users together; administrators come in nevertheless
}

// LoginRules are the numbers by which guessing of passwords is slowed down.
type LoginRules struct {
	LongestDelay time.Duration // between two passwords of one source
	LockAfter    int           // failures of one source with one name
	Lock         time.Duration // the first lock; each further one lasts twice as long
	LongestLock  time.Duration
}

// CaptureRules bound captures whose owners say nothing.
type CaptureRules struct {
	SizeBytes    int64
	Running      int           // captures at the same time
	ReserveBytes int64         // of the disk stay free; 0: by the size of the disk
	Memory       int64         // of all captures together; 0: a quarter of the machine's
	KeepMemory   time.Duration // of a capture that ended, for the next one; 0: not at all
	Quota        int64         // of everything in the diagnostic directory; 0: none

	// What may be deleted without asking: the oldest files of captures that ended, when the quota
	// is met; those that are older.
	DeleteOldest bool
	KeepFor      time.Duration // 0: for ever
}

func defaultHost() host {
	return host{
		IdleTimeout: 30 * time.Minute,
		LongestWeb:  12 * time.Hour,
		Limits:      SessionLimits{SessionsPerUser: 16, Logins: 256},
		Login: LoginRules{LongestDelay: 30 * time.Second, LockAfter: 10, Lock: 5 * time.Minute,
			LongestLock: time.Hour},
		SignIn:   defaultSignIn(),
		Azure:    defaultAzure(),
		Captures: CaptureRules{SizeBytes: 200 << 20, Running: 16, KeepMemory: 10 * time.Minute},
	}
}

// settings is every line that a configuration file may have.
func (h *host) settings() map[string]setting {
	all := map[string]setting{
		"hostname":               text(&h.Hostname, config.CheckHostname),
		"bannerFile":             text(&h.BannerFile, nil),
		"welcomeFile":            text(&h.WelcomeFile, nil),
		"idleTimeout":            duration(&h.IdleTimeout, 0, 30*24*time.Hour),
		"longestWebSession":      duration(&h.LongestWeb, time.Minute, 30*24*time.Hour),
		"limits.sessionsPerUser": number(&h.Limits.SessionsPerUser, 1, 10_000),
		"limits.logins":          number(&h.Limits.Logins, 1, 100_000),
		"login.longestDelay":     duration(&h.Login.LongestDelay, 0, 10*time.Minute),
		"login.lockAfter":        number(&h.Login.LockAfter, 1, 1000),
		"login.lock":             duration(&h.Login.Lock, time.Second, 24*time.Hour),
		"login.longestLock":      duration(&h.Login.LongestLock, time.Second, 7*24*time.Hour),
		"localUsers":             userMap(&h.LocalUsers),
		"captures.defaultSize":   size(&h.Captures.SizeBytes, 1<<20),
		"captures.running":       number(&h.Captures.Running, 1, 256),
		"captures.diskReserve":   size(&h.Captures.ReserveBytes, 1<<20),
		"captures.memory":        size(&h.Captures.Memory, 32<<20),
		"captures.keepMemory":    duration(&h.Captures.KeepMemory, 0, 24*time.Hour),
		"captures.quota":         size(&h.Captures.Quota, 16<<20),
		"captures.deleteOldest":  yesNo(&h.Captures.DeleteOldest),
		"captures.keepFor":       duration(&h.Captures.KeepFor, 0, 10*365*24*time.Hour),
		"ports.tier":             text(&h.PortTier, oneOf("A", "B", "C")),
		"captures.scenarios":     text(&h.ScenarioFolder, nil),
		"managementPorts":        ports(&h.ManagementPorts),
	}
	for name, set := range h.SignIn.settings() {
		all["signIn."+name] = set
	}
	for name, set := range azureSettings(&h.Azure) {
		all["azure."+name] = set
	}
	return all
}

// maxHostFile and maxTextFile bound the files in bytes.
const (
	maxHostFile = 1 << 20
	maxTextFile = 64 << 10
)

// readHost reads a configuration file. An empty name is no file: the defaults. Errors name the
// file, the line and the setting.
func readHost(path string) (host, error) {
	h := defaultHost()
	if path == "" {
		return h, nil
	}
	data, err := store.ReadBounded(path, maxHostFile)
	if err != nil {
		return h, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	if err := h.parse(data); err != nil {
		return h, fmt.Errorf("%s %w", path, err)
	}
	return h, nil
}

// finish reads what the configuration refers to. What the machine has lost meanwhile, such as a
// user that was deleted, is no reason to keep the appliance down at its next start: the setting is
// ignored, which is said.
func (h *host) finish() {
	if h.Hostname == "" {
		h.Hostname = ownHostname()
	}
	for _, f := range []struct {
		setting, path string
		text          *string
	}{{"bannerFile", h.BannerFile, &h.banner}, {"welcomeFile", h.WelcomeFile, &h.welcome}} {
		if f.path == "" {
			continue
		}
		data, err := store.ReadBounded(f.path, maxTextFile)
		if err != nil {
			h.ignore(f.setting, "the file cannot be read: "+withoutPath(err))
			continue
		}
		*f.text = showable(string(data))
	}
	h.localUsers = make(map[uint32]string)
	for who, account := range h.LocalUsers {
		number, err := strconv.ParseUint(who, 10, 32)
		if err != nil {
			u, err := osuser.Lookup(who)
			if err != nil {
				h.ignore("localUsers", fmt.Sprintf("this machine has no user %s", who))
				continue
			}
			if number, err = strconv.ParseUint(u.Uid, 10, 32); err != nil {
				h.ignore("localUsers", fmt.Sprintf("the user id of %s is no number", who))
				continue
			}
		}
		h.localUsers[uint32(number)] = account
	}
	h.SignIn.finish(h.ignore)
	slices.Sort(h.ignored)
}

func (h *host) ignore(setting, why string) {
	h.ignored = append(h.ignored, fmt.Sprintf("The configuration's %s is ignored in part: %s.", setting, why))
}

// withoutPath is what an error of the file system says without the path.
func withoutPath(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return err.Error()
}

// parse reads the text of a configuration.
func (h *host) parse(data []byte) error {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		text := strings.TrimPrefix(err.Error(), "yaml: ")
		if !strings.HasPrefix(text, "line ") { // the library does not count the first
			text = "line 1: " + text
		}
		return errors.New(text)
	}
	if document.Kind == 0 {
		return nil
	}
	seen := make(map[string]bool)
	if err := readSettings(document.Content[0], "", h.settings(), seen); err != nil {
		return err
	}
	if err := checkAzure(seen); err != nil {
		return err
	}
	return h.SignIn.check()
}

// A setting takes the value that the file gives it. Its error says what is accepted.
type setting func(value *yaml.Node) error

// readSettings walks through a mapping whose keys begin with prefix. Each must be known and stand
// there once.
func readSettings(mapping *yaml.Node, prefix string, known map[string]setting, seen map[string]bool) error {
	if mapping.Kind == yaml.ScalarNode && mapping.Tag == "!!null" {
		return nil // Nothing stands there, or comments only.
	}
	if mapping.Kind != yaml.MappingNode {
		return atLine(mapping, strings.TrimSuffix(prefix, "."),
			errors.New("settings are lines of the form \"name: value\""))
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		name := prefix + key.Value
		if seen[name] {
			return atLine(key, name, errors.New("the setting is there twice"))
		}
		seen[name] = true
		if set, ok := known[name]; ok {
			if err := set(value); err != nil {
				return atLine(value, name, err)
			}
			continue
		}
		if !isGroup(name, known) {
			return atLine(key, name, unknownSetting(name, known))
		}
		if err := readSettings(value, name+".", known, seen); err != nil {
			return err
		}
	}
	return nil
}

func isGroup(name string, known map[string]setting) bool {
	for k := range known {
		if strings.HasPrefix(k, name+".") {
			return true
		}
	}
	return false
}

func unknownSetting(name string, known map[string]setting) error {
	var names []string
	for k := range known {
		names = append(names, k)
	}
	if near := menu.Nearest(name, names); near != "" {
		return fmt.Errorf("there is no such setting; did you mean %s?", near)
	}
	return errors.New("there is no such setting")
}

func atLine(at *yaml.Node, name string, err error) error {
	if name == "" {
		return fmt.Errorf("line %d: %w", at.Line, err)
	}
	return fmt.Errorf("line %d: %s: %w", at.Line, menu.Quoted(name), err)
}

// text is a setting that is a line of text.
func text(to *string, check func(string) error) setting {
	return func(value *yaml.Node) error {
		if value.Kind != yaml.ScalarNode || strings.ContainsFunc(value.Value, unicode.IsControl) {
			return errors.New("it is a line of text")
		}
		if check != nil {
			if err := check(value.Value); err != nil {
				return err
			}
		}
		*to = value.Value
		return nil
	}
}

// number is a setting that is a whole number in a range.
func number(to *int, least, most int) setting {
	return func(value *yaml.Node) error {
		n, err := strconv.Atoi(value.Value)
		if value.Kind != yaml.ScalarNode || err != nil || n < least || n > most {
			return fmt.Errorf("it is a whole number from %d to %d", least, most)
		}
		*to = n
		return nil
	}
}

// duration is a setting such as 30m.
func duration(to *time.Duration, least, most time.Duration) setting {
	return func(value *yaml.Node) error {
		d, err := menu.ParseDuration(value.Value)
		if value.Kind != yaml.ScalarNode || err != nil || d < least || d > most {
			return fmt.Errorf("it is a duration from %s to %s, such as 90s, 30m or 4h", menu.FormatDuration(least),
				menu.FormatDuration(most))
		}
		*to = d
		return nil
	}
}

// size is a setting such as 200MB.
func size(to *int64, least int64) setting {
	return func(value *yaml.Node) error {
		n, err := menu.ParseSize(value.Value, "")
		if value.Kind != yaml.ScalarNode || err != nil || int64(n) < least {
			return fmt.Errorf("it is a size from %s on, such as 200MB", menu.Size(least))
		}
		*to = int64(n)
		return nil
	}
}

// yesNo is a setting that is true or false.
func yesNo(to *bool) setting {
	return func(value *yaml.Node) error {
		if value.Decode(to) != nil {
			return errors.New("it is true or false")
		}
		return nil
	}
}

// ports is a setting that is a list of port numbers.
func ports(to *[]uint16) setting {
	return func(value *yaml.Node) error {
		wrong := errors.New("it is a list of port numbers, such as [2222, 8443]")
		if value.Kind != yaml.SequenceNode {
			return wrong
		}
		var list []uint16
		for _, item := range value.Content {
			n, err := strconv.ParseUint(item.Value, 10, 16)
			if item.Kind != yaml.ScalarNode || err != nil || n == 0 {
				return wrong
			}
			list = append(list, uint16(n))
		}
		*to = list
		return nil
	}
}

// userMap is a setting of the form {user of the machine: account}.
func userMap(to *map[string]string) setting {
	return func(value *yaml.Node) error {
		wrong := errors.New("it has lines of the form \"user of this machine: user of the appliance\"")
		if value.Kind != yaml.MappingNode {
			return wrong
		}
		m := make(map[string]string)
		for i := 0; i+1 < len(value.Content); i += 2 {
			who, account := value.Content[i], value.Content[i+1]
			if who.Kind != yaml.ScalarNode || account.Kind != yaml.ScalarNode || who.Value == "" ||
				!access.PlainUserName(account.Value) || m[who.Value] != "" {
				return wrong
			}
			m[who.Value] = account.Value
		}
		*to = m
		return nil
	}
}

// ownHostname is the machine's own name, if it can be used.
func ownHostname() string {
	if host, err := os.Hostname(); err == nil && config.CheckHostname(host) == nil {
		return host
	}
	return "diagsh"
}

// hostPath is the file to read: the one that was named, else the one in the data directory if it is
// there.
func hostPath(named, dir string) (string, error) {
	if named != "" {
		return named, nil
	}
	path := filepath.Join(dir, "config.yaml")
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	default:
		return path, err
	}
}

// showable drops from a text what a terminal would obey, and ends it with a newline.
func showable(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ReplaceAll(text, "\r\n", "\n"))
	return strings.TrimRight(clean, "\n") + "\n"
}
