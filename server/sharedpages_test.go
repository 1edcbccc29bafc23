package server_test

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/server"
	"carillon/storage"
)

// TestLivePagesAreMadeOnce: viewers of a page with the same rights, who are told of a change together, are shown one that was
// made once, after all had asked; those of another page, with other rights or of another session are shown their own, and so is
// a person who goes to the page, at once.
func TestLivePagesAreMadeOnce(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		token := func(op server.Operator) string {
			text, _ := b.token(t, op, time.Time{})
			return text
		}
		readers := map[string]string{ // by name
			"ann": token(server.Operator{Name: "ann", AllApps: true, Scopes: server.Scopes()}),
			"bob": token(server.Operator{Name: "bob", AllApps: true, Scopes: server.Scopes()}),
			"eve": token(server.Operator{Name: "eve", AllApps: true, Scopes: []server.Scope{server.ScopeRead}}),
			"tom": token(server.Operator{Name: "tom", Apps: []storage.AppID{"acme"}, Scopes: server.Scopes()}),
		}
		made := func(page string) (at string) {
			_, at, _ = strings.Cut(page, `<meta name="made" content="`)
			at, _, _ = strings.Cut(at, `"`)
			return at
		}
		began := time.Now()
		pages := map[string]map[string]int{} // by reader and address: how many of each instant
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 10 {
			for name, text := range readers {
				for _, path := range []string{"/ui/apps/acme", "/ui/apps/acme/jobs", "/ui/apps/acme/jobs?state=failed"} {
					all.Go(func() {
						time.Sleep(time.Duration(i) * time.Millisecond)
						w := b.ask("GET", path, nil, "Authorization", "Bearer "+text, "Carillon-Live", "1")
						mu.Lock()
						defer mu.Unlock()
						who := name + " " + path
						if pages[who] == nil {
							pages[who] = map[string]int{}
						}
						pages[who][made(w.Body.String())]++
						if w.Code != 200 || !strings.Contains(w.Body.String(), "<span>"+name+"</span>") {
							t.Errorf("%s was shown %d %s", who, w.Code, w.Body)
						}
					})
				}
			}
		}
		time.Sleep(20 * time.Millisecond)
		if err := b.h.App("acme").Pause(b.h.Context(), storage.Scope{App: true}, "ann", "changed since"); err != nil {
			t.Fatal(err)
		}
		all.Wait()
		for who, of := range pages {
			if len(of) != 1 {
				t.Errorf("%s was made at %v", who, of)
			}
		}
		if took := time.Since(began); len(pages) != 12 || took > 100*time.Millisecond {
			t.Errorf("%d pages took %v", len(pages), took)
		}
		for _, name := range []string{"ann", "eve"} {
			began = time.Now()
			w := b.ask("GET", "/ui/apps/acme", nil, "Authorization", "Bearer "+readers[name], "Carillon-Live", "1")
			if seen := strings.Contains(w.Body.String(), "changed since"); seen != (name == "ann") || !strings.Contains(w.Body.String(), ">paused<") || time.Since(began) != 50*time.Millisecond {
				t.Errorf("%s was shown, after %v: %s", name, time.Since(began), w.Body)
			}
		}
		began = time.Now()
		if w := b.ask("GET", "/ui/apps/acme", nil, "Authorization", "Bearer "+readers["ann"]); w.Code != 200 || time.Since(began) != 0 {
			t.Errorf("who goes to the page waits %v: %d", time.Since(began), w.Code)
		}
		if w := b.ask("POST", "/ui/apps/acme/resume", url.Values{}, "Authorization", "Bearer "+readers["ann"], "Carillon-Live", "1"); w.Code != 303 {
			t.Errorf("a form with the header: %d", w.Code)
		}
		for range 2 { // each is told of a refusal
			all.Go(func() {
				if w := b.ask("GET", "/ui/apps/none", nil, "Authorization", "Bearer "+readers["ann"], "Carillon-Live", "1"); w.Code != 404 {
					t.Errorf("of an app that is not there: %d", w.Code)
				}
			})
		}
		all.Wait()
	})
}
