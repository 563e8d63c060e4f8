package interfaces

import "github.com/vishvananda/netlink"

// RealName returns the name of the interface with that name or alternative name (ip-link(8),
// altname; Linux 5.5). If there is none it returns name, for which the caller's own lookup then
// fails.
func RealName(name string) string {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return name
	}
	return link.Attrs().Name
}

// AltNames returns the alternative names of this host's interfaces, each with the interface's
// index.
func AltNames() map[string]int {
	links, err := netlink.LinkList()
	if err != nil {
		return nil
	}
	names := map[string]int{}
	for _, l := range links {
		for _, name := range l.Attrs().AltNames {
			names[name] = l.Attrs().Index
		}
	}
	return names
}
