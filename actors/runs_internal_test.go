package actors

import (
	"fmt"
	"sync"
	"testing"

	"carillon/storage"
)

// G5: a claim is taken back while the Runner is about to start its handler. One
// of the two wins; a run that is withdrawn never starts, and one that has started
// is never withdrawn.
func TestG5_AWithdrawnRunNeverStarts(t *testing.T) {
	rs := newRuns()
	for i := range 5000 {
		r := &run{job: storage.Job{ID: storage.JobID(fmt.Sprint("job", i))}}
		rs.add(r)
		var started, withdrawn bool
		var both sync.WaitGroup
		both.Go(func() { started = rs.start(r, nil) })
		both.Go(func() { withdrawn = rs.withdraw(r) })
		both.Wait()
		if started == withdrawn {
			t.Fatalf("started %v, withdrawn %v", started, withdrawn)
		}
		if kept := rs.get(r.job.ID) == r; kept != started {
			t.Fatalf("started %v, and known %v", started, kept)
		}
	}
}
