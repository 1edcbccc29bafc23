package storage_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"carillon/storage"
)

// TestFilterChoosesWhatMeetsEveryCondition: a listing has exactly the jobs that meet
// the filter one by one, in the order and pages of the whole listing.
func TestFilterChoosesWhatMeetsEveryCondition(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	states := []storage.State{storage.StatePending, storage.StateSuccess, storage.StateFailed, storage.StateCanceled}
	n := 0
	for end := range 6 {
		mustTx(t, app, testNow.Add(time.Duration(end)*time.Millisecond), func(tx *storage.Tx) {
			for i := range 24 {
				n++
				job := storage.Job{Function: fmt.Sprint("a:f", i%2), Due: testNow.Add(time.Duration(i%5) * time.Millisecond)}
				if i%3 == 0 {
					job.Trigger = "tick"
				}
				job.Tags = [][]string{nil, {"eu"}, {"us", "eu"}}[i/2%3]
				id := mustInsert(t, tx.JobWriter(), job)
				switch state := states[i%4]; state {
				case storage.StatePending:
				case storage.StateCanceled:
					if _, err := tx.JobWriter().CancelJob(id); err != nil {
						t.Fatal(err)
					}
				default:
					ending := storage.End{State: state}
					if state == storage.StateFailed {
						ending.Error = &storage.JobError{Code: []string{"internal", "unavailable"}[i/4%2]}
					}
					mustEnd(t, tx, id, ending)
				}
			}
		})
	}
	list := func(t *rapid.T, f storage.JobFilter) (jobs []storage.Job) {
		snap, err := app.Snapshot(testNow)
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		for job, err := range snap.Reader().System().All(f) {
			if err != nil {
				t.Fatal(err)
			}
			jobs = append(jobs, job)
		}
		return jobs
	}
	instant := rapid.Custom(func(t *rapid.T) time.Time {
		at := rapid.SampledFrom([]int{-1, 0, 1, 2, 3, 4, 5, 6}).Draw(t, "ms")
		if at < 0 {
			return time.Time{}
		}
		return testNow.Add(time.Duration(at)*time.Millisecond - time.Duration(rapid.SampledFrom([]int{0, 1}).Draw(t, "ns")))
	})
	span := rapid.Custom(func(t *rapid.T) (r storage.TimeRange) {
		r = storage.TimeRange{From: instant.Draw(t, "from"), Before: instant.Draw(t, "before")}
		if !r.From.IsZero() && !r.Before.IsZero() && !r.From.Before(r.Before) {
			r.Before = time.Time{}
		}
		return r
	})
	has := func(r storage.TimeRange, at time.Time) bool {
		return (r.From.IsZero() || !at.Before(r.From)) && (r.Before.IsZero() || at.Before(r.Before))
	}
	rapid.Check(t, func(t *rapid.T) {
		f := storage.JobFilter{
			States:   rapid.SliceOfNDistinct(rapid.SampledFrom(states), 0, 2, rapid.ID).Draw(t, "states"),
			Function: rapid.SampledFrom([]string{"", "a:f0", "a:f", "a:f1"}).Draw(t, "function"),
			Trigger:  rapid.SampledFrom([]string{"", "", "tick", "tock"}).Draw(t, "trigger"),
			Error:    rapid.SampledFrom([]string{"", "", "internal", "unavailable"}).Draw(t, "error"),
			Tags:     rapid.SampledFrom([][]string{nil, nil, {"eu"}, {"eu", "us"}, {"e"}}).Draw(t, "tags"),
			Due:      span.Draw(t, "due"),
			Ended:    span.Draw(t, "ended"),
			Limit:    rapid.IntRange(1, 30).Draw(t, "limit"),
		}
		var want, got []storage.JobID
		for _, job := range list(t, storage.JobFilter{}) {
			if (len(f.States) == 0 || slices.Contains(f.States, job.State)) &&
				(f.Function == "" || f.Function == job.Function) && (f.Trigger == "" || f.Trigger == job.Trigger) &&
				(f.Error == "" || job.Error != nil && f.Error == job.Error.Code) && has(f.Due, job.Due) &&
				!slices.ContainsFunc(f.Tags, func(tag string) bool { return !slices.Contains(job.Tags, tag) }) &&
				(f.Ended == storage.TimeRange{} || !job.CompletedAt.IsZero() && has(f.Ended, job.CompletedAt)) {
				want = append(want, job.ID)
			}
		}
		for _, job := range list(t, f) {
			got = append(got, job.ID)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v chooses %d jobs, want %d", f, len(got), len(want))
		}
	})
	for _, f := range []storage.JobFilter{
		{Limit: -1},
		{Limit: 1001},
		{States: []storage.State{"done"}},
		{Cursor: "x"},
		{Tags: []string{""}},
		{Due: storage.TimeRange{From: testNow, Before: testNow}},
		{Ended: storage.TimeRange{From: testNow, Before: testNow.Add(-1)}},
	} {
		mustRead(t, app, func(r storage.Reader) {
			if _, err := r.System().List(f); !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("%+v: %v, want ErrInvalid", f, err)
			}
		})
	}
}
