package browser

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"carillon/client"
	"carillon/server/api"
)

// set gives the field of the name the value.
func (b *tab) set(name, value string) {
	b.Helper()
	b.do(chromedp.SetValue(chromedp.CSS(fmt.Sprintf(`main [name=%q]`, name)), value))
}

// TestFormsOfAnApp: what the pages of an app's functions, triggers, pools, pauses, documents and many jobs offer is done,
// with scripts and without.
func TestFormsOfAnApp(t *testing.T) {
	for name, scripts := range map[string]bool{"with scripts": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			ctx, b := context.Background(), open(t)
			if !scripts {
				b.noScripts()
			}
			b.in()
			id := map[bool]string{true: "forms", false: "plain-forms"}[scripts]
			at, app := "/ui/apps/"+id, site.API.App(id)
			if _, err := site.API.CreateApp(ctx, id); err != nil {
				t.Fatal(err)
			}

			b.see(at + "/functions/orders:place")
			b.set("arg.id", "F-1")
			b.press("Run it now, and show what it returns")
			b.has("main", "It has run.")
			b.see(at + "/functions/orders:place")
			b.set("arg.id", "F-2")
			b.set("after", "1h")
			b.press("Schedule it")
			b.has(".badges", "pending")

			b.see(at + "/new-trigger")
			b.set("name", "mine")
			b.set("function", "reports:daily")
			b.set("spec", "0 3 * * *")
			b.press("Show the next five")
			b.has("#slots", "03:00:00")
			b.press("Make the trigger")
			b.has("h1", "mine")
			b.see(at + "/triggers/mine/edit")
			b.set("spec", "30 4 * * *")
			b.press("Save")
			b.see(at + "/triggers/mine")
			b.has(".badges", "04:30")
			b.send("/pause", "reason", "holidays")
			b.has("main", "holidays")
			today := time.Now().UTC().Truncate(24 * time.Hour).Format("2006-01-02T15:04")
			before := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -2).Format("2006-01-02T15:04")
			b.send("/backfill", "from", before, "to", today, "reason", "late books") // which waits for the end of the pause
			b.has("main", "of 2 slots")
			b.press("Cancel the backfill")
			if c, err := app.Cron(ctx, "mine", 1); err != nil || c.Backfill == nil || c.Backfill.Outcome != api.BackfillCanceled {
				t.Errorf("the trigger is %+v, %v", c, err)
			}
			b.press("Resume")
			b.press("Run now")
			b.see(at + "/triggers/mine")
			b.press("Delete the trigger")
			if _, err := app.Cron(ctx, "mine", 1); err == nil {
				t.Error("the trigger is still there")
			}

			b.see(at + "/pools")
			b.set("limit", "7")
			b.press("Set")
			b.has("tbody", "7 declared 2")
			b.press("As declared")
			if text := b.text("tbody"); strings.Contains(text, "declared 2") {
				t.Errorf("the limit is not as declared: %s", text)
			}
			b.see(at + "/pauses")
			b.do(chromedp.SetValue(chromedp.CSS("#function"), "mail:send"))
			b.press("Pause the function")
			b.has("tbody", "mail:send")
			b.press("Resume")
			b.has("main", "Nothing of the app is paused.")

			for i := range 3 {
				due := time.Now().Add(time.Hour)
				if _, err := app.Schedule(ctx, api.JobRequest{Function: "billing:charge", At: &due}, order{ID: fmt.Sprint("F-", i)}); err != nil {
					t.Fatal(err)
				}
			}
			b.see(at + "/jobs?function=billing:charge")
			b.set("action", "cancel")
			b.press("All that the filter chooses…")
			b.press("Cancel 3 jobs")
			b.has("main", "cancel")
			for job, err := range app.Jobs(ctx, api.JobFilter{Function: "billing:charge"}) {
				if err != nil {
					t.Fatal(err)
				}
				until(t, app, job.ID, is(api.StateCanceled))
			}

			b.see(at + "/tables/orders/new")
			b.set("value", `{"id": "F-9", "note": "of the page"}`)
			b.press("Make the document")
			b.has("main", "of the page")
			made := path.Base(value[string](b, "location.pathname"))
			b.press("Delete it for good")
			if d, err := app.Document(ctx, "orders", made); err == nil {
				t.Errorf("document %q is still there: %s", made, d.Value)
			}

			var doc api.Document
			for d, err := range app.Documents(ctx, "orders", client.DocumentFilter{}) {
				if err != nil {
					t.Fatal(err)
				}
				doc = d
			}
			b.see(at + "/tables/orders/documents/" + doc.ID)
			b.set("value", `{"id": "F-1", "note": "mine"}`) // from here on the page waits
			if _, err := app.PutDocument(ctx, "orders", doc.ID, doc.Version, []byte(`{"id":"F-1","note":"of another operator"}`)); err != nil {
				t.Fatal(err)
			}
			b.allow("Failed to load resource") // the answer is a page that shows both
			b.press("Save")
			b.has("main", "of another operator")
			b.press("Save mine over it")
			b.has("main", "mine")
			if d, err := app.Document(ctx, "orders", doc.ID); err != nil || string(d.Value) != `{"id":"F-1","note":"mine"}` {
				t.Errorf("the document is %s, %v", d.Value, err)
			}

			campaign, err := app.Schedule(ctx, api.JobRequest{Function: "campaign:start"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			until(t, app, campaign.JobID, is(api.StateSuccess))
			for group, err := range app.Groups(ctx, client.GroupFilter{}) {
				if err != nil {
					t.Fatal(err)
				}
				b.see(fmt.Sprint(at, "/groups/", group.ID))
				b.send("/cancel")
				if group, err = app.Group(ctx, group.ID); err != nil || !group.Canceled {
					t.Errorf("the group is %+v, %v", group, err)
				}
			}

			b.see(at)
			if file := b.save("a[download]"); len(file) == 0 {
				t.Error("the export has nothing in it")
			}
			b.set("name", id)
			b.press("Delete the app for good")
			b.has("h1", "Apps")
			if _, err := app.Status(ctx); err == nil {
				t.Error("the app is still there")
			}
		})
	}
}

// TestFormsOfAJob: what the page of a job offers besides what TestActions presses, with scripts and without.
func TestFormsOfAJob(t *testing.T) {
	for name, scripts := range map[string]bool{"with scripts": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			ctx, b, app := context.Background(), open(t), site.API.App("quiet")
			if !scripts {
				b.noScripts()
			}
			b.in()
			address, id := later(t)
			b.see(address)
			b.send("/reschedule", "at", "2038-01-02T03:04", "to", "1")
			if job, err := app.Job(ctx, id); err != nil || job.Priority != 1 || !job.Due.Equal(time.Date(2038, 1, 2, 3, 4, 0, 0, time.UTC)) {
				t.Errorf("it is due %v, with priority %d, %v", job.Due, job.Priority, err)
			}
			b.press("Cancel all of them")
			b.has(".badges", "canceled")

			failed, err := app.Schedule(ctx, api.JobRequest{Function: "billing:charge"}, order{ID: "Q-3"})
			if err != nil {
				t.Fatal(err)
			}
			until(t, app, failed.JobID, is(api.StateFailed))
			b.see("/ui/apps/quiet/jobs/" + failed.JobID)
			b.press("Drop the job")
			b.has("h1", "Jobs")
			if job, err := app.Job(ctx, failed.JobID); err == nil {
				t.Errorf("the job is still there, and %s", job.State)
			}
		})
	}
}

// TestARunningOperationIsCanceled: what it has done stays done, and it does no more.
func TestARunningOperationIsCanceled(t *testing.T) {
	ctx := context.Background()
	slow := func(ms int) {
		if _, err := site.API.App("quiet").RunFunction(ctx, api.CallRequest{Function: "disk:slow", Args: []byte(strconv.Itoa(ms))}); err != nil {
			t.Fatal(err)
		}
	}
	for name, scripts := range map[string]bool{"with scripts": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			if !scripts {
				b.noScripts()
			}
			b.in()
			id := map[bool]string{true: "large", false: "plain-large"}[scripts]
			app := site.API.App(id)
			if _, err := site.API.CreateApp(ctx, id); err != nil {
				t.Fatal(err)
			}
			if _, err := app.RunFunction(ctx, api.CallRequest{Function: "campaign:large"}); err != nil {
				t.Fatal(err)
			}
			slow(200) // so that the operation goes on for seconds
			defer slow(0)
			o, err := app.StartOperation(ctx, api.NewOperation{Action: api.OperationCancel, Filter: api.JobFilter{Function: "orders:place"}})
			if err != nil {
				t.Fatal(err)
			}
			if scripts {
				b.see(fmt.Sprint("/ui/apps/", id, "/operations/", o.ID))
				b.press("Cancel the operation")
			} else {
				b.see("/ui/apps/" + id + "/operations")
				b.press("Cancel")
			}
			b.has("main", "canceled")
			o, err = app.Operation(ctx, o.ID)
			if err != nil || o.Outcome != api.OperationCanceled || o.Counted != large || o.Done >= large {
				t.Errorf("the operation is %+v, %v", o, err)
			}
			slow(0)
			if err := app.Delete(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSystemIsSetRight: stuck handlers are abandoned from the page of a job and from that of the system, those of calls too, and the clock of a server
// that was two days ahead before it was started again is accepted.
func TestSystemIsSetRight(t *testing.T) {
	own := &process{dir: filepath.Join(t.TempDir(), "data"), listen: "127.0.0.1:0", env: []string{aheadBy + "=48h"}}
	if err := own.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.kill(); err != nil {
			t.Error(err)
		}
	})
	ctx := context.Background()
	if _, err := own.API.CreateApp(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	if err := own.kill(); err != nil {
		t.Fatal(err)
	}
	own.env = []string{aheadBy + "=0s"}
	if err := own.start(); err != nil {
		t.Fatal(err)
	}
	app := own.API.App("acme")
	for scripts, press := range map[bool]func(b *tab, job string){
		true: func(b *tab, job string) {
			b.see("/ui/apps/acme/jobs/" + job)
			b.press("Wait no more for its stuck handler")
		},
		false: func(b *tab, _ string) {
			b.see("/ui/system")
			b.press("Abandon") // which leads to the job
			b.see("/ui/system")
			b.has("main", "No handler is stuck.")
			b.press("The clock is right")
		},
	} {
		b := open(t)
		b.of = own
		if !scripts {
			b.noScripts()
		}
		b.in()
		hangs, err := app.Schedule(ctx, api.JobRequest{Function: "stuck:hang", JobOptions: api.JobOptions{AtMostOnce: true}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		until(t, app, hangs.JobID, is(api.StateFailed))
		press(b, hangs.JobID)
		if _, err := app.RunFunction(ctx, api.CallRequest{Function: "stuck:hang"}); err == nil {
			t.Error("a call that hangs has returned")
		}
		b.see("/ui/system")
		b.has("tbody", "call")
		b.press("Abandon")
		b.has("main", "No handler is stuck.")
		if stuck, err := own.API.Stuck(ctx); err != nil || len(stuck) != 0 {
			t.Errorf("stuck are %+v, %v", stuck, err)
		}
	}
	if clock, err := own.API.Clock(ctx); err != nil || clock.Steps == 0 || len(clock.Notes) != 0 {
		t.Errorf("the clock is %+v, %v", clock, err)
	}
}
