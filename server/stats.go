package server

import (
	"context"
	"net/http"
	"time"

	"carillon/actors"
	"carillon/server/api"
	"carillon/storage"
)

// surveyWait is how long those wait for new counts of all apps who take what there is.
const surveyWait = 20 * time.Millisecond

// runningApps is how many apps are named in which jobs run.
const runningApps = 20

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
		ctx, enough = context.WithTimeout(ctx, surveyWait)
		defer enough()
	}
	d := h.eng.Survey(ctx)
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
	if counted := d.At.UTC(); !d.At.IsZero() {
		s.CountedAt = &counted
	}
	if err := h.standingOut(&s, &d); err != nil {
		return 0, nil, err
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

// standingOut adds the apps that stand out: which they are is as of the survey, what there is to say of
// them as of now.
func (h *handler) standingOut(s *api.Stats, d *actors.Survey) error {
	among := []storage.AppID{}
	for _, list := range [][]storage.AppInfo{d.Busy, d.Troubled, d.Paused} {
		for i := range list {
			among = append(among, list[i].ID)
		}
	}
	page, err := h.eng.ListApps(storage.AppFilter{Among: among, Limit: max(len(among), 1)})
	if err != nil {
		return err
	}
	now := make(map[storage.AppID]*storage.AppInfo, len(page.Apps))
	for i := range page.Apps {
		now[page.Apps[i].ID] = &page.Apps[i]
	}
	still := func(list []storage.AppInfo, is func(*storage.AppInfo) bool) (shown []api.App) {
		for i := range list {
			if app := now[list[i].ID]; app != nil && is(app) {
				shown = append(shown, appOf(app))
			}
		}
		return shown
	}
	s.Busy = still(d.Busy, func(a *storage.AppInfo) bool { return a.Pending > 0 })
	s.Troubled = still(d.Troubled, (*storage.AppInfo).Troubled)
	s.Paused = still(d.Paused, func(a *storage.AppInfo) bool { return a.Paused })
	for _, r := range h.eng.Running(runningApps) {
		s.Running = append(s.Running, api.AppRunning{Name: string(r.App), Jobs: r.Jobs})
	}
	return nil
}

func latencyOf(l storage.Latency) api.Latency {
	return api.Latency{Count: l.Count, P50Ms: inMs(l.P50), P99Ms: inMs(l.P99)}
}

// inMs is the time in milliseconds, down to the microsecond.
func inMs(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
