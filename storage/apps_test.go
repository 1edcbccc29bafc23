package storage_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// mustCreate makes apps that have nothing.
func mustCreate(tb testing.TB, s *storage.Store, ids ...storage.AppID) {
	tb.Helper()
	done := make(chan error, len(ids))
	for _, id := range ids {
		app, err := s.App(id)
		if err != nil {
			tb.Fatal(err)
		}
		tx := app.Begin(testNow)
		if err := errors.Join(tx.Create(), tx.Commit(func(err error) { done <- err })); err != nil {
			tb.Fatal(err)
		}
	}
	for range ids {
		if err := <-done; err != nil {
			tb.Fatal(err)
		}
	}
}

// mustListApps returns the names of all pages, and how many pages there are.
func mustListApps(tb testing.TB, s *storage.Store, f storage.AppFilter) (names []storage.AppID, pages int) {
	tb.Helper()
	for {
		page, err := s.ListApps(f)
		if err != nil || len(page.Missing) > 0 {
			tb.Fatal(err, page.Missing)
		}
		for _, app := range page.Apps {
			names = append(names, app.ID)
		}
		if pages++; page.Next == "" {
			return names, pages
		}
		if page.Next <= f.After {
			tb.Fatalf("the page behind %q goes on behind %q", f.After, page.Next)
		}
		f.After = page.Next
	}
}

// TestListApps: apps of several volumes come by name, page by page, each once, and none that
// the filter does not choose.
func TestListApps(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{Volumes: 4})
	var all []storage.AppID
	for i := range 250 {
		all = append(all, storage.AppID(fmt.Sprintf("%c%03d", 'a'+i%3, i)))
	}
	mustCreate(t, s, all...)
	slices.Sort(all)
	choose := func(is func(string) bool) (ids []storage.AppID) {
		for _, id := range all {
			if is(string(id)) {
				ids = append(ids, id)
			}
		}
		return ids
	}
	some := []storage.AppID{"c002", "none", "a000", "a000", "b001"}
	for _, tt := range []struct {
		name string
		f    storage.AppFilter
		want []storage.AppID
	}{
		{"all", storage.AppFilter{}, all},
		{"all, one by one", storage.AppFilter{Limit: 1}, all},
		{"all at once", storage.AppFilter{Limit: 250}, all},
		{"a prefix", storage.AppFilter{Prefix: "b", Limit: 7}, choose(func(id string) bool { return strings.HasPrefix(id, "b") })},
		{"within", storage.AppFilter{Contains: "01", Limit: 7}, choose(func(id string) bool { return strings.Contains(id, "01") })},
		{"both", storage.AppFilter{Prefix: "c", Contains: "2", Limit: 7}, choose(func(id string) bool { return id[0] == 'c' && strings.Contains(id, "2") })},
		{"no such", storage.AppFilter{Prefix: "d"}, nil},
		{"behind the last", storage.AppFilter{After: "z"}, nil},
		{"among some", storage.AppFilter{Among: some, Limit: 2}, []storage.AppID{"a000", "b001", "c002"}},
		{"among some, by prefix", storage.AppFilter{Among: some, Prefix: "b"}, []storage.AppID{"b001"}},
		{"among none", storage.AppFilter{Among: []storage.AppID{}}, nil},
	} {
		if got, _ := mustListApps(t, s, tt.f); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %d apps %.200q, want %d", tt.name, len(got), got, len(tt.want))
		}
	}
	if _, pages := mustListApps(t, s, storage.AppFilter{Limit: 250}); pages != 1 {
		t.Errorf("a page has no room for 250: %d pages", pages)
	}
	for _, f := range []storage.AppFilter{{Limit: -1}, {Limit: 1001}, {Prefix: strings.Repeat("x", 65)}, {After: storage.AppID(strings.Repeat("x", 65))}} {
		if _, err := s.ListApps(f); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// TestListAppsReadsABoundedPart: a page reads 10,000 names at most, says how far it has come,
// and the next one goes on there.
func TestListAppsReadsABoundedPart(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	var ids []storage.AppID
	for i := range 10_001 {
		ids = append(ids, storage.AppID(fmt.Sprintf("app%05d", i)))
	}
	mustCreate(t, s, ids...)
	page, err := s.ListApps(storage.AppFilter{Contains: "10000"})
	if err != nil || len(page.Apps) != 0 || page.Next != "app09999" {
		t.Fatalf("the first page: %d apps, next %q, %v", len(page.Apps), page.Next, err)
	}
	page, err = s.ListApps(storage.AppFilter{Contains: "10000", After: page.Next})
	if err != nil || len(page.Apps) != 1 || page.Apps[0].ID != "app10000" || page.Next != "" {
		t.Errorf("the second: %+v, %v", page, err)
	}
	page, err = s.ListApps(storage.AppFilter{Contains: "09999"})
	if err != nil || len(page.Apps) != 1 || page.Next != "app09999" {
		t.Errorf("the last name that is read: %+v, %v", page, err)
	}
}

// TestAppInfo: the counters are those of the file, and an app that was created is there, once.
func TestAppInfo(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	mustCreate(t, s, "acme")
	app := mustApp(t, s, "acme")
	if err := app.Begin(testNow).Create(); !errors.Is(err, storage.ErrExists) {
		t.Errorf("made twice: %v", err)
	}
	app.Abandon()
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		for range 3 {
			mustInsert(t, w, storage.Job{Function: "a:b", Args: []byte(`"x"`), Due: testNow.Add(time.Hour)})
		}
		for _, of := range []storage.Scope{{Pool: "p", PoolKey: "k"}, {Function: "a:b"}, {App: true}} {
			if err := w.PutPause(storage.Pause{Of: of, By: "ann", Reason: "why", Since: testNow}); err != nil {
				t.Fatal(err)
			}
		}
	})
	info, there, err := s.AppInfo("acme")
	if err != nil || !there || info.Pending != 3 || !info.Paused || info.ArgBytes != 9 || info.Fault != "" {
		t.Errorf("%+v, %v, %v", info, there, err)
	}
	if len(info.Pauses) != 3 || !info.Pauses[0].Of.App || info.Pauses[1].Of.Function == "" || info.Pauses[2].Of.PoolKey != "k" {
		t.Errorf("the pauses: %+v", info.Pauses)
	}
	page, err := s.ListApps(storage.AppFilter{})
	if err != nil || len(page.Apps) != 1 || page.Apps[0].Pending != 3 || !page.Apps[0].Paused {
		t.Errorf("listed: %+v, %v", page, err)
	}
	if _, there, err := s.AppInfo("none"); there || err != nil {
		t.Errorf("no such app: %v, %v", there, err)
	}
}
