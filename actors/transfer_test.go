package actors_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// TestG1_ADeleteIsDurableWhenItReturns: while its commit is on its way to the disk it does not.
func TestG1_ADeleteIsDurableWhenItReturns(t *testing.T) {
	k := newKit()
	var gate chan struct{}
	var shut atomic.Bool
	fault := func(point string) error {
		if point == "commit" && shut.Load() {
			<-gate
		}
		return nil
	}
	actorstest.Run(t, actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: fault}}, func(h *actorstest.Harness) {
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "old"))
		h.Settle()
		gate = make(chan struct{}) // of the bubble
		shut.Store(true)
		var returned atomic.Bool
		done := make(chan error, 1)
		go func() {
			err := h.Engine.Delete(h.Context(), "acme")
			returned.Store(true)
			done <- err
		}()
		synctest.Wait()
		if returned.Load() {
			t.Error("it returned while its commit was on its way")
		}
		shut.Store(false)
		close(gate)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// G26: an app that is deleted is gone with its jobs, running ones too; its name
// is free at once, and the new app of that name has nothing of the old.
func TestG26_Delete(t *testing.T) {
	k := newKit()
	work := k.action("t:work", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("start "+name, ctx.Job)
		<-ctx.Done()
		_, err := addEntry.Run(ctx, "late")
		return errors.Join(err, ctx.Err())
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, AppConcurrency: 1}, func(h *actorstest.Harness) {
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "old"))
		mustAfter(t, h, "acme", 0, work.With("running"))
		h.Settle()
		mustAfter(t, h, "acme", 0, work.With("waits"))
		mustAfter(t, h, "acme", time.Minute, work.With("later"))
		mustAfter(t, h, "other", time.Minute, addEntry.With("other"))
		if err := h.Engine.Delete(h.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		ids := must[[]storage.AppID](t)(h.Engine.Apps())
		if !slices.Equal(ids, []storage.AppID{"other"}) {
			t.Errorf("the apps are %q", ids)
		}
		wantEntries(t, h, "acme")
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "new"))
		h.Crash()
		h.Advance(time.Hour)
		wantEntries(t, h, "acme", "new")
		wantEntries(t, h, "other", "other")
		if got := k.noted("start"); !slices.Equal(got, []string{"start running"}) {
			t.Errorf("started: %q", got)
		}
		if jobs := h.Jobs("acme"); len(jobs) > 0 {
			t.Errorf("the new app has the old one's jobs: %+v", jobs)
		}
		wantCode(t, h.Engine.Delete(h.Context(), "nobody"), dispatch.CodeNotFound)
		wantCode(t, h.Engine.Delete(h.Context(), "../nobody"), dispatch.CodeInvalidArgument)
	})
}

// G26: calls that are inside an app when it is deleted are served.
func TestG26_DeleteServesThoseInside(t *testing.T) {
	k := newKit()
	slow := k.mutation("t:slow", func(ctx *dispatch.MutationCtx, name string) error {
		time.Sleep(time.Second)
		_, err := addEntry.Run(ctx, name)
		return err
	})
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		for range 3 {
			time.Sleep(2 * time.Second)
			if _, err := addEntry.Run(ctx, name); err != nil {
				return err
			}
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		begin := h.Now()
		var done sync.WaitGroup
		var errs [6]error
		for i := range 3 {
			done.Go(func() { _, errs[i] = slow.Run(h.Caller("acme"), "slow") })
			done.Go(func() { _, errs[3+i] = act.Run(h.Caller("acme"), "act") })
		}
		h.Settle()
		if err := h.Engine.Delete(h.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		done.Wait()
		for i, err := range errs {
			if err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		}
		if took := h.Now().Sub(begin); took > 10*time.Second {
			t.Errorf("that took %v of virtual time", took)
		}
		wantEntries(t, h, "acme")
	})
}

// G26: whatever calls race with Delete are answered, and all that is acknowledged
// afterwards is there. (Outside of a bubble, for the race detector.)
func TestG26_DeleteRacesWithCalls(t *testing.T) {
	k := newKit()
	eng := openPlain(t, actors.Options{Functions: k.reg})
	app := must[*actors.App](t)(eng.App("acme"))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var stop atomic.Bool
	var calls sync.WaitGroup
	for c := range 8 {
		calls.Go(func() {
			for i := 0; !stop.Load(); i++ {
				var err error
				switch c % 4 {
				case 0:
					_, err = addEntry.Run(app.As(ctx, nil), "x")
				case 1:
					_, err = listEntries.Run(app.As(ctx, nil), none{})
				case 2:
					_, err = app.Scheduler(ctx).RunAfter(0, addEntry.With("x"))
				case 3:
					_, err = app.Inspect(ctx)
				}
				if err != nil {
					t.Errorf("caller %d, call %d: %v", c, i, err)
					return
				}
			}
		})
	}
	for range 60 {
		if err := eng.Delete(ctx, "acme"); err != nil && dispatch.AsError(err).Code != dispatch.CodeNotFound {
			t.Errorf("delete: %v", err)
		}
		time.Sleep(time.Millisecond) // let the app come into being again
	}
	stop.Store(true)
	calls.Wait()
	if err := eng.Delete(ctx, "acme"); err != nil && dispatch.AsError(err).Code != dispatch.CodeNotFound {
		t.Errorf("delete: %v", err)
	}
	for range 10 {
		must[storage.ID[entry]](t)(addEntry.Run(app.As(ctx, nil), "kept"))
	}
	names := must[[]string](t)(listEntries.Run(app.As(ctx, nil), none{}))
	if len(names) != 10 {
		t.Errorf("entries %s, want 10", brief(names))
	}
}

// openPlain opens an engine outside of every bubble, and closes it after a check
// when the test ends.
func openPlain(t *testing.T, opts actors.Options) *actors.Engine {
	t.Helper()
	opts.Testing.NoSync = true
	if opts.Volumes == 0 {
		opts.Volumes = 1
	}
	if opts.Logger == nil {
		opts.Logger = quiet
	}
	// Real time is no judge of anything on a machine that is busy.
	opts.QueryTimeout, opts.MutationTimeout = max(opts.QueryTimeout, time.Minute), max(opts.MutationTimeout, time.Minute)
	eng, err := actors.Open(t.TempDir(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := eng.Check(); err != nil {
			t.Errorf("check: %v", err)
		}
		if err := eng.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return eng
}

// G26: an app that is exported while it works, and imported under another name,
// is whole: what was done is done, and what is to come will come, in both.
func TestG26_ExportWhileRunning(t *testing.T) {
	k := newKit()
	pair := k.mutation("t:pair", func(ctx *dispatch.MutationCtx, name string) error {
		// Together or not at all, in the copy too.
		if _, err := addEntry.Run(ctx, "a"+name); err != nil {
			return err
		}
		_, err := addEntry.Run(ctx, "b"+name)
		return err
	})
	slow := k.action("t:slow", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("slow "+name, ctx.Job)
		time.Sleep(time.Minute)
		_, err := addEntry.Run(ctx, name)
		return err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Volumes: 3}, func(h *actorstest.Harness) {
		for i := range 100 {
			mustAfter(t, h, "acme", time.Duration(i)*time.Millisecond, pair.With(fmt.Sprint(i)))
		}
		later := mustAfter(t, h, "acme", time.Hour, addEntry.With("later"))
		again := mustAfter(t, h, "acme", 0, slow.With("again"))
		once := mustAfter(t, h, "acme", 0, slow.With("once"), dispatch.AtMostOnce())
		dead := mustAfter(t, h, "acme", 0, failAlways.With("x"), dispatch.NoRetry())
		h.Advance(50 * time.Millisecond)

		var stream bytes.Buffer
		if err := h.Engine.Export(h.Context(), "acme", &stream); err != nil {
			t.Fatal(err)
		}
		size := stream.Len()
		copied := bytes.NewReader(stream.Bytes())
		h.Advance(time.Second)
		if err := h.Engine.Import(h.Context(), "copy", copied); err != nil {
			t.Fatal(err)
		}
		h.Settle()
		wantState(t, h, "copy", once, storage.StateFailed, 1) // it was running in the original
		wantState(t, h, "copy", dead, storage.StateFailed, 1)
		if n := k.count("slow again"); n != 2 {
			t.Errorf("the action that was running is run again in the copy: %d starts in all", n)
		}
		h.Advance(2 * time.Hour)
		for _, app := range []storage.AppID{"acme", "copy"} {
			names := must[[]string](t)(listEntries.Run(h.Caller(app), none{}))
			for i := range 100 {
				if a, b := count(names, fmt.Sprint("a", i)), count(names, fmt.Sprint("b", i)); a != 1 || b != 1 {
					t.Errorf("app %s: pair %d happened %d and %d times", app, i, a, b)
				}
			}
			wantState(t, h, app, later, storage.StateSuccess, 1)
			wantState(t, h, app, again, storage.StateSuccess, map[storage.AppID]int{"acme": 1, "copy": 2}[app])
		}
		wantState(t, h, "acme", once, storage.StateSuccess, 1)
		h.Crash()

		// What cannot be imported leaves nothing behind.
		wantCode(t, h.Engine.Import(h.Context(), "acme", bytes.NewReader(stream.Bytes())), dispatch.CodeAlreadyExists)
		for _, cut := range []int{0, 10, size / 2, size - 1} {
			if err := h.Engine.Import(h.Context(), "cut", bytes.NewReader(stream.Bytes()[:cut])); err == nil {
				t.Errorf("%d of %d bytes were imported", cut, size)
			}
		}
		ctx, cancel := context.WithCancel(h.Context())
		cancel()
		if err := h.Engine.Import(ctx, "cut", bytes.NewReader(stream.Bytes())); err == nil {
			t.Error("an import that was canceled came to its end")
		}
		wantCode(t, h.Engine.Export(h.Context(), "cut", &stream), dispatch.CodeNotFound)
		// And the name is as free as before, also for one who has asked already.
		wantEntries(t, h, "cut")
		if err := h.Engine.Import(h.Context(), "cut", bytes.NewReader(stream.Bytes())); err != nil {
			t.Error(err)
		}
		h.Drain()
		if jobs := h.Jobs("cut"); len(jobs) < 100 {
			t.Errorf("%d jobs were imported", len(jobs))
		}
	})
}

// G26: calls that race with an import of the app of their name wait for it, or
// make it impossible; neither is lost.
func TestG26_ImportRacesWithCalls(t *testing.T) {
	k := newKit()
	eng := openPlain(t, actors.Options{Functions: k.reg})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	source := must[*actors.App](t)(eng.App("source"))
	for range 20 {
		must[storage.ID[entry]](t)(addEntry.Run(source.As(ctx, nil), "imported"))
	}
	var stream bytes.Buffer
	if err := eng.Export(ctx, "source", &stream); err != nil {
		t.Fatal(err)
	}
	imported := 0
	for i := range 60 {
		app := must[*actors.App](t)(eng.App(storage.AppID(fmt.Sprint("copy", i))))
		if i%2 == 0 {
			must[[]string](t)(listEntries.Run(app.As(ctx, nil), none{})) // it is live without existing
		}
		var call, imp error
		var done sync.WaitGroup
		done.Go(func() {
			time.Sleep(time.Duration(i%10) * 100 * time.Microsecond)
			_, call = addEntry.Run(app.As(ctx, nil), "called")
		})
		done.Go(func() { imp = eng.Import(ctx, app.ID(), bytes.NewReader(stream.Bytes())) })
		done.Wait()
		names := must[[]string](t)(listEntries.Run(app.As(ctx, nil), none{}))
		want := 0
		if imp == nil {
			want += 20
			imported++
		} else if code := dispatch.AsError(imp).Code; code != dispatch.CodeAlreadyExists {
			t.Errorf("import %d: %v", i, imp)
		}
		if call == nil {
			want++
		} else {
			t.Errorf("call %d: %v", i, call)
		}
		if len(names) != want {
			t.Errorf("app %d: %d entries, want %d; import %v, call %v", i, len(names), want, imp, call)
		}
	}
	t.Logf("%d of 60 imports came first", imported)
}
