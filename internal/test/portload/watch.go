package portload

import (
	"context"
	"sync"

	"diagsh/diag/ports"
	"diagsh/internal/test/portload/truth"
)

// A Trial is a run of the workload while an engine watched.
type Trial struct {
	Truths  []truth.Truth
	Records []ports.Record
	Flows   []ports.Flow
	Status  ports.Status // at its end
	Report  Report
}

// Watch runs the workload while an engine watches, which it closes.
func (l Load) Watch(ctx context.Context, program string, engine *ports.Engine) (*Trial, error) {
	defer engine.Close()
	t := &Trial{}
	var mu sync.Mutex
	stop := func() {}
	var err error
	t.Truths, t.Report, err = l.Run(ctx, program, func() (err error) {
		stop, err = engine.Watch(ctx, ports.Watcher{Records: func(r []ports.Record) {
			mu.Lock()
			defer mu.Unlock()
			t.Records = append(t.Records, r...)
		}, Flows: func(f []ports.Flow) {
			mu.Lock()
			defer mu.Unlock()
			t.Flows = append(t.Flows, f...)
		}})
		return err
	})
	t.Status, _ = engine.Status()
	stop()
	return t, err
}

// Blame replaces all processes of the records by others: a scorer that praises the log then praises
// whatever it gets.
func (t *Trial) Blame() *Score {
	blamed := make([]ports.Record, len(t.Records))
	for i, r := range t.Records {
		r.PID++
		blamed[i] = r
	}
	return Judge(t.Truths, blamed)
}
