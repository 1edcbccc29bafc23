package actors_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// declaredTen is everyTen, declared.
func declaredTen(word string) dispatch.Trigger {
	return dispatch.Trigger{Name: "ten", Schedule: cron.Expr("*/10 * * * * *"), Call: cronBeat.With(word)}
}

// touch brings an app into being.
func (r *cronHarness) touch(apps ...storage.AppID) {
	r.t.Helper()
	for _, app := range apps {
		_, err := cronTouch.Run(r.Caller(app), dispatch.None{})
		r.must(err)
	}
	r.Settle()
}

// words are which definition each tick of the trigger ran.
func (r *cronHarness) words(app storage.AppID, trigger string) (words []string) {
	r.t.Helper()
	for _, b := range r.beats(app, trigger) {
		words = append(words, b.Word)
	}
	return words
}

func TestG22_Reconcile(t *testing.T) {
	withCrons(t, actors.Options{IdleAfter: time.Second}, func(r *cronHarness) {
		begin := r.Now()
		r.touch("acme")
		interval := dispatch.Trigger{Name: "often", Schedule: cron.Every(7 * time.Second), Call: cronBeat.With("o")}

		r.Advance(3 * time.Second)
		r.declare(declaredTen("old"), interval) // new, for an app that sleeps or not
		r.Advance(20 * time.Second)             // 23 s
		r.wantRan("acme", "ten", begin, "10s", "20s")
		r.wantRan("acme", "often", begin, "10s", "17s") // from 3 s on

		r.declare(declaredTen("old"), interval) // unchanged: a deployment loses and doubles nothing
		if got := r.info("acme", "often").Next.Sub(begin); got != 24*time.Second {
			t.Errorf("the interval's next slot is %v", got)
		}
		r.Advance(10 * time.Second) // 33 s
		r.wantRan("acme", "ten", begin, "10s", "20s", "30s")
		r.wantRan("acme", "often", begin, "10s", "17s", "24s", "31s")

		r.declare(declaredTen("new"), interval) // changed
		r.Advance(10 * time.Second)             // 43 s
		if got := r.words("acme", "ten"); !slices.Equal(got, []string{"old", "old", "old", "new"}) {
			t.Errorf("ran %q", got)
		}
		r.wantRan("acme", "often", begin, "10s", "17s", "24s", "31s", "38s")

		renamed := declaredTen("new")
		renamed.Name = "decade"
		r.declare(renamed)          // renamed, and one removed
		r.Advance(10 * time.Second) // 53 s
		if got := r.names("acme"); !slices.Equal(got, []string{"decade"}) {
			t.Errorf("triggers: %q", got)
		}
		r.wantRan("acme", "decade", begin, "50s")
		r.wantRan("acme", "ten", begin, "10s", "20s", "30s", "40s")
		if jobs := r.Jobs("acme", storage.StatePending); len(jobs) != 1 || jobs[0].Trigger != "decade" {
			t.Errorf("pending: %+v", jobs)
		}

		r.declare() // all removed
		r.Advance(time.Minute)
		if jobs := r.Jobs("acme", storage.StatePending); len(jobs) != 0 || len(r.names("acme")) != 0 {
			t.Errorf("pending: %+v", jobs)
		}
	})
}

func TestG22_UnchangedDeclarationsWriteNothing(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		r.touch("acme")
		weekly := dispatch.Trigger{Name: "w", Schedule: cron.Weekly(time.Monday, 3, 0), Zone: "Europe/Rome", Call: cronBeat.With("w"), Retry: &dispatch.RetryPolicy{MaxAttempts: 3, Base: time.Second}, Jitter: time.Minute}
		r.declare(weekly, declaredTen("x"))
		before := r.info("acme", "w")
		for range 3 {
			r.Restart()
			r.Crash()
		}
		if after := r.info("acme", "w"); !after.Next.Equal(before.Next) || after.NextJob != before.NextJob || !after.CreatedAt.Equal(before.CreatedAt) {
			t.Errorf("before %+v\nafter %+v", before, after)
		}
		if n := len(r.Jobs("acme", storage.StatePending)); n != 2 {
			t.Errorf("%d pending", n)
		}
	})
}

func TestG22_AppsThatAreNamedComeIntoBeing(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		begin := r.Now()
		r.touch("other")
		only := declaredTen("only")
		only.Apps = []storage.AppID{"zeta", "acme"}
		everyone := declaredTen("all")
		everyone.Name = "all"
		r.declare(only, everyone)
		r.Advance(11 * time.Second)
		apps, err := r.Engine.Apps()
		r.must(err)
		if !slices.Equal(apps, []storage.AppID{"acme", "other", "zeta"}) {
			t.Fatalf("apps: %q", apps)
		}
		for _, app := range apps {
			want := []string{"all", "ten"}
			if app == "other" {
				want = want[:1]
			}
			if got := r.names(app); !slices.Equal(got, want) {
				t.Errorf("app %s has %q, want %q", app, got, want)
			}
			r.wantRan(app, "all", begin, "10s")
		}
		// An app that comes into being later has what is for every app, from the
		// commit on that made it.
		r.touch("late")
		r.Advance(10 * time.Second)
		r.wantRan("late", "all", begin, "20s")

		only.Apps = []storage.AppID{"other"}
		r.declare(only, everyone)
		r.Advance(10 * time.Second)
		for app, want := range map[storage.AppID][]string{"acme": {"10s", "20s"}, "other": {"30s"}} {
			r.wantRan(app, "ten", begin, want...)
		}
	})
}

// Whatever commit the engine dies at while an app comes into being: if the app
// is there, so are its triggers, though it slept and nobody calls it.
func TestG20_AnAppComesIntoBeingWithItsTriggers(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		for n := 1; ; n++ {
			reached := false
			withCrons(t, actors.Options{Crons: []dispatch.Trigger{declaredTen("x")}}, func(r *cronHarness) {
				reached = r.CrashAt(point, n, func() {
					_, _ = cronTouch.Run(r.Caller("acme"), dispatch.None{})
				})
				r.Advance(11 * time.Second)
				apps, err := r.Engine.Apps()
				r.must(err)
				if len(apps) == 0 {
					return
				}
				if n := len(r.beats("acme", "ten")); n != 1 {
					t.Errorf("crash at %s %d: %d ticks ran", point, n, n)
				}
			})
			if !reached {
				break
			}
		}
	}
}

func TestG22_ADeclaredTriggerTakesOverOneOfItsName(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		begin := r.Now()
		r.create("acme", everyTen(cronBeat.With("mine"), ""))
		r.create("acme", dispatch.Trigger{Name: "kept", Schedule: cron.Expr("*/10 * * * * *"), Call: cronBeat.With("kept")})
		r.Advance(11 * time.Second)
		r.declare(declaredTen("theirs"))
		r.Advance(10 * time.Second)
		if got := r.words("acme", "ten"); !slices.Equal(got, []string{"mine", "theirs"}) || !r.info("acme", "ten").Declared {
			t.Errorf("ran %q", got)
		}
		r.wantRan("acme", "kept", begin, "10s", "20s")
		if r.info("acme", "kept").Declared {
			t.Error("kept is declared")
		}
		r.declare()
		if got := r.names("acme"); !slices.Equal(got, []string{"kept"}) {
			t.Errorf("triggers %q", got)
		}
	})
}

func TestG22_PausedStaysPausedOverARestart(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		begin := r.Now()
		r.touch("acme")
		asleep := declaredTen("y")
		asleep.Name, asleep.Paused = "asleep", true
		r.declare(declaredTen("x"), asleep)
		r.must(r.crons("acme").Pause("ten", "for the holidays"))
		r.Restart()
		r.declare(declaredTen("z"), asleep) // changed, and still paused
		r.Advance(35 * time.Second)
		if info := r.info("acme", "ten"); !info.Paused || info.PauseReason != "for the holidays" || len(info.Upcoming) != 0 {
			t.Errorf("%+v", info)
		}
		if info := r.info("acme", "asleep"); !info.Paused || len(r.Jobs("acme")) != 0 {
			t.Errorf("%+v", info)
		}
		r.must(r.crons("acme").Resume("ten"))
		r.must(r.crons("acme").Resume("asleep"))
		r.Restart()
		r.Advance(10 * time.Second)
		r.wantRan("acme", "ten", begin, "40s")
		r.wantRan("acme", "asleep", begin, "40s")
		r.wantOutcomes("acme", "asleep", begin, "skipped 10s-30s", "fired 40s")
		r.wantOutcomes("acme", "ten", begin, "skipped 10s-30s", "fired 40s")
		if s := r.log("acme", "ten")[0]; s.Reason != "paused: for the holidays" || s.Count != 3 {
			t.Errorf("%+v", s)
		}
	})
}

// Apps that sleep, or were never touched since the engine was opened, get a new
// trigger too, whether or not the engine dies in between.
func TestG22_SleepingAppsGetANewTrigger(t *testing.T) {
	withCrons(t, actors.Options{IdleAfter: time.Second}, func(r *cronHarness) {
		begin := r.Now()
		var apps []storage.AppID
		for i := range 20 {
			apps = append(apps, storage.AppID(fmt.Sprintf("app-%d", i)))
		}
		r.touch(apps...)
		r.Advance(5 * time.Second)
		r.Reconfigure(func(o *actors.Options) { o.Functions, o.Crons = r.functions(), []dispatch.Trigger{declaredTen("x")} })
		r.Crash()
		r.Advance(6 * time.Second)
		for _, app := range apps {
			r.wantRan(app, "ten", begin, "10s")
		}
	})
}

func TestG22_AThousandTriggersAndOneMore(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		r.touch("acme")
		triggers := make([]dispatch.Trigger, storage.MaxTriggers)
		for i := range triggers {
			triggers[i] = dispatch.Trigger{Name: fmt.Sprintf("t%d", i), Schedule: cron.Hourly(i % 60), Call: cronBeat.With("x")}
		}
		r.declare(triggers...)
		if n := len(r.names("acme")); n != storage.MaxTriggers {
			t.Fatalf("%d triggers", n)
		}
		if err := r.crons("acme").Create(everyTen(cronBeat.With("x"), "")); cronCode(err) != dispatch.CodeResourceExhausted {
			t.Errorf("one more: %v", err)
		}
		// A mutation that overlooks the refusal commits nothing of it.
		r.inside = func(ctx *dispatch.MutationCtx) error {
			_ = ctx.Scheduler.Crons().Create(everyTen(cronBeat.With("x"), ""))
			return nil
		}
		_, err := cronInside.Run(r.Caller("acme"), "")
		r.must(err)
		if n := len(r.Jobs("acme", storage.StatePending)); n != storage.MaxTriggers {
			t.Errorf("%d pending ticks", n)
		}
		// One that goes makes room for one that comes.
		triggers[7].Name = "seven"
		r.declare(triggers...)
		if names := r.names("acme"); len(names) != storage.MaxTriggers || !slices.Contains(names, "seven") || slices.Contains(names, "t7") {
			t.Errorf("%d triggers after a rename", len(names))
		}
		r.declare(triggers[1:]...)
		r.create("acme", everyTen(cronBeat.With("x"), ""))
		r.declare(triggers...) // one too many in this app: the rest is in order all the same
		if n := len(r.names("acme")); n != storage.MaxTriggers {
			t.Errorf("%d triggers", n)
		}
		opts := actors.Options{Functions: r.functions(), Crons: append(triggers, declaredTen("x"))}
		if _, err := actors.Open(t.TempDir(), opts); err == nil || !strings.Contains(err.Error(), "1000") {
			t.Errorf("1,001 declared: %v", err)
		}
	})
}

func TestG21_OpenNamesEveryFaultyTrigger(t *testing.T) {
	r := &cronHarness{t: t}
	faulty := []dispatch.Trigger{
		declaredTen("fine"),
		{Name: "missing", Schedule: cron.Daily(3, 0), Call: cronNobody.With("x")},
		{Name: "query", Schedule: cron.Daily(3, 0), Call: dispatch.Path("cron:query").With(nil)},
		{Name: "args", Schedule: cron.Daily(3, 0), Call: dispatch.Path("cron:beat").With(7)},
		{Name: "spec", Schedule: cron.Expr("61 * * * *"), Call: cronBeat.With("x")},
		{Name: "never", Schedule: cron.Expr("0 0 30 2 *"), Call: cronBeat.With("x")},
		{Name: "empty", Call: cronBeat.With("x")},
		{Name: "zone", Schedule: cron.Daily(3, 0), Zone: "Mars/Olympus", Call: cronBeat.With("x")},
		{Name: "overlap", Schedule: cron.Daily(3, 0), Overlap: "sometimes", Call: cronBeat.With("x")},
		{Name: "catchup", Schedule: cron.Daily(3, 0), CatchUp: storage.CatchUp{Mode: storage.CatchUpAll, Limit: 1001}, Call: cronBeat.With("x")},
		{Name: "jitter", Schedule: cron.Daily(3, 0), Jitter: dispatch.MaxJitter + 1, Call: cronBeat.With("x")},
		{Name: "retry", Schedule: cron.Daily(3, 0), Retry: &dispatch.RetryPolicy{MaxAttempts: -1}, Call: cronBeat.With("x")},
		{Name: "apps", Schedule: cron.Daily(3, 0), Apps: []storage.AppID{"no/such name"}, Call: cronBeat.With("x")},
		declaredTen("twice"),
		{Name: "no call", Schedule: cron.Daily(3, 0)},
	}
	dir := filepath.Join(t.TempDir(), "data")
	_, err := actors.Open(dir, actors.Options{Functions: r.functions(), Crons: faulty})
	var faults dispatch.TriggerFaults
	if !errors.As(err, &faults) {
		t.Fatalf("open: %v", err)
	}
	var names []string
	for _, f := range faults {
		names = append(names, f.Trigger)
		if f.Reason == "" || !strings.Contains(err.Error(), f.Reason) {
			t.Errorf("trigger %s: no reason in %q", f.Trigger, err)
		}
	}
	want := []string{"missing", "query", "args", "spec", "never", "empty", "zone", "overlap", "catchup", "jitter", "retry", "apps", "ten", "no call"}
	if !slices.Equal(names, want) {
		t.Errorf("faults of %q, want %q", names, want)
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != len(want) {
		t.Errorf("%d lines:\n%v", n, err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory was touched: %v", err)
	}
}

// The same against a directory that exists: its files stay as they were, byte
// for byte, and so do its triggers.
func TestG21_AFaultyTriggerChangesNothingOnDisk(t *testing.T) {
	dir := t.TempDir()
	r := &cronHarness{t: t}
	bad := []dispatch.Trigger{{Name: "ten", Schedule: cron.Expr("nonsense"), Call: cronBeat.With("x")}}
	app := declaredTen("x")
	app.Apps = []storage.AppID{"acme"}
	eng, err := actors.Open(dir, actors.Options{Functions: r.functions(), Volumes: 1, Crons: []dispatch.Trigger{app}})
	r.must(err)
	a, err := eng.App("acme")
	r.must(err)
	for { // until the rollout has reached it
		if infos, err := a.Scheduler(t.Context()).Crons().List(); err != nil || len(infos) == 1 {
			r.must(err)
			break
		}
		time.Sleep(time.Millisecond)
	}
	r.must(eng.Close(context.Background()))
	before := cronFiles(t, dir)
	if _, err := actors.Open(dir, actors.Options{Functions: r.functions(), Crons: bad}); err == nil {
		t.Fatal("opened")
	}
	if after := cronFiles(t, dir); after != before {
		t.Error("the files have changed")
	}
}

func cronFiles(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(&all, "%s %d %s\n", path, len(data), data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// An imported app is in line with the declared triggers without being called.
func TestG22_AnImportedAppGetsTheTriggers(t *testing.T) {
	withCrons(t, actors.Options{IdleAfter: time.Second}, func(r *cronHarness) {
		begin := r.Now()
		r.touch("acme")
		var out strings.Builder
		r.must(r.Engine.Export(r.t.Context(), "acme", &out))
		r.declare(declaredTen("x"))
		r.must(r.Engine.Import(r.t.Context(), "copy", strings.NewReader(out.String())))
		r.Advance(11 * time.Second)
		r.wantRan("copy", "ten", begin, "10s")
	})
}
