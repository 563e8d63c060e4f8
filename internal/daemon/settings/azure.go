package settings

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"diagsh/internal/access"
)

// defaultAzure is what holds if the section azure names a subscription alone. The machine is the host
// name then.
func defaultAzure() access.Azure {
	return access.Azure{ResourceGroup: "lab", WatcherGroup: "NetworkWatcherRG", Watcher: "NetworkWatcher_lab", Location: "lab"}
}

// The forms of names. They stand in URLs that others build, so they have no character that a URL
// escapes.
var (
	subscriptionForm = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	})
	groupForm = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,88}[A-Za-z0-9_-]$|^[A-Za-z0-9_-]$`)
	})
	resourceForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?$`) })
	locationForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9]{1,40}$`) })
)

// azureSettings are the lines of the section azure.
func azureSettings(a *access.Azure) map[string]setting {
	group := form(groupForm, "it is a resource group's name: letters, digits, dots, hyphens and underscores, at most 90")
	name := form(resourceForm, "it is a name of at most 80 letters, digits, dots, hyphens and underscores that begins with "+
		"a letter or a digit")
	return map[string]setting{
		"subscription": func(value *yaml.Node) error {
			id := strings.ToLower(value.Value)
			if value.Kind != yaml.ScalarNode || !subscriptionForm().MatchString(id) {
				return errors.New("it is a UUID, such as the one that uuidgen prints")
			}
			a.Subscription = id
			return nil
		},
		"resourceGroup": text(&a.ResourceGroup, group),
		"watcherGroup":  text(&a.WatcherGroup, group),
		"watcher":       text(&a.Watcher, name),
		"location":      text(&a.Location, form(locationForm, "it is a location of at most 40 lower-case letters and digits, without spaces")),
		"machine":       text(&a.Machine, name),
	}
}

// form returns what checks that a text has a form, and says otherwise what is accepted.
func form(of func() *regexp.Regexp, accepted string) func(string) error {
	return func(text string) error {
		if !of().MatchString(text) {
			return errors.New(accepted)
		}
		return nil
	}
}

// Azure returns who the appliance is to clients of Azure. Without a subscription it is not one of
// theirs.
func (s *Settings) Azure() access.Azure {
	a := s.host.Azure
	if a.Subscription == "" {
		return access.Azure{}
	}
	if a.Machine == "" {
		a.Machine = s.host.Hostname
	}
	return a
}

// checkAzure returns an error if a file has the section and names no subscription there, which would
// leave the facade off without a word. seen are the settings and sections that are there.
func checkAzure(seen map[string]bool) error {
	if !seen["azure"] || seen["azure.subscription"] {
		return nil
	}
	return fmt.Errorf("%q is missing: it is a UUID of your own, such as the one that uuidgen prints; "+
		"without the section azure nothing is offered to clients of Azure", "azure.subscription")
}
