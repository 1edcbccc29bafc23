package actors_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// bulk is what a mutation of BenchmarkNeighbor is to write.
type bulk struct {
	N, Size int
}

// BenchmarkNeighbor is what one app's large mutations cost another of its volume
// (G24): the slowest and the usual mutation of a quiet app, in ms, while a noisy one
// writes as much as it may from one call, or from many at once.
func BenchmarkNeighbor(b *testing.B) {
	type text struct{ Text string }
	texts := storage.NewTable[text]("texts")
	keep := dispatch.InternalMutation[text, dispatch.None]("bench:keep")
	jobs := dispatch.Mutation[bulk, dispatch.None]("bench:jobs")
	docs := dispatch.Mutation[bulk, dispatch.None]("bench:docs")
	small := dispatch.Mutation[dispatch.None, dispatch.None]("bench:small")
	reg := dispatch.NewRegistry()
	keep.Handle(reg, func(*dispatch.MutationCtx, text) (none dispatch.None, err error) { return none, nil })
	jobs.Handle(reg, func(ctx *dispatch.MutationCtx, bulk bulk) (none dispatch.None, err error) {
		call := keep.With(text{strings.Repeat("x", bulk.Size)})
		for range bulk.N {
			if _, err := ctx.Scheduler.RunAfter(time.Hour, call); err != nil {
				return none, err
			}
		}
		return none, nil
	})
	docs.Handle(reg, func(ctx *dispatch.MutationCtx, bulk bulk) (none dispatch.None, err error) {
		for range bulk.N {
			if _, err := texts.Insert(ctx.DB, text{strings.Repeat("x", bulk.Size)}); err != nil {
				return none, err
			}
		}
		return none, nil
	})
	small.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (none dispatch.None, err error) {
		_, err = texts.Insert(ctx.DB, text{"small"})
		return none, err
	})
	for _, bm := range []struct {
		name    string
		fn      *dispatch.MutationRef[bulk, dispatch.None]
		calls   int
		bulk    bulk
		at      int // calls at once
		refused bool
	}{
		{"none", docs, 0, bulk{}, 1, false},
		{"1000-jobs-of-100kB-in-one", jobs, 1, bulk{1000, 100_000}, 1, true},
		{"1050-jobs-of-100kB", jobs, 7, bulk{150, 100_000}, 1, false},
		{"1050-jobs-of-100kB-at-once", jobs, 7, bulk{150, 100_000}, 7, false},
		{"50000-jobs-of-1kB", jobs, 5, bulk{10_000, 1000}, 1, false},
		{"50000-jobs-of-1kB-at-once", jobs, 5, bulk{10_000, 1000}, 5, false},
		{"105-docs-of-1MB", docs, 7, bulk{15, 1_000_000}, 1, false},
		{"128-docs-of-900kB-at-once", docs, 128, bulk{1, 900_000}, 64, false},
	} {
		b.Run(bm.name, func(b *testing.B) {
			eng, err := actors.Open(b.TempDir(), actors.Options{Functions: reg, Volumes: 1, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() {
				if err := eng.Close(context.Background()); err != nil {
					b.Error(err)
				}
			})
			caller := func(app string) dispatch.Caller {
				a, err := eng.App(storage.AppID(app))
				if err != nil {
					b.Fatal(err)
				}
				return a.As(context.Background(), nil)
			}
			var took []time.Duration
			quiet, noisy := caller("quiet"), caller("noisy")
			for b.Loop() {
				var over atomic.Bool
				done := make(chan struct{})
				go func() {
					defer close(done)
					for !over.Load() {
						began := time.Now()
						if _, err := small.Run(quiet, dispatch.None{}); err != nil {
							b.Error(err)
						}
						took = append(took, time.Since(began))
					}
				}()
				time.Sleep(100 * time.Millisecond)
				callers(b, bm.at, bm.calls, func(i int) error {
					_, err := bm.fn.Run(noisy, bm.bulk)
					if bm.refused {
						if dispatch.AsError(err).Code == dispatch.CodeResourceExhausted {
							return nil
						}
						return fmt.Errorf("not refused: %w", err)
					}
					return err
				})
				time.Sleep(100 * time.Millisecond)
				over.Store(true)
				<-done
			}
			slices.Sort(took)
			ms := func(q float64) float64 {
				return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000
			}
			b.ReportMetric(ms(0.5), "p50-ms")
			b.ReportMetric(ms(0.99), "p99-ms")
			b.ReportMetric(ms(1), "max-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}
