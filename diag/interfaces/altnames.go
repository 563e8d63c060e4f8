package interfaces

import "github.com/vishvananda/netlink"

// RealName is the name of the interface that has a name or an alternative name (ip-link(8), altname; Linux 5.5). Where none has it, the
// name stays as it is: whoever looks for it says so.
func RealName(name string) string {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return name
	}
	return link.Attrs().Name
}

// AltNames are the alternative names of this host's interfaces, each with the interface's number.
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
