package daemon

import (
	"time"

	"diagsh/internal/config"
	"diagsh/internal/menu"
)

// An effective is what the owner's file and the commits set together: what is committed goes before what stands in the file.
type effective struct {
	hostname, banner, welcome string
	idle                      time.Duration
}

// settle works out anew what holds. Called at the start and after each commit.
func (d *Daemon) settle() {
	e := effective{d.config.Hostname, d.config.banner, d.config.welcome, d.config.IdleTimeout}
	committed := d.configuration.view("").Running
	for path, to := range map[config.Path]*string{config.Hostname: &e.hostname, config.Banner: &e.banner, config.Welcome: &e.welcome} {
		if text := committed[path]; text != "" {
			*to = text
		}
	}
	if text := committed[config.IdleTimeout]; text != "" {
		e.idle, _ = menu.ParseDuration(text) // the schema has read it
	}
	d.effective.Store(&e)
}
