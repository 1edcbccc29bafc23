package server

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

// shownChildren is how many children of a job its full view names.
const shownChildren = 20

// plannedAttempts is how many attempts to come the full view of a job names.
const plannedAttempts = 10

// timeline is what is kept of what has happened to the job, whose attempt that runs began at the instant.
func timeline(job *storage.Job, began time.Time) []api.Moment {
	var moments []api.Moment
	add := func(at time.Time, m api.Moment) {
		if m.At = instant(at); m.At != nil {
			moments = append(moments, m)
		}
	}
	add(job.EnqueuedAt, api.Moment{What: api.MomentScheduled})
	last := 0
	for _, a := range job.History {
		what := api.MomentFailed
		switch {
		case a.Interrupted:
			what = api.MomentInterrupted
		case a.Postponed:
			what = api.MomentPostponed
		}
		add(a.StartedAt, api.Moment{What: api.MomentBegun, Attempt: a.Number, Due: instant(a.Due)})
		add(a.EndedAt, api.Moment{What: what, Attempt: a.Number, Code: api.Code(a.Error.Code)})
		last = a.Number
	}
	if job.Attempts > last && job.State != storage.StateRunning { // else it is when the attempt before began
		add(job.StartedAt, api.Moment{What: api.MomentBegun, Attempt: job.Attempts, Due: instant(job.AttemptDue())})
	}
	add(job.HeldAt, api.Moment{What: api.MomentHeld})
	add(job.CompletedAt, api.Moment{What: api.MomentEnded, State: api.State(job.State)})
	slices.SortStableFunc(moments, func(a, b api.Moment) int { return a.At.Compare(*b.At) })
	if job.State == storage.StateRunning {
		moments = append(moments, api.Moment{At: instant(began), What: api.MomentBegun, Attempt: job.Attempts, Due: instant(job.Due)})
	}
	return moments
}

// detailOf is what else there is to say of the job.
func detailOf(job *storage.Job, began time.Time, system storage.System) (*api.JobDetail, error) {
	d := &api.JobDetail{
		Timeline: timeline(job, began), Forgotten: job.Forgotten, TimeoutMs: job.Timeout.Milliseconds(), AtMostOnce: job.AtMostOnce,
	}
	d.Progress = progressOf(job.Progress)
	if r := job.Retry; r != nil {
		d.Retry = &api.Retry{
			MaxAttempts: r.Limit + 1, Backoff: api.BackoffExponential, BaseMs: r.Base.Milliseconds(), MaxMs: r.Max.Milliseconds(), Jitter: r.Jitter,
		}
		if r.Linear {
			d.Retry.Backoff = api.BackoffLinear
		}
	}
	if t := job.Trace; t != nil {
		d.Trace = &api.JobTrace{Traceparent: t.Traceparent(), Tracestate: t.State}
	}
	if o := job.Outcome; o != nil {
		d.Follows = &api.Follows{Job: string(o.Job), Function: o.Function, State: api.State(o.State), Ordinal: o.Ordinal}
	}
	for then := job.Then; then != nil; then = then.Then {
		d.FollowUps = append(d.FollowUps, then.Function)
	}
	var err error
	if job.Claims != nil {
		as, err := dispatch.DecodeIdentity(job.Claims)
		if err != nil {
			return nil, err
		}
		d.As = identityOf(as)
	}
	if d.Checkpoint, err = system.Checkpoint(job); err != nil {
		return nil, err
	}
	logs, err := system.Logs(job)
	if err != nil {
		return nil, err
	}
	d.Logs = each(logs, func(l storage.AttemptLog) api.AttemptLog {
		return api.AttemptLog{
			Attempt: l.Attempt, Dropped: l.Dropped, Lines: each(l.Lines, func(l storage.LogLine) api.LogLine { return api.LogLine(l) }),
			Cause: l.Cause, Stack: l.Stack,
		}
	})
	children, more, err := system.Children(job.ID, shownChildren)
	d.Children, d.MoreChildren = each(children, func(id storage.JobID) string { return string(id) }), more
	return d, err
}

// attemptOf is the attempt in JSON.
func attemptOf(a storage.Attempt) api.Attempt {
	return api.Attempt{
		Number: a.Number, Due: a.Due, StartedAt: a.StartedAt, EndedAt: a.EndedAt, Error: api.JobError{Code: api.Code(a.Error.Code), Message: a.Error.Message},
		Interrupted: a.Interrupted, Postponed: a.Postponed,
	}
}

// progressOf is the progress in JSON, a copy of the engine's own, of which a part may be hidden.
func progressOf(p *storage.Progress) *api.Progress {
	if p == nil {
		return nil
	}
	told := api.Progress(*p)
	return &told
}

func (h *handler) getJob(_ http.ResponseWriter, r *request) (int, any, error) {
	id := storage.JobID(r.PathValue("id"))
	var shown api.Job
	err := r.app.Read(r.Context(), func(reader storage.Reader) error {
		job, known, err := reader.System().Get(id)
		if !known {
			return cmp.Or(err, noJob(id))
		}
		shown = jobOf(&job)
		shown.History, shown.Result, shown.NotKept = each(job.History, attemptOf), job.Result, (*api.NotKept)(job.NotKept)
		var began time.Time
		if attempt, at := r.app.Begun(id); job.State == storage.StateRunning && attempt == job.Attempts {
			began, shown.StartedAt = at, instant(at)
		}
		if shown.JobDetail, err = detailOf(&job, began, reader.System()); err != nil {
			return err
		}
		shown.Planned = each(r.app.Planned(reader, &job, plannedAttempts), func(p actors.PlannedAttempt) api.Planned {
			return api.Planned{Attempt: p.Number, At: p.At.UTC()}
		})
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	veil(r, &shown, hideInJob)
	return http.StatusOK, shown, nil
}

// identityOf is an identity as clients see it, nil for nil.
func identityOf(as *dispatch.Identity) *api.Identity {
	if as == nil {
		return nil
	}
	return &api.Identity{Subject: as.Subject, Claims: as.Claims}
}

// actsAs is the identity that a client names, nil for nil.
func actsAs(as *api.Identity) *dispatch.Identity {
	if as == nil {
		return nil
	}
	return &dispatch.Identity{Subject: as.Subject, Claims: as.Claims}
}
