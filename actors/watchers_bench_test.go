package actors_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// BenchmarkWatchers drains 10,000 jobs with one of 1,000 tags each, on which a thousand watchers
// look: "tag" each at those of a tag, "stopped" none any more.
func BenchmarkWatchers(b *testing.B) {
	const n, watchers = 10_000, 1000
	for _, kind := range []string{"none", "stopped", "tag"} {
		b.Run("watch="+kind, func(b *testing.B) {
			be := openBench(b, actors.Options{})
			app := be.app(b, "acme")
			sched := app.Scheduler(context.Background())
			stop := func() int64 { return 0 }
			if kind != "none" {
				stop = watchTags(b, app, watchers)
			}
			if kind == "stopped" {
				stop()
			}
			spent := time.Duration(0)
			for b.Loop() {
				b.StopTimer()
				due := time.Now().Add(2 * time.Second)
				calls := make([]dispatch.Scheduled, n)
				for i := range calls {
					calls[i] = dispatch.At(due, benchNoop.With(dispatch.None{}), dispatch.Tags(fmt.Sprint(i%watchers)))
				}
				if _, err := sched.RunMany(calls); err != nil {
					b.Fatal(err)
				}
				spent += be.timeDrain(b, app, due)
			}
			told := stop()
			perSecond(b, b.N*n, spent)
			b.ReportMetric(float64(told)/float64(b.N), "events/op")
		})
	}
}

// BenchmarkWatchersPaced has an app end 20,000 jobs a second, as many as become due in each
// second of three, in rounds that take turns: without a watcher, and with a thousand of which
// each is told of the jobs of its tag. Of both it reports, as medians of the rounds, how many jobs
// a second have ended by the end of the last, how late the latest hundredth began, and how many
// seconds of processor time the process has used in a second: what is told costs what the two
// differ by. An operation is a round without and one with watchers.
func BenchmarkWatchersPaced(b *testing.B) {
	const rate, seconds, watchers = 20_000, 3, 1000
	be := openBench(b, actors.Options{})
	be.timed.Store(true)
	kinds := []string{"alone", "watched"}
	var pace, late, processor [2][]float64
	rounds := 0
	for b.Loop() {
		for kind := range kinds {
			rounds++
			app := be.app(b, fmt.Sprintf("app%d", rounds))
			stop := func() int64 { return 0 }
			if kind == 1 {
				stop = watchTags(b, app, watchers)
			}
			due := time.Now().Add(3 * time.Second).Truncate(time.Millisecond)
			calls := make([]dispatch.Scheduled, rate/10)
			for done := 0; done < rate*seconds; done += len(calls) {
				for i := range calls {
					n := done + i
					calls[i] = dispatch.At(due.Add(time.Duration(n)*time.Second/rate), benchNoop.With(dispatch.None{}), dispatch.Tags(fmt.Sprint(n%watchers)))
				}
				if _, err := app.Scheduler(context.Background()).RunMany(calls); err != nil {
					b.Fatal(err)
				}
			}
			if time.Until(due) < drainLead {
				b.Fatal("the jobs were due before all were scheduled")
			}
			be.mu.Lock()
			be.late = be.late[:0]
			be.mu.Unlock()
			time.Sleep(time.Until(due) - drainLead)
			before := cronCPU(b)
			began := time.Now()
			time.Sleep(seconds*time.Second + drainLead - 50*time.Millisecond)
			be.drained(b, app)
			spent := time.Since(began) - drainLead
			processor[kind] = append(processor[kind], (cronCPU(b)-before).Seconds()/spent.Seconds())
			pace[kind] = append(pace[kind], rate*seconds/spent.Seconds())
			late[kind] = append(late[kind], be.lateness(0.99))
			if told := stop(); kind == 1 && told < rate*seconds {
				b.Fatalf("%d jobs had only %d events", rate*seconds, told)
			}
		}
	}
	for kind, name := range kinds {
		b.ReportMetric(median(pace[kind]), "jobs/s-"+name)
		b.ReportMetric(median(late[kind]), "p99-µs-"+name)
		b.ReportMetric(median(processor[kind]), "cpu-s/s-"+name)
	}
}

// watchTags has so many watch the app, each the jobs of its tag, and returns when all have their
// snapshot. stop ends them and returns how many events they were told.
func watchTags(b *testing.B, app *actors.App, watchers int) (stop func() (told int64)) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	var events atomic.Int64
	var ready, over sync.WaitGroup
	ready.Add(watchers)
	for i := range watchers {
		over.Go(func() {
			var once sync.Once
			for e, err := range app.Watch(ctx, storage.JobFilter{Tags: []string{fmt.Sprint(i)}}) {
				if err != nil {
					return
				}
				switch e.Kind {
				case actors.EventReady:
					once.Do(ready.Done) // it may begin again
				case actors.EventReset:
				default:
					events.Add(1)
				}
			}
		})
	}
	ready.Wait()
	return func() int64 {
		cancel()
		over.Wait()
		return events.Load()
	}
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// BenchmarkManyAppsAsleep measures the heap that an app has which sleeps and has a job ahead: one
// that nothing has watched, and one that was watched and was left more than a minute ago.
func BenchmarkManyAppsAsleep(b *testing.B) {
	const apps = 2000
	for _, watched := range []bool{false, true} {
		b.Run(fmt.Sprintf("watched=%t", watched), func(b *testing.B) {
			for b.Loop() {
				be := openBench(b, actors.Options{IdleAfter: 100 * time.Millisecond})
				before := heap()
				callers(b, 16, apps, func(i int) error {
					app := be.app(b, fmt.Sprintf("app-%d", i))
					stop := func() int64 { return 1 }
					if watched {
						stop = watchTags(b, app, 1)
					}
					_, err := app.Scheduler(context.Background()).RunAfter(time.Hour, benchNoop.With(dispatch.None{}), dispatch.Tags("0"))
					stop()
					return err
				})
				for i := range apps {
					for {
						seen, err := be.app(b, fmt.Sprintf("app-%d", i)).Inspect(context.Background())
						if err != nil {
							b.Fatal(err)
						}
						if seen.Asleep {
							break
						}
						time.Sleep(10 * time.Millisecond)
					}
				}
				time.Sleep(65 * time.Second) // what is kept for those who go on with a watch is gone
				b.ReportMetric(float64(heap()-before)/apps, "heap-B/app")
			}
		})
	}
}

// heap is how much of the heap is in use.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what has finalizers is freed by the second collection
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
