package workload_test

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/cmd/carillon/workload"
	"carillon/dispatch"
	"carillon/storage"
)

// BenchmarkGuard counts what does not depend on the machine: allocations,
// commits and bytes written for each job. .ci/guard compares the counts with
// those in testdata/guard.txt. Only one job at a time is under way where commits
// and bytes are counted, because how many share a commit depends on the machine.
func BenchmarkGuard(b *testing.B) {
	const ones, batches, batchJobs = 200, 5, 1000
	ahead := func() time.Time { return time.Now().Add(time.Hour).Truncate(time.Millisecond) }

	b.Run("schedule", func(b *testing.B) {
		q := mustOpen(b, workload.Work{})
		count(b, q, ones, true, func(int) error { return q.Schedule(b.Context(), workload.Job{Due: ahead()}) })
	})
	b.Run("batch", func(b *testing.B) {
		q := mustOpen(b, workload.Work{})
		jobs := make([]workload.Job, batchJobs)
		for i := range jobs {
			jobs[i].Due = ahead()
		}
		count(b, q, batches*batchJobs, true, func(i int) error {
			if i%batchJobs > 0 {
				return nil
			}
			return q.Batch(b.Context(), jobs)
		})
	})
	b.Run("update", func(b *testing.B) {
		q := mustOpenDocuments(b)
		count(b, q, ones, true, func(i int) error { return q.Update(b.Context(), 0, i%10) })
	})
	b.Run("act", func(b *testing.B) {
		q := mustOpenDocuments(b)
		count(b, q, ones, true, func(i int) error { return q.UpdateAndSchedule(b.Context(), 0, i%10) })
	})
	b.Run("run-one", func(b *testing.B) {
		ran := make(chan struct{}, 1)
		q := mustOpen(b, workload.Work{Started: func(time.Time) { ran <- struct{}{} }})
		// That the job is done is asked for again and again, which allocates.
		count(b, q, ones, false, func(int) error {
			if err := q.Schedule(b.Context(), workload.Job{Due: time.Now().Truncate(time.Millisecond)}); err != nil {
				return err
			}
			<-ran
			return q.Drained(b.Context())
		})
	})
	b.Run("run-many", func(b *testing.B) {
		dir := b.TempDir()
		store := mustOpenIn(b, dir, workload.Work{Store: true})
		jobs := make([]workload.Job, batchJobs)
		for i := range jobs {
			jobs[i].Due = time.Now().Truncate(time.Millisecond)
		}
		for range batches {
			if err := store.Batch(b.Context(), jobs); err != nil {
				b.Fatal(err)
			}
		}
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
		var left atomic.Int64
		left.Store(batches * batchJobs)
		all := make(chan struct{})
		before := allocations()
		q := mustOpenIn(b, dir, workload.Work{Started: func(time.Time) {
			if left.Add(-1) == 0 {
				close(all)
			}
		}})
		<-all
		if err := q.Close(); err != nil { // waits until they are durably done
			b.Fatal(err)
		}
		b.ReportMetric(float64(allocations()-before)/(batches*batchJobs), "allocs/job")
	}) // Watchers may cost a drain some, those that have left nothing.
	for _, watch := range []string{"none", "left", "tags"} {
		b.Run("watch-"+watch, func(b *testing.B) {
			const jobs, tags = batches * batchJobs, 500
			var left atomic.Int64
			left.Store(jobs)
			all := make(chan struct{})
			q := mustOpenIn(b, b.TempDir(), workload.Work{Started: func(time.Time) {
				if left.Add(-1) == 0 {
					close(all)
				}
			}})
			w := mustWatch(b, q, watch, tags)
			s := w.app.Scheduler(b.Context())
			if err := s.Pause(dispatch.OfApp(), "", ""); err != nil {
				b.Fatal(err)
			}
			w.schedule(b, batches, batchJobs)
			before := allocations()
			if _, err := s.Resume(dispatch.OfApp()); err != nil {
				b.Fatal(err)
			}
			<-all
			if err := q.Close(); err != nil { // waits until they are durably done, and watchers were told
				b.Fatal(err)
			}
			w.Wait()
			b.ReportMetric(float64(allocations()-before)/jobs, "allocs/job")
		})
	}
}

// watching is an app with jobs of some tags, and those who watch them.
type watching struct {
	sync.WaitGroup
	app  *actors.App
	tags int
}

// mustWatch has watchers watch one tag each: "none", or "tags" until the engine closes, or
// "left", which leave at once.
func mustWatch(tb testing.TB, q workload.Queue, kind string, tags int) *watching {
	tb.Helper()
	app, err := q.(interface {
		App(storage.AppID) (*actors.App, error)
	}).App("app-00000")
	if err != nil {
		tb.Fatal(err)
	}
	w := &watching{app: app, tags: tags}
	if kind == "none" {
		return w
	}
	ctx, stop := context.WithCancel(tb.Context())
	var ready sync.WaitGroup
	for tag := range tags {
		ready.Add(1)
		w.Go(func() {
			var once sync.Once
			for e, err := range app.Watch(ctx, storage.JobFilter{Tags: []string{strconv.Itoa(tag)}}) {
				if err != nil {
					return
				}
				if e.Kind == actors.EventReady {
					once.Do(ready.Done) // it may begin again
				}
			}
		})
	}
	ready.Wait()
	if kind == "left" {
		stop()
		w.Wait()
	}
	tb.Cleanup(stop)
	return w
}

// schedule schedules jobs that are due, of each tag in turn.
func (w *watching) schedule(tb testing.TB, batches, jobs int) {
	tb.Helper()
	calls := make([]dispatch.Scheduled, jobs)
	for batch := range batches {
		for i := range calls {
			calls[i] = dispatch.After(0, dispatch.Path("bench:noop").With(workload.Payload{}), dispatch.Tags(strconv.Itoa((batch*jobs+i)%w.tags)))
		}
		if _, err := w.app.Scheduler(tb.Context()).RunMany(calls); err != nil {
			tb.Fatal(err)
		}
	}
}

// count does n jobs, one after the other, and reports what each has cost.
func count(b *testing.B, q workload.Queue, n int, allocs bool, do func(i int) error) {
	b.Helper()
	stats := func() actors.Stats { return q.(interface{ Stats() actors.Stats }).Stats() }
	was, before := stats(), allocations()
	for i := range n {
		if err := do(i); err != nil {
			b.Fatal(err)
		}
	}
	now := stats()
	if allocs {
		b.ReportMetric(float64(allocations()-before)/float64(n), "allocs/job")
	}
	b.ReportMetric(float64(now.Commits-was.Commits)/float64(n), "flushes/job")
	b.ReportMetric(float64(now.Written-was.Written)/float64(n), "written-B/job")
}

func allocations() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

func mustOpen(tb testing.TB, work workload.Work) workload.Queue {
	tb.Helper()
	q := mustOpenIn(tb, tb.TempDir(), work)
	tb.Cleanup(func() {
		if err := q.Close(); err != nil {
			tb.Error(err)
		}
	})
	return q
}

func mustOpenIn(tb testing.TB, dir string, work workload.Work) workload.Queue {
	tb.Helper()
	work.Apps = 1
	if work.Started == nil {
		work.Started = func(time.Time) {}
	}
	q, err := workload.Carillon().Open(context.Background(), dir, work)
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

func mustOpenDocuments(tb testing.TB) workload.Documents {
	tb.Helper()
	q := mustOpen(tb, workload.Work{}).(workload.Documents)
	if err := q.Fill(tb.Context(), 10); err != nil {
		tb.Fatal(err)
	}
	return q
}
