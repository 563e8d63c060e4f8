package access

import (
	"time"

	"diagsh/internal/menu"
)

// Files is the path of the diagnostic directory among the paths of a token: files that are listed,
// read and deleted as files, not by a command.
const Files = "files"

// A Token is an API token: by it a program acts for an account, with at most a part of its rights.
type Token struct {
	ID      string    `json:"token"` // names it in lists and in the audit log; no secret
	Name    string    `json:"name"`  // what it is for
	User    string    `json:"user"`
	Role    menu.Role `json:"role"` // the most that it may: never more than the account now
	Created time.Time `json:"createdTime"`
	Expires time.Time `json:"expiryTime"`
	Sources []string  `json:"sources"` // networks that it may be used from; empty: all
	Paths   []string  `json:"paths"`   // menus and commands in words, and Files; empty: all
	// the latest use; nil: none
	LastUsed *time.Time `json:"lastUsedTime,omitempty"`
	LastFrom string     `json:"lastFrom,omitempty"`
}

// LesserRole returns which of two roles has fewer rights. Of Operator and Support, which may do the
// same, it is Support: it sees less. Package people calls it, for a token's role and an account's.
func LesserRole(a, b menu.Role) menu.Role {
	switch {
	case !a.Valid(), b.Valid() && !a.Includes(b):
		return a
	case !b.Valid(), !b.Includes(a), b == menu.Support:
		return b
	}
	return a
}
