package captures

import (
	"context"
	"io"
	"slices"

	"diagsh/capture"
	"diagsh/internal/access"
)

// What is known of the files that captures wrote, for who downloads them.

// Contents implements api.Files.
func (t *Table) Contents(name string) access.Contents {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.entries {
		if !r.has(name) {
			continue
		}
		files := r.status().Files
		i := slices.IndexFunc(files, func(f capture.FileInfo) bool { return f.Name == name })
		if i < 0 {
			continue
		}
		f, of := files[i], r.Status.Name
		if r.Forgotten {
			of = "" // another capture may have the name
		}
		return access.Contents{Capture: of, Owner: r.Status.Owner, Packets: &f.Packets, First: f.First,
			Last: f.Last, Comment: r.Spec.Comment, Case: r.Spec.CaseNumber}
	}
	return access.Contents{}
}

// Converts implements api.Files.
func (t *Table) Converts(name string, as access.Form) (access.Conversion, error) {
	return t.outgoing.Look(name, as)
}

// Convert implements api.Files.
func (t *Table) Convert(ctx context.Context, name string, as access.Form, out io.Writer) error {
	return t.outgoing.Write(ctx, name, as, out)
}
