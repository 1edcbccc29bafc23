package server_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/server/api"
	"carillon/storage"
)

// G38: an admin lists, looks at, retries and drops held jobs, one and in bulk.
func TestG38_HeldJobsOverHTTP(t *testing.T) {
	s := mustAdminSite(t)
	other, err := storage.Open(t.TempDir(), storage.Options{Volumes: 1})
	if err != nil {
		t.Fatal(err)
	}
	app, err := other.App("acme")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	tx := app.Begin(now)
	for i := range 3 {
		job := storage.Job{ID: storage.JobID(fmt.Sprint("job", i)), Function: "gone:fn", Args: []byte("{}"), Due: now, ScheduledFor: now, EnqueuedAt: now}
		if _, err := tx.JobWriter().InsertJob(job); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	if err := tx.Commit(func(err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	if err := other.Export(t.Context(), "acme", &stream); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.eng.Import(t.Context(), "acme", &stream); err != nil {
		t.Fatal(err)
	}
	held := func() []api.Job {
		t.Helper()
		return mustResult[api.JobPage](t, s.jobs(t, "GET", "/jobs?state=held", "")).Jobs
	}
	for len(held()) < 3 {
		time.Sleep(time.Millisecond)
	}
	job := mustResult[api.Job](t, s.jobs(t, "GET", "/jobs/job1", ""))
	if job.State != api.StateHeld || !strings.Contains(job.Reason, `no function "gone:fn"`) || job.HeldAt == nil || job.EndedAt != nil || job.Attempts != 0 || job.Error != nil {
		t.Errorf("got %+v", job)
	}
	if n := mustResult[api.Affected](t, s.jobs(t, "POST", "/jobs/job0/drop", "")).Jobs; n != 1 || len(held()) != 2 {
		t.Errorf("dropped %d, held are %d", n, len(held()))
	}
	if n := mustResult[api.Affected](t, s.jobs(t, "POST", "/jobs/job1/retry", "")).Jobs; n != 1 {
		t.Errorf("retried %d", n)
	}
	for len(held()) < 2 { // again
		time.Sleep(time.Millisecond)
	}
	for _, tt := range []struct {
		body string
		want int
	}{
		{`{"action":"drop","all":true}`, 0}, // of the dead
		{`{"action":"drop","filter":{"states":["held"],"function":"other:fn"}}`, 0},
		{`{"action":"drop","filter":{"states":["held"],"function":"gone:fn"},"dryRun":true}`, 2},
		{`{"action":"drop","filter":{"states":["held"],"function":"gone:fn"}}`, 2},
	} {
		if n := mustOperate(t, s, tt.body); n != tt.want {
			t.Errorf("%s: %d, want %d", tt.body, n, tt.want)
		}
	}
	if n := len(held()); n != 0 {
		t.Errorf("%d are held in the end", n)
	}
}
