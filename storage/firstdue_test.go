package storage_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"carillon/storage"
)

// TestG14_TheAlarmFollowsTheFirstJob: whatever is inserted and removed, before or behind the job
// that was first, with checkpoints in between and after a reopening, the alarm index has the app
// at its first job.
func TestG14_TheAlarmFollowsTheFirstJob(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	s := mustOpen(t, dir, storage.Options{})
	app := mustApp(t, s, "acme")
	dues := map[storage.JobID]time.Time{}
	for step := range 400 {
		empties := step%50 == 49
		mustUpdateJobs(t, app, func(w storage.JobWriter) {
			for id := range dues {
				if !empties && rnd.IntN(3) > 0 {
					continue
				}
				if _, err := w.CancelJob(id); err != nil {
					t.Fatal(err)
				}
				delete(dues, id)
			}
			for range rnd.IntN(4) {
				if empties {
					return
				}
				due := slotAt(rnd.IntN(1000))
				dues[mustInsert(t, w, storage.Job{Due: due})] = due
			}
		})
		var want, got time.Time
		for _, due := range dues {
			if want.IsZero() || due.Before(want) {
				want = due
			}
		}
		if err := s.Alarms(func(_ storage.AppID, at time.Time) bool { got = at; return true }); err != nil {
			t.Fatal(err)
		}
		if !got.Equal(want) {
			t.Fatalf("step %d: the alarm index says %v, the first of %d jobs is due at %v", step, got, len(dues), want)
		}
		switch step % 40 {
		case 10:
			if err := s.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		case 20:
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = mustOpen(t, dir, storage.Options{})
			app = mustApp(t, s, "acme")
		}
	}
}
