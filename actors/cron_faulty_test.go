package actors_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/storagetest"
)

// errorLines keeps what the engine logs of triggers at the level of errors.
type errorLines struct {
	mu    sync.Mutex
	lines []string
}

// Write implements io.Writer.
func (l *errorLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if line := string(p); strings.Contains(line, "trigger") {
		l.lines = append(l.lines, line)
	}
	return len(p), nil
}

func (l *errorLines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelError}))
}

func (l *errorLines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

// A trigger goes on past slots whose ids dead ticks of an earlier trigger of its
// name hold, however many those are, and the store is whole all the while (G7).
func TestG19_ATriggerPassesAnyNumberOfSlotsThatAreTaken(t *testing.T) {
	logged := &errorLines{}
	withCrons(t, actors.Options{Logger: logged.logger()}, func(r *cronHarness) {
		r.fails = func(beat) error { return errFlaky }
		def := dispatch.Trigger{
			Name: "second", Schedule: cron.Expr("* * * * * *"), Call: cronFlaky.With("w"),
			Retry: &dispatch.RetryPolicy{MaxAttempts: 1}, CatchUp: storage.CatchUp{Mode: storage.CatchUpAll},
		}
		begin := r.Now()
		r.create("acme", def)
		r.Advance(1100 * time.Second)
		r.must(r.crons("acme").Delete("second"))
		r.StepClock(-1130 * time.Second)
		r.ask(func() { r.fails = nil })
		r.create("acme", def)
		r.Advance(33 * time.Second) // 30 s of slots that nobody has, then those that are taken
		info := r.info("acme", "second")
		if got := info.Next.Sub(begin); got != 1101*time.Second || info.Fault != "" {
			t.Errorf("next is %v after the beginning, fault %q", got, info.Fault)
		}
		if n := len(r.log("acme", "second")); n > 40 {
			t.Errorf("the slots that are taken fill the log with %d entries", n)
		}
		// Missed slots that are taken are passed over, too.
		r.must(r.crons("acme").Delete("second"))
		r.StepClock(-20 * time.Second) // 17 s before the first of them
		r.create("acme", def)
		r.down(time.Minute)
		r.Settle()
		r.must(r.Engine.Check())
		if got := r.info("acme", "second").Next.Sub(begin); got != 1101*time.Second {
			t.Errorf("after a downtime, next is %v after the beginning, fault %q", got, info.Fault)
		}
		fired := 0
		for _, s := range r.log("acme", "second") {
			if s.Outcome == storage.SlotFired {
				fired++
			}
		}
		if fired != 17 {
			t.Errorf("%d slots that nobody has were run late, want 17", fired)
		}
		if lines := logged.all(); len(lines) > 0 {
			t.Errorf("%d errors were logged, the first: %s", len(lines), lines[0])
		}
	})
}

// rewrite changes the stored trigger behind the back of the engine, which is closed
// meanwhile for a minute.
func (r *cronHarness) rewrite(app storage.AppID, name string, change func(*storage.Trigger)) {
	r.t.Helper()
	r.must(r.Engine.Close(r.t.Context()))
	s, err := storage.Open(r.Dir(), storagetest.On(r.Dir(), storage.Options{}))
	r.must(err)
	a, err := s.App(app)
	r.must(err)
	tx := a.Begin(r.Now())
	trigger, ok, err := tx.Writer().System().Trigger(name)
	if err != nil || !ok {
		r.t.Fatalf("trigger %s: %v, %v", name, ok, err)
	}
	change(&trigger)
	r.must(tx.JobWriter().PutTrigger(&trigger))
	done := make(chan error, 1)
	r.must(tx.Commit(func(err error) { done <- err }))
	r.must(<-done)
	r.must(s.Close())
	time.Sleep(time.Minute)
	r.Open()
}

// declareTen restarts the engine with a declared trigger of every ten seconds.
func (r *cronHarness) declareTen() {
	r.t.Helper()
	r.declare(dispatch.Trigger{Name: "ten", Schedule: cron.Expr("*/10 * * * * *"), Call: cronBeat.With("declared")})
}

// A trigger whose zone this machine does not know is shown as faulty, logged once,
// and keeps nothing else from its work; with its zone it ticks again.
func TestG19_ATriggerThatCannotBeWoundIsShownAsFaulty(t *testing.T) {
	for _, heal := range []string{"restart", "update", "resume", "delete", "pause"} {
		t.Run(heal, func(t *testing.T) {
			logged := &errorLines{}
			withCrons(t, actors.Options{Logger: logged.logger()}, func(r *cronHarness) {
				begin := r.Now()
				zone := func(name string) {
					r.rewrite("acme", "ten", func(t *storage.Trigger) { t.Zone = name })
				}
				r.create("acme", everyTen(cronBeat.With("w"), storage.OverlapAllow))
				r.create("acme", dispatch.Trigger{Name: "other", Schedule: cron.Expr("*/20 * * * * *"), Call: cronBeat.With("w")})
				r.Advance(15 * time.Second)
				zone("Nowhere/Gone") // until 1m15s
				r.Advance(time.Minute)
				info := r.info("acme", "ten")
				if !strings.Contains(info.Fault, "Nowhere/Gone") || info.NextJob != "" || !info.Next.IsZero() {
					t.Errorf("fault %q, next %v, %s", info.Fault, info.Next, info.NextJob)
				}
				r.must(r.Engine.Check())
				if other := r.info("acme", "other"); other.LastSuccess.Sub(begin) != 2*time.Minute {
					t.Errorf("the other trigger has run for %v", other.LastSuccess.Sub(begin))
				}
				if lines := logged.all(); len(lines) != 1 || !strings.Contains(lines[0], "Nowhere/Gone") || !strings.Contains(lines[0], "trigger=ten") {
					t.Errorf("logged: %q", lines)
				}
				crons := r.crons("acme")
				switch heal {
				case "update":
					r.must(crons.Update(everyTen(cronBeat.With("w2"), storage.OverlapAllow)))
					r.AdvanceTo(begin.Add(155 * time.Second))
					// What its slots were meanwhile is not known.
					r.wantOutcomes("acme", "ten", begin, "fired 10s", "fired 2m20s", "fired 2m30s")
					return
				case "delete":
					r.must(crons.Delete("ten"))
					r.create("acme", everyTen(cronBeat.With("w"), storage.OverlapAllow))
					return
				case "resume":
					r.must(crons.Resume("ten"))
					if again := r.info("acme", "ten").Fault; again != info.Fault {
						t.Errorf("resumed without its zone, it has the fault %q", again)
					}
					return
				case "pause":
					r.must(crons.Pause("ten", "broken"))
				}
				zone("UTC") // until 3m15s
				r.Advance(10 * time.Second)
				want := []string{"fired 10s", "skipped 20s-3m10s", "fired 3m20s"}
				if heal == "pause" {
					r.wantOutcomes("acme", "ten", begin, "fired 10s")
					r.must(r.crons("acme").Resume("ten"))
					r.Advance(10 * time.Second)
					want = []string{"fired 10s", "skipped 20s-3m20s", "fired 3m30s"}
				}
				r.wantOutcomes("acme", "ten", begin, want...)
				if info := r.info("acme", "ten"); info.Fault != "" {
					t.Errorf("it ticks, and has the fault %q", info.Fault)
				}
				for _, s := range r.log("acme", "ten") {
					if s.Outcome == storage.SlotSkipped && heal == "restart" && !strings.HasPrefix(s.Reason, "faulty: ") {
						t.Errorf("skipped because %q", s.Reason)
					}
				}
			})
		})
	}
}
