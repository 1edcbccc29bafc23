package sample_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carillon/cmd/carillon/sample"
	"carillon/dispatch"
)

// TestALivePageIsUpToDate: without asking, and when it has been away, over a crash too.
func TestALivePageIsUpToDate(t *testing.T) {
	inWorld(t, func(w *world) {
		page := new(sample.LivePage)
		follow := func() (stop func()) {
			ctx, cancel := context.WithCancel(w.t.Context())
			over := make(chan struct{})
			go func() {
				defer close(over)
				_ = page.Follow(ctx, w.app, "ann")
			}()
			synctest.Wait()
			return func() {
				cancel()
				<-over
			}
		}
		want := func(lines ...string) {
			t.Helper()
			synctest.Wait()
			if got := page.Text(); got != strings.Join(lines, "\n") {
				t.Errorf("the page shows\n%s\nwant\n%s", got, strings.Join(lines, "\n"))
			}
		}
		schedule := func(d time.Duration, tag string) {
			t.Helper()
			if _, err := w.app.Scheduler(w.t.Context()).RunAfter(d, dispatch.Path("presence:sweep").With(nil), dispatch.Tags(tag)); err != nil {
				t.Fatal(err)
			}
		}
		schedule(time.Minute, "ann")
		stop := follow()
		schedule(2*time.Minute, "ann")
		schedule(time.Minute, "ben")
		want("presence:sweep: pending", "presence:sweep: pending")
		w.pass(time.Minute)
		want("presence:sweep: success", "presence:sweep: pending")
		stop()
		w.pass(time.Minute)
		want("presence:sweep: success", "presence:sweep: pending")
		stop = follow()
		want("presence:sweep: success", "presence:sweep: success")
		w.crash()
		stop()
		stop = follow()
		schedule(time.Hour, "ann")
		want("presence:sweep: success", "presence:sweep: success", "presence:sweep: pending")
		stop()
	})
}
