package actors_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/storagetest"
)

// keyed calls kit:add as the subject, "" being anonymous, with the key.
func keyed(ctx context.Context, h *actorstest.Harness, subject, key, name string) (storage.ID[entry], error) {
	var who *dispatch.Identity
	if subject != "" {
		who = &dispatch.Identity{Subject: subject}
	}
	return addEntry.Run(h.App("acme").As(dispatch.WithIdempotencyKey(ctx, key), who), name)
}

// wantRepeat demands that a call with the key is answered with the id, and changes nothing.
func wantRepeat(tb testing.TB, h *actorstest.Harness, key, name string, id storage.ID[entry]) {
	tb.Helper()
	before := len(actorstest.Documents(h, "acme", entries))
	if got, err := keyed(h.Context(), h, "", key, name); got != id || err != nil {
		tb.Errorf("the repeat is answered %q, %v, want %q", got, err, id)
	}
	if after := len(actorstest.Documents(h, "acme", entries)); after != before {
		tb.Errorf("the repeat has changed %d documents", after-before)
	}
}

// TestG39_ARepeatIsAnsweredAsTheFirst: nothing runs; through a restart, a crash, an export and an
// import, asleep and awake, for a day and no longer.
func TestG39_ARepeatIsAnsweredAsTheFirst(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		id := must[storage.ID[entry]](t)(keyed(h.Context(), h, "", "k", "x"))
		wantRepeat(t, h, "k", "x", id)
		h.Restart()
		wantRepeat(t, h, "k", "x", id)
		h.Crash()
		wantRepeat(t, h, "k", "x", id)
		var out bytes.Buffer
		if err := errors.Join(h.Engine.Export(h.Context(), "acme", &out), h.Engine.Delete(h.Context(), "acme"), h.Engine.Import(h.Context(), "acme", &out)); err != nil {
			t.Fatal(err)
		}
		wantRepeat(t, h, "k", "x", id)
		h.AdvanceTo(time.Date(2000, 1, 1, 23, 59, 59, 0, time.UTC)) // it has slept
		wantRepeat(t, h, "k", "x", id)
		if n := k.count("add"); n != 1 {
			t.Errorf("the handler ran %d times", n)
		}
		h.Advance(time.Minute)
		if again := must[storage.ID[entry]](t)(keyed(h.Context(), h, "", "k", "x")); again == id {
			t.Error("it is kept for longer than a day")
		}
		wantEntries(t, h, "acme", "x", "x")
	})
}

// TestG39_VoidKeysGoAway: of an app that sleeps, too, in which no alarm is set for them.
func TestG39_VoidKeysGoAway(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		for i := range 600 { // more than are purged at once
			must[storage.ID[entry]](t)(keyed(h.Context(), h, "", fmt.Sprint(i), "x"))
		}
		kept := func() int {
			var out bytes.Buffer
			if err := h.Engine.Export(h.Context(), "acme", &out); err != nil {
				t.Fatal(err)
			}
			return bytes.Count(out.Bytes(), []byte("\x0a\x22Ik")) // its rows, in an export
		}
		if i := h.Inspect("acme"); i.IdempotencyKeys != 600 || i.IdempotencyBytes < 600*32 {
			t.Errorf("it is said to have %d keys of %d bytes", i.IdempotencyKeys, i.IdempotencyBytes)
		}
		h.Advance(time.Minute)
		if i := h.Inspect("acme"); !i.Asleep || !i.AlarmAt.IsZero() {
			t.Errorf("it is awake for its keys: %+v", i)
		}
		h.Advance(23 * time.Hour)
		if n := kept(); n != 600 {
			t.Errorf("%d keys are kept, want 600", n)
		}
		h.Advance(2 * time.Hour)
		if n := kept(); n != 0 || !h.Inspect("acme").Asleep {
			t.Errorf("%d keys are left", n)
		}
	})
}

// TestG39_WhoAKeyBelongsTo: the app, the principal and the function; another call with it is refused,
// and so is what is no key, and one for an action or a batch. A query does without, and so does
// what a function runs.
func TestG39_WhoAKeyBelongsTo(t *testing.T) {
	k := newKit()
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error { k.note("act", ctx.Job); return nil })
	other := k.mutation("t:other", func(ctx *dispatch.MutationCtx, name string) error {
		_, err := addEntry.Run(ctx, name)
		if _, key, keyErr := dispatch.TakeIdempotencyKey(ctx); key != nil || keyErr != nil {
			t.Errorf("the handler's context has the key %+v, %v", key, keyErr)
		}
		return err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		ctx := h.Context()
		first := must[storage.ID[entry]](t)(keyed(ctx, h, "", "k", "x"))
		for _, who := range []string{"ann", "bob"} {
			if id := must[storage.ID[entry]](t)(keyed(ctx, h, who, "k", "x")); id == first {
				t.Errorf("%s was given the answer of another", who)
			}
		}
		must[none](t)(other.Run(h.App("acme").As(dispatch.WithIdempotencyKey(ctx, "k"), nil), "x"))
		must[none](t)(other.Run(h.App("acme").As(dispatch.WithOperatorKey(ctx, "ann", "k"), nil), "x"))
		must[none](t)(other.Run(h.App("beta").As(dispatch.WithIdempotencyKey(ctx, "k"), nil), "x"))
		wantEntries(t, h, "acme", "x", "x", "x", "x", "x")
		wantEntries(t, h, "beta", "x")
		wantRepeat(t, h, "k", "x", first)

		_, err := keyed(ctx, h, "", "k", "y")
		wantCode(t, err, dispatch.CodeInvalidArgument)
		if e := dispatch.AsError(err); e == nil || e.Path != "kit:add" || !strings.Contains(e.Message, "another call") {
			t.Errorf("another call is refused with %+v", e)
		}
		for key, ok := range map[string]bool{
			strings.Repeat("k", 255): true, "!~": true,
			"": false, strings.Repeat("k", 256): false, "a b": false, "ä": false, "a\x7f": false,
		} {
			_, err := keyed(ctx, h, "", key, "z")
			if ok && err != nil {
				t.Errorf("key %q: %v", key, err)
			} else if !ok {
				wantCode(t, err, dispatch.CodeInvalidArgument)
			}
		}
		in := h.App("acme").As(dispatch.WithIdempotencyKey(ctx, "new"), nil)
		_, err = act.Run(in, "")
		wantCode(t, err, dispatch.CodeInvalidArgument)
		if k.count("act") > 0 {
			t.Error("the action has run")
		}
		for range 2 {
			must[[]string](t)(listEntries.Run(in, none{}))
		}
		_, err = h.App("acme").Scheduler(dispatch.WithIdempotencyKey(ctx, "new")).RunMany([]dispatch.Scheduled{dispatch.After(0, act.With(""))})
		wantCode(t, err, dispatch.CodeInvalidArgument)
		// Over a client's path, whatever the form of the same arguments.
		for _, args := range []string{`"q"`, ` "q" `} {
			if _, err := h.App("acme").Call(dispatch.WithIdempotencyKey(ctx, "raw"), "kit:add", json.RawMessage(args), nil); err != nil {
				t.Error(err)
			}
		}
		wantEntries(t, h, "acme", "x", "x", "x", "x", "x", "z", "z", "q")
	})
}

// TestG39_AFailedCallKeepsNothing: of its handler, a panic, a deadline, a caller who has gone away or
// a limit that it has met; it can be tried again with its key.
func TestG39_AFailedCallKeepsNothing(t *testing.T) {
	k := newKit()
	var how string
	flaky := k.mutation("t:flaky", func(ctx *dispatch.MutationCtx, name string) error {
		if _, err := entries.Insert(ctx.DB, entry{Name: name}); err != nil {
			return err
		}
		switch how {
		case "error":
			return errors.New("no")
		case "panic":
			panic("no")
		case "deadline", "gone":
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}, dispatch.Deadline(time.Second))
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		want := []string{}
		for _, how = range []string{"error", "panic", "deadline", "gone", ""} {
			ctx, cancel := context.WithCancel(h.Context())
			if how == "gone" {
				time.AfterFunc(time.Millisecond, cancel)
			}
			_, err := flaky.Run(h.App("acme").As(dispatch.WithIdempotencyKey(ctx, "k"), nil), "x")
			if (err == nil) != (how == "") {
				t.Errorf("%s: %v", how, err)
			}
			h.Settle()
			cancel()
			if how == "" {
				want = append(want, "x")
			}
			wantEntries(t, h, "acme", want...)
		}
		how = "error" // it does not run
		must[none](t)(flaky.Run(h.App("acme").As(dispatch.WithIdempotencyKey(h.Context(), "k"), nil), "x"))
	})
}

// TestG39_TwoAtOnceWaitForOne: they run one after the other, so that one handler runs, and both are
// answered with its result, not before that is durable; of two whose first fails the second runs. A
// first caller who goes away while the commit is under way has been served all the same.
func TestG39_TwoAtOnceWaitForOne(t *testing.T) {
	k, f := newKit(), newFaults()
	fails := 1
	late := k.mutation("t:late", func(ctx *dispatch.MutationCtx, name string) error {
		time.Sleep(time.Second)
		if fails--; fails == 0 {
			return errors.New("the first fails")
		}
		_, err := entries.Insert(ctx.DB, entry{Name: name})
		return err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet, Testing: actors.Testing{Fault: f.ask}}, func(h *actorstest.Harness) {
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "0"))
		release := f.hold()
		var wg sync.WaitGroup
		ids, answered := make([]storage.ID[entry], 8), 0
		var mu sync.Mutex
		for i := range ids {
			wg.Go(func() {
				id, err := keyed(h.Context(), h, "", "k", "x")
				mu.Lock()
				defer mu.Unlock()
				if ids[i] = id; err != nil {
					t.Error(err)
				}
				answered++
			})
		}
		gone, cancel := context.WithCancel(h.Context())
		wg.Go(func() {
			_, err := keyed(gone, h, "", "g", "g")
			wantCode(t, err, dispatch.CodeCanceled)
		})
		h.Settle()
		cancel()
		h.Settle()
		mu.Lock()
		if answered > 0 {
			t.Errorf("%d are answered before the commit is durable", answered)
		}
		mu.Unlock()
		release()
		wg.Wait()
		for _, id := range ids {
			if id == "" || id != ids[0] {
				t.Errorf("they are answered %q", ids)
			}
		}
		wantEntries(t, h, "acme", "0", "x", "g")
		must[storage.ID[entry]](t)(keyed(h.Context(), h, "", "g", "g"))
		wantEntries(t, h, "acme", "0", "x", "g")

		errs := make([]error, 3)
		for i := range errs {
			wg.Go(func() {
				_, errs[i] = late.Run(h.App("acme").As(dispatch.WithIdempotencyKey(h.Context(), "k"), nil), "late")
			})
		}
		wg.Wait()
		failed := 0
		for _, err := range errs {
			if err != nil {
				failed++
			}
		}
		if failed != 1 {
			t.Errorf("%d of them failed: %v", failed, errs)
		}
		wantEntries(t, h, "acme", "0", "x", "g", "late")
	})
}

// TestG39_OverEveryCrash: whichever commit the process dies at, a call that is repeated until it is
// answered was applied once, and so was a schedule.
func TestG39_OverEveryCrash(t *testing.T) {
	var k *kit
	options := func() actors.Options {
		k = newKit()
		return actors.Options{Functions: k.reg, Logger: quiet}
	}
	var ids []string
	act := func(h *actorstest.Harness) {
		for i := range 3 {
			key := fmt.Sprint(i)
			id, err := keyed(h.Context(), h, "", key, "call "+key)
			job, jobErr := h.App("acme").Scheduler(dispatch.WithIdempotencyKey(h.Context(), key)).RunAfter(time.Minute, runPlan.With(none{}))
			for _, s := range []struct {
				id  string
				err error
			}{{string(id), err}, {string(job), jobErr}} {
				if s.err == nil {
					ids = append(ids, key+" "+s.id)
				}
			}
		}
	}
	everyCrash(t, options, func(h *actorstest.Harness) { ids = nil; act(h) }, func(h *actorstest.Harness) {
		k.plan = func(*dispatch.MutationCtx) error { return nil }
		before := ids
		act(h)
		act(h)
		all := map[string]bool{}
		for _, id := range ids {
			all[id] = true
		}
		if len(all) != 6 || len(ids) != len(before)+12 {
			t.Errorf("answered %q", ids)
		}
		wantEntries(t, h, "acme", "call 0", "call 1", "call 2")
		if jobs := h.Jobs("acme"); len(jobs) != 3 {
			t.Errorf("%d jobs are scheduled", len(jobs))
		}
	})
}

// TestG39_UnknownOutcomes: a commit that failed, and is there or not, is told to all that wait for
// it; a repeat finds which.
func TestG39_UnknownOutcomes(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		k, f := newKit(), newFaults()
		actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet, Testing: actors.Testing{Fault: f.ask}}, func(h *actorstest.Harness) {
			must[storage.ID[entry]](t)(keyed(h.Context(), h, "", "first", "0"))
			f.fail(point, 1)
			var wg sync.WaitGroup
			acknowledged := make(chan storage.ID[entry], 2)
			for range 2 {
				wg.Go(func() {
					if id, err := keyed(h.Context(), h, "", "k", "x"); err == nil {
						acknowledged <- id
					}
				})
			}
			wg.Wait()
			if close(acknowledged); len(acknowledged) == 2 {
				t.Errorf("%s: both were acknowledged, and one commit has failed", point)
			}
			h.Advance(time.Minute)
			id := must[storage.ID[entry]](t)(keyed(h.Context(), h, "", "k", "x"))
			for told := range acknowledged { // of one that came after the failure
				if told != id {
					t.Errorf("%s: %s was acknowledged, and a repeat has %s", point, told, id)
				}
			}
			wantRepeat(t, h, "k", "x", id)
			wantEntries(t, h, "acme", "0", "x")
		})
	}
}

// TestG39_SchedulesAreOnce: a repeat is told of the job that is there, though later by the clock; one
// for another instant, with other options or arguments, is another call.
func TestG39_SchedulesAreOnce(t *testing.T) {
	k := newKit()
	k.plan = func(*dispatch.MutationCtx) error { return nil }
	later := k.mutation("t:later", func(*dispatch.MutationCtx, string) error { return nil }, dispatch.Tags("default"))
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		s := func(key string) *actors.HostScheduler {
			return h.App("acme").Scheduler(dispatch.WithOperatorKey(h.Context(), "ann", key))
		}
		opts := []dispatch.RunOption{dispatch.Tags("a"), dispatch.OnDone(later.With("done"), dispatch.ExpiresAfter(time.Hour)), dispatch.ExpiresAfter(time.Hour)}
		after := must[storage.JobID](t)(s("k").RunAfter(time.Minute, later.With("x"), opts...))
		at := must[storage.JobID](t)(s("at").RunAt(h.Now().Add(time.Hour), later.With("x")))
		due := h.Now().Add(time.Hour)
		h.Advance(10 * time.Second)
		var told storage.Told
		if id := must[storage.JobID](t)(s("k").RunAfter(time.Minute, later.With("x"), append(opts, dispatch.Tell(&told))...)); id != after || told.ID != after {
			t.Errorf("the repeat has job %s, told of %+v, want %s", id, told, after)
		}
		if id := must[storage.JobID](t)(s("at").RunAt(due, later.With("x"))); id != at {
			t.Errorf("the repeat has job %s, want %s", id, at)
		}
		for what, again := range map[string]func() (storage.JobID, error){
			"another delay":   func() (storage.JobID, error) { return s("k").RunAfter(time.Hour, later.With("x"), opts...) },
			"an instant":      func() (storage.JobID, error) { return s("k").RunAt(due, later.With("x"), opts...) },
			"other arguments": func() (storage.JobID, error) { return s("k").RunAfter(time.Minute, later.With("y"), opts...) },
			"no options":      func() (storage.JobID, error) { return s("k").RunAfter(time.Minute, later.With("x")) },
			"another follow-up": func() (storage.JobID, error) {
				return s("k").RunAfter(time.Minute, later.With("x"), append(opts, dispatch.OnDone(later.With("no")))...)
			},
		} {
			if _, err := again(); dispatch.AsError(err) == nil || dispatch.AsError(err).Code != dispatch.CodeInvalidArgument {
				t.Errorf("%s: %v", what, err)
			}
		}
		if jobs := h.Jobs("acme"); len(jobs) != 2 {
			t.Errorf("%d jobs are there", len(jobs))
		}
		h.Advance(2 * time.Hour) // it has ended, and its key is kept
		if id := must[storage.JobID](t)(s("k").RunAfter(time.Minute, later.With("x"), opts...)); id != after {
			t.Errorf("the repeat has job %s, want %s", id, after)
		}
	})
}

// TestG39_ALongResultIsToldOf: that the call was applied, with a code of its own.
func TestG39_ALongResultIsToldOf(t *testing.T) {
	k := newKit()
	long := dispatch.Mutation[int, string]("t:long")
	long.Handle(k.reg, func(ctx *dispatch.MutationCtx, n int) (string, error) {
		_, err := entries.Insert(ctx.DB, entry{Name: fmt.Sprint(n)})
		return strings.Repeat("x", n), err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		in := h.App("acme").As(dispatch.WithIdempotencyKey(h.Context(), "k"), nil)
		most := storage.MaxIdempotentResult - 2
		for range 2 {
			if got := must[string](t)(long.Run(in, most)); len(got) != most {
				t.Errorf("it is answered with %d characters", len(got))
			}
		}
		in = h.App("acme").As(dispatch.WithIdempotencyKey(h.Context(), "more"), nil)
		must[string](t)(long.Run(in, most+1))
		_, err := long.Run(in, most+1)
		wantCode(t, err, dispatch.CodeAlreadyExists)
		if !errors.Is(err, dispatch.ErrResultNotKept) {
			t.Errorf("the repeat is told %v", err)
		}
		wantEntries(t, h, "acme", fmt.Sprint(most), fmt.Sprint(most+1))
	})
}

// TestG39_ANewKeyIsRefusedAtTheBound: before its handler runs; calls without a key, and repeats, go on.
func TestG39_ANewKeyIsRefusedAtTheBound(t *testing.T) {
	dir := t.TempDir()
	s, err := storage.Open(dir, storagetest.On(dir, storage.Options{Volumes: 1, NoSync: true}))
	if err != nil {
		t.Fatal(err)
	}
	app := must[*storage.App](t)(s.App("acme"))
	for part := range 10 {
		tx := app.Begin(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
		for i := range storage.MaxIdempotencyKeys / 10 {
			if part == 9 && i == 0 {
				continue // room for one
			}
			key := storage.IdempotencyKey{}
			key.Name[0], key.Name[1], key.Name[2] = byte(part), byte(i), byte(i>>8)
			if err := tx.KeepIdempotentCall(&key, []byte("1"), tx.Now()); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan error, 1)
		if err := errors.Join(tx.Commit(func(err error) { done <- err }), <-done); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	k := newKit()
	actorstest.RunIn(t, dir, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		id := must[storage.ID[entry]](t)(keyed(h.Context(), h, "", "last", "x"))
		_, err := keyed(h.Context(), h, "", "one-more", "y")
		wantCode(t, err, dispatch.CodeResourceExhausted)
		if err == nil || !strings.Contains(err.Error(), "100000") || !strings.Contains(err.Error(), "MaxIdempotencyKeys") {
			t.Errorf("the refusal is %v", err)
		}
		_, err = h.App("acme").Scheduler(dispatch.WithIdempotencyKey(h.Context(), "one-more")).RunAfter(time.Hour, addEntry.With("y"))
		wantCode(t, err, dispatch.CodeResourceExhausted)
		wantRepeat(t, h, "last", "x", id)
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "z"))
		wantEntries(t, h, "acme", "x", "z")
		if n := k.count("add y"); n != 0 {
			t.Errorf("the handler of the refused call ran")
		}
	})
}

// TestG39_AClockThatLeapsAheadForgetsNothing: a key is kept while the wall is in doubt.
func TestG39_AClockThatLeapsAheadForgetsNothing(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		id := must[storage.ID[entry]](t)(keyed(h.Context(), h, "", "k", "x"))
		h.StepClock(1000 * time.Hour)
		h.Advance(time.Minute)
		wantRepeat(t, h, "k", "x", id)
		h.StepClock(-1000 * time.Hour)
		h.Advance(time.Minute)
		wantRepeat(t, h, "k", "x", id)
	})
}

// TestG39_Hammer: clients that repeat their calls until they are answered, while callers go away,
// handlers fail, commits fail and the process dies, have each call applied once, and are all
// answered alike.
func TestG39_Hammer(t *testing.T) {
	const clients, calls = 8, 12
	for seed := range uint64(3) {
		k, f := newKit(), newFaults()
		rnd := rand.New(rand.NewPCG(seed, 39))
		var mu sync.Mutex
		draw := func(n int) int {
			mu.Lock()
			defer mu.Unlock()
			return rnd.IntN(n)
		}
		flaky := dispatch.Mutation[string, string]("t:flaky")
		flaky.Handle(k.reg, func(ctx *dispatch.MutationCtx, name string) (string, error) {
			id, err := entries.Insert(ctx.DB, entry{Name: name})
			if err == nil && draw(4) == 0 {
				err = dispatch.Errorf(dispatch.CodeUnavailable, "again")
			}
			if draw(8) == 0 {
				panic("now and then")
			}
			return string(id), err
		})
		opts := actors.Options{Functions: k.reg, Logger: quiet, Testing: actors.Testing{Fault: f.ask}}
		actorstest.Run(t, opts, func(h *actorstest.Harness) {
			answers := map[string]string{}
			left := clients * calls
			for round := 0; left > 0 && round < 200; round++ {
				var wg sync.WaitGroup
				for c := range clients {
					wg.Go(func() {
						for i := range calls {
							name := fmt.Sprint(c/2, "-", i) // two clients have each call
							ctx, cancel := context.WithCancel(h.Context())
							if draw(4) == 0 {
								time.AfterFunc(time.Duration(draw(3))*time.Millisecond, cancel)
							}
							id, err := flaky.Run(h.App("acme").As(dispatch.WithIdempotencyKey(ctx, name), nil), name)
							cancel()
							if err != nil {
								continue
							}
							mu.Lock()
							if was, ok := answers[name]; ok && was != id {
								t.Errorf("call %s is answered %s and %s", name, was, id)
							}
							answers[name] = id
							mu.Unlock()
						}
					})
				}
				wg.Wait()
				left = clients*calls/2 - len(answers)
				switch draw(4) {
				case 0:
					h.Crash()
				case 1:
					f.fail("commit", 1)
				case 2:
					f.fail("committed", 1)
				}
				h.Advance(time.Second)
			}
			if left > 0 {
				t.Errorf("%d calls are not answered", left)
			}
			applied := map[string]int{}
			for _, doc := range actorstest.Documents(h, "acme", entries) {
				if applied[doc.Value.Name]++; string(doc.ID) != answers[doc.Value.Name] {
					t.Errorf("call %s is document %s, and was answered %s", doc.Value.Name, doc.ID, answers[doc.Value.Name])
				}
			}
			for name, n := range applied {
				if n != 1 {
					t.Errorf("call %s was applied %d times", name, n)
				}
			}
		})
	}
}
