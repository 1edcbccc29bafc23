package actors_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// The three ways to an app's triggers say and do the same.
func TestG22_RunTimeAPI(t *testing.T) {
	doors := map[string]func(r *cronHarness, use func(dispatch.Crons) error) error{
		"host": func(r *cronHarness, use func(dispatch.Crons) error) error { return use(r.crons("acme")) },
		"mutation": func(r *cronHarness, use func(dispatch.Crons) error) error {
			r.ask(func() { r.inside = func(ctx *dispatch.MutationCtx) error { return use(ctx.Scheduler.Crons()) } })
			_, err := cronInside.Run(r.Caller("acme"), "")
			return err
		},
		"action": func(r *cronHarness, use func(dispatch.Crons) error) error {
			r.ask(func() { r.inaction = func(ctx *dispatch.ActionCtx) error { return use(ctx.Scheduler.Crons()) } })
			_, err := cronAction.Run(r.Caller("acme"), "")
			return err
		},
	}
	for name, through := range doors {
		t.Run(name, func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				begin := r.Now()
				only := dispatch.Trigger{Name: "fixed", Schedule: cron.Daily(3, 0), Call: cronBeat.With("f"), Apps: []storage.AppID{"acme"}}
				r.declare(only)
				r.must(through(r, func(c dispatch.Crons) error {
					want := func(what string, err error, code dispatch.Code) {
						if cronCode(err) != code {
							t.Errorf("%s: %v, want %q", what, err, code)
						}
					}
					def := everyTen(cronBeat.With("one"), "")
					want("create", c.Create(def), "")
					want("create again", c.Create(def), dispatch.CodeAlreadyExists)
					want("take a declared name", c.Create(dispatch.Trigger{Name: "fixed", Schedule: cron.Expr("@daily"), Call: cronBeat.With("x")}), dispatch.CodeAlreadyExists)
					want("bad spec", c.Create(dispatch.Trigger{Name: "bad", Schedule: cron.Expr("x"), Call: cronBeat.With("x")}), dispatch.CodeInvalidArgument)
					want("bad name", c.Create(dispatch.Trigger{Name: "a b", Schedule: cron.Expr("@daily"), Call: cronBeat.With("x")}), dispatch.CodeInvalidArgument)
					want("bad args", c.Create(dispatch.Trigger{Name: "bad", Schedule: cron.Expr("@daily"), Call: dispatch.Path("cron:beat").With(1)}), dispatch.CodeInvalidArgument)
					want("query", c.Create(dispatch.Trigger{Name: "bad", Schedule: cron.Expr("@daily"), Call: dispatch.Path("cron:query").With(nil)}), dispatch.CodeInvalidArgument)
					want("unknown path", c.Create(dispatch.Trigger{Name: "bad", Schedule: cron.Expr("@daily"), Call: cronNobody.With("")}), dispatch.CodeNotFound)
					want("update", c.Update(everyTen(cronBeat.With("two"), storage.OverlapQueue)), "")
					want("update of a declared one", c.Update(dispatch.Trigger{Name: "fixed", Schedule: cron.Expr("@daily"), Call: cronBeat.With("x")}), dispatch.CodeFailedPrecondition)
					want("delete of a declared one", c.Delete("fixed"), dispatch.CodeFailedPrecondition)
					want("update of none", c.Update(dispatch.Trigger{Name: "none", Schedule: cron.Expr("@daily"), Call: cronBeat.With("x")}), dispatch.CodeNotFound)
					want("delete of none", c.Delete("none"), dispatch.CodeNotFound)
					want("pause of none", c.Pause("none", ""), dispatch.CodeNotFound)
					want("resume of none", c.Resume("none"), dispatch.CodeNotFound)
					_, err := c.RunNow("none")
					want("run of none", err, dispatch.CodeNotFound)
					_, err = c.Slots("none", 1)
					want("slots of none", err, dispatch.CodeNotFound)
					_, err = c.Slots("ten", 0)
					want("no slots", err, dispatch.CodeInvalidArgument)
					_, ok, err := c.Get("none")
					want("get none", err, "")
					if ok {
						t.Error("there is none")
					}
					want("pause of a declared one", c.Pause("fixed", "why not"), "")
					infos, err := c.List()
					want("list", err, "")
					if len(infos) != 2 || infos[0].Name != "fixed" || !infos[0].Paused || infos[0].PauseReason != "why not" || len(infos[0].Upcoming) != 0 {
						t.Errorf("%+v", infos)
					}
					if i := infos[1]; i.Overlap != storage.OverlapQueue || i.Declared || i.Description == "" || len(i.Upcoming) != 3 ||
						i.Upcoming[0].Slot.Sub(begin) != 10*time.Second || i.Upcoming[2].Slot.Sub(begin) != 30*time.Second {
						t.Errorf("%+v", i)
					}
					want("resume", c.Resume("fixed"), "")
					want("resume again", c.Resume("fixed"), "")
					return nil
				}))
				r.Advance(11 * time.Second)
				if got := r.words("acme", "ten"); !slices.Equal(got, []string{"two"}) {
					t.Errorf("ran %q", got)
				}
				var id storage.JobID
				r.must(through(r, func(c dispatch.Crons) (err error) {
					id, err = c.RunNow("ten")
					return err
				}))
				r.Settle()
				if job := r.Job("acme", id); job.State != storage.StateSuccess || job.Trigger != "ten" || !job.Slot.IsZero() {
					t.Errorf("run now: %+v", job)
				}
				r.must(through(r, func(c dispatch.Crons) error { return c.Delete("ten") }))
				r.Advance(20 * time.Second)
				if got := r.words("acme", "ten"); len(got) != 2 {
					t.Errorf("ran %q", got)
				}
				r.Crash()
				if got := r.names("acme"); !slices.Equal(got, []string{"fixed"}) {
					t.Errorf("triggers %q", got)
				}
			})
		})
	}
}

func TestG20_AMutationsTriggersAreUndoneWithIt(t *testing.T) {
	undone := errors.New("undone")
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		begin := r.Now()
		r.create("acme", dispatch.Trigger{Name: "kept", Schedule: cron.Expr("*/10 * * * * *"), Call: cronBeat.With("kept")})
		change := func(ctx *dispatch.MutationCtx) error {
			c := ctx.Scheduler.Crons()
			if _, err := c.RunNow("kept"); err != nil {
				return err
			}
			return errors.Join(c.Create(everyTen(cronBeat.With("made"), "")), c.Delete("kept"))
		}
		for _, at := range []time.Duration{5 * time.Second, 9950 * time.Millisecond} {
			r.AdvanceTo(begin.Add(at))
			r.inside = func(ctx *dispatch.MutationCtx) error { return errors.Join(change(ctx), undone) }
			if _, err := cronInside.Run(r.Caller("acme"), ""); err == nil {
				t.Fatal("no error")
			}
			// Nested: what failed is undone, what is around it stays.
			r.deep = r.inside
			r.inside = func(ctx *dispatch.MutationCtx) error {
				if _, err := cronDeep.Run(ctx, ""); err == nil {
					t.Error("no error")
				}
				return nil
			}
			_, err := cronInside.Run(r.Caller("acme"), "")
			r.must(err)
			if got := r.names("acme"); !slices.Equal(got, []string{"kept"}) {
				t.Errorf("triggers %q", got)
			}
			r.must(r.Engine.Check())
		}
		r.Advance(11 * time.Second)
		r.wantRan("acme", "kept", begin, "10s", "20s")
		r.wantRan("acme", "ten", begin)
		// The same in a nested mutation that succeeds.
		r.deep = change
		r.inside = func(ctx *dispatch.MutationCtx) error {
			_, err := cronDeep.Run(ctx, "")
			return err
		}
		_, err := cronInside.Run(r.Caller("acme"), "")
		r.must(err)
		if got := r.names("acme"); !slices.Equal(got, []string{"ten"}) {
			t.Errorf("triggers %q", got)
		}
		r.Advance(10 * time.Second)
		r.wantRan("acme", "ten", begin, "30s")
	})
}

func TestG19_HandlersKnowTheirSlot(t *testing.T) {
	for name, call := range map[string]dispatch.Call{"mutation": cronFlaky.With("x"), "action": cronSlow.With("x")} {
		t.Run(name, func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				begin := r.Now()
				r.fails = func(b beat) error {
					if b.Slot.Sub(begin) == 20*time.Second {
						return dispatch.Permanent(errFlaky)
					}
					return nil
				}
				r.create("acme", everyTen(call, ""))
				r.Advance(31 * time.Second)
				_, err := r.crons("acme").RunNow("ten")
				r.must(err)
				r.Settle()
				beats := r.beats("acme", "ten")
				prev := map[time.Duration]time.Duration{10 * time.Second: -1, 20 * time.Second: 10 * time.Second, 30 * time.Second: 10 * time.Second}
				if name == "action" {
					prev[30*time.Second] = 20 * time.Second
				}
				for _, b := range beats {
					if b.Slot.IsZero() {
						if b.Prev.Sub(begin) != 30*time.Second || b.Trigger != "ten" {
							t.Errorf("by hand: %+v", b)
						}
						continue
					}
					want := prev[b.Slot.Sub(begin)]
					if want < 0 && !b.Prev.IsZero() || want > 0 && b.Prev.Sub(begin) != want {
						t.Errorf("tick of %v: previous success %v", b.Slot.Sub(begin), b.Prev)
					}
				}
				if want := map[string]int{"mutation": 3, "action": 4}[name]; len(beats) != want {
					t.Errorf("%d runs, want %d", len(beats), want)
				}
				info := r.info("acme", "ten")
				if info.LastState != storage.StateSuccess || info.LastEndedAt.IsZero() || info.LastJob == "" || info.LastSuccess.Sub(begin) != 30*time.Second {
					t.Errorf("last: %+v", info)
				}
			})
		})
	}
}

func TestG19_LastOutcomeIsThatOfTheLastTickThatEnded(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		begin := r.Now()
		r.fails = func(beat) error { return dispatch.Permanent(dispatch.Errorf(dispatch.CodeAborted, "no luck")) }
		r.create("acme", everyTen(cronFlaky.With("x"), ""))
		r.Advance(11 * time.Second)
		r.Crash()
		info := r.info("acme", "ten")
		if info.LastState != storage.StateFailed || info.LastError == nil || info.LastError.Message != "no luck" || info.LastSlot.Sub(begin) != 10*time.Second || !info.LastSuccess.IsZero() {
			t.Errorf("%+v", info)
		}
	})
}
