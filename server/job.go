package server

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// shownChildren is how many children of a job its full view names.
const shownChildren = 20

// JobDetail is what else there is to say of one job.
type JobDetail struct {
	Timeline     []Moment             `json:"timeline"`               // what has happened to it, in order
	Forgotten    int                  `json:"forgotten,omitempty"`    // attempts that did not succeed, before those of the history
	Retry        *CronRetry           `json:"retry,omitempty"`        // its own; none: its function's
	TimeoutMs    int64                `json:"timeoutMs,omitempty"`    // its own
	AtMostOnce   bool                 `json:"atMostOnce,omitempty"`   // an attempt that has begun is its last
	As           *dispatch.Identity   `json:"as,omitempty"`           // who it runs as; none: anonymously
	Progress     *storage.Progress    `json:"progress,omitempty"`     // of the attempt that runs
	Checkpoint   json.RawMessage      `json:"checkpoint,omitempty"`   // what the next attempt goes on from
	Logs         []storage.AttemptLog `json:"logs,omitempty"`         // what its attempts have logged
	Trace        *JobTrace            `json:"trace,omitempty"`        // the span that has scheduled it; none: it was in none
	Follows      *Follows             `json:"follows,omitempty"`      // the job whose end has scheduled it
	FollowUps    []string             `json:"followUps,omitempty"`    // functions that are scheduled when it ends, each when the one before has
	Children     []storage.JobID      `json:"children,omitempty"`     // the first jobs that it has scheduled
	MoreChildren bool                 `json:"moreChildren,omitempty"` // there are others: jobs?parent= lists all
}

// Moment is something that has happened to a job.
type Moment struct {
	At      *time.Time    `json:"at"` // null of the beginning of an attempt that runs: it is written down with its end
	What    MomentKind    `json:"what"`
	Attempt int           `json:"attempt,omitempty"`
	Code    string        `json:"code,omitempty"`  // of the error that an attempt has failed with
	State   storage.State `json:"state,omitempty"` // in which it has ended
}

// MomentKind is a kind of moment.
type MomentKind string

// The kinds of moments.
const (
	MomentScheduled   MomentKind = "scheduled"
	MomentBegun       MomentKind = "begun"       // an attempt
	MomentFailed      MomentKind = "failed"      // an attempt
	MomentInterrupted MomentKind = "interrupted" // an attempt, by a crash or a shutdown
	MomentPostponed   MomentKind = "postponed"   // an attempt, by its handler
	MomentHeld        MomentKind = "held"
	MomentEnded       MomentKind = "ended"
)

// JobTrace is a span, as the headers of those names have it.
type JobTrace struct {
	Traceparent string `json:"traceparent"`
	Tracestate  string `json:"tracestate,omitempty"`
}

// Follows is how the job has ended that another one follows.
type Follows struct {
	Job      storage.JobID `json:"job"`
	Function string        `json:"function"`
	State    storage.State `json:"state"`
	Ordinal  int           `json:"ordinal"` // 1 is its first end
}

// timeline is what is kept of what has happened to the job.
func timeline(job *storage.Job) []Moment {
	var moments []Moment
	add := func(at time.Time, m Moment) {
		if m.At = instant(at); m.At != nil {
			moments = append(moments, m)
		}
	}
	add(job.EnqueuedAt, Moment{What: MomentScheduled})
	last := 0
	for _, a := range job.History {
		what := MomentFailed
		switch {
		case a.Interrupted:
			what = MomentInterrupted
		case a.Postponed:
			what = MomentPostponed
		}
		add(a.StartedAt, Moment{What: MomentBegun, Attempt: a.Number})
		add(a.EndedAt, Moment{What: what, Attempt: a.Number, Code: a.Error.Code})
		last = a.Number
	}
	if job.Attempts > last && job.State != storage.StateRunning { // else it is when the attempt before began
		add(job.StartedAt, Moment{What: MomentBegun, Attempt: job.Attempts})
	}
	add(job.HeldAt, Moment{What: MomentHeld})
	add(job.CompletedAt, Moment{What: MomentEnded, State: job.State})
	slices.SortStableFunc(moments, func(a, b Moment) int { return a.At.Compare(*b.At) })
	if job.State == storage.StateRunning {
		moments = append(moments, Moment{What: MomentBegun, Attempt: job.Attempts})
	}
	return moments
}

// detailOf is what else there is to say of the job.
func detailOf(job *storage.Job, system storage.System) (*JobDetail, error) {
	d := &JobDetail{
		Timeline: timeline(job), Forgotten: job.Forgotten, TimeoutMs: job.Timeout.Milliseconds(), AtMostOnce: job.AtMostOnce,
	}
	if job.Progress != nil {
		told := *job.Progress // the engine's own, of which a part may be hidden
		d.Progress = &told
	}
	if r := job.Retry; r != nil {
		d.Retry = &CronRetry{r.Limit + 1, backoffExponential, r.Base.Milliseconds(), r.Max.Milliseconds(), r.Jitter}
		if r.Linear {
			d.Retry.Backoff = backoffLinear
		}
	}
	if t := job.Trace; t != nil {
		d.Trace = &JobTrace{t.Traceparent(), t.State}
	}
	if o := job.Outcome; o != nil {
		d.Follows = &Follows{o.Job, o.Function, o.State, o.Ordinal}
	}
	for then := job.Then; then != nil; then = then.Then {
		d.FollowUps = append(d.FollowUps, then.Function)
	}
	var err error
	if job.Claims != nil {
		if d.As, err = dispatch.DecodeIdentity(job.Claims); err != nil {
			return nil, err
		}
	}
	if d.Checkpoint, err = system.Checkpoint(job); err != nil {
		return nil, err
	}
	if d.Logs, err = system.Logs(job); err != nil {
		return nil, err
	}
	d.Children, d.MoreChildren, err = system.Children(job.ID, shownChildren)
	return d, err
}

func (h *handler) getJob(_ http.ResponseWriter, r *request) (int, any, error) {
	id := storage.JobID(r.PathValue("id"))
	var shown Job
	err := r.app.Read(r.Context(), func(reader storage.Reader) error {
		job, known, err := reader.System().Get(id)
		if !known {
			return cmp.Or(err, noJob(id))
		}
		shown = jobOf(&job)
		shown.History, shown.Result, shown.NotKept = job.History, job.Result, job.NotKept
		shown.JobDetail, err = detailOf(&job, reader.System())
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	r.veil(&shown)
	return http.StatusOK, shown, nil
}
