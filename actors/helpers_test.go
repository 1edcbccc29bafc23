package actors_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
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

// none is short for what most functions of these tests return.
type none = dispatch.None

// entry is the document that the functions of these tests write.
type entry struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

var entries = storage.NewTable[entry]("entries")

// The functions that every kit has.
var (
	addEntry    = dispatch.Mutation[string, storage.ID[entry]]("kit:add")
	listEntries = dispatch.Query[none, []string]("kit:list")
	failAlways  = dispatch.InternalMutation[string, none]("kit:fail")
	ledgerOf    = dispatch.Query[none, ledger]("kit:ledger")
	runPlan     = dispatch.InternalMutation[none, none]("kit:plan") // runs the kit's plan
)

// quiet is the logger of tests whose functions fail on purpose, and often.
var quiet = slog.New(slog.DiscardHandler)

// ledger is what an app says, in one snapshot, of what was done and of the jobs
// that have done it.
type ledger struct {
	Entries []string `json:"entries"`
	Success []string `json:"success"` // the arguments of the jobs that have succeeded
	Open    int      `json:"open"`    // jobs pending or running
}

// kit is a registry to fill, with a journal of what its handlers do. The journal
// is outside of every engine, so it survives crashes like the rest of the world.
type kit struct {
	reg  *dispatch.Registry
	mu   sync.Mutex
	seen []event
	plan func(*dispatch.MutationCtx) error // what runPlan does
	now  map[string]int                    // functions under way, by what they note
	most map[string]int                    // the most there ever were at once
}

// event is something that a handler noted.
type event struct {
	What    string
	Job     storage.JobID
	Attempt int
	At      time.Time // the bubble's time
}

func newKit() *kit {
	k := &kit{reg: dispatch.NewRegistry(), now: map[string]int{}, most: map[string]int{}}
	addEntry.Handle(k.reg, func(ctx *dispatch.MutationCtx, name string) (storage.ID[entry], error) {
		k.note("add "+name, ctx.Job)
		return entries.Insert(ctx.DB, entry{name, ctx.Now})
	})
	listEntries.Handle(k.reg, func(ctx *dispatch.QueryCtx, _ none) ([]string, error) { return namesOf(ctx.DB) })
	failAlways.Handle(k.reg, func(ctx *dispatch.MutationCtx, name string) (none, error) {
		k.note("fail "+name, ctx.Job)
		return none{}, dispatch.Errorf(dispatch.CodeUnavailable, "it fails always")
	})
	runPlan.Handle(k.reg, func(ctx *dispatch.MutationCtx, _ none) (none, error) {
		k.mu.Lock()
		plan := k.plan
		k.mu.Unlock()
		return none{}, plan(ctx)
	})
	ledgerOf.Handle(k.reg, func(ctx *dispatch.QueryCtx, _ none) (l ledger, err error) {
		if l.Entries, err = namesOf(ctx.DB); err != nil {
			return l, err
		}
		for job, err := range ctx.DB.System().All(storage.JobFilter{}) {
			switch {
			case err != nil:
				return l, err
			case job.State == storage.StateSuccess:
				l.Success = append(l.Success, strings.Trim(string(job.Args), `"`))
			case !job.State.Ended():
				l.Open++
			}
		}
		return l, nil
	})
	return k
}

func namesOf(db storage.Reader) ([]string, error) {
	names := []string{}
	for doc, err := range entries.Query(db).All() {
		if err != nil {
			return nil, err
		}
		names = append(names, doc.Value.Name)
	}
	return names, nil
}

// mutation binds an internal mutation of one string.
func (k *kit) mutation(path string, fn func(*dispatch.MutationCtx, string) error, opts ...dispatch.FunctionOption) *dispatch.MutationRef[string, none] {
	ref := dispatch.InternalMutation[string, none](path, opts...)
	ref.Handle(k.reg, func(ctx *dispatch.MutationCtx, name string) (none, error) { return none{}, fn(ctx, name) })
	return ref
}

// action binds an internal action of one string.
func (k *kit) action(path string, fn func(*dispatch.ActionCtx, string) error, opts ...dispatch.FunctionOption) *dispatch.ActionRef[string, none] {
	ref := dispatch.InternalAction[string, none](path, opts...)
	ref.Handle(k.reg, func(ctx *dispatch.ActionCtx, name string) (none, error) { return none{}, fn(ctx, name) })
	return ref
}

// note writes something into the journal.
func (k *kit) note(what string, job dispatch.JobRun) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen = append(k.seen, event{what, job.ID, job.Attempt, time.Now()})
}

// enter counts a function under the name as under way, until leave.
func (k *kit) enter(name string) (leave func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now[name]++
	k.most[name] = max(k.most[name], k.now[name])
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.now[name]--
	}
}

// mostAtOnce is the most functions that were under way under the name at once.
func (k *kit) mostAtOnce(name string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.most[name]
}

// events returns what was noted so far and begins with the prefix.
func (k *kit) events(prefix string) []event {
	k.mu.Lock()
	defer k.mu.Unlock()
	var found []event
	for _, e := range k.seen {
		if strings.HasPrefix(e.What, prefix) {
			found = append(found, e)
		}
	}
	return found
}

// count is how often something was noted that begins with the prefix.
func (k *kit) count(prefix string) int { return len(k.events(prefix)) }

// noted returns what was noted, in order.
func (k *kit) noted(prefix string) []string {
	var names []string
	for _, e := range k.events(prefix) {
		names = append(names, e.What)
	}
	return names
}

// must returns v, or fails the test.
func must[T any](tb testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// mustAfter schedules the call from the host.
func mustAfter(tb testing.TB, h *actorstest.Harness, app storage.AppID, d time.Duration, call dispatch.Call, opts ...dispatch.RunOption) storage.JobID {
	tb.Helper()
	id, err := h.Scheduler(app).RunAfter(d, call, opts...)
	if err != nil {
		tb.Fatalf("app %s: schedule %v: %v", app, call, err)
	}
	return id
}

// wantEntries demands the names of the app's entries, in any order.
func wantEntries(tb testing.TB, h *actorstest.Harness, app storage.AppID, want ...string) {
	tb.Helper()
	got, err := listEntries.Run(h.Caller(app), none{})
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if err != nil || !slices.Equal(got, want) {
		tb.Errorf("app %s has entries %s, %v, want %s", app, brief(got), err, brief(want))
	}
}

// brief prints a list, cut to a bearable length.
func brief(names []string) string {
	if len(names) <= 12 {
		return fmt.Sprintf("%q", names)
	}
	return fmt.Sprintf("%q and %d more", names[:12], len(names)-12)
}

// wantState demands a job's state and how many attempts it took. It ends the test
// otherwise: what a test goes on to look at is then not there, such as the error
// of a job that has not failed.
func wantState(tb testing.TB, h *actorstest.Harness, app storage.AppID, id storage.JobID, state storage.State, attempts int) storage.Job {
	tb.Helper()
	job := h.Job(app, id)
	if job.State != state || job.Attempts != attempts {
		tb.Fatalf("app %s: job %s (%s) is %s after %d attempts, want %s after %d; error %+v, history %+v",
			app, id, job.Function, job.State, job.Attempts, state, attempts, job.Error, job.History)
	}
	return job
}

// wantCode demands an *Error of the code.
func wantCode(tb testing.TB, err error, code dispatch.Code) {
	tb.Helper()
	var e *dispatch.Error
	if !errors.As(err, &e) || e.Code != code {
		tb.Errorf("error %v, want code %s", err, code)
	}
}

// everyCrash runs the scenario once for each commit that it makes, and once for
// each that it has made, each time on a new directory and with a crash there.
// Each time act is what is done until the crash, and must return though its calls
// fail; verify is called after it, on the engine that was opened again, or on
// the one still open once there are no more crash points.
func everyCrash(t *testing.T, options func() actors.Options, act, verify func(h *actorstest.Harness)) {
	t.Helper()
	points := 0
	for _, point := range []string{"commit", "committed"} {
		for n, more := 1, true; more && !t.Failed(); n++ {
			actorstest.Run(t, options(), func(h *actorstest.Harness) {
				more = h.CrashAt(point, n, func() { act(h) })
				verify(h)
				if t.Failed() {
					t.Logf("that was with a crash at the %d. %s (reached: %v)", n, point, more)
				}
			})
			points++
		}
	}
	t.Logf("%d crash points", points-2)
}

// abortOf has the engine that is opened with the options leave there what aborts it.
func abortOf(o *actors.Options) *func() error {
	var abort func() error
	o.Testing.Opened = func(fn func() error) { abort = fn }
	return &abort
}

// on is storagetest.On for an engine.
func on(dir string, opts actors.Options) actors.Options {
	s := storagetest.On(dir, storage.Options{Volumes: opts.Volumes, ReadOnly: opts.ReadOnly})
	opts.Log, opts.Node = s.Log, s.Node
	return opts
}
