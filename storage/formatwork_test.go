package storage_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// What a store of format 2 has come to have since its first fixture: jobs in pools and of
// priorities, with tags, unique keys, revisions, parents and what was scheduled once, and
// the sum of arguments. That fixture, v2, is before, and work is after.

// makeWorkFixture makes the store whose files are kept.
func makeWorkFixture(tb testing.TB, dir string) {
	tb.Helper()
	s := mustOpen(tb, dir, withDingbats)
	app := mustApp(tb, s, "acme")
	live := map[storage.JobID]bool{}
	app.SetLive(func(id storage.JobID) bool { return live[id] })
	schedule := func(tx *storage.Tx, job storage.Job) storage.JobID {
		if job.Function == "" {
			job.Function = "bells:ring"
		}
		if job.Due.IsZero() {
			job.Due = testNow
		}
		job.EnqueuedAt = testNow
		done, err := tx.JobWriter().Schedule(job)
		if err != nil {
			tb.Fatal(err)
		}
		return done.ID
	}
	mustTx(tb, app, testNow, func(tx *storage.Tx) {
		for p := storage.MinPriority; p <= storage.MaxPriority; p++ {
			schedule(tx, storage.Job{Args: []byte(fmt.Sprintf(`{"p":%d}`, p)), Pool: "tower", Priority: p, Tags: []string{"loud", "Große Glocke"}})
		}
		schedule(tx, storage.Job{ID: "keyed", Pool: "tower", PoolKey: "north \U0001f514", Priority: 4})
		schedule(tx, storage.Job{ID: "held", Pool: "tower", Unique: &storage.Unique{Key: "held", Policy: storage.UniqueRefuse}})
		if ok, err := tx.JobWriter().HoldJob("held", "no such tower"); !ok || err != nil {
			tb.Fatal(ok, err)
		}
		schedule(tx, storage.Job{ID: "dead", Pool: "tower", PoolKey: "north", Priority: 1})
		mustEnd(tb, tx, "dead", storage.End{State: storage.StateFailed, StartedAt: testNow, Error: errOops})
		schedule(tx, storage.Job{ID: "kept", Due: testNow.Add(time.Hour), Unique: &storage.Unique{Key: "kept", Policy: storage.UniqueKeep}})
		schedule(tx, storage.Job{ID: "app", Function: "bells:tune", Due: testNow.Add(time.Hour), Unique: &storage.Unique{Key: "app", Policy: storage.UniqueKeep, AppWide: true}})
		schedule(tx, storage.Job{ID: "while", Unique: &storage.Unique{Key: "while", Policy: storage.UniqueKeep, HeldFor: time.Hour}})
		mustEnd(tb, tx, "while", storage.End{State: storage.StateSuccess, StartedAt: testNow})
		schedule(tx, storage.Job{ID: "paced", Unique: &storage.Unique{Key: "paced", Policy: storage.UniqueThrottle, Every: time.Hour}})
		mustEnd(tb, tx, "paced", storage.End{State: storage.StateSuccess, StartedAt: testNow})
		debounce := &storage.Unique{Key: "debounced", Policy: storage.UniqueReplace, MaxWait: time.Hour}
		schedule(tx, storage.Job{ID: "debounced", Args: []byte("1"), Unique: debounce})
		mustEnd(tb, tx, "debounced", storage.End{State: storage.StatePending, Due: testNow.Add(time.Minute), StartedAt: testNow, Error: errOops})
		schedule(tx, storage.Job{ID: "debounced", Args: []byte("2"), Due: testNow.Add(2 * time.Minute), Unique: debounce})
		schedule(tx, storage.Job{ID: "parent", Unique: &storage.Unique{Key: "beside", Policy: storage.UniqueReplace}})
	})
	mustTx(tb, app, testNow, func(tx *storage.Tx) { mustClaim(tb, tx, "parent") })
	live["parent"] = true
	mustTx(tb, app, testNow.Add(time.Second), func(tx *storage.Tx) {
		tx.OnCancel(func(id storage.JobID) bool { return live[id] })
		schedule(tx, storage.Job{ID: "child", Due: testNow.Add(time.Hour), Parent: "parent", Once: "child"})
		schedule(tx, storage.Job{Due: testNow.Add(time.Hour), Parent: "child", Once: "grandchild", Tags: []string{"loud"}})
		schedule(tx, storage.Job{ID: "follower", Unique: &storage.Unique{Key: "beside", Policy: storage.UniqueReplace}})
	})
	mustClose(tb, s)
	s = mustOpen(tb, dir, withDingbats)
	mustUpdateJobs(tb, mustApp(tb, s, "acme"), func(w storage.JobWriter) {
		mustInsert(tb, w, storage.Job{ID: "in-the-log", Pool: "tower", PoolKey: "north \U0001f514", Due: testNow.Add(time.Minute)})
	})
	if err := s.Abort(); err != nil {
		tb.Fatal(err)
	}
}

// workContents is contents, with what of the jobs that does not tell.
func workContents(tb testing.TB, s *storage.Store) string {
	tb.Helper()
	var b strings.Builder
	b.WriteString(contents(tb, s))
	app, err := s.App("acme")
	if err != nil {
		tb.Fatal(err)
	}
	fmt.Fprintf(&b, "arguments %d, keys that last %d\n", app.ArgBytes(), app.Lasting())
	mustRead(tb, app, func(r storage.Reader) {
		for job, err := range r.System().All(storage.JobFilter{}) {
			if err != nil {
				tb.Fatal(err)
			}
			fmt.Fprintf(&b, "%s: pool %q %q priority %d tags %q revision %d parent %q once %q", job.ID, job.Pool, job.PoolKey, job.Priority, job.Tags, job.Revision, job.Parent, job.Once)
			if u := job.Unique; u != nil {
				fmt.Fprintf(&b, " unique %q %s %t %t every %v held %v since %d last %d", u.Key, u.Policy, u.AppWide, u.PendingOnly, u.Every, u.HeldFor, u.Since.UnixMilli(), u.LastStart.UnixMilli())
			}
			b.WriteByte('\n')
		}
	})
	return b.String()
}

// TestG26_FormatV2WithWork: what a store has of pools, priorities, keys and parents is read,
// from its files, its log and its export, and goes on counting.
func TestG26_FormatV2WithWork(t *testing.T) {
	for _, s := range mustFixture(t, "work", makeWorkFixture, workContents) {
		app := mustApp(t, s, "acme")
		mustTx(t, app, testNow.Add(time.Minute), func(tx *storage.Tx) {
			w := tx.JobWriter()
			for lane, want := range map[storage.Lane]int{{Pool: "tower"}: 4, {Pool: "tower", Key: "north \U0001f514"}: 2, {Pool: "tower", Key: "north"}: 0} {
				n := 0
				for p := storage.MinPriority; p <= storage.MaxPriority; p++ {
					jobs, _, _, err := tx.DueIn(lane, p, storage.Place{}, 10)
					if n += len(jobs); err != nil {
						t.Error(err)
					}
				}
				if n != want {
					t.Errorf("%d jobs wait in %v, want %d", n, lane, want)
				}
			}
			ask := func(key string, policy storage.UniquePolicy) (storage.Told, error) {
				u := storage.Unique{Key: key, Policy: policy, AppWide: key == "app"}
				if policy == storage.UniqueThrottle {
					u.Every = time.Hour
				}
				return w.Schedule(storage.Job{Function: "bells:ring", Due: testNow, Unique: &u})
			}
			for _, key := range []string{"kept", "app", "while", "held", "debounced"} {
				if done, err := ask(key, storage.UniqueKeep); err != nil || !done.Kept || string(done.ID) != key {
					t.Errorf("key %s: %+v, %v, want the job kept", key, done, err)
				}
				if _, err := ask(key, storage.UniqueRefuse); !errors.Is(err, storage.ErrExists) {
					t.Errorf("key %s: %v, want ErrExists", key, err)
				}
			}
			if done, err := ask("paced", storage.UniqueThrottle); err != nil || !mustJob(t, w.Writer(), done.ID).Due.Equal(testNow.Add(time.Hour)) {
				t.Errorf("a throttled key: %+v, %v, want it to start an hour after the last start", done, err)
			}
			if done, err := w.Schedule(storage.Job{Function: "bells:ring", Due: testNow, Parent: "parent", Once: "child"}); err != nil || !done.Kept || done.ID != "child" {
				t.Errorf("once again: %+v, %v, want the child kept", done, err)
			}
			jobs, err := tx.Claimed()
			if err != nil || len(jobs) != 1 || jobs[0].ID != "parent" {
				t.Fatalf("claimed are %v, %v", jobs, err)
			}
			if job, err := tx.EndAttempt(jobs[0], storage.End{State: storage.StatePending, Due: testNow, Error: errOops}); err != nil || job.State != storage.StateCanceled {
				t.Errorf("the job before a follower is %s, %v, want canceled", job.State, err)
			}
		})
		must(t, s.Check())
	}
}
