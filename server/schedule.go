package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

// policyOf is the request for the engine, which checks what is not checked here; nil is nil.
func policyOf(r *api.RetryRequest) (*dispatch.RetryPolicy, error) {
	if r == nil {
		return nil, nil
	}
	bad := func(format string, args ...any) (*dispatch.RetryPolicy, error) {
		return nil, dispatch.Errorf(dispatch.CodeInvalidArgument, format, args...)
	}
	if r.MaxAttempts == nil || r.BaseMs == nil {
		return bad("retry: maxAttempts and baseMs have to be given")
	}
	if *r.MaxAttempts == 0 {
		return bad("retry: 0 attempts are not in 1 to %d", dispatch.MaxAttempts)
	}
	policy := &dispatch.RetryPolicy{MaxAttempts: *r.MaxAttempts, Jitter: r.Jitter}
	switch r.Backoff {
	case "", api.BackoffExponential:
	case api.BackoffLinear:
		policy.Backoff = dispatch.Linear
	default:
		return bad("retry.backoff %.64q, want %s or %s", string(r.Backoff), api.BackoffExponential, api.BackoffLinear)
	}
	var err error
	if policy.Base, err = milliseconds("retry.baseMs", *r.BaseMs); err != nil {
		return nil, err
	}
	if policy.Max, err = milliseconds("retry.maxMs", r.MaxMs); err != nil {
		return nil, err
	}
	return policy, nil
}

// checkService says why an operator may not choose the identity: it is of a user, whose name is
// not theirs to take.
func checkService(as *api.Identity) error {
	if as != nil && (!strings.HasPrefix(as.Subject, servicePrefix) || as.Subject == servicePrefix) {
		return dispatch.Errorf(dispatch.CodeInvalidArgument, "as: the subject is %.64q, want the name of a service, such as %q", as.Subject, servicePrefix+"cleaner")
	}
	return nil
}

// mayActAs says why the operator may not have something run as the identity.
func (r *request) mayActAs(as *api.Identity) error {
	if as == nil {
		return nil
	}
	return r.op.need(ScopeActAs)
}

// callOf is the call of a function.
func callOf(function string, args json.RawMessage) dispatch.Call {
	if args == nil {
		args = json.RawMessage("{}")
	}
	return dispatch.Path(function).With(args)
}

// options are those of the request, which the engine checks further.
func (h *handler) options(o *api.JobOptions) (opts []dispatch.RunOption, err error) {
	if o.AtMostOnce {
		opts = append(opts, dispatch.AtMostOnce())
	}
	if o.TimeoutMs != nil {
		timeout, err := milliseconds("timeoutMs", *o.TimeoutMs)
		if err != nil {
			return nil, err
		}
		opts = append(opts, dispatch.Timeout(timeout))
	}
	retry, err := policyOf(o.Retry)
	if err != nil {
		return nil, err
	}
	if retry != nil {
		opts = append(opts, dispatch.WithRetry(*retry))
	}
	if o.Tags != nil {
		opts = append(opts, dispatch.Tags(*o.Tags...))
	}
	if o.Pool == nil && o.PoolKey != "" {
		return nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "poolKey: want the pool, too")
	}
	if o.Pool != nil {
		pool, known := h.eng.Pool(*o.Pool)
		if !known && *o.Pool != "" {
			return nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "pool: the program has none that is called %.64q", *o.Pool)
		}
		opts = append(opts, dispatch.InPool(pool, o.PoolKey))
	}
	if o.Priority != 0 {
		opts = append(opts, dispatch.Priority(o.Priority))
	}
	if o.KeepResult != nil {
		opts = append(opts, dispatch.KeepResult(*o.KeepResult))
	}
	if o.Group != 0 {
		opts = append(opts, dispatch.InGroup(storage.GroupID(o.Group)))
	}
	if then := o.OnDone; then != nil {
		also, err := h.options(&then.JobOptions)
		if err != nil {
			return nil, err
		}
		if then.AsJob {
			also = append(also, dispatch.AsCaller())
		}
		opts = append(opts, dispatch.OnDone(callOf(then.Function, then.Args), also...))
	}
	return opts, nil
}

// uniqueOf is the option of the request.
func uniqueOf(u *api.UniqueRequest) (dispatch.RunOption, error) {
	var policy dispatch.UniquePolicy
	spans := map[string]time.Duration{}
	for _, s := range []struct {
		field string
		ms    *int64
		fits  bool
	}{
		{"unique.everyMs", u.EveryMs, u.Policy == api.UniqueThrottle},
		{"unique.maxWaitMs", u.MaxWaitMs, true},
		{"unique.heldForMs", u.HeldForMs, true},
	} {
		switch {
		case s.ms == nil:
		case !s.fits:
			return nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "%s is for the policy %s", s.field, api.UniqueThrottle)
		default:
			span, err := milliseconds(s.field, *s.ms)
			if err != nil {
				return nil, err
			}
			spans[s.field] = span
		}
	}
	switch u.Policy {
	case api.UniqueKeep:
		policy = dispatch.Keep()
	case api.UniqueReplace:
		policy = dispatch.Replace()
	case api.UniqueThrottle:
		policy = dispatch.Throttle(spans["unique.everyMs"])
	case api.UniqueRefuse:
		policy = dispatch.Refuse()
	default:
		return nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "unique.policy %.32q, want keep, replace, throttle or refuse", string(u.Policy))
	}
	if u.MaxWaitMs != nil {
		policy = policy.MaxWait(spans["unique.maxWaitMs"])
	}
	if u.HeldForMs != nil {
		policy = policy.HeldFor(spans["unique.heldForMs"])
	}
	if u.AppWide {
		policy = policy.AppWide()
	}
	if u.PendingOnly {
		policy = policy.PendingOnly()
	}
	return dispatch.Unique(u.Key, policy), nil
}

// scheduling is the request for the engine: due at an instant, or else after a while.
func (h *handler) scheduling(body *api.JobRequest) (at *time.Time, after time.Duration, opts []dispatch.RunOption, err error) {
	bad := func(text string) (*time.Time, time.Duration, []dispatch.RunOption, error) {
		return nil, 0, nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "%s", text)
	}
	switch {
	case body.ID != nil && (*body.ID == "." || *body.ID == ".."):
		return bad("id: no URL can have it in its path")
	case body.At != nil && body.AfterMs != nil:
		return bad("want at or afterMs, and not both")
	case body.NotAfter != nil && body.ExpiresMs != nil:
		return bad("want notAfter or expiresMs, and not both")
	}
	if err := checkService(body.As); err != nil {
		return nil, 0, nil, err
	}
	if body.AfterMs != nil {
		if after, err = milliseconds("afterMs", *body.AfterMs); err != nil {
			return nil, 0, nil, err
		}
	}
	if opts, err = h.options(&body.JobOptions); err != nil {
		return nil, 0, nil, err
	}
	if body.ID != nil {
		opts = append(opts, dispatch.ID(storage.JobID(*body.ID)))
	}
	if body.As != nil {
		opts = append(opts, dispatch.AsCaller())
	}
	if body.NotAfter != nil {
		opts = append(opts, dispatch.NotAfter(*body.NotAfter))
	}
	if body.ExpiresMs != nil {
		expires, err := milliseconds("expiresMs", *body.ExpiresMs)
		if err != nil {
			return nil, 0, nil, err
		}
		opts = append(opts, dispatch.ExpiresAfter(expires))
	}
	if body.Unique != nil {
		unique, err := uniqueOf(body.Unique)
		if err != nil {
			return nil, 0, nil, err
		}
		opts = append(opts, unique)
	}
	return body.At, after, opts, nil
}

func (h *handler) scheduleJob(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.JobRequest
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	if err := r.mayActAs(body.As); err != nil {
		return 0, nil, err
	}
	at, after, opts, err := h.scheduling(&body)
	if err != nil {
		return 0, nil, err
	}
	r.entry.IDs = append(r.entry.IDs, body.Function)
	ctx, err := keyed(r.Request, r.op)
	if err != nil {
		return 0, nil, err
	}
	var told storage.Told
	opts = append(opts, dispatch.Tell(&told))
	s, call := r.app.Scheduler(ctx).As(actsAs(body.As)), callOf(body.Function, body.Args)
	if at != nil {
		_, err = s.RunAt(*at, call, opts...)
	} else {
		_, err = s.RunAfter(after, call, opts...)
	}
	if err != nil {
		return 0, nil, err
	}
	w.Header().Set("Location", r.URL.EscapedPath()+"/"+url.PathEscape(string(told.ID)))
	status := http.StatusCreated
	if told.Kept || told.Replaced {
		status = http.StatusOK
	}
	return status, api.Scheduled{JobID: string(told.ID), Kept: told.Kept, Replaced: told.Replaced, Holder: string(told.Holder)}, nil
}

func (h *handler) rescheduleJob(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.JobChange
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	var changes []dispatch.ChangeOption
	switch {
	case body.At != nil && body.AfterMs != nil:
		return 0, nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "want at or afterMs, and not both")
	case body.At != nil:
		changes = append(changes, dispatch.DueAt(*body.At))
	case body.AfterMs != nil:
		after, err := milliseconds("afterMs", *body.AfterMs)
		if err != nil {
			return 0, nil, err
		}
		changes = append(changes, dispatch.DueIn(after))
	}
	if body.Priority != 0 {
		changes = append(changes, dispatch.Priority(body.Priority))
	}
	if body.Args != nil {
		if err := r.op.need(ScopeCall); err != nil {
			return 0, nil, err // to choose what a function is given is to call it
		}
		id := storage.JobID(r.PathValue("id"))
		job, known, err := r.app.Scheduler(r.Context()).Get(id)
		if err == nil && !known {
			err = noJob(id)
		}
		if err != nil {
			return 0, nil, err
		}
		changes = append(changes, dispatch.NewArgs(callOf(job.Function, body.Args)))
	}
	if body.IfArgs != nil {
		if err := r.op.need(ScopeReadArgs); err != nil {
			return 0, nil, err // the answer tells something of them
		}
		changes = append(changes, dispatch.IfArgs(body.IfArgs))
	}
	return r.change(changes...)
}

func (h *handler) runJob(w http.ResponseWriter, r *request) (int, any, error) {
	if status, err := h.decodeBody(w, r, &api.Empty{}); err != nil {
		return status, nil, err
	}
	return r.change(dispatch.DueIn(0))
}

// change reschedules the job of the path.
func (r *request) change(changes ...dispatch.ChangeOption) (int, any, error) {
	id := storage.JobID(r.PathValue("id"))
	answer, err := r.app.Scheduler(r.Context()).Reschedule(id, changes...)
	switch {
	case err == nil && answer.Found == "":
		err = noJob(id)
	case err == nil && !answer.Changed:
		err = dispatch.Errorf(dispatch.CodeFailedPrecondition, "job %s is %s: it is too late to change it", id, answer.Found)
	}
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, api.Affected{Jobs: 1}, nil
}

func (h *handler) cancelJob(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.CancelRequest
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	var opts []dispatch.CancelOption
	if body.Cascade {
		opts = append(opts, dispatch.Cascade())
	}
	id := storage.JobID(r.PathValue("id"))
	answer, err := r.app.Scheduler(r.Context()).Cancel(id, opts...)
	switch {
	case err == nil && answer.Found == "":
		err = noJob(id)
	case err == nil && !answer.Canceled && !body.Cascade:
		err = dispatch.Errorf(dispatch.CodeFailedPrecondition, "job %s is %s: it is too late to cancel it", id, answer.Found)
	}
	if err != nil {
		return 0, nil, err
	}
	n := answer.Along
	if answer.Canceled {
		n++
	}
	return http.StatusOK, api.Affected{Jobs: n}, nil
}
