package daemon

import (
	"diagsh/capture/drops"
	"diagsh/internal/daemon/captures/beside"
	"diagsh/internal/daemon/captures/dropped"
)

// openDrops makes the engine that sees what the kernel drops, which runs while a command or a capture
// wants to know, and reads what its reasons mean.
func (d *Daemon) openDrops(o Options) (err error) {
	d.drops = drops.New(drops.Options{})
	d.dropMeanings, err = drops.ParseMeanings(o.DropReasons)
	return err
}

// dropRecorder writes what the kernel drops beside captures.
func (d *Daemon) dropRecorder(o Options) beside.Recorder {
	return dropped.Recorder{Engine: d.drops, Application: o.Product}
}

// Drops returns the engine that sees what the kernel drops.
func (d *Daemon) Drops() *drops.Engine { return d.drops }

// DropMeanings says what the kernel's reasons mean.
func (d *Daemon) DropMeanings() drops.Meanings { return d.dropMeanings }
