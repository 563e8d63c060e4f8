package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// axeFile is where internal/test/packages.sh puts axe-core.
const axeFile = "/var/cache/diagsh-tests/node/node_modules/axe-core/axe.min.js"

var axe = sync.OnceValues(func() (string, error) {
	text, err := os.ReadFile(axeFile)
	return string(text), err
})

// rules are all that axe knows, experiments of its own among them, but those of AAA, which is not
// promised, and those of criteria that no longer hold.
const rules = `axe.getRules().filter((r) => !r.tags.some((tag) => /aaa$|obsolete$|deprecated$/.test(tag))).map((r) => r.ruleId)`

// A violation is what axe finds wrong.
type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML           string `json:"html"`
		FailureSummary string `json:"failureSummary"`
	} `json:"nodes"`
}

// covered are the elements that an open menu covers in part: they cannot be used before it is closed,
// and are checked without it.
const covered = `[...document.querySelectorAll('.menu > ul:not([hidden])')].flatMap((menu) => {
	const m = menu.getBoundingClientRect();
	const meets = (r) => r.left < m.right && r.right > m.left && r.top < m.bottom && r.bottom > m.top;
	return [...document.querySelectorAll('a, button, input, select, textarea, summary, [tabindex]')].filter((e) => !menu.contains(e) && !e.contains(menu) && meets(e.getBoundingClientRect()));
})`

// Accessible checks what is shown now: axe finds nothing wrong, and nothing is wider than the
// window, which axe does not see.
func (p *Page) Accessible(t testing.TB, what string) {
	t.Helper()
	source, err := axe()
	if err != nil {
		t.Fatalf("%v; internal/test/packages.sh installs it", err)
	}
	if !Eval[bool](p, "'axe' in window") {
		Eval[bool](p, source+"\n;true")
	}
	var found []violation
	text := Eval[string](p, "axe.run({exclude: "+covered+"}, {runOnly: {type: 'rule', values: "+rules+"}, resultTypes: ['violations'], selectors: false}).then((r) => JSON.stringify(r.violations))")
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		var places strings.Builder
		for _, n := range v.Nodes {
			fmt.Fprintf(&places, "\n    %s\n        %s", n.HTML, strings.ReplaceAll(n.FailureSummary, "\n", "\n        "))
		}
		t.Errorf("%s: %s: %s%s", what, v.ID, v.Help, places.String())
	}
	if wide := Eval[string](p, `document.documentElement.scrollWidth <= innerWidth ? '' : document.documentElement.scrollWidth + ' > ' + innerWidth + ': ' +
		[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, .grid')).slice(0, 4).map((e) => e.outerHTML.slice(0, 120)).join('\n')`); wide != "" {
		t.Errorf("%s: the page scrolls sideways: %s", what, wide)
	}
}
