package actors_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/testdata/shape"
)

// TestOpenTellsAllThatTheProgramsShapeTells: references without a handler,
// tables without an entry in Options.Tables, faulty triggers and options are
// one error, before any file is touched.
func TestOpenTellsAllThatTheProgramsShapeTells(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	opts := actors.Options{
		Functions: shape.Functions(), Logger: quiet, Volumes: 65, MaxJobs: -1, AppConcurrency: -2,
		Tables: []storage.Schema{shape.Listed, nil, storage.NewTable[shape.Note]("listed")},
		Crons: []dispatch.Trigger{
			{Name: "bad", Schedule: cron.Expr("61 * * * *"), Call: shape.Bound.With(dispatch.None{})},
			{Name: "worse", Schedule: cron.Expr("* * * * *"), Call: shape.Unbound.With(dispatch.None{})},
		},
	}
	_, err := actors.Open(dir, opts)
	if err == nil {
		t.Fatal("opened")
	}
	for _, want := range []string{
		`"shape:unbound" (carillon/testdata/shape, shape.go:`, `"shape:bound" (carillon/testdata/shape, shape.go:`,
		"table unlisted (carillon/testdata/shape, shape.go:", "table listed (carillon/testdata/shape, shape.go:",
		"Volumes", "MaxJobs", "AppConcurrency", "Tables[1] is nil", "two declarations of table listed", "bad", "worse",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Open does not tell %q", want)
		}
	}
	for _, free := range []string{"shape:renamed", "shape:former", "table plain"} {
		if strings.Contains(err.Error(), free) {
			t.Errorf("Open finds fault with %s", free)
		}
	}
	if t.Failed() {
		t.Logf("Open says:\n%v", err)
	}
	if code := dispatch.AsError(err).Code; code != dispatch.CodeInvalidArgument {
		t.Errorf("the code is %s", code)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("an Open that was refused has made the directory")
	}
}

// TestWhatTheProgramDoesNotTakePartInIsNotMissed: a package's references are
// asked for in the registries only that it binds handlers in, its tables also
// where one of them is listed, and what Without names nowhere.
func TestWhatTheProgramDoesNotTakePartInIsNotMissed(t *testing.T) {
	for name, tt := range map[string]struct {
		opts actors.Options
		told []string
	}{
		"neither bound nor listed": {opts: actors.Options{Functions: newKit().reg}},
		"a table listed": {
			opts: actors.Options{Functions: newKit().reg, Tables: []storage.Schema{shape.Listed}},
			told: []string{"table unlisted", "table listed"},
		},
		"handlers bound": {
			opts: actors.Options{Functions: shape.Functions()},
			told: []string{"shape:unbound", "shape:bound", "table unlisted", "table listed"},
		},
		"left out on purpose": {
			opts: actors.Options{Functions: func() *dispatch.Registry {
				reg := shape.Functions()
				reg.Without("shape:unbound")
				return reg
			}(), Tables: []storage.Schema{shape.Unlisted}},
			told: []string{"shape:bound", "table listed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tt.opts.Logger, tt.opts.Testing.NoSync, tt.opts.Volumes = quiet, true, 1
			abort := abortOf(&tt.opts)
			_, err := actors.Open(t.TempDir(), tt.opts)
			var lines []string
			if err != nil {
				lines = strings.Split(err.Error(), "\n")
			} else if err := (*abort)(); err != nil {
				t.Error(err)
			}
			if len(lines) != len(tt.told) {
				t.Errorf("Open tells %d faults, want %d: %v", len(lines), len(tt.told), err)
			}
			for _, want := range tt.told {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Open does not tell %q: %v", want, err)
				}
			}
		})
	}
}
