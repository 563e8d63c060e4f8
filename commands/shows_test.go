package commands_test

import (
	"testing"

	"diagsh/internal/menu"
)

// What only shows asks for no confirmation and takes no secret: the audit log leaves out that a page
// repeats it.
func TestWhatShowsDoesNothing(t *testing.T) {
	shown := 0
	tree().Walk(func(path []string, item menu.Item) {
		c, ok := item.(*menu.Command)
		if !ok || !c.Shows {
			return
		}
		shown++
		for _, p := range c.Params {
			if p.Type == "confirm" || p.Type == "secret" || p.Type == "secret lines" || p.Type == "lines" {
				t.Errorf("%v only shows, and has the argument %s, a %s", path, p.Name, p.Type)
			}
		}
		if c.Shape != menu.Table && c.Shape != menu.Object {
			t.Errorf("%v only shows, and writes a %s", path, c.Shape)
		}
	})
	if shown < 20 {
		t.Errorf("%d commands only show", shown)
	}
}
