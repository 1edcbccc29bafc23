package browser

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"carillon/cmd"
	"carillon/server/api"
)

// TestAppsAreMadeOfFiles: with scripts and without, an app is made of a name, and of the file that an export was saved as; a
// name that is taken is said to be, however large the file is, and no app is made of another file.
func TestAppsAreMadeOfFiles(t *testing.T) {
	for id, scripts := range map[string]bool{"files": true, "plain-files": false} {
		t.Run(id, func(t *testing.T) {
			ctx, b := context.Background(), open(t)
			b.allow("Failed to load resource") // of an answer that says what is wrong
			if !scripts {
				b.noScripts()
			}
			b.in()
			b.see("/ui/apps")
			b.follow(`a[href="/ui/new-app"]`)
			b.send("/new-app", "name", "bakery")
			b.has(".notice.bad", "bakery")
			b.send("/new-app", "name", id)
			b.has("h1", id)
			job, err := site.API.App(id).Schedule(ctx, api.JobRequest{Function: "orders:place"}, order{ID: "I-1", Note: hostile})
			if err != nil {
				t.Fatal(err)
			}
			until(t, site.API.App(id), job.JobID, is(api.StateSuccess))
			b.see("/ui/apps/" + id)
			saved := filepath.Join(t.TempDir(), "saved.carillon")
			large := filepath.Join(t.TempDir(), "large.carillon")
			for file, text := range map[string][]byte{saved: b.save("a[download]"), large: bytes.Repeat([]byte("no export. "), 200<<10)} {
				if err := os.WriteFile(file, text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			upload := func(name, file string) {
				t.Helper()
				b.see("/ui/new-app")
				b.do(chromedp.SetValue(chromedp.CSS("#of"), name), chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{file}))
				b.press("Import the app")
			}
			upload(id, large)
			b.has(".notice.bad", "already_exists")
			upload("no-"+id, large)
			b.has(".notice.bad", "invalid_argument")
			upload("copy-of-"+id, saved)
			b.has("h1", "copy-of-"+id)
			if got, err := site.API.App("copy-of-"+id).Job(ctx, job.JobID); err != nil || !strings.Contains(string(got.Args), "I-1") {
				t.Errorf("the job of the import is %+v, %v", got, err)
			}
			for _, name := range []string{id, "copy-of-" + id} {
				if err := site.API.App(name).Delete(ctx); err != nil {
					t.Error(err)
				}
			}
			if _, err := site.API.App("no-" + id).Status(ctx); err == nil {
				t.Error("an app was made of a file that is no export")
			}
		})
	}
}

// TestTheStoreIsBackedUp: what the page of the system saves is restored by the command.
func TestTheStoreIsBackedUp(t *testing.T) {
	b := open(t)
	b.noScripts()
	b.in()
	b.see("/ui/system")
	file, dir := filepath.Join(t.TempDir(), "saved.backup"), filepath.Join(t.TempDir(), "restored")
	if err := os.WriteFile(file, b.save("a[download]"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := cmd.Run(context.Background(), program(), []string{"restore", "--data", dir, file}, nil, &out, &out); err != nil || !strings.Contains(out.String(), "up to position ") {
		t.Errorf("%v: %s", err, &out)
	}
}

// TestAJobIsGivenOtherArguments: with scripts and without, a job has the arguments that were typed; if another operator has been
// faster, both are shown, and the second press means it.
func TestAJobIsGivenOtherArguments(t *testing.T) {
	for name, scripts := range map[string]bool{"with scripts": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			ctx, b, app := context.Background(), open(t), site.API.App("quiet")
			b.allow("Failed to load resource") // of the answer that shows both
			if !scripts {
				b.noScripts()
			}
			b.in()
			address, id := later(t)
			b.see(address)
			b.follow(`a[href$="/args"]`)
			if typed := value[string](b, `document.querySelector("#args").value`); !strings.Contains(typed, "Q-1") {
				t.Errorf("the form has %q", typed)
			}
			b.set("args", `{"id": "Q-mine", "note": ""}`)
			if err := app.Reschedule(ctx, id, api.JobChange{Args: []byte(`{"id":"Q-other","note":""}`)}); err != nil {
				t.Fatal(err)
			}
			b.press("Give it these")
			b.has("main", "Q-other")
			b.press("Give it mine")
			b.has(".badges", "pending")
			if job, err := app.Job(ctx, id); err != nil || string(job.Args) != `{"id":"Q-mine","note":""}` {
				t.Errorf("the job has %s, %v", job.Args, err)
			}
			if _, err := app.Cancel(ctx, id, false); err != nil {
				t.Error(err)
			}
		})
	}
}
