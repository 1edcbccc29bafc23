package storage_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"carillon/storage"
)

// TestFilterChoosesWhatMeetsEveryCondition: a listing has exactly the jobs that meet
// the filter one by one, in the order and pages of the whole listing.
func TestFilterChoosesWhatMeetsEveryCondition(t *testing.T) {
	tb := t
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
				job.Priority, job.Args = 1+i%4, []byte(fmt.Sprintf(`{"user":"u%d"}`, n))
				if i%6 == 1 {
					job.Unique = &storage.Unique{Key: fmt.Sprint("k", i/6%2), Policy: storage.UniqueKeep, AppWide: i%12 == 1, PendingOnly: true}
				}
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
	list := func(t rapid.TB, f storage.JobFilter) (jobs []storage.Job) {
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
	if got := len(list(t, storage.JobFilter{Tags: []string{"us"}})); got != 48 {
		t.Errorf("%d jobs have a tag that 48 have", got)
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
	// chooses lists by the filter, in pages of its limit, in scans of so many rows, and counts.
	chooses := func(t rapid.TB, f storage.JobFilter, rows int) {
		t.Helper()
		var want, got []storage.JobID
		var regions [4][]storage.JobID // of those
		for _, job := range list(t, storage.JobFilter{}) {
			if (len(f.States) == 0 || slices.Contains(f.States, job.State)) &&
				(f.Function == "" || f.Function == job.Function) && (f.Trigger == "" || f.Trigger == job.Trigger) &&
				(f.Error == "" || job.Error != nil && f.Error == job.Error.Code) && has(f.Due, job.Due) &&
				(f.Priority == 0 || f.Priority == job.Priority) &&
				(f.UniqueKey == "" || job.Unique != nil && f.UniqueKey == job.Unique.Key) &&
				strings.Contains(string(job.ID), f.IDContains) && strings.Contains(string(job.Args), f.ArgsContains) &&
				!slices.ContainsFunc(f.Tags, func(tag string) bool { return !slices.Contains(job.Tags, tag) }) &&
				(f.Ended == storage.TimeRange{} || !job.CompletedAt.IsZero() && has(f.Ended, job.CompletedAt)) {
				want = append(want, job.ID)
				of := map[storage.State]int{storage.StatePending: 0, storage.StateRunning: 0, storage.StateHeld: 1, storage.StateFailed: 2}
				region, unfinished := of[job.State]
				if !unfinished {
					region = 3
				}
				regions[region] = append(regions[region], job.ID)
			}
		}
		if f.Desc {
			for i := range regions {
				slices.Reverse(regions[i])
			}
			want = slices.Concat(regions[:]...)
		}
		for _, job := range list(t, f) {
			got = append(got, job.ID)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v chooses %d jobs, want %d", f, len(got), len(want))
		}
		// However little time a page has, all pages together are the listing.
		f.Cursor, got = "", nil
		mustRead(tb, app, func(r storage.Reader) {
			for {
				left := rows
				page, err := r.System().Scan(f, func() bool { left--; return left >= 0 })
				if err != nil {
					t.Fatal(err)
				}
				if page.Looked.Jobs > rows+1 || page.Next != "" && (page.Looked.Jobs == 0 || page.Looked.In == "" || page.Looked.To.Before(testNow)) {
					t.Fatalf("with time for %d rows more a page has looked at %+v", rows, page.Looked)
				}
				for _, job := range page.Jobs {
					got = append(got, job.ID)
				}
				if f.Cursor = page.Next; f.Cursor == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%+v: in scans of %d rows it chooses %d jobs, want %d", f, rows, len(got), len(want))
			}
			f.Cursor = "x" // which a count does not look at
			for most, all := range map[int]bool{len(want) + 1: true, len(want): true, len(want) - 1: false} {
				if most < 0 {
					continue
				}
				n, gotAll, err := r.System().Count(f, most, nil)
				if err != nil || n != min(most, len(want)) || gotAll && !all || !gotAll && most > len(want) {
					t.Fatalf("%+v: of %d jobs %d are counted, and that is all: %t, %v", f, len(want), n, gotAll, err)
				}
			}
			if n, all, err := r.System().Count(f, len(want)+1, func() bool { return false }); n > 1 || err != nil || all && len(want) > 1 {
				t.Fatalf("%+v: without time %d are counted, and that is all: %t, %v", f, n, all, err)
			}
		})
	}
	chooses(t, storage.JobFilter{Limit: 7, Desc: false}, 5)
	chooses(t, storage.JobFilter{Limit: 7, UniqueKey: "k0"}, 5)
	chooses(t, storage.JobFilter{Limit: 7, Desc: true}, 5)
	rapid.Check(t, func(t *rapid.T) {
		f := storage.JobFilter{
			States:    rapid.SliceOfNDistinct(rapid.SampledFrom(states), 0, 2, rapid.ID).Draw(t, "states"),
			Function:  rapid.SampledFrom([]string{"", "a:f0", "a:f", "a:f1"}).Draw(t, "function"),
			Trigger:   rapid.SampledFrom([]string{"", "", "tick", "tock"}).Draw(t, "trigger"),
			Error:     rapid.SampledFrom([]string{"", "", "internal", "unavailable"}).Draw(t, "error"),
			Tags:      rapid.SampledFrom([][]string{nil, nil, {"eu"}, {"eu", "us"}, {"e"}}).Draw(t, "tags"),
			Priority:  rapid.SampledFrom([]int{0, 0, 1, 4}).Draw(t, "priority"),
			UniqueKey: rapid.SampledFrom([]string{"", "", "k0", "k"}).Draw(t, "unique"),
			Due:       span.Draw(t, "due"),
			Ended:     span.Draw(t, "ended"),
			Limit:     rapid.IntRange(1, 30).Draw(t, "limit"),
			Desc:      rapid.Bool().Draw(t, "desc"),

			IDContains:   rapid.SampledFrom([]string{"", "", "1", "none"}).Draw(t, "id"),
			ArgsContains: rapid.SampledFrom([]string{"", "", `"u1`, "u144", "x"}).Draw(t, "args"),
		}
		chooses(t, f, rapid.IntRange(0, 30).Draw(t, "rows"))
	})
	for _, f := range []storage.JobFilter{
		{Limit: -1},
		{Limit: 1001},
		{States: []storage.State{"done"}},
		{Priority: -1},
		{Priority: 5},
		{UniqueKey: strings.Repeat("x", storage.MaxKey+1)},
		{UniqueKey: "\xff"},
		{IDContains: strings.Repeat("x", storage.MaxContains+1)},
		{ArgsContains: strings.Repeat("x", storage.MaxContains+1)},
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
