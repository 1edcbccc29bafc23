package actors_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// herdApps is how many apps have the same nightly trigger.
const herdApps = 10_000

// BenchmarkHerd has 10,000 sleeping apps tick at the same 03:00: how long until
// all have run, and how late the jobs are of one other app that has a job every
// 10 ms at that time. Every claim and every completion is synced to the disk.
func BenchmarkHerd(b *testing.B) {
	var offset atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	var ran atomic.Int64
	var last atomic.Int64 // by the wall, in nanoseconds
	done := make(chan struct{})
	var mu sync.Mutex
	var late []time.Duration
	tick := dispatch.InternalMutation[dispatch.None, dispatch.None]("herd:tick")
	other := dispatch.InternalMutation[dispatch.None, dispatch.None]("herd:other")
	functions := func() *dispatch.Registry {
		reg := dispatch.NewRegistry()
		tick.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
			last.Store(clock().UnixNano())
			if ran.Add(1) == herdApps {
				close(done)
			}
			_, err := benchDocs.Insert(ctx.DB, benchDoc{1})
			return dispatch.None{}, err
		})
		other.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
			mu.Lock()
			defer mu.Unlock()
			late = append(late, clock().Sub(ctx.Job.ScheduledFor))
			return dispatch.None{}, nil
		})
		return reg
	}
	names := make([]storage.AppID, herdApps)
	for i := range names {
		names[i] = storage.AppID(fmt.Sprintf("herd-%d", i))
	}
	for b.Loop() {
		ran.Store(0)
		late, done = nil, make(chan struct{})
		start := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
		offset.Store(int64(time.Until(start)))
		eng, err := actors.Open(b.TempDir(), actors.Options{
			Functions: functions(), Logger: slog.New(slog.DiscardHandler), Testing: actors.Testing{Clock: clock}, IdleAfter: 200 * time.Millisecond, ClockCheck: 100 * time.Millisecond,
			Crons: []dispatch.Trigger{{Name: "nightly", Schedule: cron.Daily(3, 0), Call: tick.With(dispatch.None{}), Apps: names}},
		})
		if err != nil {
			b.Fatal(err)
		}
		for n := 0; n < herdApps; time.Sleep(100 * time.Millisecond) { // the rollout makes the apps
			apps, err := eng.Apps()
			if err != nil {
				b.Fatal(err)
			}
			n = len(apps)
		}
		time.Sleep(2 * time.Second) // all are asleep
		three := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
		app, err := eng.App("other")
		if err != nil {
			b.Fatal(err)
		}
		const others = 300
		for i := range others {
			if _, err := app.Scheduler(b.Context()).RunAt(three.Add(time.Duration(i-50)*10*time.Millisecond), other.With(dispatch.None{})); err != nil {
				b.Fatal(err)
			}
		}
		offset.Store(int64(time.Until(three.Add(-3 * time.Second))))
		select {
		case <-done:
		case <-time.After(2 * time.Minute):
			b.Fatalf("%d of %d have run", ran.Load(), herdApps)
		}
		b.ReportMetric(time.Unix(0, last.Load()).Sub(three).Seconds(), "s/herd")
		time.Sleep(time.Until(three.Add(4 * time.Second).Add(-time.Duration(offset.Load()))))
		mu.Lock()
		slices.Sort(late)
		if len(late) != others {
			b.Errorf("%d of %d jobs of the other app have run", len(late), others)
		}
		b.ReportMetric(float64(late[len(late)/2].Microseconds())/1000, "ms-late-p50")
		b.ReportMetric(float64(late[len(late)*99/100].Microseconds())/1000, "ms-late-p99")
		b.ReportMetric(float64(late[len(late)-1].Microseconds())/1000, "ms-late-max")
		mu.Unlock()
		if err := eng.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
