package sample_test

import (
	"testing"
	"time"

	"carillon/cmd/carillon/sample"
	"carillon/storage"
)

// TestAnArchiveGoesOnWhereItWas: over a crash, with its progress to be seen at once; what was
// written within the last second comes twice at most, and is written once.
func TestAnArchiveGoesOnWhereItWas(t *testing.T) {
	type added struct {
		ArchiveID storage.ID[sample.Archive]
		JobID     storage.JobID
	}
	inWorld(t, func(w *world) {
		of := func(a added) sample.Archive {
			return call[sample.Archive](w, "archives:get", `{"archiveId":%q}`, a.ArchiveID)
		}
		long := call[added](w, "archives:request", `{"pages":40}`)
		w.pass(10*time.Second + 250*time.Millisecond)
		if p := w.job(long.JobID).Progress; p == nil || p.Done != 20 || p.Total != 40 || p.Note != "writing" {
			t.Errorf("after 20 of 40 pages the job shows %+v", p)
		}
		w.crash()
		if job := w.job(long.JobID); job.Progress != nil && job.Progress.Done < 18 {
			t.Errorf("after the crash it begins anew: %+v", job.Progress)
		}
		w.pass(12 * time.Second)
		a := of(long)
		if len(a.Written) != 40 || a.EndedAt.IsZero() || a.Repeats > 2 {
			t.Errorf("the archive has %d of 40 pages, %d came twice", len(a.Written), a.Repeats)
		}
		for i, page := range a.Written {
			if page != i {
				t.Fatalf("the pages are %v", a.Written)
			}
		}
		if job := w.job(long.JobID); job.State != storage.StateSuccess || job.Attempts != 2 || job.Progress != nil {
			t.Errorf("the job is %s after %d attempts, and shows %+v", job.State, job.Attempts, job.Progress)
		}
		w.refused("invalid_argument", "pages", "archives:request", `{"pages":0}`)
		w.refused("invalid_argument", "pages", "archives:request", `{"pages":1001}`)
	})
}
