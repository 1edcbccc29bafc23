package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// JobRequest is a call to schedule, as an operator writes it. The defaults of what is left out
// are the function's.
type JobRequest struct {
	Function string          `json:"function"`
	Args     json.RawMessage `json:"args"` // none are {}
	JobOptions

	At        *time.Time         `json:"at"`        // when it is due,
	AfterMs   *int64             `json:"afterMs"`   // or how long from now; with neither it is at once
	ID        *storage.JobID     `json:"id"`        // in the place of one that is made
	NotAfter  *time.Time         `json:"notAfter"`  // no attempt begins after it,
	ExpiresMs *int64             `json:"expiresMs"` // or so long after it is due
	As        *dispatch.Identity `json:"as"`        // who it runs as, a service; null is anonymous
	Unique    *UniqueRequest     `json:"unique"`
}

// JobOptions are those that a job and its follow-ups have.
type JobOptions struct {
	AtMostOnce bool            `json:"atMostOnce"`
	TimeoutMs  *int64          `json:"timeoutMs"`
	Retry      *RetryRequest   `json:"retry"`
	Tags       *[]string       `json:"tags"`
	Pool       *string         `json:"pool"` // name; "" is none
	PoolKey    string          `json:"poolKey"`
	Priority   int             `json:"priority"` // 1 (first) to 4
	KeepResult *bool           `json:"keepResult"`
	Group      storage.GroupID `json:"group"`
	OnDone     *FollowUp       `json:"onDone"`
}

// FollowUp is the call that is scheduled when a job ends.
type FollowUp struct {
	Function string          `json:"function"`
	Args     json.RawMessage `json:"args"`
	JobOptions

	AsJob bool `json:"asJob"` // it runs as the job does
}

// UniqueRequest is dispatch.Unique in JSON.
type UniqueRequest struct {
	Key         string               `json:"key"`
	Policy      storage.UniquePolicy `json:"policy"`    // keep, replace, throttle or refuse
	EveryMs     *int64               `json:"everyMs"`   // of throttle
	MaxWaitMs   *int64               `json:"maxWaitMs"` // of replace
	HeldForMs   *int64               `json:"heldForMs"` // of keep and refuse
	AppWide     bool                 `json:"appWide"`
	PendingOnly bool                 `json:"pendingOnly"`
}

// RetryRequest is dispatch.RetryPolicy in JSON. It has to name its attempts and base: a zero in
// the place of what was left out would mean no wait.
type RetryRequest struct {
	MaxAttempts *int   `json:"maxAttempts"`
	Backoff     string `json:"backoff"` // exponential or linear
	BaseMs      *int64 `json:"baseMs"`
	MaxMs       int64  `json:"maxMs"`
	Jitter      bool   `json:"jitter"`
}

// Scheduled is what became of a call that was to be scheduled.
type Scheduled struct {
	JobID    storage.JobID `json:"jobId"`              // the job that does it
	Kept     bool          `json:"kept,omitempty"`     // it was there: nothing was stored
	Replaced bool          `json:"replaced,omitempty"` // it was there, and is this call now
	Holder   storage.JobID `json:"holder,omitempty"`   // the job that the unique key belonged to
}

// JobChange is what of a pending job is changed. What is left out stays.
type JobChange struct {
	At       *time.Time      `json:"at"`      // when it is due,
	AfterMs  *int64          `json:"afterMs"` // or how long from now
	Priority int             `json:"priority"`
	Args     json.RawMessage `json:"args"`
}

// CancelRequest is how a job is canceled.
type CancelRequest struct {
	Cascade bool `json:"cascade"` // along with what has come of it
}

// policy is the request for the engine, which checks what is not checked here; nil is nil.
func (r *RetryRequest) policy() (*dispatch.RetryPolicy, error) {
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
	case "", backoffExponential:
	case backoffLinear:
		policy.Backoff = dispatch.Linear
	default:
		return bad("retry.backoff %.64q, want %s or %s", r.Backoff, backoffExponential, backoffLinear)
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
func checkService(as *dispatch.Identity) error {
	if as != nil && (!strings.HasPrefix(as.Subject, servicePrefix) || as.Subject == servicePrefix) {
		return dispatch.Errorf(dispatch.CodeInvalidArgument, "as: the subject is %.64q, want the name of a service, such as %q", as.Subject, servicePrefix+"cleaner")
	}
	return nil
}

// mayActAs says why the operator may not have something run as the identity.
func (r *request) mayActAs(as *dispatch.Identity) error {
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
func (h *handler) options(o *JobOptions) (opts []dispatch.RunOption, err error) {
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
	retry, err := o.Retry.policy()
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
		opts = append(opts, dispatch.InGroup(o.Group))
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

// unique is the option of the request.
func (u *UniqueRequest) option() (dispatch.RunOption, error) {
	var policy dispatch.UniquePolicy
	spans := map[string]time.Duration{}
	for _, s := range []struct {
		field string
		ms    *int64
		fits  bool
	}{
		{"unique.everyMs", u.EveryMs, u.Policy == storage.UniqueThrottle},
		{"unique.maxWaitMs", u.MaxWaitMs, true},
		{"unique.heldForMs", u.HeldForMs, true},
	} {
		switch {
		case s.ms == nil:
		case !s.fits:
			return nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "%s is for the policy %s", s.field, storage.UniqueThrottle)
		default:
			span, err := milliseconds(s.field, *s.ms)
			if err != nil {
				return nil, err
			}
			spans[s.field] = span
		}
	}
	switch u.Policy {
	case storage.UniqueKeep:
		policy = dispatch.Keep()
	case storage.UniqueReplace:
		policy = dispatch.Replace()
	case storage.UniqueThrottle:
		policy = dispatch.Throttle(spans["unique.everyMs"])
	case storage.UniqueRefuse:
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
func (h *handler) scheduling(body *JobRequest) (at *time.Time, after time.Duration, opts []dispatch.RunOption, err error) {
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
		opts = append(opts, dispatch.ID(*body.ID))
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
		unique, err := body.Unique.option()
		if err != nil {
			return nil, 0, nil, err
		}
		opts = append(opts, unique)
	}
	return body.At, after, opts, nil
}

func (h *handler) scheduleJob(w http.ResponseWriter, r *request) (int, any, error) {
	var body JobRequest
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
	s, call := r.app.Scheduler(ctx).As(body.As), callOf(body.Function, body.Args)
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
	return status, Scheduled{told.ID, told.Kept, told.Replaced, told.Holder}, nil
}

func (h *handler) rescheduleJob(w http.ResponseWriter, r *request) (int, any, error) {
	var body JobChange
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
	return r.change(changes...)
}

func (h *handler) runJob(w http.ResponseWriter, r *request) (int, any, error) {
	if status, err := h.decodeBody(w, r, &struct{}{}); err != nil {
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
	return http.StatusOK, Bulk{1}, nil
}

func (h *handler) cancelJob(w http.ResponseWriter, r *request) (int, any, error) {
	var body CancelRequest
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
	return http.StatusOK, Bulk{n}, nil
}
