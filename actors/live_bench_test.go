package actors_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"carillon/actors"
)

// BenchmarkLive has a thousand clients subscribe to one shelf each of an app, while mutations at a
// steady rate put pieces on the shelves, round and round, without and with the subscriptions. It
// reports how long after its acknowledgment a mutation's result is at its client, as a median and
// as that of the latest hundredth, and how many seconds of processor time the process has used in
// a second: the subscriptions cost what the two differ by.
func BenchmarkLive(b *testing.B) {
	const shelves, rate, seconds = 1000, 5000, 3
	for _, clients := range []int{0, shelves} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			k := newLiveKit()
			eng, err := actors.Open(b.TempDir(), k.options())
			if err != nil {
				b.Fatal(err)
			}
			defer eng.Close(context.Background())
			app, err := eng.App("acme")
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			var mu sync.Mutex
			var late []time.Duration
			var seen [shelves]uint64      // the commit of the latest transition
			var waits [shelves][]benchAck // acknowledged, and not seen yet
			var ready, over sync.WaitGroup
			for i := range clients {
				ready.Add(1)
				over.Go(func() {
					live := app.Live(nil)
					defer live.Close()
					if _, err := live.Change([]actors.LiveQuery{liveQuery("live:last", fmt.Sprint(i))}, nil); err != nil {
						b.Error(err)
						return
					}
					for first := true; ; first = false {
						t, err := live.Next(ctx)
						if err != nil {
							return
						}
						if first {
							ready.Done()
						}
						mu.Lock()
						seen[i] = t.Commit
						waits[i] = slices.DeleteFunc(waits[i], func(a benchAck) bool {
							if a.commit <= t.Commit {
								late = append(late, time.Since(a.at))
							}
							return a.commit <= t.Commit
						})
						mu.Unlock()
					}
				})
			}
			ready.Wait()
			var calls sync.WaitGroup
			var spent, processor float64
			n := 0
			for b.Loop() {
				before, began := cronCPU(b), time.Now()
				for first := n; time.Since(began) < seconds*time.Second; {
					time.Sleep(time.Duration(n-first)*time.Second/rate - time.Since(began))
					n++
					at, number := n%shelves, n
					calls.Go(func() {
						var ack benchAck
						if _, err := liveStepOf.Run(app.As(actors.TellCommit(context.Background(), &ack.commit), nil), liveStep{Insert: []piece{{fmt.Sprint(at), number}}}); err != nil {
							b.Error(err)
						}
						ack.at = time.Now()
						mu.Lock()
						defer mu.Unlock()
						if clients == 0 {
							return
						}
						if seen[at] >= ack.commit {
							late = append(late, 0)
						} else {
							waits[at] = append(waits[at], ack)
						}
					})
				}
				calls.Wait()
				spent += time.Since(began).Seconds()
				processor += (cronCPU(b) - before).Seconds()
			}
			stop()
			over.Wait()
			b.ReportMetric(float64(n)/spent, "mutations/s")
			b.ReportMetric(processor/spent, "cpu-s/s")
			if len(late) > 0 {
				slices.Sort(late)
				b.ReportMetric(float64(late[len(late)/2].Microseconds())/1e3, "ms-p50")
				b.ReportMetric(float64(late[len(late)*99/100].Microseconds())/1e3, "ms-p99")
			}
		})
	}
}

// benchAck is when a mutation was acknowledged, and its commit.
type benchAck struct {
	at     time.Time
	commit uint64
}
