// Package users names the accounts of this host.
package users

import (
	"os/user"
	"strconv"
)

// Names remembers the names of user IDs. Make one for each listing, because an account may change
// in between.
type Names map[uint32]string

// Of returns the name of a user ID, or the number if it has none.
func (n Names) Of(uid uint32) string {
	if name, ok := n[uid]; ok {
		return name
	}
	name := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	n[uid] = name
	return name
}

// Number returns the ID of the user with a name.
func Number(name string) (uint32, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(n), err
}
