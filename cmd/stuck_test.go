package cmd

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server"
)

// TestStuckRemote lists the stuck handlers of a server that is running, has a job
// wait no more for its own, and one of a call forgotten.
func TestStuckRemote(t *testing.T) {
	free := make(chan struct{})
	reg := dispatch.NewRegistry()
	hang := dispatch.InternalAction[dispatch.None, dispatch.None]("bad:hang",
		dispatch.Deadline(time.Millisecond), dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Millisecond}))
	hang.Handle(reg, func(ctx *dispatch.ActionCtx, _ dispatch.None) (none dispatch.None, err error) {
		if ctx.Job.Attempt <= 1 {
			<-free
		}
		return none, nil
	})
	eng, err := actors.Open(t.TempDir(), actors.Options{Functions: reg, Volumes: 1, Grace: time.Second, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(server.New(eng, server.Options{Admin: func(*http.Request) error { return nil }}))
	t.Cleanup(func() {
		srv.Close()
		close(free)
		if err := eng.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	app, err := eng.App("acme")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := runs(t, "jobs", "stuck", "--server", srv.URL); err != nil || strings.Count(out, "\n") != 1 {
		t.Errorf("none is stuck: got %v, %s", err, out)
	}
	id, err := app.Scheduler(t.Context()).RunAfter(0, hang.With(dispatch.None{}))
	if err != nil {
		t.Fatal(err)
	}
	for len(eng.Stuck()) == 0 {
		time.Sleep(time.Millisecond)
	}
	abandon := []string{"jobs", "abandon", "--app", "acme", "--server", srv.URL, "--by", "ada"}
	if out, err := runs(t, "jobs", "stuck", "--server", srv.URL); err != nil || !strings.Contains(out, "\nacme  bad:hang  "+string(id)+" attempt 1  ") {
		t.Errorf("got %v, %s", err, out)
	}
	// The handler counts as stuck a moment before the end of its attempt is durable.
	eventually(t, "the list says what the job waits for", func() bool {
		out, err := runs(t, "jobs", "list", "--app", "acme", "--server", srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(out, "waits for the handler of the attempt before")
	})
	if _, err := runs(t, abandon...); err == nil || !strings.Contains(err.Error(), "id is missing") {
		t.Errorf("abandon of no job: %v", err)
	}
	if out, err := runs(t, append(abandon, string(id))...); err != nil || !strings.Contains(out, "waits no more") {
		t.Errorf("got %v, %s", err, out)
	}
	if _, err := runs(t, append(abandon, string(id))...); err == nil || !strings.Contains(err.Error(), "has no stuck handler") {
		t.Errorf("again: %v", err)
	}
	if _, err := hang.Run(app.As(t.Context(), nil), dispatch.None{}); err == nil {
		t.Error("a call that hangs was answered")
	}
	stuck := eng.Stuck()
	if len(stuck) != 1 || stuck[0].Call == "" {
		t.Fatalf("stuck are %+v", stuck)
	}
	call := string(stuck[0].Call)
	if out, err := runs(t, "jobs", "stuck", "--server", srv.URL); err != nil || !strings.Contains(out, "\nacme  bad:hang  call "+call+"  ") {
		t.Errorf("got %v, %s", err, out)
	}
	if _, err := runs(t, append(abandon, "--call", call, string(id))...); err == nil || !strings.Contains(err.Error(), "want either") {
		t.Errorf("abandon of both: %v", err)
	}
	if out, err := runs(t, append(abandon, "--call", call)...); err != nil || !strings.Contains(out, "counts no more") || len(eng.Stuck()) != 0 {
		t.Errorf("got %v, %s", err, out)
	}
	if _, err := runs(t, append(abandon, "--call", call)...); err == nil || !strings.Contains(err.Error(), "has no stuck handler") {
		t.Errorf("again: %v", err)
	}
}
