package storage_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// badFollowUps are what no job is: each would keep the job that it follows from ending.
var badFollowUps = map[string]storage.Job{
	"no text":         {Function: "a:\xff"},
	"a priority":      {Function: "a:b", Priority: storage.MaxPriority + 1},
	"a pool":          {Function: "a:b", Pool: "no\x00pool"},
	"a key":           {Function: "a:b", PoolKey: "key"},
	"a tag":           {Function: "a:b", Tags: []string{strings.Repeat("x", 1000)}},
	"a last instant":  {Function: "a:b", NotAfter: time.UnixMilli(-1)},
	"one of another":  {Function: "a:b", Then: &storage.Job{Function: "a:b", Ordered: true}},
	"the first of it": {Function: "a:b", Ordered: true, Then: &storage.Job{Function: "a:b"}},
}

// TestG32_AFollowUpThatCannotBeIsRefused: when the job is inserted, and nothing is changed by
// that; a record that has one is damage, so that such a job never begins: it could not end.
func TestG32_AFollowUpThatCannotBeIsRefused(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	for name, then := range badFollowUps {
		t.Run(name, func(t *testing.T) {
			job := storage.Job{Function: "a:b", Due: testNow, ScheduledFor: testNow, EnqueuedAt: testNow, State: storage.StatePending, Then: &then}
			tx := app.Begin(testNow)
			defer tx.Rollback(nil)
			if _, err := tx.JobWriter().InsertJob(job); !errors.Is(err, storage.ErrInvalid) || !strings.Contains(err.Error(), "follow-up") {
				t.Errorf("inserting it: %v", err)
			}
			if !tx.Unchanged() {
				t.Error("it was changed")
			}
			if _, err := storage.DecodeJob(testNow.UnixMilli(), 1, storage.EncodeJob(job)); !errors.Is(err, storage.ErrCorrupt) {
				t.Errorf("its record: %v", err)
			}
		})
	}
	good := storage.Job{Function: "a:b", Due: testNow, State: storage.StatePending, Then: &storage.Job{Function: "a:b", Priority: 1, Pool: "p", PoolKey: "k", Ordered: true}}
	if job, err := storage.DecodeJob(testNow.UnixMilli(), 1, storage.EncodeJob(good)); err != nil || job.Then == nil || job.Then.PoolKey != "k" {
		t.Errorf("a good one: %+v, %v", job.Then, err)
	}
}
