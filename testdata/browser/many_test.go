package browser

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"carillon/client"
	"carillon/server/api"
)

// TestManyJobsAreChanged: what can be done to the jobs that were selected, and to all that a filter chooses, is done, with
// scripts and without.
func TestManyJobsAreChanged(t *testing.T) {
	for name, scripts := range map[string]bool{"with scripts": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			ctx, b := context.Background(), open(t)
			if !scripts {
				b.noScripts()
			}
			b.in()
			id := map[bool]string{true: "many", false: "plain-many"}[scripts]
			at, app := "/ui/apps/"+id, site.API.App(id)
			mustApp(t, app, id)
			schedule := func(function string, due time.Time) string {
				t.Helper()
				job, err := app.Schedule(ctx, api.JobRequest{Function: function, At: &due}, order{ID: "M-1"})
				if err != nil {
					t.Fatal(err)
				}
				return job.JobID
			}
			all := func(filter, action, button string, fields ...string) {
				t.Helper()
				b.see(at + "/jobs?" + filter)
				b.set("action", action)
				b.press("All that the filter chooses…")
				for i := 0; i < len(fields); i += 2 {
					b.set(fields[i], fields[i+1])
				}
				b.press(button)
			}

			later := time.Now().Add(time.Hour)
			selected, other := schedule("orders:place", later), schedule("orders:place", later)
			b.see(at + "/jobs?function=orders:place")
			b.do(chromedp.Click(chromedp.CSS(fmt.Sprintf(`input[name="job"][value=%q]`, selected))))
			if scripts { // the box in the head selects all, and none, and says when it is some
				const ticked, head = `document.querySelectorAll("tbody input:checked").length`, `document.querySelector("thead input")`
				for i, want := range []int{1, 2, 0, 1} {
					if n, all, some := value[int](b, ticked), value[bool](b, head+`.checked`), value[bool](b, head+`.indeterminate`); n != want || all != (want == 2) || some != (want == 1) {
						t.Errorf("%d rows are selected, want %d; the head says all: %t, some: %t", n, want, all, some)
					}
					if next := []string{"thead input", "thead input", fmt.Sprintf(`input[name="job"][value=%q]`, selected), ""}[i]; next != "" {
						b.do(chromedp.Click(chromedp.CSS(next)))
					}
				}
				b.accessible()
			}
			b.set("action", "run")
			b.press("The selected…")
			b.press("Run now 1 job")
			until(t, app, selected, is(api.StateSuccess))
			if job, err := app.Job(ctx, other); err != nil || job.State != api.StatePending {
				t.Errorf("the job that was not selected is %s, %v", job.State, err)
			}

			all("state=pending&function=orders:place", "reschedule", "Change 1 job", "to", "4")
			until(t, app, other, func(j api.Job) bool { return j.Priority == 4 })
			all("state=pending&function=orders:place", "run", "Run now 1 job")
			until(t, app, other, is(api.StateSuccess))

			failed := schedule("billing:charge", time.Now())
			var ended time.Time
			until(t, app, failed, func(j api.Job) bool {
				if j.EndedAt != nil {
					ended = *j.EndedAt
				}
				return j.State == api.StateFailed
			})
			all("state=failed&function=billing:charge", "retry", "Retry 1 job")
			until(t, app, failed, func(j api.Job) bool { return j.State == api.StateFailed && j.EndedAt.After(ended) })
			all("state=failed&function=billing:charge", "drop", "Drop 1 job")
			for deadline := time.Now().Add(patience); ; { // it goes on by itself
				if _, err := app.Job(ctx, failed); err != nil {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("the job that was dropped is still there")
				}
			}
		})
	}
}

// TestPausesAreMadeAndEnded: of a pool, of a key of it, and of the app, with scripts and without.
func TestPausesAreMadeAndEnded(t *testing.T) {
	for name, scripts := range map[string]bool{"with scripts": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			if !scripts {
				b.noScripts()
			}
			b.in()
			id := map[bool]string{true: "pauses", false: "plain-pauses"}[scripts]
			app := site.API.App(id)
			mustApp(t, app, id)
			for _, pause := range []struct {
				key, button string
				is          func(api.Pause) bool
			}{
				{"", "Pause the pool", func(p api.Pause) bool { return p.Pool != "" && p.PoolKey == "" }},
				{"k-1", "Pause the pool", func(p api.Pause) bool { return p.Pool != "" && p.PoolKey == "k-1" }},
				{"", "Pause the app", func(p api.Pause) bool { return p.Pool+p.Function == "" }},
			} {
				b.see("/ui/apps/" + id + "/pauses")
				if pause.key != "" {
					b.set("poolKey", pause.key)
				}
				b.press(pause.button)
				b.has("tbody", "Resume")
				if is, err := app.Status(context.Background()); err != nil || len(is.Pauses) != 1 || !pause.is(is.Pauses[0]) {
					t.Errorf("%s, with the key %q: the app has the pauses %+v, %v", pause.button, pause.key, is.Pauses, err)
				}
				b.press("Resume")
				b.has("main", "Nothing of the app is paused.")
			}
		})
	}
}

// mustApp makes the app for the test, after which it is deleted.
func mustApp(t *testing.T, app *client.App, id string) {
	t.Helper()
	if _, err := site.API.CreateApp(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := app.Delete(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
