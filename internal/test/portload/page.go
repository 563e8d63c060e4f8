package portload

import (
	"bytes"
	"fmt"
	"os"
	"slices"
)

// Replace replaces the table of a name in a page, where it stands between two comments.
func Replace(page, name, writer, table string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	begin, end := fmt.Appendf(nil, "<!-- %s: written by %s -->\n", name, writer), fmt.Appendf(nil, "<!-- end of %s -->\n", name)
	before, rest, ok := bytes.Cut(text, begin)
	_, after, ended := bytes.Cut(rest, end)
	if !ok || !ended {
		return fmt.Errorf("%s has no place for the table of %s", page, name)
	}
	return os.WriteFile(page, slices.Concat(before, begin, []byte(table), end, after), 0o644)
}
