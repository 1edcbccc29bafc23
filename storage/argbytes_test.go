package storage_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// argsOf adds up what the jobs of the app that have not ended have of arguments.
func argsOf(tb testing.TB, app *storage.App) (sum int64) {
	tb.Helper()
	mustRead(tb, app, func(r storage.Reader) {
		states := []storage.State{storage.StatePending, storage.StateRunning, storage.StateHeld}
		for job, err := range r.System().All(storage.JobFilter{States: states}) {
			if err != nil {
				tb.Fatal(err)
			}
			sum += int64(len(job.Args))
		}
	})
	return sum
}

// TestG18_BytesOfArguments: the arguments of an app's jobs come to the limit and not beyond.
// What is refused changes nothing, and what ends or shrinks goes on and makes room.
func TestG18_BytesOfArguments(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{MaxArgBytes: 100})
	app := mustApp(t, s, "acme")
	args := func(n int) []byte { return []byte(`"` + strings.Repeat("x", n-2) + `"`) }
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		w := tx.JobWriter()
		insert := func(n int, id storage.JobID) error {
			job := storage.Job{ID: id, Function: "a:b", Due: testNow}
			if n > 0 {
				job.Args = args(n)
			}
			_, err := w.InsertJob(job)
			return err
		}
		refused := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, storage.ErrLimit) || !strings.Contains(err.Error(), "MaxArgBytes") {
				t.Errorf("%s: %v, want ErrLimit that names MaxArgBytes", what, err)
			}
		}
		must(t, insert(60, "a"))
		refused("a byte too much", insert(41, "b"))
		must(t, insert(40, "b"))
		refused("another byte", insert(2, "c"))
		must(t, insert(0, "c"))
		if _, ok, err := w.System().Get("d"); ok || err != nil {
			t.Errorf("a refused job: %v, %v", ok, err)
		}
		// A slot's tick is counted, and never refused.
		if _, err := w.InsertTick(storage.Job{Function: "a:b", Args: args(50), Trigger: "t", Slot: testNow, Due: testNow}); err != nil {
			t.Error(err)
		}
		if ok, err := w.RemoveTick(storage.TickID("t", testNow)); !ok || err != nil {
			t.Error(ok, err)
		}
		mustEnd(t, tx, "a", storage.End{State: storage.StatePending, Due: testNow.Add(time.Second)})
		refused("beside a retry", insert(2, "d"))
		if ok, err := w.HoldJob("a", "why"); !ok || err != nil {
			t.Error(ok, err)
		}
		refused("beside a held job", insert(2, "d"))
		if ok, err := tx.RetryDeadAt("a", testNow); !ok || err != nil {
			t.Errorf("a held job, which is counted, goes on: %t, %v", ok, err)
		}
		mustEnd(t, tx, "a", storage.End{State: storage.StateFailed})
		must(t, insert(41, "d"))
		_, err := tx.RetryDeadAt("a", testNow)
		refused("retry a dead job", err)
		if job := mustJob(t, w.Writer(), "a"); job.State != storage.StateFailed {
			t.Errorf("the dead job is %s", job.State)
		}
		if answer, err := w.CancelJob("d"); err != nil || !answer.Canceled {
			t.Errorf("cancel at the limit: %+v, %v", answer, err)
		}
		if ok, err := tx.RetryDeadAt("a", testNow); !ok || err != nil {
			t.Errorf("with room: %t, %v", ok, err)
		}
		err = w.Nested(func(w storage.JobWriter) error {
			if answer, err := w.CancelJob("a"); err != nil || !answer.Canceled {
				t.Errorf("nested: %+v, %v", answer, err)
			}
			return errors.New("dropped")
		})
		if err == nil || app.ArgBytes() != 0 {
			t.Errorf("%v, and %d bytes are counted before anything is submitted", err, app.ArgBytes())
		}
		refused("what a dropped transaction has freed", insert(2, "d"))
	})
	if got := app.ArgBytes(); got != 100 || argsOf(t, app) != 100 {
		t.Errorf("%d bytes are counted of %d, want 100", got, argsOf(t, app))
	}
	app.SetMaxArgBytes(101)
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		w := tx.JobWriter()
		debounce := func(n int) error {
			_, err := w.Schedule(storage.Job{Function: "a:u", Args: args(n), Due: testNow, Unique: &storage.Unique{Key: "k", Policy: storage.UniqueReplace}})
			return err
		}
		if err := debounce(2); !errors.Is(err, storage.ErrLimit) {
			t.Errorf("a call with a key: %v, want ErrLimit", err)
		}
		if _, err := w.CancelJob("b"); err != nil {
			t.Error(err)
		}
		must(t, debounce(2))
		must(t, debounce(41))
		if err := debounce(42); !errors.Is(err, storage.ErrLimit) {
			t.Errorf("a byte more in the place of a call: %v, want ErrLimit", err)
		}
		must(t, debounce(40))
	})
	if got := app.ArgBytes(); got != 100 || argsOf(t, app) != 100 {
		t.Errorf("%d bytes are counted of %d, want 100", got, argsOf(t, app))
	}
	must(t, s.Check())
}

// TestG26_ArgumentsOfAnEarlierReleaseAreCounted, when the app is first opened; the check does
// not know more than the release did, and does after the first change. So it is of an import.
func TestG26_ArgumentsOfAnEarlierReleaseAreCounted(t *testing.T) {
	for _, format := range []string{"v1", "v2"} {
		dir := mustUnpack(t, format)
		to := mustOpen(t, t.TempDir(), withDingbats)
		must(t, to.Import(t.Context(), "acme", bytes.NewReader(mustReadFixture(t, format, "acme.export"))))
		for _, s := range []*storage.Store{mustOpen(t, dir, withDingbats), to} {
			app := mustApp(t, s, "acme")
			want := argsOf(t, app)
			if got := app.ArgBytes(); got != want || want == 0 {
				t.Errorf("%s: %d bytes are counted, want %d", format, got, want)
			}
			must(t, s.Check())
			mustUpdateJobs(t, app, func(w storage.JobWriter) { mustInsert(t, w, storage.Job{Args: []byte("12345")}) })
			must(t, s.Check())
			if got := app.ArgBytes(); got != want+5 {
				t.Errorf("%s: %d bytes are counted, want %d", format, got, want+5)
			}
		}
	}
}

// TestG37_ArgumentsOfAnUnreadableTickAreCountedAnew: what they were cannot be told when it is
// taken away, and the sum is right when the app is next opened.
func TestG37_ArgumentsOfAnUnreadableTickAreCountedAnew(t *testing.T) {
	s := mustOpenUnchecked(t)
	app := mustApp(t, s, "acme")
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		if _, err := w.InsertTick(storage.Job{Function: "a:b", Args: []byte("123"), Trigger: "t", Slot: testNow, Due: testNow}); err != nil {
			t.Fatal(err)
		}
	})
	must(t, s.Checkpoint())
	mustEdit(t, s, 'q', func([]byte) []byte { return []byte("\xff") })
	app = mustApp(t, s, "acme")
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		mustInsert(t, w, storage.Job{Args: []byte("12345")})
		if ok, err := w.RemoveTick(storage.TickID("t", testNow)); !ok || err != nil {
			t.Fatal(ok, err)
		}
	})
	must(t, s.Check())
	if got := app.ArgBytes(); got != -1 {
		t.Errorf("%d bytes are counted, want -1, which is not known", got)
	}
	must(t, app.Reload())
	if got := app.ArgBytes(); got != 5 {
		t.Errorf("%d bytes are counted, want 5", got)
	}
}
