package actors_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// TestG24_LimitsOfOneApp: an app that AppLimits names has limits of its own, up to n and
// not n+1, the others those of every app; at a limit what makes room goes on. Limits
// that cannot be are logged, and change nothing.
func TestG24_LimitsOfOneApp(t *testing.T) {
	k := newKit()
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, app string) error {
		defer k.enter(app)()
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		return nil
	})
	var log heldLog
	opts := actors.Options{
		Functions: k.reg, MaxJobs: 20, AppConcurrency: 5, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		AppLimits: func(id storage.AppID) actors.AppLimits {
			switch id {
			case "small":
				return actors.AppLimits{MaxJobs: 10, Concurrency: 2, TxLimits: storage.TxLimits{Jobs: 8}}
			case "wrong":
				return actors.AppLimits{MaxJobs: -1, Concurrency: 1, MaxArgBytes: -1, StartsPerSecond: 100_001}
			case "faulty":
				panic("no such tenant")
			}
			return actors.AppLimits{}
		},
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		calls := func(app storage.AppID, n int) (calls []dispatch.Scheduled) {
			for range n {
				calls = append(calls, dispatch.After(time.Minute, act.With(string(app))))
			}
			return calls
		}
		for app, most := range map[storage.AppID]struct{ jobs, running int }{
			"small": {10, 2}, "big": {20, 5}, "wrong": {20, 5}, "faulty": {20, 5},
		} {
			s := h.Scheduler(app)
			if app == "small" {
				if _, err := s.RunMany(calls(app, 9)); !errors.Is(err, storage.ErrTxLimit) {
					t.Errorf("9 jobs where a transaction has 8: %v", err)
				}
				must[[]storage.JobID](t)(s.RunMany(calls(app, 8)))
			} else {
				must[[]storage.JobID](t)(s.RunMany(calls(app, 18)))
			}
			first := must[[]storage.JobID](t)(s.RunMany(calls(app, 2)))
			_, err := s.RunAfter(time.Minute, act.With(string(app)))
			if wantCode(t, err, dispatch.CodeResourceExhausted); !strings.Contains(fmt.Sprint(err), "MaxJobs") {
				t.Errorf("%s: the refusal does not name its limit: %v", app, err)
			}
			wantCancel(t, h, app, first[0], true, storage.StatePending)
			mustAfter(t, h, app, time.Minute, act.With(string(app)))
			if n := len(h.Jobs(app, storage.StatePending)); n != most.jobs {
				t.Errorf("%s has %d jobs, want %d", app, n, most.jobs)
			}
			h.Advance(2 * time.Minute)
			if n := k.mostAtOnce(string(app)); n != most.running {
				t.Errorf("%s ran %d jobs at once, want %d", app, n, most.running)
			}
			if n := len(h.Jobs(app, storage.StateSuccess)); n != most.jobs {
				t.Errorf("%s: %d jobs have ended, want %d", app, n, most.jobs)
			}
		}
	})
	for _, want := range []string{"app=wrong err=\"field MaxJobs is -1", "field MaxArgBytes is -1", "field StartsPerSecond is 100001", "app=faulty err=\"panic: no such tenant"} {
		if !strings.Contains(log.text(), want) {
			t.Errorf("the log has no %s:\n%s", want, log.text())
		}
	}
}
