package daemon

import (
	"diagsh/capture"
	"diagsh/capture/drops"
	"diagsh/capture/owners"
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
	return dropped.Recorder{Engine: d.drops, Application: o.Product, Owners: func() (func(*capture.Packet) []string, func(), error) {
		of, stop, err := d.FollowOwners()
		if err != nil {
			return nil, nil, err
		}
		return func(p *capture.Packet) []string { return of(p).Comments() }, stop, nil
	}}
}

// FollowOwners follows who has which conversation in the network namespace of the calling thread,
// until stop is called. of tells it of packets that begin with the header of IP; one goroutine may
// call it. It is known a moment later than the packet.
func (d *Daemon) FollowOwners() (of func(*capture.Packet) owners.Owners, stop func(), err error) {
	table, stop, err := beside.FlowRecorder{Ports: d.ports}.Live()
	if err != nil {
		return nil, nil, err
	}
	joiner := owners.NewJoiner(table)
	return func(p *capture.Packet) owners.Owners { return joiner.Join(p, capture.Raw) }, stop, nil
}

// Drops returns the engine that sees what the kernel drops.
func (d *Daemon) Drops() *drops.Engine { return d.drops }

// DropMeanings says what the kernel's reasons mean.
func (d *Daemon) DropMeanings() drops.Meanings { return d.dropMeanings }
