package commands

import (
	"context"
	"fmt"
	"io"

	"diagsh/commands/shared/tables"
	"diagsh/internal/access"
	"diagsh/internal/menu"
)

// An auditVerifier checks the audit log.
type auditVerifier interface {
	VerifyAudit(ctx context.Context) (access.AuditReport, error)
}

// auditverify returns the command that checks whether the audit log is as it was written: each line
// holds the hash of the one before it.
func auditverify(s auditVerifier) *menu.Command {
	return menu.Decl[menu.NoArgs, access.AuditReport]{
		Name:  "auditverify",
		Help:  "Check that no line of the audit log was changed or taken out.",
		Role:  menu.Administrator,
		Shape: menu.Object,
		Run: func(ctx context.Context, _ menu.Caller, _ menu.NoArgs, out *menu.Out[access.AuditReport]) error {
			report, err := s.VerifyAudit(ctx)
			if err != nil {
				return err
			}
			if err := out.Record(report); err != nil {
				return err
			}
			if len(report.Faults) > 0 {
				return &menu.Error{Code: menu.Failed, Message: "The audit log is not as it was written."}
			}
			return nil
		},
		Text: func(w io.Writer, r access.AuditReport) {
			for _, fault := range r.Faults {
				fmt.Fprintf(w, "%s.\n", fault)
			}
			fmt.Fprintf(w, "Files:     %d\nLines:     %d\nLast line: %s\nFaults:    %d\n", r.Files, r.Lines,
				tables.OrDash(r.Last), len(r.Faults))
		},
	}.Command()
}
