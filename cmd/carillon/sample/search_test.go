package sample_test

import (
	"fmt"
	"testing"
	"time"

	"carillon/cmd/carillon/sample"
	"carillon/storage"
)

// TestSearchIsDebounced: many edits are indexed once, when the page rests, over a crash too;
// and a page that is edited all the time is indexed all the same.
func TestSearchIsDebounced(t *testing.T) {
	inWorld(t, func(w *world) {
		id := call[storage.ID[sample.Page]](w, "search:create", `{"text":"draft"}`)
		page := func() sample.Page { return call[sample.Page](w, "search:read", `{"pageId":%q}`, id) }
		for n := range 5 {
			w.pass(2 * time.Second)
			if n == 3 {
				w.crash()
			}
			call[jobID](w, "search:edit", `{"pageId":%q,"text":"edit %d"}`, id, n)
		}
		if p := page(); p.Times != 0 {
			t.Errorf("it was indexed %d times while it was edited", p.Times)
		}
		w.pass(3 * time.Second)
		if p := page(); p.Times != 1 || p.Indexed != "edit 4" {
			t.Errorf("%q was indexed last, in %d times, want edit 4 in one", p.Indexed, p.Times)
		}
		if found := call[[]storage.ID[sample.Page]](w, "search:find", `{"word":"edit 4"}`); len(found) != 1 || found[0] != id {
			t.Errorf("found %q, want %s", found, id)
		}
		for n := range 60 {
			call[jobID](w, "search:edit", `{"pageId":%q,"text":"%s"}`, id, fmt.Sprint("steady ", n))
			w.pass(time.Second)
		}
		if p := page(); p.Times != 2 && p.Times != 3 {
			t.Errorf("in a minute of edits it was indexed %d times, want every 30 s", p.Times-1)
		}
		w.refused("invalid_argument", "pages", "search:edit", `{"pageId":"nope","text":"x"}`)
		w.refused("invalid_argument", "text", "search:edit", `{"pageId":%q,"text":""}`, id)
	})
}
