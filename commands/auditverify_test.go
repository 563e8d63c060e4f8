package commands_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diagsh/internal/test/appliance"
)

// Who has root on the machine can change the log, and it shows.
func TestAuditVerifyTellsOfAChange(t *testing.T) {
	a := appliance.Start(t, appliance.Options{})
	a.Local("hostname")
	if r := a.Local("auditverify"); r.Status != 0 || !strings.Contains(r.Out, "Faults:    0\n") {
		t.Errorf("nobody changed anything: %+v", r)
	}
	path := filepath.Join(a.Data, "audit", "audit.jsonl")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), `"path":"hostname"`, `"path":"date"`, 1)),
		0o600); err != nil {
		t.Fatal(err)
	}
	if r := a.Local("auditverify"); r.Status != 1 ||
		!strings.Contains(r.Out, "does not follow from the line before it.\n") || !strings.Contains(r.Err, "The audit log is not as it was written.") {
		t.Errorf("a line was changed: %+v", r)
	}
}
