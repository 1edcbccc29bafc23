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
			b.do(chromedp.SetValue(chromedp.CSS(`form[action$="/pause"] [name=reason]`), "holidays"))
			b.press("Pause the trigger")
			b.has("main", "holidays")
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

			b.see(at)
			b.set("name", id)
			b.press("Delete the app for good")
			b.has("h1", "Apps")
			if _, err := app.Status(ctx); err == nil {
				t.Error("the app is still there")
			}
		})
	}
}
