package storage_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"carillon/storage"
	"carillon/storage/storagetest"
)

// A store without a name takes on that of the first program that has one, and
// is opened by no other; a refusal changes no file and makes none.
func TestAStoreIsOpenedByItsOwnProgramOnly(t *testing.T) {
	acme, demo := storage.Options{Program: "acme/notes"}, storage.Options{Program: "demo", AdoptEmpty: true}
	named := func(tb testing.TB, name string) string {
		dir := tb.TempDir()
		mustClose(tb, mustOpen(tb, dir, storage.Options{Program: name}))
		return dir
	}
	used := func(tb testing.TB) string {
		dir := tb.TempDir()
		s := mustOpen(tb, dir, storage.Options{})
		mustUpdateJobs(tb, mustApp(tb, s, "a"), func(w storage.JobWriter) { mustInsert(tb, w, storage.Job{}) })
		mustClose(tb, s)
		return dir
	}
	for name, tt := range map[string]struct {
		dir     func(testing.TB) string
		opts    storage.Options
		refused bool
		want    string // the store's program afterwards
	}{
		"a new one":                       {func(tb testing.TB) string { return tb.TempDir() }, acme, false, "acme/notes"},
		"a new one, if empty":             {func(tb testing.TB) string { return tb.TempDir() }, demo, false, "demo"},
		"a new one, by nobody":            {func(tb testing.TB) string { return tb.TempDir() }, storage.Options{}, false, ""},
		"its own":                         {func(tb testing.TB) string { return named(tb, "acme/notes") }, acme, false, "acme/notes"},
		"its own, if empty":               {func(tb testing.TB) string { return named(tb, "demo") }, demo, false, "demo"},
		"another's":                       {func(tb testing.TB) string { return named(tb, "demo") }, acme, true, "demo"},
		"another's, though it is empty":   {func(tb testing.TB) string { return named(tb, "acme/notes") }, demo, true, "acme/notes"},
		"one with apps and no name":       {used, acme, false, "acme/notes"},
		"one with apps, only if empty":    {used, demo, true, ""},
		"another's, by nobody":            {func(tb testing.TB) string { return named(tb, "demo") }, storage.Options{}, false, "demo"},
		"another's, with fewer volumes":   {func(tb testing.TB) string { return named(tb, "demo") }, storage.Options{Program: "x", Volumes: 9}, true, "demo"},
		"one with apps, and more volumes": {used, storage.Options{Program: "demo", AdoptEmpty: true, Volumes: 9}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tt.dir(t)
			before := files(t, dir)
			s, err := storage.Open(dir, storagetest.On(dir, tt.opts))
			switch {
			case tt.refused:
				if !errors.Is(err, storage.ErrProgram) {
					t.Fatalf("got %v, want ErrProgram", err)
				}
				if after := files(t, dir); !slices.Equal(after, before) {
					t.Errorf("the Open that was refused has left %v, there were %v", after, before)
				}
			case err != nil:
				t.Fatal(err)
			default:
				mustClose(t, s)
			}
			s = mustOpen(t, dir, storage.Options{Volumes: 1})
			defer mustClose(t, s)
			if got, err := s.Program(); got != tt.want || err != nil {
				t.Errorf("afterwards the program is %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

// SetProgram is the way out, and lasts.
func TestAStoreIsGivenToAnotherProgram(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, storage.Options{Program: "old"})
	for _, bad := range []string{"", "a b", strings.Repeat("x", 65), "ä"} {
		if err := s.SetProgram(bad); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("SetProgram(%q): %v", bad, err)
		}
		if bad == "" {
			continue // an option that is not given
		}
		if _, err := storage.Open(t.TempDir(), storage.Options{Program: bad}); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("Open as %q: %v", bad, err)
		}
	}
	if err := s.SetProgram(strings.Repeat("x", 64)); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	if _, err := storage.Open(dir, storagetest.On(dir, storage.Options{Program: "old"})); !errors.Is(err, storage.ErrProgram) {
		t.Errorf("the old program: %v", err)
	}
	mustClose(t, mustOpen(t, dir, storage.Options{Program: strings.Repeat("x", 64)}))
}
