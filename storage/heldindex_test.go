package storage_test

import (
	"testing"
	"time"

	"carillon/storage"
)

// TestG7_AnAppThatHoldsNothingLeavesTheIndex: the alarm index has an app with held jobs
// from its first one until its last has gone, whichever way that goes.
func TestG7_AnAppThatHoldsNothingLeavesTheIndex(t *testing.T) {
	for name, end := range map[string]func(storage.JobWriter, storage.JobID) error{
		"canceled": func(w storage.JobWriter, id storage.JobID) error {
			_, err := w.CancelJob(id)
			return err
		},
		"dropped": func(w storage.JobWriter, id storage.JobID) error {
			_, _, err := w.DropHeld(id)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := mustOpen(t, t.TempDir(), storage.Options{})
			app := mustApp(t, s, "acme")
			var ids []storage.JobID
			mustUpdateJobs(t, app, func(w storage.JobWriter) {
				for range 2 {
					id, err := w.InsertJob(storage.Job{Function: "no:such", Due: testNow.Add(time.Hour)})
					if err == nil {
						ids = append(ids, id)
						_, err = w.HoldJob(id, "there is no such function")
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			})
			for left := 2; ; left-- {
				if err := s.Check(); err != nil {
					t.Fatalf("%d jobs are held: %v", left, err)
				}
				if left == 0 {
					break
				}
				mustUpdateJobs(t, app, func(w storage.JobWriter) {
					if err := end(w, ids[left-1]); err != nil {
						t.Fatal(err)
					}
				})
			}
		})
	}
}
