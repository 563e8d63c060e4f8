package procs

import (
	"os/user"
	"strconv"
	"time"
)

const (
	keepUsers = time.Minute // a name may change
	mostUsers = 4096        // are remembered
)

// Users know the names of users by their numbers. The zero value is ready for use by one goroutine.
type Users struct{ known map[uint32]userName }

type userName struct {
	name  string
	until time.Time
}

// Name returns the name of a user, or nothing if it has none.
func (u *Users) Name(uid uint32) string {
	now := time.Now()
	if known, ok := u.known[uid]; ok && now.Before(known.until) {
		return known.name
	}
	if u.known == nil || len(u.known) >= mostUsers {
		u.known = map[uint32]userName{}
	}
	name := ""
	if found, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
		name = found.Username
	}
	u.known[uid] = userName{name, now.Add(keepUsers)}
	return name
}
