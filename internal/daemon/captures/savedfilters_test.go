package captures

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diagsh/internal/access"
	"diagsh/internal/menu"
	"diagsh/internal/test/roomtest"
)

// Each user has filters of their own, which survive the appliance, one of a name; factory values
// take them away.
func TestSavedFilters(t *testing.T) {
	dir := t.TempDir()
	d := start(t, roomOptions{Dir: dir})
	save := func(user, name, expression string) error {
		return d.SaveFilter(user, access.SavedFilter{Name: name, Expression: expression})
	}
	for _, f := range [][3]string{{"ann", "web", "port 80"}, {"ann", "Mail", "port 25"}, {"bob", "web", "port 8080"}, {"ann", " WEB ", " port 443 "}} {
		if err := save(f[0], f[1], f[2]); err != nil {
			t.Fatal(err)
		}
	}
	roomtest.WantCode(t, save("ann", "  ", "port 1"), menu.Usage)
	roomtest.WantCode(t, save("ann", "a\x1bb", "port 1"), menu.Usage)
	// A name is counted in characters, as the refusal says.
	if err := save("eve", strings.Repeat("ü", 64), "icmp"); err != nil {
		t.Error(err)
	}
	roomtest.WantCode(t, save("eve", strings.Repeat("ü", 65), "icmp"), menu.Usage)
	roomtest.WantCode(t, save("eve", "\xff", "icmp"), menu.Usage)
	d.ForgetFilters("eve")
	roomtest.WantCode(t, save("ann", "long", strings.Repeat("x", 4<<10+1)), menu.Usage)
	roomtest.WantCode(t, d.DeleteFilter("bob", "Mail"), menu.NotFound)
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	d = start(t, roomOptions{Dir: dir})
	want := []access.SavedFilter{{Name: "Mail", Expression: "port 25"}, {Name: "WEB", Expression: "port 443"}}
	if got := d.SavedFilters("ann"); !slices.Equal(got, want) {
		t.Errorf("ann keeps %v", got)
	}
	for n := len(want); n < 100; n++ {
		if err := save("ann", fmt.Sprint("f", n), "icmp"); err != nil {
			t.Fatal(err)
		}
	}
	roomtest.WantCode(t, save("ann", "one more", "icmp"), menu.State)
	if err := save("ann", "mail", "port 587"); err != nil { // in the place of another
		t.Error(err)
	}
	d.ForgetFilters("ann")
	if got := d.SavedFilters("ann"); len(got) > 0 {
		t.Errorf("of a deleted account %v are left", got)
	}
	if losses := d.Table.Losses(); len(losses) != 1 || losses[0].Count != 1 {
		t.Errorf("factory values would take away %v", losses)
	}
	// What the disk does not know has not happened.
	blocked := filepath.Join(dir, ".filters.json.new")
	if err := os.Mkdir(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.Table.Reset(); err == nil || len(d.SavedFilters("bob")) != 1 {
		t.Errorf("after factory values that could not be written there are %v, %v", d.SavedFilters("bob"), err)
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	if err := d.Table.Reset(); err != nil || len(d.SavedFilters("bob")) > 0 {
		t.Errorf("after factory values there are %v, %v", d.SavedFilters("bob"), err)
	}
}
