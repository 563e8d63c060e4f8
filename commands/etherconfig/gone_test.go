package etherconfig

import (
	"slices"
	"strings"
	"testing"

	"diagsh/internal/config"
	"diagsh/internal/menu"
)

// An editing keeps what is pending, of a configuration with settings of an interface that this
// machine does not have.
type editing struct{ view config.View }

func (e *editing) Configuration(menu.Caller) config.View { return e.view }
func (e *editing) EditConfiguration(_ menu.Caller, edit func(config.Document) error) error {
	e.view.Candidate = e.view.Candidate.Clone()
	return edit(e.view.Candidate)
}

// The settings of an interface that is gone can be taken back: it is among the choices, and said to
// be gone.
func TestSettingsOfWhatIsGone(t *testing.T) {
	running := config.Document{config.MTUOf("rm0"): "1400", config.MediaOf("rm0"): "autoselect"}
	e := &editing{config.View{Running: running, Candidate: running}}
	offers := func(c *menu.Command, value string, given menu.Arguments) bool {
		t.Helper()
		q, err := c.Next(t.Context(), menu.Caller{User: "anna", Role: menu.Administrator}, given, menu.AskAll)
		if err != nil || q == nil {
			t.Fatalf("asked is %v, %v", q, err)
		}
		return slices.ContainsFunc(q.Choices, func(c menu.Choice) bool { return c.Value == value })
	}
	if !offers(mtuEdit(e), "rm0", nil) || !offers(mediaEdit(e), "rm0", nil) ||
		!offers(mediaEdit(e), "default", menu.Arguments{"interface": "rm0"}) {
		t.Error("rm0 is not one of the choices")
	}
	mtus, err := mtuRows(e.view)
	if err != nil {
		t.Fatal(err)
	}
	media, err := mediaRows(e.view)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	mtuTable(&text, mtus)
	mediaTable(&text, media)
	text.WriteString(mtuLine(mtus[len(mtus)-1]) + "\n" + mediaLine(media[len(media)-1]))
	for _, want := range []string{"configured, not there", "rm0 (not there) mtu 1400", "rm0 (autoselect) not there"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("there is not %q in\n%s", want, &text)
		}
	}
	// It stays among them until the commit.
	e.EditConfiguration(menu.Caller{}, func(d config.Document) error { d.Set(config.MTUOf("rm0"), ""); return nil })
	if mtus, _ = mtuRows(e.view); mtuLine(mtus[len(mtus)-1]) != "rm0 (not there) default mtu (pending)" {
		t.Errorf("taken back it is %q", mtuLine(mtus[len(mtus)-1]))
	}
}
