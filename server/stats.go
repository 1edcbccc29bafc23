package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"carillon/actors"
	"carillon/server/api"
	"carillon/storage"
)

// A depth is used again for so long: adding it up reads the counters of all apps.
const (
	depthApart = 2 * time.Second
	depthShare = 20                    // of so many times as long as it takes, one is spent
	depthWait  = 20 * time.Millisecond // how long those wait for it who take what there is
)

// lately is the engine's Depth as it was lately, however many ask.
type lately struct {
	mu       sync.Mutex
	depth    actors.Depth
	at       time.Time     // by the engine's clock, when it was begun to be added up; the zero time: never yet
	until    time.Time     // it is not added up again before
	counting chan struct{} // is closed when that has ended; nil if none is under way
}

// of is the depth, and when it was added up. If that is too long ago it is done again, which this
// waits for until the context ends; what there is then is the answer.
func (l *lately) of(ctx context.Context, eng *actors.Engine) (actors.Depth, time.Time) {
	if counted := l.begin(eng); counted != nil {
		select {
		case <-counted:
		case <-ctx.Done():
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.depth, l.at
}

// begin has the depth added up, beside the caller, if what there is is too old. The channel is closed
// when that has ended; it is nil if there is nothing to wait for.
func (l *lately) begin(eng *actors.Engine) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	began := time.Now()
	if l.counting != nil || began.Before(l.until) {
		return l.counting
	}
	counted := make(chan struct{})
	l.counting = counted
	go func() {
		defer close(counted)
		at, depth := eng.Clock().Wall.UTC(), eng.Depth()
		l.mu.Lock()
		defer l.mu.Unlock()
		now := time.Now()
		l.depth, l.at, l.counting = depth, at, nil
		l.until = now.Add(max(depthApart, depthShare*now.Sub(began)))
	}()
	return counted
}

func (h *handler) showStats(_ http.ResponseWriter, r *request) (int, any, error) {
	query := r.URL.Query()
	if err := onlyOnce(query, []string{"stale"}); err != nil {
		return 0, nil, err
	}
	stale, err := flagOf(query, "stale")
	if err != nil {
		return 0, nil, err
	}
	ctx := r.Context()
	if stale {
		var enough context.CancelFunc
		ctx, enough = context.WithTimeout(ctx, depthWait)
		defer enough()
	}
	d, counted := h.depth.of(ctx, h.eng)
	st := h.eng.Stats()
	a := &st.Attempts
	s := api.Stats{
		At: h.eng.Clock().Wall.UTC(),
		Jobs: api.JobCounts{
			Pending: max(d.Pending-d.Running, 0), Running: d.Running, Held: d.Held, Failed: d.Dead, Finished: d.History, Groups: d.Groups,
		},
		Apps:  api.AppCounts{Total: d.Apps, Awake: d.Awake, Unreadable: d.Unreadable},
		Slots: api.SlotCounts{Total: st.Slots, Taken: d.Running, Waiting: st.Claimed},
		Stuck: d.Stuck, Overdue: st.Overdue, Begun: int64(st.Lateness.Total()),
		Ended:   api.AttemptCounts{Success: a.Success, Retried: a.Retried, Failed: a.Dead, Postponed: a.Postponed, Interrupted: a.Interrupted, Held: a.Held, Canceled: a.Canceled},
		Commits: st.Commits, Written: st.Written, Log: st.LogBytes, Volumes: []api.Volume{}, History: []api.Sample{},
	}
	if !counted.IsZero() {
		s.CountedAt = &counted
	}
	for _, v := range h.eng.Volumes() {
		s.Volumes = append(s.Volumes, api.Volume{Name: v.Volume, Served: v.Err == nil})
	}
	for _, at := range h.eng.History() {
		s.History = append(s.History, api.Sample{
			At: at.At.UTC(), SpanMs: at.Span.Milliseconds(), Begun: at.Begun, Ended: at.Attempts.Ended(), Failed: at.Attempts.Dead,
			Lateness: latencyOf(at.Lateness), Commits: latencyOf(at.Commits),
		})
	}
	return http.StatusOK, s, nil
}

func latencyOf(l storage.Latency) api.Latency {
	return api.Latency{Count: l.Count, P50Ms: inMs(l.P50), P99Ms: inMs(l.P99)}
}

// inMs is the time in milliseconds, down to the microsecond.
func inMs(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
