package browser

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"carillon/server/api"
)

// notInNames is what has no place in the name of a file.
var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// TestScreenshots makes pictures of each page: light, dark, and as wide as a phone.
func TestScreenshots(t *testing.T) {
	if *shots == "" {
		t.Skip("without -shots none are made")
	}
	b := open(t)
	b.see("/ui/")
	b.shoot("sign-in")
	b.in()
	hour := serveAt(t, afterAnHour(t))
	for _, address := range pages(b) {
		if address == "/ui/" {
			b.do(chromedp.Navigate(hour + address))
		} else {
			b.see(address)
		}
		path := strings.TrimPrefix(address, "/ui")
		if len(path) > 60 {
			path = path[:60]
		}
		if path == "/" {
			path = "overview"
		}
		b.shoot(strings.Trim(notInNames.ReplaceAllString(path, "-"), "-"))
	}
}

// TestScreenshotsOfDocs makes those that README and docs/dashboard.md show.
func TestScreenshotsOfDocs(t *testing.T) {
	if *docs == "" {
		t.Skip("without -docs none are made")
	}
	b := open(t)
	b.in()
	hour := serveAt(t, afterAnHour(t))
	for _, shot := range []struct {
		name, at, address string
		dark              bool
	}{
		{"overview", hour, "/ui/", false},
		{"jobs", site.URL, "/ui/apps/acme/jobs?limit=12", true},
		{"trigger", site.URL, "/ui/apps/acme/triggers/daily-report", false},
		{"job", site.URL, "/ui/apps/acme/jobs/" + first(t, "acme", api.StateFailed), false},
	} {
		b.dark(shot.dark)
		b.do(chromedp.Navigate(shot.at + shot.address))
		picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if len(picture) > 150<<10 {
			t.Errorf("%s has %d bytes, want 150 KiB at most", shot.name, len(picture))
		}
		if err := os.WriteFile(filepath.Join(*docs, shot.name+".png"), picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// shoot makes the pictures of the page that is shown.
func (b *tab) shoot(name string) {
	b.Helper()
	for _, kind := range []string{"light", "dark", "phone"} {
		b.dark(kind == "dark")
		if kind == "phone" {
			b.wide(390)
		}
		picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(*shots, name+"-"+kind+".png"), picture, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	b.wide(1280)
	b.dark(false)
}
