// Package accounts holds what the commands about people's accounts share.
package accounts

import (
	"fmt"
	"io"
)

// PasswordChanged writes that a user's password was changed, and how many of the user's other
// logins that ended.
func PasswordChanged(w io.Writer, user string, ended int) {
	fmt.Fprintf(w, "The password of %s is changed.\n", user)
	switch {
	case ended == 1:
		fmt.Fprintf(w, "1 other login of %s was ended.\n", user)
	case ended > 1:
		fmt.Fprintf(w, "%d other logins of %s were ended.\n", ended, user)
	}
}
