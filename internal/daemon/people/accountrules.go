package people

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// reservedUsers returns names that have a meaning already. root is the superuser of this machine.
// operator is a role on systems that users come from. The others are in the audit log for the
// appliance itself.
func reservedUsers() []string {
	return []string{"root", "operator", "system", "local", "daemon", "nobody", "unknown"}
}

// checkUserName says what is wrong with the name of a new account.
func checkUserName(user string) error {
	const accepted = "A user name begins with a lower-case letter and has at most 32 lower-case letters, digits, dots, hyphens and underscores"
	switch {
	case user == "":
		return menu.BadArgument("user", "The user name is missing").WithHint(accepted)
	case !access.PlainUserName(user):
		return menu.BadArgument("user", "%s is not a user name", menu.Quoted(user)).WithHint(accepted)
	case slices.Contains(reservedUsers(), user):
		return menu.BadArgument("user", "The name %s is reserved", user).WithHint("Choose another name")
	}
	return nil
}

const (
	minPasswordRunes = 8
	maxPasswordBytes = 1024
)

// checkPassword says why a password cannot be set for user. The rules are those of NIST SP 800-63B,
// section 5.1.1.2: a length, no composition, and none of the words that every guesser tries first.
func checkPassword(user string, password menu.Secret) error {
	p := string(password)
	wrong := func(message string) error {
		return menu.BadArgument("password", "%s", message).
			WithHint("A password has at least 8 characters, at most 1024 bytes, and is neither the user name nor a common word")
	}
	switch {
	case utf8.RuneCountInString(p) < minPasswordRunes:
		return wrong("The password is too short")
	case len(p) > maxPasswordBytes:
		return wrong("The password is too long")
	case !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl):
		return wrong("The password holds a character that cannot be typed")
	case easilyGuessed(user, strings.ToLower(p)):
		return wrong("The password is among the first that an attacker would try")
	}
	return nil
}

// easilyGuessed knows the user's own name, one character or one short piece repeated, runs of the
// keyboard, and the words that lead every published list of leaked passwords and have at least 8
// characters.
func easilyGuessed(user, password string) bool {
	if strings.Trim(strings.ReplaceAll(password, user, ""), "0123456789!.-_ ") == "" &&
		strings.Contains(password, user) {
		return true
	}
	for n := 1; n <= 4; n++ {
		if len(password)%n == 0 && strings.Repeat(password[:n], len(password)/n) == password {
			return true
		}
	}
	for _, run := range []string{"12345678901234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm",
		"qwertzuiopasdfghjklyxcvbnm", "1q2w3e4r5t6y7u8i9o0p"} {
		if strings.Contains(run, password) {
			return true
		}
	}
	switch strings.TrimRight(password, "0123456789!.") {
	case "password", "passw", "passwort", "p@ssw", "p@ssword", "admin", "administrator", "root", "welcome", "letmein",
		"changeme", "iloveyou", "sunshine",
		"princess", "football", "baseball", "superman", "trustno", "qwerty", "qwertyuiop", "dragon", "monkey",
		"ironport", "cisco", "diagsh", "secret", "default":
		return true
	}
	return false
}

// checkAccount says what is wrong with the members of an account that a person sets.
func checkAccount(a access.Account) error {
	switch {
	case !a.Role.Valid():
		var names []string
		for _, r := range menu.Roles() {
			names = append(names, string(r))
		}
		return menu.BadArgument("role", "There is no role %s", menu.Quoted(string(a.Role))).
			WithHint("The roles are %s", strings.Join(names, ", "))
	case utf8.RuneCountInString(a.FullName) > 100 || !utf8.ValidString(a.FullName) ||
		strings.ContainsFunc(a.FullName, unicode.IsControl):
		return menu.BadArgument("fullName", "That is not a name that can be shown").
			WithHint("A full name has at most 100 printable characters")
	}
	return nil
}
