package actors

import (
	"testing"
	"testing/synctest"

	"carillon/dispatch"
	"carillon/storage"
)

// TestG34_ProgressIsToldAtOnce: each one, with its job, from the goroutine of the handler; none of
// a call that is no job.
func TestG34_ProgressIsToldAtOnce(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		reg := dispatch.NewRegistry()
		count := dispatch.Action[int64, dispatch.None]("t:count")
		count.Handle(reg, func(ctx *dispatch.ActionCtx, n int64) (dispatch.None, error) {
			for i := range n {
				ctx.Progress(i+1, n, "counting")
			}
			return dispatch.None{}, nil
		})
		eng, err := Open(dir, Options{Functions: reg, Volumes: 1, Testing: Testing{NoSync: true}})
		if err != nil {
			t.Fatal(err)
		}
		defer eng.Close(t.Context())
		told := make(chan storage.Progress, 10)
		eng.progressed = func(app storage.AppID, job *storage.Job, p storage.Progress) {
			if app != "acme" || job.ID != "counted" {
				t.Errorf("told of job %s of app %s", job.ID, app)
			}
			told <- p
		}
		app := &App{eng: eng, id: "acme"}
		if _, err := count.Run(app.As(t.Context(), nil), 2); err != nil {
			t.Fatal(err)
		}
		if _, err := app.Scheduler(t.Context()).RunAfter(0, count.With(3), dispatch.ID("counted")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(told) != 3 {
			t.Fatalf("%d were told, want 3", len(told))
		}
		for i := range int64(3) {
			if p := <-told; p.Done != i+1 || p.Total != 3 || p.Note != "counting" {
				t.Errorf("told is %+v, want %d of 3", p, i+1)
			}
		}
	})
}
