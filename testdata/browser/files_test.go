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
			for name, file := range map[string]string{id: large, "no-" + id: large} {
				upload(name, file)
				b.has(".notice.bad", map[bool]string{true: "already_exists", false: "invalid_argument"}[name == id])
			}
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
