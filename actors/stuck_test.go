package actors_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// logLines is a log that tests look at.
type logLines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logLines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// count is how many lines have all of the words.
func (l *logLines) count(words ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			n++
		}
	}
	return n
}

// deafness is what handlers hang in that heed no context.
type deafness struct{ free chan struct{} }

// newDeafness is made in the bubble, and has every handler return at the end of the test.
func (d *deafness) begin() (end func()) {
	d.free = make(chan struct{})
	return d.end
}

func (d *deafness) end() {
	select {
	case <-d.free:
	default:
		close(d.free)
	}
}

func (d *deafness) hang() { <-d.free }

// G5: a job whose handler hangs is not begun again beside it, be it an action or a
// mutation, and everybody can see why; it holds no permit, and one line is logged.
func TestG5_AJobWaitsForItsStuckHandler(t *testing.T) {
	for _, kind := range []dispatch.Kind{dispatch.KindAction, dispatch.KindMutation} {
		t.Run(string(kind), func(t *testing.T) {
			k, log, deaf := newKit(), &logLines{}, &deafness{}
			hang := func(job dispatch.JobRun) {
				k.note("start", job)
				if job.Attempt == 1 {
					deaf.hang()
				}
			}
			call := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error { hang(ctx.Job); return nil }).With
			if kind == dispatch.KindMutation {
				call = k.mutation("t:write", func(ctx *dispatch.MutationCtx, _ string) error { hang(ctx.Job); return nil }).With
			}
			opts := actors.Options{Functions: k.reg, Logger: log.logger(), AppConcurrency: 1, Concurrency: 1, ActionTimeout: 5 * time.Second}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				defer deaf.begin()()
				begin := h.Now()
				id := mustAfter(t, h, "acme", 0, call("x"))
				h.Advance(9 * time.Second)
				if i := h.Inspect("acme"); i.Stuck != 0 || log.count("stuck") != 0 || len(h.Engine.Stuck()) != 0 {
					t.Errorf("stuck before its grace is over: %+v", i)
				}
				h.Advance(2 * time.Second)
				if i := h.Inspect("acme"); i.Stuck != 1 || i.Running != 0 {
					t.Errorf("after its grace: %+v", i)
				}
				h.Advance(time.Hour)
				job := wantState(t, h, "acme", id, storage.StatePending, 1)
				if want := "waits for the handler of the attempt before, which was given up at "; !strings.HasPrefix(job.Reason, want) {
					t.Errorf("the job says that it waits because of %q", job.Reason)
				}
				if jobs := h.Jobs("acme"); len(jobs) != 1 || jobs[0].Reason != job.Reason {
					t.Errorf("the listing says %+v", jobs)
				}
				if k.count("start") != 1 {
					t.Errorf("%d handlers", k.count("start"))
				}
				if log.count("WARN", "is stuck", "app=acme", "job="+string(id), "attempt=1") != 1 || log.count("is stuck") != 1 {
					t.Errorf("the log has %d lines about it", log.count("is stuck"))
				}
				stuck := h.Engine.Stuck()
				if len(stuck) != 1 || stuck[0].App != "acme" || stuck[0].Job != id || stuck[0].Attempt != 1 || stuck[0].Function != job.Function || stuck[0].Since.Sub(begin) > 11*time.Second {
					t.Errorf("stuck: %+v", stuck)
				}
				other := mustAfter(t, h, "acme", 0, addEntry.With("other"))
				h.Settle()
				wantState(t, h, "acme", other, storage.StateSuccess, 1)

				deaf.end()
				h.Settle()
				job = wantState(t, h, "acme", id, storage.StateSuccess, 2)
				if job.Reason != "" || h.Inspect("acme").Stuck != 0 || log.count("INFO", "has returned") != 1 || len(h.Engine.Stuck()) != 0 {
					t.Errorf("after its return: %q, %+v", job.Reason, h.Inspect("acme"))
				}
				h.Advance(time.Minute)
				if !h.Inspect("acme").Asleep {
					t.Error("the app does not sleep")
				}
			})
		})
	}
}

// G5: a mutation of a trigger that hangs is one hung handler, not one a slot and
// attempt.
func TestG19_AHungTickIsOneHandler(t *testing.T) {
	k, deaf := newKit(), &deafness{}
	hang := k.mutation("t:hang", func(ctx *dispatch.MutationCtx, _ string) error {
		k.note("start", ctx.Job)
		deaf.hang()
		return nil
	})
	minutely := dispatch.Trigger{Name: "m", Schedule: cron.Every(time.Minute), Call: hang.With("x")}
	actorstest.Run(t, actors.Options{Functions: k.reg, Crons: []dispatch.Trigger{minutely}, Logger: quiet}, func(h *actorstest.Harness) {
		defer deaf.begin()()
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "x"))
		h.Advance(time.Hour + time.Minute)
		if n := k.count("start"); n != 1 {
			t.Errorf("%d handlers were begun in an hour", n)
		}
		slots := must[[]storage.Slot](t)(h.Scheduler("acme").Crons().Slots("m", 100))
		if len(slots) < 50 || slots[0].Outcome != storage.SlotSkipped || !strings.Contains(slots[0].Reason, "the handler of an earlier tick has not returned") {
			t.Errorf("%d slots, the latest %+v", len(slots), slots[:1])
		}
		deaf.end()
		h.Advance(time.Minute)
		if n := k.count("start"); n < 2 {
			t.Error("the trigger does not go on when the handler has returned")
		}
	})
}

// G19: what ticks do while the handler of an earlier one is stuck, or leaves yet.
func TestG19_OverlapWithAStuckHandler(t *testing.T) {
	const slot = 20 * time.Second
	s := func(seconds ...int) (list []time.Duration) {
		for _, n := range seconds {
			list = append(list, time.Duration(n)*time.Second)
		}
		return list
	}
	for _, tt := range []struct {
		overlap storage.Overlap
		returns time.Duration // the first handler, after the slot of 20 s
		want    []time.Duration
	}{
		// The first tick's deadline is at 21 s, its grace ends at 26 s.
		{storage.OverlapSkip, 0, s(20)},
		{storage.OverlapSkip, 30 * time.Second, s(20, 60, 80)},
		{storage.OverlapQueue, 0, s(20)},
		{storage.OverlapQueue, 35 * time.Second, s(20, 55, 60, 80)},
		{storage.OverlapAllow, 0, s(20, 40, 60, 80)},
		{storage.OverlapReplace, 0, s(20, 40, 60, 80)},
	} {
		t.Run(fmt.Sprint(tt.overlap, " ", tt.returns), func(t *testing.T) {
			k := newKit()
			var free chan struct{}
			hang := k.action("t:hang", func(ctx *dispatch.ActionCtx, _ string) error {
				first := k.count("start") == 0
				k.note("start", ctx.Job)
				if first {
					<-free
				}
				return nil
			}, dispatch.Deadline(time.Second), dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 1}))
			trigger := dispatch.Trigger{Name: "t", Schedule: cron.Every(slot), Call: hang.With("x"), Overlap: tt.overlap}
			actorstest.Run(t, actors.Options{Functions: k.reg, Crons: []dispatch.Trigger{trigger}, Logger: quiet}, func(h *actorstest.Harness) {
				free = make(chan struct{})
				begin := h.Now()
				must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "x"))
				if tt.returns > 0 {
					h.Advance(slot + tt.returns)
					close(free)
				}
				h.AdvanceTo(begin.Add(85 * time.Second))
				var got []time.Duration
				for _, e := range k.events("start") {
					got = append(got, e.At.Sub(begin).Truncate(time.Second))
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("runs at %v, want %v", got, tt.want)
				}
				if tt.returns == 0 {
					close(free)
				}
			})
		})
	}
}

// G19: a tick that replaces another begins when that one's handler has returned, or
// when its grace is over, and not before.
func TestG19_ReplaceWaitsForTheHandler(t *testing.T) {
	for _, tt := range []struct {
		takes time.Duration // the canceled handler, to return; 0 for ever
		want  time.Duration // after its slot, the replacing tick begins
		stuck int
		most  int
	}{
		{3 * time.Second, 3 * time.Second, 0, 1},
		{0, 5 * time.Second, 1, 2},
	} {
		t.Run(tt.takes.String(), func(t *testing.T) {
			k, deaf := newKit(), &deafness{}
			act := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error {
				defer k.enter("act")()
				first := k.count("start") == 0
				k.note("start", ctx.Job)
				if !first {
					return nil
				}
				<-ctx.Done()
				k.note("told", ctx.Job)
				if tt.takes > 0 {
					time.Sleep(tt.takes)
				} else {
					deaf.hang()
				}
				return nil
			}, dispatch.Deadline(time.Hour))
			trigger := dispatch.Trigger{Name: "t", Schedule: cron.Every(time.Minute), Call: act.With("x"), Overlap: storage.OverlapReplace}
			actorstest.Run(t, actors.Options{Functions: k.reg, Crons: []dispatch.Trigger{trigger}, Logger: quiet}, func(h *actorstest.Harness) {
				defer deaf.begin()()
				begin := h.Now()
				must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "x"))
				h.Advance(2*time.Minute + 30*time.Second)
				starts, told := k.events("start"), k.events("told")
				if len(starts) != 2 || len(told) != 1 {
					t.Fatalf("begun %+v, told %+v", starts, told)
				}
				if at := told[0].At.Sub(begin); at != 2*time.Minute {
					t.Errorf("the first was told at %v", at)
				}
				if got := starts[1].At.Sub(told[0].At); got != tt.want {
					t.Errorf("the second began after %v, want %v", got, tt.want)
				}
				if k.mostAtOnce("act") != tt.most || h.Inspect("acme").Stuck != tt.stuck {
					t.Errorf("%d at once, %+v", k.mostAtOnce("act"), h.Inspect("acme"))
				}
				slots := must[[]storage.Slot](t)(h.Scheduler("acme").Crons().Slots("t", 10))
				for _, s := range slots {
					if s.Outcome != storage.SlotFired {
						t.Errorf("slot %+v", s)
					}
				}
				canceled := wantState(t, h, "acme", starts[0].Job, storage.StateCanceled, 1)
				if canceled.Trigger != "t" {
					t.Errorf("canceled %+v", canceled)
				}
			})
		})
	}
}

// G5: a person can have a job go on without its stuck handler.
func TestG5_AbandonLetsAJobGoOn(t *testing.T) {
	k, log, deaf := newKit(), &logLines{}, &deafness{}
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error {
		k.note("start", ctx.Job)
		if ctx.Job.Attempt == 1 {
			deaf.hang()
		}
		return nil
	}, dispatch.Deadline(time.Second))
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: log.logger()}, func(h *actorstest.Harness) {
		defer deaf.begin()()
		abandon := func(id storage.JobID, want bool) {
			t.Helper()
			if ok, err := h.Scheduler("acme").Abandon(id, "ada"); ok != want || err != nil {
				t.Errorf("abandon %s: %v, %v", id, ok, err)
			}
		}
		id := mustAfter(t, h, "acme", 0, act.With("x"))
		abandon("nobody", false)
		abandon(id, false) // it runs
		h.Advance(3 * time.Second)
		abandon(id, false) // it has time to return
		h.Advance(time.Hour)
		wantState(t, h, "acme", id, storage.StatePending, 1)
		abandon(id, true)
		abandon(id, false)
		h.Settle()
		wantState(t, h, "acme", id, storage.StateSuccess, 2)
		if log.count("WARN", "abandoned", "job="+string(id), "operator=ada") != 1 || len(h.Engine.Stuck()) != 0 || h.Inspect("acme").Stuck != 0 {
			t.Errorf("the log has %d lines; stuck %+v", log.count("abandoned"), h.Engine.Stuck())
		}
		h.Advance(time.Minute)
		if !h.Inspect("acme").Asleep {
			t.Error("the app does not sleep")
		}
		abandon(id, false)
		_, err := h.Scheduler("acme").Abandon("?", "ada")
		wantCode(t, err, dispatch.CodeInvalidArgument)
		for by, want := range map[string]dispatch.Code{strings.Repeat("a", 256): "", strings.Repeat("a", 257): dispatch.CodeInvalidArgument, "\xff": dispatch.CodeInvalidArgument} {
			if ok, err := h.Scheduler("acme").Abandon(id, by); ok || err != nil && dispatch.AsError(err).Code != want || err == nil && want != "" {
				t.Errorf("abandoned by %d bytes: %v, %v", len(by), ok, err)
			}
		}
	})
}

// G17: with 64 stuck handlers in an app no more of their functions are begun: jobs
// wait, uncharged, and calls are told; all else goes on. One fewer, and they are.
func TestG17_StuckHandlersAreBounded(t *testing.T) {
	const most = 64
	for _, tt := range []struct {
		kind    dispatch.Kind
		permits int
		over    int // handlers that run when the bound is reached
	}{
		{dispatch.KindAction, 1, 0}, {dispatch.KindAction, most, most - 1}, {dispatch.KindMutation, most, 0},
	} {
		kind := tt.kind
		t.Run(fmt.Sprint(kind, " ", tt.permits), func(t *testing.T) {
			k := newKit()
			free := make(chan struct{}, most)
			hang := func(job dispatch.JobRun) {
				k.note("start", job)
				<-free
			}
			act := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error { hang(ctx.Job); return nil })
			write := k.mutation("t:write", func(ctx *dispatch.MutationCtx, _ string) error { hang(ctx.Job); return nil })
			query := dispatch.InternalQuery[none, none]("t:query")
			query.Handle(k.reg, func(*dispatch.QueryCtx, none) (none, error) { return none{}, nil })
			quick := k.action("t:quick", func(*dispatch.ActionCtx, string) error { return nil })
			call, run := act.With, func(h *actorstest.Harness) error { _, err := act.Run(h.Caller("acme"), "x"); return err }
			if kind == dispatch.KindMutation {
				call, run = write.With, func(h *actorstest.Harness) error { _, err := write.Run(h.Caller("acme"), "x"); return err }
			}
			opts := actors.Options{Functions: k.reg, Logger: quiet, AppConcurrency: tt.permits, ActionTimeout: time.Second, MutationTimeout: time.Second}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				free = make(chan struct{}, 2*most) // of the bubble
				release := sync.OnceFunc(func() { close(free) })
				defer release()
				var ids []storage.JobID
				k.plan = func(ctx *dispatch.MutationCtx) error {
					for range most + 100 {
						id, err := ctx.Scheduler.RunAfter(time.Second, call("x"), dispatch.NoRetry())
						if err != nil {
							return err
						}
						ids = append(ids, id)
					}
					return nil
				}
				must[none](t)(runPlan.Run(h.Caller("acme"), none{}))
				h.Advance(time.Hour)
				begun := k.count("start")
				if begun < most || begun > most+tt.over {
					t.Errorf("%d handlers were begun, want %d", begun, most)
				}
				if i := h.Inspect("acme"); i.Stuck != begun || i.Running != 0 || i.Claimed != 0 {
					t.Errorf("%+v", i)
				}
				waiting := h.Jobs("acme", storage.StatePending)
				if len(waiting) != len(ids)-begun {
					t.Fatalf("%d jobs wait", len(waiting))
				}
				for _, job := range waiting {
					if job.Attempts != 0 || len(job.History) != 0 || job.Reason != fmt.Sprintf("%d handlers of the app are stuck, %d of this function: no more of it are begun", begun, begun) {
						t.Fatalf("a job that waits: %+v", job)
					}
				}
				wantCode(t, run(h), dispatch.CodeUnavailable)
				must[none](t)(query.Run(h.Caller("acme"), none{}))
				other := mustAfter(t, h, "acme", 0, quick.With("x"))
				write := mustAfter(t, h, "acme", 0, addEntry.With("x"))
				h.Settle()
				wantState(t, h, "acme", other, storage.StateSuccess, 1)
				wantState(t, h, "acme", write, storage.StateSuccess, 1)

				for range begun - most + 1 {
					free <- struct{}{}
				}
				h.Advance(time.Hour) // one fewer than the bound, and one more is begun, or as many as there are permits
				if n, i := k.count("start"), h.Inspect("acme"); tt.over == 0 && (n != begun+1 || i.Stuck != most) {
					t.Errorf("%d handlers were begun, then %d; %+v", begun, n, i)
				}
				release()
				h.Drain()
				if n := k.count("start"); n != len(ids) {
					t.Errorf("%d of %d jobs were begun in the end", n, len(ids))
				}
			})
		})
	}
}

// G17: calls whose handlers hang are seen, too, and hold nothing.
func TestG17_CallsCanBeStuck(t *testing.T) {
	k, deaf := newKit(), &deafness{}
	act := k.action("t:act", func(*dispatch.ActionCtx, string) error { deaf.hang(); return nil })
	write := k.mutation("t:write", func(*dispatch.MutationCtx, string) error { deaf.hang(); return nil })
	read := dispatch.InternalQuery[none, none]("t:read")
	read.Handle(k.reg, func(*dispatch.QueryCtx, none) (none, error) { deaf.hang(); return none{}, nil })
	opts := actors.Options{Functions: k.reg, Logger: quiet, QueryTimeout: time.Second, MutationTimeout: time.Second, ActionTimeout: time.Second, IdleAfter: time.Millisecond}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		defer deaf.begin()()
		for _, run := range []func() error{
			func() error { _, err := act.Run(h.Caller("acme"), "x"); return err },
			func() error { _, err := write.Run(h.Caller("acme"), "x"); return err },
			func() error { _, err := read.Run(h.Caller("acme"), none{}); return err },
		} {
			wantCode(t, run(), dispatch.CodeDeadlineExceeded)
		}
		h.Advance(time.Hour)
		var names []string
		for _, s := range h.Engine.Stuck() {
			if s.Job != "" || s.Attempt != 0 || s.App != "acme" || s.Call == "" {
				t.Errorf("stuck: %+v", s)
			}
			names = append(names, s.Function)
		}
		slices.Sort(names)
		if want := []string{"t:act", "t:read", "t:write"}; !slices.Equal(names, want) {
			t.Errorf("stuck are %q, want %q", names, want)
		}
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "x"))
		deaf.end()
		h.Advance(time.Minute)
		if i := h.Inspect("acme"); !i.Asleep || len(h.Engine.Stuck()) != 0 {
			t.Errorf("after they have returned: %+v", i)
		}
	})
}

// G17: a person can have an app forget the stuck handler of a call, one by its id, so
// that it does not count towards the bound any more.
func TestG17_AStuckCallCanBeAbandoned(t *testing.T) {
	const most = 64
	k, log, deaf := newKit(), &logLines{}, &deafness{}
	act := k.action("t:act", func(*dispatch.ActionCtx, string) error { deaf.hang(); return nil })
	opts := actors.Options{Functions: k.reg, Logger: log.logger(), ActionTimeout: time.Second, AppConcurrency: most}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		defer deaf.begin()()
		call := func() error { _, err := act.Run(h.Caller("acme"), "x"); return err }
		for range most {
			wantCode(t, call(), dispatch.CodeDeadlineExceeded)
		}
		stuck := h.Engine.Stuck()
		ids := map[actors.CallID]bool{}
		for _, s := range stuck {
			ids[s.Call] = true
		}
		if len(stuck) != most || len(ids) != most || ids[""] {
			t.Fatalf("%d are stuck, with %d ids: %+v", len(stuck), len(ids), stuck[0])
		}
		wantCode(t, call(), dispatch.CodeUnavailable)
		one := stuck[most/2].Call
		for _, tt := range []struct {
			app  storage.AppID
			id   actors.CallID
			by   string
			want bool
			code dispatch.Code
		}{
			{"acme", "nobody", "ada", false, ""},
			{"acme", "", "ada", false, dispatch.CodeInvalidArgument},
			{"acme", actors.CallID(strings.Repeat("a", 10_000)), "ada", false, ""},
			{"bell", one, "ada", false, ""}, // of another app
			{"acme", one, strings.Repeat("a", 257), false, dispatch.CodeInvalidArgument},
			{"acme", one, "ada", true, ""},
			{"acme", one, "ada", false, ""},
		} {
			ok, err := h.Scheduler(tt.app).AbandonCall(tt.id, tt.by)
			if ok != tt.want || err == nil != (tt.code == "") || err != nil && dispatch.AsError(err).Code != tt.code {
				t.Errorf("abandon %.20s of %s: %v, %v, want %v, %s", tt.id, tt.app, ok, err, tt.want, tt.code)
			}
		}
		if log.count("WARN", "abandoned", "call="+string(one), "operator=ada") != 1 || log.count("abandoned") != 1 {
			t.Errorf("the log has %d lines", log.count("abandoned"))
		}
		if log.count("WARN", "is stuck", "call="+string(one)) != 1 {
			t.Error("the log does not name the call that got stuck")
		}
		left := h.Engine.Stuck()
		if slices.ContainsFunc(left, func(s actors.StuckHandler) bool { return s.Call == one }) || len(left) != most-1 || h.Inspect("acme").Stuck != most-1 {
			t.Errorf("%d are stuck, %+v", len(left), h.Inspect("acme"))
		}
		wantCode(t, call(), dispatch.CodeDeadlineExceeded) // it was begun: one fewer than the bound
		wantCode(t, call(), dispatch.CodeUnavailable)

		// The handler of a job is not abandoned with the calls, nor they with it.
		if ok, err := h.Scheduler("acme").Abandon(storage.JobID(stuck[0].Call), "ada"); ok || err != nil {
			t.Errorf("a call was abandoned as a job: %v, %v", ok, err)
		}
		deaf.end()
		h.Advance(time.Minute)
		if i := h.Inspect("acme"); !i.Asleep || len(h.Engine.Stuck()) != 0 {
			t.Errorf("after they have returned: %+v", i)
		}
	})
}

// G26: Close does not wait for stuck handlers longer than its grace, and Delete not at all.
func TestG26_StuckHandlersKeepNobody(t *testing.T) {
	k, deaf := newKit(), &deafness{}
	act := k.action("t:act", func(*dispatch.ActionCtx, string) error { deaf.hang(); return nil })
	opts := actors.Options{Functions: k.reg, Logger: quiet, ActionTimeout: time.Second, Grace: 3 * time.Second}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		defer deaf.begin()()
		for _, app := range []storage.AppID{"acme", "bell"} {
			mustAfter(t, h, app, 0, act.With("x"))
		}
		h.Advance(time.Minute)
		begin := h.Now()
		if err := h.Engine.Delete(h.Context(), "bell"); err != nil || h.Now() != begin {
			t.Errorf("delete: %v, after %v", err, h.Now().Sub(begin))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		err := h.Engine.Close(ctx)
		if err == nil || !strings.Contains(err.Error(), "2 handlers have not returned") {
			t.Errorf("close: %v", err)
		}
		if took := h.Now().Sub(begin); took != 3*time.Second {
			t.Errorf("close took %v", took)
		}
		h.Open()
	})
}

// G17, G25: a hook that hangs is given up with its attempt, frees its permit, and is
// stuck like a handler.
func TestG17_AHookThatHangsIsStuck(t *testing.T) {
	k, w, deaf := newKit(), &whoami{}, &deafness{}
	m, _, act := w.functions(k)
	hook := func(_ context.Context, _ storage.AppID, id *dispatch.Identity) (*dispatch.Identity, error) {
		deaf.hang()
		return id, nil
	}
	k.plan = func(ctx *dispatch.MutationCtx) error {
		for i, call := range []dispatch.Call{m.With("x"), act.With("x")} {
			_, err := ctx.Scheduler.RunAfter(0, call, dispatch.AsCaller(), dispatch.ID(storage.JobID(fmt.Sprint("job", i))), dispatch.Timeout(time.Minute))
			if err != nil {
				return err
			}
		}
		return nil
	}
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet, Reauthorize: hook, AppConcurrency: 2}, func(h *actorstest.Harness) {
		defer deaf.begin()()
		must[none](t)(runPlan.Run(h.CallerAs("acme", ada), none{}))
		h.Advance(64 * time.Second)
		if i := h.Inspect("acme"); i.Stuck != 0 || i.Running != 2 {
			t.Errorf("before the grace is over: %+v", i)
		}
		h.Advance(time.Hour)
		if i := h.Inspect("acme"); i.Stuck != 2 || i.Running != 0 {
			t.Errorf("after it: %+v", i)
		}
		for i := range 2 {
			job := wantState(t, h, "acme", storage.JobID(fmt.Sprint("job", i)), storage.StatePending, 1)
			if job.Error.Code != string(dispatch.CodeDeadlineExceeded) || job.Reason == "" {
				t.Errorf("the job says %+v, %q", job.Error, job.Reason)
			}
		}
		deaf.end()
		h.Advance(time.Hour)
		for i := range 2 {
			wantState(t, h, "acme", storage.JobID(fmt.Sprint("job", i)), storage.StateSuccess, 2)
		}
	})
}

// G10: a job that is given the id of a canceled one waits for that one's handler.
func TestG10_ANewJobOfTheIDWaitsForTheCanceledHandler(t *testing.T) {
	k := newKit()
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		defer k.enter("act")()
		k.note("start "+name, ctx.Job)
		if name == "first" {
			<-ctx.Done()
			time.Sleep(3 * time.Second)
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", 0, act.With("first"), dispatch.ID("a"))
		h.Settle()
		if a := must[storage.Cancellation](t)(h.Scheduler("acme").Cancel("a")); a.Found != storage.StateRunning {
			t.Errorf("cancel: %+v", a)
		}
		mustAfter(t, h, "acme", 0, act.With("second"), dispatch.ID("a"))
		h.Settle()
		if k.count("start second") != 0 || h.Inspect("acme").Leaving != 1 {
			t.Errorf("%q; %+v", k.noted("start"), h.Inspect("acme"))
		}
		h.Advance(4 * time.Second)
		if k.count("start second") != 1 || k.mostAtOnce("act") != 1 {
			t.Errorf("%q, %d at once", k.noted("start"), k.mostAtOnce("act"))
		}
	})
}
