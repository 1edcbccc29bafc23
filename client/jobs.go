package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"

	"carillon/server/api"
)

// longPoll is how long one request waits for the end of a job. Proxies give up on one after a minute.
const longPoll = 30 * time.Second

// Schedule has the app run a function later, with the arguments, or those of the request if args is
// nil. The job is stored when Schedule returns. It has an idempotency key, as Call has, and is
// repeated like it: the answer to a repeat is that to the first. An instant that is not given is that
// of the first attempt which has come to the server. As chooses the identity that it runs as, for
// operators with the scope act-as.
func (a *App) Schedule(ctx context.Context, job api.JobRequest, args any) (scheduled api.Scheduled, err error) {
	if args != nil {
		data, err := json.Marshal(args)
		if err != nil {
			return scheduled, &Error{Code: api.CodeInvalidArgument, Path: job.Function, Message: err.Error(), Err: err}
		}
		job.Args = data
	}
	err = a.c.do(ctx, a.c.keyed(ctx, a.post(ifNotDone, &job, "jobs")), &scheduled)
	return scheduled, err
}

// Jobs yields the jobs that the filter chooses, page by page, as of when each page is asked for. A
// page that takes long to find is shorter, so that the first job may come after several requests. An
// error is the last that is yielded. Limit is the size of a page, and not of the listing: break
// ends that.
func (a *App) Jobs(ctx context.Context, f api.JobFilter) iter.Seq2[api.Job, error] {
	return rows(a.JobPages(ctx, f), func(p *api.JobPage) []api.Job { return p.Jobs })
}

// JobPages is Jobs by pages, which say how far they have looked. Next of one is the Cursor that another
// JobPages goes on from.
func (a *App) JobPages(ctx context.Context, f api.JobFilter) iter.Seq2[*api.JobPage, error] {
	return a.jobPages(ctx, f, false)
}

func (a *App) jobPages(ctx context.Context, f api.JobFilter, count bool) iter.Seq2[*api.JobPage, error] {
	return pages(f.Cursor, func(cursor string) (*api.JobPage, string, error) {
		f.Cursor = cursor
		r := a.get("jobs")
		r.query = jobQuery(&f)
		if count {
			r.query.Set("count", "true")
		}
		page := new(api.JobPage)
		err := a.c.do(ctx, r, page)
		return page, page.Next, err
	})
}

// CountJobs returns how many jobs the filter chooses. More says that there may be more: the count stops
// at 10,000, and when its time is over.
func (a *App) CountJobs(ctx context.Context, f api.JobFilter) (api.JobCount, error) {
	f.Limit, f.Cursor = 1, ""
	for page, err := range a.jobPages(ctx, f, true) {
		if err != nil {
			return api.JobCount{}, err
		}
		if page.Count != nil {
			return *page.Count, nil
		}
		break
	}
	return api.JobCount{}, &Error{Code: api.CodeUnimplemented, Message: "the server does not count"}
}

// jobQuery is the filter as the parameters of a URL.
func jobQuery(f *api.JobFilter) url.Values {
	q := url.Values{"tag": f.Tags}
	for _, state := range f.States {
		q.Add("state", string(state))
	}
	for key, text := range map[string]string{
		"id": f.ID, "idContains": f.IDContains, "argsContains": f.ArgsContains, "function": f.Function, "trigger": f.Trigger,
		"parent": f.Parent, "error": f.Error, "pool": f.Pool, "poolKey": f.PoolKey, "uniqueKey": f.UniqueKey, "cursor": f.Cursor,
	} {
		set(q, key, text)
	}
	setInstants(q, map[string]time.Time{
		"dueFrom": f.Due.From, "dueBefore": f.Due.Before, "endedFrom": f.Ended.From, "endedBefore": f.Ended.Before,
	})
	setNumber(q, "limit", f.Limit)
	setNumber(q, "priority", f.Priority)
	setNumber(q, "group", f.Group)
	if f.Desc {
		q.Set("desc", "true")
	}
	return q
}

// set sets a parameter that is not left out.
func set(q url.Values, key, text string) {
	if text != "" {
		q.Set(key, text)
	}
}

func setNumber[N int | uint64](q url.Values, key string, n N) {
	if n != 0 {
		q.Set(key, fmt.Sprint(n))
	}
}

func setInstants(q url.Values, instants map[string]time.Time) {
	for key, at := range instants {
		if !at.IsZero() {
			q.Set(key, at.Format(time.RFC3339Nano))
		}
	}
}

// Job returns the job with all that there is to say of it: attempts, timeline, log lines, and what it
// waits for.
func (a *App) Job(ctx context.Context, id string) (job api.Job, err error) {
	err = a.c.do(ctx, a.get("jobs", id), &job)
	return job, err
}

// Result returns how the job has ended, waiting for that up to wait, which is a minute at most. If it has
// not, Ended is false: ask again, or let Wait do that.
func (a *App) Result(ctx context.Context, id string, wait time.Duration) (result api.JobResult, err error) {
	r := a.get("jobs", id, "result")
	if r.wait = wait; wait != 0 {
		r.query = url.Values{"wait": {wait.String()}}
	}
	err = a.c.do(ctx, r, &result)
	return result, err
}

// Wait waits until the job has ended, and returns how. It goes on when the server restarts, as far as
// Options.Attempts last. The error is not that of the job.
func (a *App) Wait(ctx context.Context, id string) (api.JobResult, error) {
	for {
		asked := time.Now()
		result, err := a.Result(ctx, id, longPoll)
		if err != nil || result.Ended {
			return result, err
		}
		// A server that stops answers at once.
		if rest := a.c.opts.MaxBackoff - time.Since(asked); rest > 0 {
			pause(ctx, min(rest, time.Second))
		}
	}
}

// Await waits until the job of the app has ended, and returns its result. The error is that of the
// request, or of the job: that of its last attempt, canceled, deadline_exceeded if it has expired. It is
// failed_precondition if the result is not kept, and permission_denied for an operator who is not
// shown it.
func Await[R any](ctx context.Context, app *App, id string) (R, error) {
	var result R
	end, err := app.Wait(ctx, id)
	if err == nil {
		err = decodeEnd(&end, &result)
	}
	return result, err
}

// decodeEnd decodes the result of a job that has ended, or is why there is none.
func decodeEnd(end *api.JobResult, into any) error {
	failed := &Error{Status: http.StatusOK}
	switch {
	case end.State == api.StateCanceled:
		failed.Code, failed.Message = api.CodeCanceled, "job "+end.ID+" was canceled"
	case end.State == api.StateExpired:
		failed.Code, failed.Message = api.CodeDeadlineExceeded, "job "+end.ID+" has expired"
		if end.Reason != "" {
			failed.Message += ": " + end.Reason
		}
	case end.State != api.StateSuccess:
		failed.Code, failed.Message = api.CodeUnknown, "job "+end.ID+" is "+string(end.State)
		if end.Error != nil {
			failed.Code, failed.Message = api.Code(end.Error.Code), end.Error.Message
		}
	case end.Result != nil:
		err := json.Unmarshal(end.Result, into)
		if err == nil {
			return nil
		}
		failed.Code, failed.Message, failed.Err = api.CodeUnknown, "the result of job "+end.ID+" does not decode: "+err.Error(), err
	case end.NotKept != nil:
		failed.Code, failed.Message = api.CodeFailedPrecondition, "the result of job "+end.ID+" is not kept: "+end.NotKept.Reason
	default:
		failed.Code, failed.Message = api.CodePermissionDenied, "this operator is not shown the result of job "+end.ID
	}
	return failed
}

// Cancel cancels the job if it has not ended, with cascade along with what has come of it, and returns how
// many jobs were. It is failed_precondition if it is too late. What it is after unknown, or after the
// context has ended, Job says; to cancel again does no harm.
func (a *App) Cancel(ctx context.Context, id string, cascade bool) (jobs int, err error) {
	return a.change(ctx, &api.CancelRequest{Cascade: cascade}, "jobs", id, "cancel")
}

// Retry makes a dead or held job pending again.
func (a *App) Retry(ctx context.Context, id string) error {
	_, err := a.change(ctx, nil, "jobs", id, "retry")
	return err
}

// Drop removes a dead or held job.
func (a *App) Drop(ctx context.Context, id string) error {
	_, err := a.change(ctx, nil, "jobs", id, "drop")
	return err
}

// Run makes a pending or held job due now.
func (a *App) Run(ctx context.Context, id string) error {
	_, err := a.change(ctx, nil, "jobs", id, "run")
	return err
}

// Reschedule changes the instant, the priority or the arguments of a pending job: what is left out
// stays.
func (a *App) Reschedule(ctx context.Context, id string, change api.JobChange) error {
	_, err := a.change(ctx, &change, "jobs", id, "reschedule")
	return err
}

// Abandon has the app wait no more for the stuck handler of the job. by is who has decided that, for the
// log; "" is the operator.
func (a *App) Abandon(ctx context.Context, id, by string) error {
	_, err := a.change(ctx, &api.AbandonRequest{By: by}, "jobs", id, "abandon")
	return err
}

// AbandonCall is Abandon of the stuck handler of a call, by the id that Client.Stuck has.
func (a *App) AbandonCall(ctx context.Context, id, by string) error {
	_, err := a.change(ctx, &api.AbandonRequest{By: by}, "calls", id, "abandon")
	return err
}

// change is a change that says on how many jobs it was.
func (a *App) change(ctx context.Context, body any, segments ...string) (int, error) {
	var changed api.Affected
	err := a.c.do(ctx, a.post(ifNotDone, body, segments...), &changed)
	return changed.Jobs, err
}
