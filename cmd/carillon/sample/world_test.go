package sample_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carillon/actors"
	"carillon/cmd/carillon/sample"
	"carillon/dispatch"
	"carillon/storage"
)

// world is the sample app on an engine in virtual time. What is called goes the
// way of a client's call: by path and JSON, internal functions hidden.
type world struct {
	t     *testing.T
	dir   string
	crons []dispatch.Trigger
	eng   *actors.Engine
	abort func() error
	app   *actors.App
}

// inWorld runs the test in a bubble of package synctest. No trigger ticks in it.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	inWorldWith(t, nil, test)
}

// inWorldWith is inWorld with triggers.
func inWorldWith(t *testing.T, crons []dispatch.Trigger, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, dir: t.TempDir(), crons: crons}
		w.open()
		test(w)
		synctest.Wait()
		if err := w.eng.Check(); err != nil {
			t.Error(err)
		}
		w.shut()
	})
}

func (w *world) shut() {
	w.t.Helper()
	if err := w.eng.Close(context.Background()); err != nil {
		w.t.Error(err)
	}
}

func (w *world) open() {
	w.t.Helper()
	eng, err := actors.Open(w.dir, actors.Options{
		Functions: sample.Functions(), Tables: sample.Tables(), Pools: sample.Pools(), Crons: w.crons, Volumes: 1, Logger: slog.New(slog.DiscardHandler),
		Testing: actors.Testing{Opened: func(abort func() error) { w.abort = abort }},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.eng = eng
	if w.app, err = eng.App("acme"); err != nil {
		w.t.Fatal(err)
	}
}

// crash loses what is in memory and opens again.
func (w *world) crash() {
	w.t.Helper()
	if err := w.abort(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

// pass lets virtual time pass, and what then becomes due run to its end.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// call runs a function and decodes its result into R.
func call[R any](w *world, path, format string, args ...any) R {
	w.t.Helper()
	var result R
	raw, err := w.app.Call(w.t.Context(), path, json.RawMessage(fmt.Sprintf(format, args...)), nil)
	if err != nil {
		w.t.Fatalf("%s: %v", path, err)
	}
	if err := json.Unmarshal(raw, &result); err != nil {
		w.t.Fatalf("%s answers %s: %v", path, raw, err)
	}
	return result
}

// refused demands that a call fails with the code and a message that has text in it.
func (w *world) refused(code dispatch.Code, text, path, format string, args ...any) {
	w.t.Helper()
	raw, err := w.app.Call(w.t.Context(), path, json.RawMessage(fmt.Sprintf(format, args...)), nil)
	var e *dispatch.Error
	if !errors.As(err, &e) {
		w.t.Errorf("%s answers %s, %v", path, raw, err)
		return
	}
	if e.Code != code || !strings.Contains(e.Message, text) {
		w.t.Errorf("%s: got %s: %s\nwant %s: … %s …", path, e.Code, e.Message, code, text)
	}
}

// job reads a row of the system table.
func (w *world) job(id storage.JobID) sample.JobRow {
	w.t.Helper()
	return call[sample.JobRow](w, "jobs:get", `{"id":%q}`, id)
}

// jobID is the result of what schedules one job.
type jobID struct{ JobID storage.JobID }
