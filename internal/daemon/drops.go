package daemon

import "diagsh/capture/drops"

// openDrops makes the engine that sees what the kernel drops, which runs while a command or a capture
// wants to know, and reads what its reasons mean.
func (d *Daemon) openDrops(o Options) (err error) {
	d.drops = drops.New(drops.Options{})
	d.dropMeanings, err = drops.ParseMeanings(o.DropReasons)
	return err
}

// Drops returns the engine that sees what the kernel drops.
func (d *Daemon) Drops() *drops.Engine { return d.drops }

// DropMeanings says what the kernel's reasons mean.
func (d *Daemon) DropMeanings() drops.Meanings { return d.dropMeanings }
