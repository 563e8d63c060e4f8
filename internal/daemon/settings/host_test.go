package settings

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"diagsh/internal/access"
	"diagsh/internal/config"
)

func open(o Options) (*Settings, error) {
	o.Log = slog.New(slog.DiscardHandler)
	return Open(o)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestConfigWithEverySetting(t *testing.T) {
	got, err := readHost("testdata/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got.finish()
	want := host{
		Hostname: "mx1", BannerFile: "testdata/banner.txt", WelcomeFile: "testdata/welcome.txt", IdleTimeout: 45 * time.Minute,
		LongestWeb: 8 * time.Hour,
		Limits:     SessionLimits{SessionsPerUser: 8, Logins: 100},
		Login:      LoginRules{LongestDelay: 10 * time.Second, LockAfter: 5, Lock: time.Minute, LongestLock: 30 * time.Minute},
		LocalUsers: map[string]string{"root": "ops", "1000": "view"},
		SignIn:     wantSignIn(t),
		Azure: access.Azure{Subscription: "7a1f0e2c-9f4b-4d3e-8a55-0c6f5d1b2e90", ResourceGroup: "rack4", WatcherGroup: "watchers",
			Watcher: "NetworkWatcher_zurich", Location: "zurich", Machine: "mx1-vm"},
		Captures:        CaptureRules{SizeBytes: 50 << 20, Running: 4, ReserveBytes: 2 << 30, Memory: 512 << 20, KeepMemory: time.Minute, Quota: 50 << 30, DeleteOldest: true, KeepFor: 30 * 24 * time.Hour},
		PortTier:        "C",
		ScenarioFolder:  "/etc/diagsh/scenarios",
		ManagementPorts: []uint16{22, 443},
		banner:          "Authorised use only.\n[31mRed.\n", welcome: "Welcome.\n",
		localUsers: map[uint32]string{0: "ops", 1000: "view"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("it reads as %+v; want %+v", got, want)
	}
	// The example has every setting that there is.
	text, err := os.ReadFile("testdata/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name := range new(host).settings() {
		if last := name[strings.LastIndexByte(name, '.')+1:]; !strings.Contains(string(text), last+":") {
			t.Errorf("the example lacks %s", name)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for text, want := range map[string]string{
		"hostname: mx1\nidletimeout: 5m":               `line 2: "idletimeout": there is no such setting; did you mean idleTimeout?`,
		"hostname: a b":                                `line 1: "hostname": it is a host name`,
		"idleTimeout: soon":                            `line 1: "idleTimeout": it is a duration`,
		"idleTimeout: -5":                              `line 1: "idleTimeout": it is a duration`,
		"limits:\n  sessionsPerUser: many":             `line 2: "limits.sessionsPerUser": it is a whole number from 1 to 10000`,
		"limits: 5":                                    `line 1: "limits": settings are lines`,
		"limits:\n  logins: 5\n  logins: 6":            `line 3: "limits.logins": the setting is there twice`,
		"limits:\n  nothing: 5":                        `line 2: "limits.nothing": there is no such setting`,
		"captures: {defaultSize: 1KB}":                 `line 1: "captures.defaultSize": it is a size from 1MB on`,
		"managementPorts: [22, ssh]":                   `line 1: "managementPorts": it is a list of port numbers`,
		"ports: {tier: D}":                             `line 1: "ports.tier": it is A or B or C`,
		"managementPorts: 22":                          `line 1: "managementPorts": it is a list of port numbers`,
		"azure: {subscription: lab}":                   `line 1: "azure.subscription": it is a UUID`,
		"azure:\n  subscription: {a: b}":               `line 2: "azure.subscription": it is a UUID`,
		"azure: {machine: mx1}":                        `"azure.subscription" is missing: it is a UUID`,
		"azure: {}":                                    `"azure.subscription" is missing: it is a UUID`,
		"azure:\n  # subscription: 7a1f\n":             `"azure.subscription" is missing: it is a UUID`,
		"azure:\n  machine: a/b":                       `line 2: "azure.machine": it is a name`,
		"azure: {location: West Europe}":               `line 1: "azure.location": it is a location`,
		"azure: {resourceGroup: lab.}":                 `line 1: "azure.resourceGroup": it is a resource group's name`,
		"azure: {watcherGroup: ..}":                    `line 1: "azure.watcherGroup": it is a resource group's name`,
		"azure: {watcher: \"\"}":                       `line 1: "azure.watcher": it is a name`,
		"azure: {subscriptions: x}":                    `line 1: "azure.subscriptions": there is no such setting; did you mean azure.subscription?`,
		"localUsers: [root]":                           `line 1: "localUsers": it has lines`,
		"localUsers: {root: Ops}":                      `line 1: "localUsers": it has lines`,
		"- hostname":                                   `line 1: settings are lines`,
		"hostname: [":                                  `line 1: `,
		"a: &x {b: 1}\nhostname: *x":                   `line 1: "a": there is no such setting`,
		"x: &a [1,1]\ny: &b [*a,*a]\nz: &c [*b,*b,*b]": `line 1: "x": there is no such setting`,
	} {
		c := defaultHost()
		err := c.parse([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v; want %s", text, err, want)
		}
	}
	for _, empty := range []string{"", "# nothing\n", "---\n", "limits: {}\n"} {
		c := defaultHost()
		if err := c.parse([]byte(empty)); err != nil || !reflect.DeepEqual(c, defaultHost()) {
			t.Errorf("%q: %v, %+v", empty, err, c)
		}
	}
}

func TestConfigThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	for text, want := range map[string]string{
		"hostname:\n\thost: x": "line 2",
	} {
		write(t, path, text)
		if _, err := open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := open(Options{Dir: dir, ConfigFile: filepath.Join(dir, "missing.yaml")}); err == nil {
		t.Error("a configuration that was named and is missing is no error")
	}
	if _, err := open(Options{Dir: dir, ConfigFile: "testdata/welcome.txt", Hostname: "x"}); err == nil {
		t.Error("a text is read as a configuration")
	}
	if _, err := open(Options{Dir: dir, Hostname: "a/b"}); err == nil {
		t.Error("a host name with a slash is taken")
	}
}

// What the machine has lost since the last start does not keep the appliance down.
func TestConfigThatNamesWhatIsGone(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"bannerFile: /nowhere/banner":                       "The configuration's bannerFile is ignored in part: the file cannot be read: no such file or directory.",
		"welcomeFile: /dev/zero":                            "The configuration's welcomeFile is ignored in part: the file cannot be read: it is not a file of at most 65536 bytes.",
		"localUsers: {no.such: ops, other.one: x, 4711: y}": "The configuration's localUsers is ignored in part: this machine has no user no.such. The configuration's localUsers is ignored in part: this machine has no user other.one.",
	} {
		write(t, filepath.Join(dir, "config.yaml"), text)
		s, err := open(Options{Dir: dir})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got := strings.Join(s.Ignored(), " "); got != want {
			t.Errorf("%q: %s\nwant %s", text, got, want)
		}
		if account := s.LocalAccount(4711); strings.Contains(text, "4711") && account != "y" {
			t.Errorf("%q: a user that is there has the account %q", text, account)
		}
	}
}

// FuzzConfig reads any text as a configuration: it never crashes, and what it takes is in range.
func FuzzConfig(f *testing.F) {
	example, err := os.ReadFile("testdata/config.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add([]byte("? {a: b}\n: c\nlimits: !!binary x\n<<: *y"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := defaultHost()
		if c.parse(data) != nil {
			return
		}
		if c.Hostname != "" && config.CheckHostname(c.Hostname) != nil || c.Limits.SessionsPerUser < 1 || c.Limits.Logins < 1 || c.Login.LockAfter < 1 || c.IdleTimeout < 0 ||
			c.Captures.SizeBytes < 1<<20 || c.Captures.Running < 1 {
			t.Errorf("%q makes %+v", data, c)
		}
	})
}

// A section that names its subscription alone has defaults for the rest, and one that is not there is
// no facade.
func TestAzureDefaults(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]access.Azure{
		"hostname: mx1": {},
		"hostname: mx1\nazure: {subscription: 7A1F0E2C-9F4B-4D3E-8A55-0C6F5D1B2E90}": {
			Subscription: "7a1f0e2c-9f4b-4d3e-8a55-0c6f5d1b2e90", ResourceGroup: "lab", WatcherGroup: "NetworkWatcherRG",
			Watcher: "NetworkWatcher_lab", Location: "lab", Machine: "mx1"},
	} {
		write(t, filepath.Join(dir, "config.yaml"), text)
		s, err := open(Options{Dir: dir})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		s.Apply(config.Document{config.Hostname: "renamed"}) // a machine that changed its name would be another one
		if got := s.Azure(); got != want {
			t.Errorf("%q: %+v; want %+v", text, got, want)
		}
	}
}
