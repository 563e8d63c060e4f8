package daemon

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"diagsh/diag/services"
	"diagsh/internal/daemon/store"
	"diagsh/internal/menu"
)

// catalogueName is a vendor's catalogue of services, in the folder of the configuration file.
const catalogueName = "services.yaml"

// Services is the catalogue: the embedded one and a vendor's. The vendor's file is read each time,
// so that a change holds at once.
func (d *Daemon) Services() (services.Catalogue, error) {
	text, err := store.ReadBounded(filepath.Join(d.configFolder, catalogueName), 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return d.services, nil
	}
	if err != nil {
		return nil, err
	}
	more, err := services.Parse(text)
	if err != nil {
		return nil, menu.Errorf(menu.Failed, "The file %s beside the configuration is not right: %s", catalogueName, menu.Clean(err.Error())).
			WithHint("Mend it, or remove it")
	}
	return d.services.With(more), nil
}

// openServices reads the embedded catalogue.
func (d *Daemon) openServices(o Options) (err error) {
	d.configFolder = o.Dir
	if o.ConfigFile != "" {
		d.configFolder = filepath.Dir(o.ConfigFile)
	}
	d.services, err = services.Parse(o.ServiceCatalogue)
	return err
}

// Trouble says in full sentences what an administrator should mend; empty if nothing.
func (d *Daemon) Trouble() string {
	sentences := slices.Concat(d.asideTrouble(), d.Ignored())
	if s := d.AuditTrouble(); s != "" {
		sentences = append([]string{s}, sentences...)
	}
	return strings.Join(sentences, " ")
}
