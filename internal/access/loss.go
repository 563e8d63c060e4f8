package access

import "diagsh/internal/menu"

// A Loss is something that going back to factory values takes away.
type Loss struct {
	What   string `json:"what"` // a few words: saved configurations
	Count  int    `json:"count"`
	Detail string `json:"detail"`
}

// A Reload is what going back to factory values did.
type Reload struct {
	Lost     []Loss      `json:"lost"`
	User     string      `json:"user"`     // the one account that there is now
	Password menu.Secret `json:"password"` // its password, told this once
}
