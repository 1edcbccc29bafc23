package server

import (
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
	depthShare = 20 // of so many times as long as it takes, one is spent
)

// lately is the engine's Depth as it was lately, however many ask.
type lately struct {
	mu    sync.Mutex
	until time.Time
	depth actors.Depth
}

func (l *lately) of(eng *actors.Engine) actors.Depth {
	l.mu.Lock()
	defer l.mu.Unlock()
	began := time.Now()
	if began.Before(l.until) {
		return l.depth
	}
	l.depth = eng.Depth()
	now := time.Now()
	l.until = now.Add(max(depthApart, depthShare*now.Sub(began)))
	return l.depth
}

func (h *handler) showStats(http.ResponseWriter, *request) (int, any, error) {
	st, d := h.eng.Stats(), h.depth.of(h.eng)
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
