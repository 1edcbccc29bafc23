package storage_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage"
	"carillon/storage/internal/kv"
)

// faults is the Fault hook of tests: it stops the committer at a point, and
// lets it go on with or without an error.
type faults struct {
	mu    sync.Mutex
	gates map[string]*faultGate
	fails map[string]error
}

type faultGate struct{ reached, open chan struct{} }

func newFaults() *faults {
	return &faults{gates: map[string]*faultGate{}, fails: map[string]error{}}
}

// at implements Options.Fault.
func (f *faults) at(point string) error {
	f.mu.Lock()
	gate := f.gates[point]
	delete(f.gates, point)
	f.mu.Unlock()
	if gate != nil {
		close(gate.reached)
		<-gate.open
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fails[point]
}

// fail has every visit of the point fail, until it is called with nil.
func (f *faults) fail(point string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails[point] = err
}

// stop has the next visitor of the point wait until the gate's open is closed.
func (f *faults) stop(point string) *faultGate {
	f.mu.Lock()
	defer f.mu.Unlock()
	gate := &faultGate{make(chan struct{}), make(chan struct{})}
	f.gates[point] = gate
	return gate
}

var errDisk = errors.New("the disk is broken")

// pair writes a document and a job of the same name, so that half a transaction shows.
func pair(tb testing.TB, tx *storage.Tx, name string) {
	tb.Helper()
	if _, err := dingbats.Insert(tx.Writer(), Dingbat{Name: name}); err != nil {
		tb.Fatal(err)
	}
	mustInsert(tb, tx.JobWriter(), storage.Job{ID: storage.JobID(name)})
}

// pairs are the names that were written by pair and are there. That each is
// there as a whole, or not at all, is checked.
func pairs(tb testing.TB, app *storage.App) (names []string) {
	tb.Helper()
	mustRead(tb, app, func(r storage.Reader) {
		for d, err := range dingbats.Query(r).All() {
			if err != nil {
				tb.Fatal(err)
			}
			names = append(names, d.Value.Name)
		}
		var jobs []string
		for job, err := range r.System().All(storage.JobFilter{}) {
			if err != nil {
				tb.Fatal(err)
			}
			jobs = append(jobs, string(job.ID))
		}
		if !slices.Equal(names, jobs) {
			tb.Errorf("app %s: documents %v and jobs %v: half a transaction is there", app.ID(), names, jobs)
		}
	})
	return names
}

// answers collects what the transactions of a test were answered, by name.
type answers struct {
	mu  sync.Mutex
	got map[string]error
	n   map[string]int
}

func newAnswers() *answers { return &answers{got: map[string]error{}, n: map[string]int{}} }

// commit submits a pair.
func (a *answers) commit(tb testing.TB, app *storage.App, name string) {
	tb.Helper()
	tx := app.Begin(testNow)
	pair(tb, tx, name)
	if err := tx.Commit(a.done(name)); err != nil {
		tb.Fatal(err)
	}
}

func (a *answers) done(name string) func(error) {
	return func(err error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.got[name] = err
		a.n[name]++
	}
}

// check says whether the transaction was answered once, with an error that is want.
func (a *answers) check(tb testing.TB, name string, want error) {
	tb.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.got[name]; a.n[name] != 1 || !errors.Is(err, want) || want == nil && err != nil {
		tb.Errorf("%s was answered %d times, with %v, want once with %v", name, a.n[name], err, want)
	}
}

// TestG1_AcknowledgedSurvives: what was acknowledged is there after a reopen,
// whichever way the store ended, and G2: what was not is there as a whole or not
// at all, each app's changes in order. Close makes durable what was submitted,
// Abort answers it with ErrClosed.
func TestG1_AcknowledgedSurvives(t *testing.T) {
	for _, end := range []string{"close", "abort", "abort under way"} {
		t.Run(end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				f, got := newFaults(), newAnswers()
				s, err := storage.Open(dir, storage.Options{Volumes: 1, Tables: withDingbats.Tables, Fault: f.at})
				if err != nil {
					t.Fatal(err)
				}
				apps := []storage.AppID{"a", "b", "c"}
				open := map[storage.AppID]*storage.App{}
				for _, id := range apps {
					open[id] = mustApp(t, s, id)
				}
				name := func(id storage.AppID, i int) string { return fmt.Sprint(id, i) }
				for i := range 3 {
					for _, id := range apps {
						got.commit(t, open[id], name(id, i))
					}
				}
				synctest.Wait()
				// The first of these is taken by the committer, the rest waits behind it.
				gate := f.stop("commit")
				got.commit(t, open["a"], name("a", 3))
				<-gate.reached
				for i := 3; i < 6; i++ {
					for _, id := range apps {
						if i > 3 || id != "a" {
							got.commit(t, open[id], name(id, i))
						}
					}
				}
				ended := make(chan error, 1)
				switch end {
				case "close":
					go func() { ended <- s.Close() }()
					synctest.Wait()
					close(gate.open)
				case "abort":
					close(gate.open)
					synctest.Wait()
					ended <- s.Abort()
				case "abort under way":
					go func() { ended <- s.Abort() }()
					synctest.Wait()
					close(gate.open)
				}
				if err := <-ended; err != nil {
					t.Fatal(err)
				}
				want := map[storage.AppID][]string{}
				for _, id := range apps {
					for i := range 6 {
						dropped := end == "abort under way" && (i > 3 || i == 3 && id != "a")
						if dropped {
							got.check(t, name(id, i), storage.ErrClosed)
							continue
						}
						got.check(t, name(id, i), nil)
						want[id] = append(want[id], name(id, i))
					}
				}
				open["a"].Begin(testNow).Rollback(got.done("late"))
				got.check(t, "late", storage.ErrClosed)
				if _, err := open["a"].Snapshot(testNow); !errors.Is(err, storage.ErrClosed) {
					t.Errorf("a snapshot of a closed store: %v, want ErrClosed", err)
				}
				for _, err := range []error{s.Close(), s.Close()} {
					if err != nil {
						t.Errorf("close once more: %v", err)
					}
				}
				s = mustOpen(t, dir, withDingbats)
				for _, id := range apps {
					if got := pairs(t, mustApp(t, s, id)); !slices.Equal(got, want[id]) {
						t.Errorf("app %s has %v, want %v", id, got, want[id])
					}
				}
			})
		})
	}
}

// TestG6_NothingIsAcknowledgedAfterACommitError: the batch whose commit failed
// is answered with ErrUnknownOutcome, all that was built upon it with
// ErrNotApplied, until the app was reloaded; what is read meanwhile is what is
// committed. It holds whether the failed commit took effect or not, which is
// what "unknown" means. An app that was not part of the batch notices nothing.
func TestG6_NothingIsAcknowledgedAfterACommitError(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		t.Run(point, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, got := newFaults(), newAnswers()
				dir := t.TempDir()
				opts := withDingbats
				opts.Fault = f.at
				s := mustOpen(t, dir, opts)
				a, b := mustApp(t, s, "a"), mustApp(t, s, "b")
				got.commit(t, a, "a0")
				got.commit(t, b, "b0")
				synctest.Wait()

				gate := f.stop("commit")
				f.fail(point, errDisk)
				got.commit(t, a, "a1") // in the failing batch
				<-gate.reached
				got.commit(t, a, "a2") // behind it
				got.commit(t, b, "b1")
				a.Begin(testNow).Rollback(got.done("reader of a2"))
				late := a.Begin(testNow) // open when the commit fails
				pair(t, late, "a3")
				if names := pairs(t, a); !slices.Equal(names, []string{"a0"}) {
					t.Errorf("while the commit is under way %v is committed", names)
				}
				// The gate is passed with the error set; the batch behind it must not meet it.
				failed := f.stop("reopen")
				close(gate.open)
				<-failed.reached
				f.fail(point, nil)
				close(failed.open)
				synctest.Wait()

				got.check(t, "a1", storage.ErrUnknownOutcome)
				got.check(t, "a1", errDisk)
				got.check(t, "a2", storage.ErrNotApplied)
				got.check(t, "reader of a2", storage.ErrNotApplied)
				got.check(t, "b1", nil)
				if err := late.Commit(got.done("a3")); err != nil {
					t.Fatal(err)
				}
				got.commit(t, a, "a4")
				a.Begin(testNow).Rollback(got.done("reader of a4"))
				synctest.Wait()
				for _, name := range []string{"a3", "a4", "reader of a4"} {
					got.check(t, name, storage.ErrNotApplied)
				}

				want := []string{"a0"}
				if point == "committed" {
					want = append(want, "a1")
				}
				if names := pairs(t, a); !slices.Equal(names, want) {
					t.Errorf("before the reload %v is committed, want %v", names, want)
				}
				if err := a.Reload(); err != nil {
					t.Fatal(err)
				}
				if a.InFlight() || a.Pending() != len(want) {
					t.Errorf("after the reload: in flight %v, %d pending", a.InFlight(), a.Pending())
				}
				got.commit(t, a, "a5")
				synctest.Wait()
				got.check(t, "a5", nil)
				want = append(want, "a5")
				if names := pairs(t, a); !slices.Equal(names, want) {
					t.Errorf("after the reload %v is committed, want %v", names, want)
				}
				if names := pairs(t, b); !slices.Equal(names, []string{"b0", "b1"}) {
					t.Errorf("the other app has %v", names)
				}
				mustClose(t, s)
				s = mustOpen(t, dir, withDingbats)
				if names := pairs(t, mustApp(t, s, "a")); !slices.Equal(names, want) {
					t.Errorf("after a reopen %v is committed, want %v", names, want)
				}
			})
		})
	}
}

// TestG6_FirstCommitOfAnAppFails: the app that was to come into being is there
// or is not, and begins anew after a reload either way.
func TestG6_FirstCommitOfAnAppFails(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		t.Run(point, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, got := newFaults(), newAnswers()
				opts := withDingbats
				opts.Fault = f.at
				s := mustOpen(t, t.TempDir(), opts)
				a := mustApp(t, s, "a")
				f.fail(point, errDisk)
				got.commit(t, a, "a0")
				synctest.Wait()
				f.fail(point, nil)
				got.check(t, "a0", storage.ErrUnknownOutcome)
				var want []string
				if point == "committed" {
					want = []string{"a0"}
				}
				if err := a.Reload(); err != nil {
					t.Fatal(err)
				}
				if names := pairs(t, a); !slices.Equal(names, want) || a.Stored() != (want != nil) || len(mustApps(t, s)) != len(want) {
					t.Errorf("%v is committed, want %v; the app is stored: %v; apps: %v", names, want, a.Stored(), mustApps(t, s))
				}
				got.commit(t, a, "a1")
				synctest.Wait()
				got.check(t, "a1", nil)
				if names := pairs(t, a); !slices.Equal(names, append(want, "a1")) {
					t.Errorf("%v is committed, want %v and a1", names, want)
				}
				if err := s.Check(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestG6_VolumeThatStaysDown: while the volume cannot be reopened every call
// says ErrUnavailable and nothing is changed; once it can be, the next call has
// it opened, and after a reload all goes on. A store's other volumes work throughout.
func TestG6_VolumeThatStaysDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, got := newFaults(), newAnswers()
		dir := t.TempDir()
		opts := withDingbats
		opts.Fault, opts.Volumes = f.at, 2
		s := mustOpen(t, dir, opts)
		a, b := mustApp(t, s, "a"), mustApp(t, s, "b")
		got.commit(t, a, "a0")
		got.commit(t, b, "b0")
		synctest.Wait()
		for i := range 2 {
			err := s.ReadVolume(i, func(snap *kv.Snapshot) error {
				c := snap.Cursor(kv.Apps)
				if k, _ := c.First(); k == nil {
					t.Errorf("volume %d holds no app: choose other names", i)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}

		f.fail("commit", errDisk)
		f.fail("reopen", errDisk)
		got.commit(t, a, "a1")
		synctest.Wait()
		got.check(t, "a1", storage.ErrUnknownOutcome)
		f.fail("commit", nil)
		for i := range 3 {
			reads := map[string]error{"reload": a.Reload(), "check": s.Check(), "export": s.Export(t.Context(), "a", nil), "delete": s.Delete("a")}
			_, reads["snapshot"] = a.Snapshot(testNow)
			_, reads["app"] = s.App("a")
			_, reads["apps"] = s.Apps()
			reads["alarms"] = s.Alarms(func(storage.AppID, time.Time) bool { return true })
			tx := a.Begin(testNow)
			_, _, reads["get"] = tx.Writer().System().Get("nobody")
			_, reads["list"] = tx.Writer().System().List(storage.JobFilter{})
			tx.Rollback(nil)
			for call, err := range reads {
				if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrExists) {
					t.Errorf("%s while the volume is down: %v, want ErrUnavailable", call, err)
				}
			}
			name := fmt.Sprint("b", i+1)
			got.commit(t, b, name)
			synctest.Wait()
			got.check(t, name, nil)
		}
		tx := a.Begin(testNow)
		mustInsert(t, tx.JobWriter(), storage.Job{}) // needs no reading
		if err := tx.Commit(got.done("a2")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		got.check(t, "a2", storage.ErrUnavailable)

		f.fail("reopen", nil)
		time.Sleep(storage.MaxBackoff)
		if _, err := a.Snapshot(testNow); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("the first call when the volume can be opened again: %v", err)
		}
		synctest.Wait()
		if names := pairs(t, a); !slices.Equal(names, []string{"a0"}) {
			t.Errorf("after the recovery %v is committed", names)
		}
		if err := a.Reload(); err != nil {
			t.Fatal(err)
		}
		got.commit(t, a, "a3")
		synctest.Wait()
		got.check(t, "a3", nil)
		if names := pairs(t, a); !slices.Equal(names, []string{"a0", "a3"}) {
			t.Errorf("after the recovery %v is committed", names)
		}
		if names := pairs(t, b); !slices.Equal(names, []string{"b0", "b1", "b2", "b3"}) {
			t.Errorf("the other volume has %v", names)
		}
	})
}

// TestG6_CloseOfAVolumeThatIsDown: it says nothing was lost that was not said
// before, and the next owner finds the last committed state.
func TestG6_CloseOfAVolumeThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, got := newFaults(), newAnswers()
		dir := t.TempDir()
		opts := withDingbats
		opts.Fault = f.at
		s := mustOpen(t, dir, opts)
		a := mustApp(t, s, "a")
		got.commit(t, a, "a0")
		synctest.Wait()
		f.fail("commit", errDisk)
		f.fail("reopen", errDisk)
		got.commit(t, a, "a1")
		synctest.Wait()
		got.check(t, "a1", storage.ErrUnknownOutcome)
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		s = mustOpen(t, dir, withDingbats)
		if names := pairs(t, mustApp(t, s, "a")); !slices.Equal(names, []string{"a0"}) {
			t.Errorf("after a reopen %v is committed", names)
		}
	})
}

// TestG15_HighWaterIsKnownAfterAReopen: the latest instant that was committed is,
// whatever the clock does, and a commit that failed does not keep a later one from
// being recorded.
func TestG15_HighWaterIsKnownAfterAReopen(t *testing.T) {
	dir := t.TempDir()
	opts := storage.Options{Volumes: 2}
	s := mustOpen(t, dir, opts)
	if at := s.HighWater(); !at.IsZero() {
		t.Errorf("the high-water mark of a new store is %v", at)
	}
	want := time.Time{}
	reopen := func() {
		t.Helper()
		if at := s.HighWater(); !at.Equal(want) {
			t.Errorf("the high-water mark is %v, want %v", at, want)
		}
		mustClose(t, s)
		s = mustOpen(t, dir, opts)
		if at := s.HighWater(); !at.Equal(want) {
			t.Errorf("after a reopen the high-water mark is %v, want %v", at, want)
		}
	}
	for _, step := range []time.Duration{0, time.Hour, time.Millisecond, 2 * time.Hour, -time.Hour, 2*time.Hour + time.Millisecond} {
		for _, id := range []storage.AppID{"a", "b"} { // on two volumes
			at := testNow.Add(step)
			if at.After(want) {
				want = at
			}
			mustTx(t, mustApp(t, s, id), at, func(tx *storage.Tx) { mustInsert(t, tx.JobWriter(), storage.Job{}) })
			reopen()
		}
	}
	mine := errors.New("mine")
	later := want.Add(time.Minute)
	if err := s.RaiseHighWater(0, later.UnixMilli(), mine); !errors.Is(err, mine) {
		t.Fatal(err)
	}
	if err := s.RaiseHighWater(0, later.UnixMilli(), nil); err != nil {
		t.Fatal(err)
	}
	want = later
	reopen()
}
