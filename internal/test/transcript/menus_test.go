package transcript

import (
	"slices"
	"testing"

	"diagsh/internal/menu"
)

var twoMenus = []menu.Node{
	{Path: "look", Help: "Look at things."},
	{Path: "look near", Help: "Look at what is near."},
	{Path: "look far", Help: "Look at what is far away from here."},
	{Path: "take", Help: "Take things."},
	{Path: "take near", Help: "Look at what is near."},
	{Path: "take all", Help: "Take all."},
}

// A list of a menu is one line in the transcripts of others, whether as a menu, as help, numbered,
// or broken by a narrow window. In the menu's own transcript it stays, and so does what completes a
// word.
func TestMenusAreFolded(t *testing.T) {
	rows := []string{"- NEAR - Look at what is near.", "- FAR - Look at what is far away from here."}
	for _, c := range []struct {
		folder, name string
		lines, want  []string
	}{
		{"/x/commands", "take", append(rows[:2:2], "[]>"), []string{"<menu>", "[]>"}},
		{"/x/commands", "look", rows, rows},
		{"/x/commands/look", "menu", []string{"near  Look at what is near."}, []string{"near  Look at what is near."}},
		{"/x/commands/look", "far", []string{"near  Look at what is near."}, []string{"<menu>"}},
		{"/x/commands", "menu", []string{"look  Look at things.", "", "near   Look at what is near."}, []string{"look  Look at things.", "", "<menu>"}},
		{"/x/commands", "take", []string{"- FAR - Look at what is", "  far away from here.", "- NEAR - Look at what is near."}, []string{"<menu>"}},
		{"/x/commands", "take", []string{"! look  Look at things.", "! take  Take things.", "= 2"}, []string{"! <menu>", "= 2"}},
		{"/x/commands", "look", []string{"1. Look at what is near.", "2. Take all."}, []string{"<menu>"}},
		{"/x/commands", "take", []string{"mx1> <?>", "  look  Look at things.", "  help  List."}, []string{"mx1> <?>", "<menu>"}},
		{"/x/commands", "take", []string{"mx1> lo<Tab>", "  look  Look at things."}, []string{"mx1> lo<Tab>", "  look  Look at things."}},
		{"/x/commands", "take", []string{"near", "Look at what is near", "far  away"}, []string{"near", "Look at what is near", "far  away"}},
	} {
		if got := newMenus(twoMenus, c.folder, c.name).fold(c.lines); !slices.Equal(got, c.want) {
			t.Errorf("%s, %s: %q\nbecomes %q\nwant    %q", c.folder, c.name, c.lines, got, c.want)
		}
	}
}
