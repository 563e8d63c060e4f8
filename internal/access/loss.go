package access

import "diagsh/internal/menu"

// A Loss is something that a reset to factory values removes.
type Loss struct {
	What   string `json:"what"` // a few words: saved configurations
	Count  int    `json:"count"`
	Detail string `json:"detail"`
}

// A Reload is the result of a reset to factory values.
type Reload struct {
	Lost     []Loss      `json:"lost"`
	User     string      `json:"user"`     // the only remaining account
	Password menu.Secret `json:"password"` // its password, shown only here
}
