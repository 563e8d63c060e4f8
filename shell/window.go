package shell

import (
	"fmt"
	"strconv"
	"strings"

	"diagsh/internal/menu"
)

// A windowSetting is what `terminal` sets for the session: whether output stops at each page, the
// rows of a page, or the columns of a row.
type windowSetting struct {
	what string // pager, length or width
	n    int    // rows or columns; 0: no stops, no limit; windowItself: those of the window
}

// windowItself undoes a setting.
const windowItself = -1

// maxWindow limits rows and columns: pseudo terminals count them in 16 bits (ioctl_tty(2), struct
// winsize).
const maxWindow = 65535

// parseWindow parses `terminal pager on|off`, and `terminal length N` and `terminal width N` as
// Cisco's devices have them, which programs that drive such devices send unasked. Keywords may be
// shortened. ASA writes `terminal pager N` for the length.
func parseWindow(words []string) (windowSetting, error) {
	wrong := menu.Errorf(menu.Usage, "Write terminal length 0|ROWS|auto, width COLUMNS|auto, or pager on|off")
	if len(words) != 2 {
		return windowSetting{}, wrong
	}
	value := strings.ToLower(words[1])
	for _, what := range []string{"length", "pager", "width"} {
		if !strings.HasPrefix(what, strings.ToLower(words[0])) {
			continue
		}
		switch {
		case what == "pager" && value == "off":
			return windowSetting{"length", 0}, nil
		case what == "pager" && value == "on", what != "pager" && value == "auto":
			return windowSetting{strings.Replace(what, "pager", "length", 1), windowItself}, nil
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > maxWindow {
			return windowSetting{}, wrong
		}
		return windowSetting{strings.Replace(what, "pager", "length", 1), n}, nil
	}
	return windowSetting{}, wrong
}

// said returns the message about the setting.
func (w windowSetting) said() string {
	switch {
	case w.what == "length" && w.n == 0:
		return "The pager is off."
	case w.what == "length" && w.n == windowItself:
		return "The pager is on."
	case w.what == "length":
		return fmt.Sprintf("The pager stops after %d rows.", w.n)
	case w.n == 0:
		return "A row is as wide as it likes."
	case w.n == windowItself:
		return "A row is as wide as the window."
	}
	return fmt.Sprintf("A row has %d columns.", w.n)
}
