package browser

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"carillon/server/api"
	"carillon/server/ui"
)

// perKind is how many pages of a kind are looked at, such as those of jobs.
const perKind = 2

// kindOf is what the pages of the dashboard are told apart by: their pattern, "" of what is no page.
func kindOf(patterns *http.ServeMux, path string) string {
	r, err := http.NewRequest(http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return ""
	}
	_, pattern := patterns.Handler(r)
	return pattern
}

// pages walks the dashboard by its links, and returns the addresses of pages: of each kind up to perKind.
// A kind that no link leads to fails the test.
func pages(b *tab) []string {
	b.Helper()
	patterns, none := http.NewServeMux(), http.NotFoundHandler()
	left := map[string]bool{}
	for _, p := range ui.Pages() {
		if p.Method == http.MethodGet {
			patterns.Handle("GET /ui"+p.Pattern, none)
			left["GET /ui"+p.Pattern] = true
		}
	}
	var found []string
	seen, kinds := map[string]bool{}, map[string]int{}
	pending := first(b.T, "acme", api.StatePending)
	queue := []string{"/ui/", "/ui/apps/acme/jobs/" + pending, "/ui/nodes", "/ui/jump?to=none", "/ui/apps/acme", "/ui/apps/acme/jobs?state=failed", "/ui/apps/acme/operations/new?action=cancel&of=filter&state=pending"}
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		path, _, _ := strings.Cut(next, "?")
		kind := kindOf(patterns, path)
		if seen[next] || kind == "" || kinds[kind] == perKind {
			continue
		}
		seen[next] = true
		b.see(next)
		if !strings.HasPrefix(value[string](b, "document.contentType"), "text/html") {
			delete(left, kind)
			continue
		}
		for _, file := range value[[]string](b, `[...document.querySelectorAll("a[download], main form[method=get]")].map(e => new URL(e.getAttribute("href") ?? e.getAttribute("action") ?? "", location).pathname)`) {
			delete(left, kindOf(patterns, file)) // what leads to no page to look at
		}
		kinds[kind]++
		delete(left, kind)
		found = append(found, next)
		queue = append(queue, value[[]string](b, `[...document.links].filter(a => a.origin === location.origin && !a.hasAttribute("download")).map(a => a.pathname + a.search)`)...)
	}
	for kind := range left {
		b.Errorf("no link leads to a page of %s", kind)
	}
	return found
}

func TestEveryPageIsForEveryReader(t *testing.T) {
	b := open(t)
	b.see("/ui/")
	b.accessible()
	b.in()
	plain := open(t)
	plain.noScripts()
	plain.in()
	for _, address := range pages(b) {
		b.dark(false)
		b.see(address)
		plain.see(address)
		if title, text := b.text("h1"), plain.text("main"); title == "" || plain.text("h1") != title || len(text) <= len(title) {
			b.Errorf("%s has the title %q, and without scripts only %q", address, title, text)
		}
		b.accessible()
		b.dark(true)
		b.accessible("color-contrast") // all else is as it was
		b.wide(390)
		if wide := value[int](b, "document.documentElement.scrollWidth"); wide > 390 {
			b.Errorf("%s is %d pixels wide on a phone of 390", address, wide)
		}
		b.wide(1280)
	}
}

func TestHostileTextRunsNothing(t *testing.T) {
	b := open(t)
	b.in()
	failed := first(t, "zoo", api.StateFailed)
	for _, address := range []string{"/ui/", "/ui/apps", "/ui/apps/zoo", "/ui/apps/bakery", "/ui/apps/zoo/jobs", "/ui/apps/zoo/jobs/" + failed} {
		b.see(address)
	}
	b.has("main", `<script>alert(1)</script>`) // as text
	if n := value[int](b, `document.querySelectorAll("main script, main img").length`); n != 0 {
		t.Errorf("%d elements came from a job", n)
	}
}

// first is the id of a job of the app that is in the state.
func first(t *testing.T, app string, state api.State) string {
	t.Helper()
	for job, err := range site.API.App(app).Jobs(context.Background(), api.JobFilter{States: []api.State{state}}) {
		if err != nil {
			t.Fatal(err)
		}
		return job.ID
	}
	t.Fatalf("no job of %s is %s", app, state)
	return ""
}
