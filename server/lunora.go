package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/server/lunora"
	"carillon/storage"
)

// lunoraPattern is below what clients of Lunora's scheduler are given as its address.
const lunoraPattern = "/v1/apps/{app}/scheduler"

// lunoraRoutes are those of Lunora's scheduler.
func (h *handler) lunoraRoutes() []route {
	const get, post = http.MethodGet, http.MethodPost
	read, write := []Scope{ScopeRead}, []Scope{ScopeWrite}
	return []route{
		{method: post, pattern: lunoraPattern + "/schedule", scopes: []Scope{ScopeWrite, ScopeCall}, do: plainly(h.lunoraSchedule)},
		{method: post, pattern: lunoraPattern + "/cancel", scopes: write, do: existing(plainly(h.lunoraCancel))},
		{method: get, pattern: lunoraPattern + "/get", scopes: read, do: existing(plainly(h.lunoraGet))},
		{method: get, pattern: lunoraPattern + "/list", scopes: read, do: existing(plainly(h.lunoraList))},
		{method: get, pattern: lunoraPattern + "/dead", scopes: read, do: existing(plainly(h.lunoraDead))},
		{method: post, pattern: lunoraPattern + "/dead/retry", scopes: write, do: existing(plainly(h.lunoraRetryDead))},
		{method: post, pattern: lunoraPattern + "/dead/cancel", scopes: write, do: existing(plainly(h.lunoraDropDead))},
		{method: post, pattern: lunoraPattern + "/complete", scopes: write, do: existing(plainly(h.lunoraComplete))},
		{method: get, pattern: lunoraPattern + "/pool", scopes: read, do: existing(plainly(h.lunoraPool))},
		{method: get, pattern: lunoraPattern + "/status", scopes: read, do: existing(plainly(h.lunoraStatus))},
		{method: get, pattern: lunoraPattern + "/ws", scopes: read, do: existing(h.lunoraWatch)},
	}
}

// plainly has the operation answer with its result and nothing around it.
func plainly(do operation) operation {
	return func(w http.ResponseWriter, r *request) (int, any, error) {
		status, result, err := do(w, r)
		if err != nil {
			if status < http.StatusBadRequest {
				status = 0
			}
			return status, nil, err
		}
		body, err := json.Marshal(result)
		if err != nil {
			return 0, nil, err
		}
		answer(w, status, body)
		return 0, answered{}, nil
	}
}

// lunoraWriter is the answer for a client of Lunora's scheduler, whose refusals have a form of their own.
type lunoraWriter struct{ http.ResponseWriter }

// Unwrap is for http.ResponseController.
func (w *lunoraWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// forLunora is the writer for the request.
func (h *handler) forLunora(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	path, ok := strings.CutPrefix(r.URL.Path, h.opts.BasePath+"/v1/apps/")
	if _, rest, found := strings.Cut(path, "/"); ok && found && (rest == "scheduler" || strings.HasPrefix(rest, "scheduler/")) {
		return &lunoraWriter{w}
	}
	return w
}

// lunoraCodes are the codes of refusals; those that are not here are not told apart.
var lunoraCodes = map[dispatch.Code]lunora.Code{
	dispatch.CodeInvalidArgument:   lunora.CodeInvalidInput,
	dispatch.CodeUnauthenticated:   lunora.CodeUnauthorized,
	dispatch.CodePermissionDenied:  lunora.CodeForbidden,
	dispatch.CodeNotFound:          lunora.CodeNotFound,
	dispatch.CodeAlreadyExists:     lunora.CodeConflict,
	dispatch.CodeResourceExhausted: lunora.CodeTooManyRequests,
	dispatch.CodeUnavailable:       lunora.CodeUnavailable,
	dispatch.CodeDeadlineExceeded:  lunora.CodeUnavailable,
	dispatch.CodeAborted:           lunora.CodeConflict,
}

// refuse is the failure in the form that the client knows.
func (w *lunoraWriter) refuse(status int, f failure) (int, any) {
	said := lunora.Error{Code: lunoraCodes[f.Code], Message: f.Message}
	if own, ok := errors.AsType[*lunora.Error](f.Err); ok {
		said.Code = own.Code
	}
	switch {
	case status == http.StatusMethodNotAllowed:
		status, said = http.StatusNotFound, lunora.Error{Code: lunora.CodeNotFound}
	case status == http.StatusRequestEntityTooLarge:
		said.Code = lunora.CodeTooLarge
	case status == http.StatusUnsupportedMediaType:
		said.Code = lunora.CodeMediaType
	case said.Code == "":
		said.Code = lunora.CodeInternal
	}
	if f.RequestID != "" {
		said.Message += " (request " + f.RequestID + ")"
	}
	return status, lunora.Refusal{Error: said}
}

// refusedBy is an error of package lunora as the engine's own.
func refusedBy(code dispatch.Code, err error) error {
	return &dispatch.Error{Code: code, Message: err.Error(), Err: err}
}

// lunoraBody is the body of the request.
func (h *handler) lunoraBody(w http.ResponseWriter, r *request, use func(body []byte) error) (status int, err error) {
	held := h.hold(r.Request)
	defer held.release()
	body, status, err := h.readBody(w, r.Request, &held)
	if err != nil {
		return status, err
	}
	liftReadDeadline(w)
	if err := use(body); err != nil {
		return 0, refusedBy(dispatch.CodeInvalidArgument, err)
	}
	return 0, nil
}

// lunoraField is the text that the body has under the name.
func (h *handler) lunoraField(w http.ResponseWriter, r *request, name string) (text string, status int, err error) {
	status, err = h.lunoraBody(w, r, func(body []byte) (err error) {
		text, err = lunora.Field(body, name)
		return err
	})
	r.entry.IDs = append(r.entry.IDs, text)
	return text, status, err
}

// lunoraOptions are those of the job.
func (h *handler) lunoraOptions(call *lunora.Call) ([]dispatch.RunOption, error) {
	opts := []dispatch.RunOption{dispatch.FromInstance(call.InstanceName, call.ShardKey)}
	for name, said := range map[string]string{"instanceName": call.InstanceName, "shardKey": call.ShardKey} {
		if len(said) > storage.MaxInstance {
			return nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "%s has %d bytes, want at most %d", name, len(said), storage.MaxInstance)
		}
	}
	if call.ID != nil {
		id := storage.JobID(*call.ID)
		if err := id.Check(); err != nil {
			return nil, refusedBy(dispatch.CodeInvalidArgument, &lunora.Error{Code: lunora.CodeInvalidID, Message: err.Error()})
		}
		opts = append(opts, dispatch.ID(id))
	}
	if p := call.Retry; p != nil {
		base, err := milliseconds("retry.baseMs", int64(p.BaseMs))
		if err != nil {
			return nil, err
		}
		longest, err := milliseconds("retry.maxMs", int64(p.MaxMs))
		if err != nil {
			return nil, err
		}
		policy := dispatch.RetryPolicy{MaxAttempts: p.MaxAttempts + 1, Base: base, Max: longest}
		if p.Backoff == lunora.Linear {
			policy.Backoff = dispatch.Linear
		}
		opts = append(opts, dispatch.WithRetry(policy))
	}
	if call.Pool != "" {
		pool, known := h.eng.Pool(call.Pool)
		if !known {
			return nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "pool: the program has none that is called %.64q", call.Pool)
		}
		opts = append(opts, dispatch.InPool(pool))
	}
	return opts, nil
}

func (h *handler) lunoraSchedule(w http.ResponseWriter, r *request) (int, any, error) {
	var call lunora.Call
	status, err := h.lunoraBody(w, r, func(body []byte) (err error) {
		call, err = lunora.Parse(body)
		return err
	})
	if err != nil {
		return status, nil, err
	}
	path := call.FunctionPath
	if call.Workflow != "" {
		path = dispatch.Workflows + ":" + call.Workflow
	}
	r.entry.IDs = append(r.entry.IDs, path)
	fn, known := h.eng.Functions().Lookup(path)
	remote := known && fn.Remote
	if call.Workflow != "" && !remote {
		return http.StatusInternalServerError, nil, refusedBy(dispatch.CodeFailedPrecondition, &lunora.Error{
			Code: lunora.CodeOriginNotConfigured, Message: "no origin is declared that workflows are started at",
		})
	}
	opts, err := h.lunoraOptions(&call)
	if err != nil {
		return 0, nil, err
	}
	args := call.Args
	if !remote { // whose worker knows the marks itself
		if args, err = lunora.Arguments(call.Args); err != nil {
			return 0, nil, refusedBy(dispatch.CodeInvalidArgument, err)
		}
	}
	at := time.UnixMilli(call.ScheduledFor).UTC()
	if at.After(storage.MaxInstant) {
		return 0, nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "scheduledFor is later than the latest that a job can be due at, %d", storage.MaxInstant.UnixMilli())
	}
	ctx, err := keyed(r.Request, r.op)
	if err != nil {
		return 0, nil, err
	}
	if err := h.lunoraLimit(r, &call); err != nil {
		return 0, nil, err
	}
	id, err := r.app.Scheduler(ctx).RunAt(at, callOf(path, args), opts...)
	if err != nil {
		return 0, nil, lunoraRefusal(err, call.ID != nil)
	}
	return http.StatusOK, lunora.Scheduled{ID: string(id), ScheduledFor: call.ScheduledFor}, nil
}

// lunoraLimit gives the pool of the call the limit that it says, if it has another one.
func (h *handler) lunoraLimit(r *request, call *lunora.Call) error {
	if call.MaxConcurrency == 0 {
		return nil
	}
	pool, _ := h.eng.Pool(call.Pool)
	limit := pool.Limit()
	err := r.app.Read(r.Context(), func(reader storage.Reader) error {
		limits, err := reader.System().PoolLimits()
		if n, ok := limits[call.Pool]; ok {
			limit = n
		}
		return err
	})
	if err != nil || limit == call.MaxConcurrency {
		return err
	}
	return r.app.LimitPool(r.Context(), call.Pool, call.MaxConcurrency)
}

// lunoraRefusal gives an error of the engine, which has not scheduled a call, the code that clients know.
func lunoraRefusal(err error, chosen bool) error {
	e := dispatch.AsError(err)
	said := &lunora.Error{Message: e.Message}
	switch {
	case e.Code == dispatch.CodeAlreadyExists && chosen:
		said.Code = lunora.CodeDuplicateID
	case e.Code == dispatch.CodeInvalidArgument && chosen && errors.Is(err, storage.ErrInvalid):
		said.Code = lunora.CodeInvalidID // it has the form of one that is minted
	case e.Code == dispatch.CodeNotFound && e.Path != "":
		said.Code = lunora.CodeFunctionNotFound
	default:
		return err
	}
	return refusedBy(e.Code, said)
}

func (h *handler) lunoraCancel(w http.ResponseWriter, r *request) (int, any, error) {
	id, status, err := h.lunoraField(w, r, "id")
	if err != nil {
		return status, nil, err
	}
	answer, err := r.app.Scheduler(r.Context()).Cancel(storage.JobID(id))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, lunora.Canceled{Canceled: answer.Canceled}, nil
}

// recordOf is the job as clients know it, for an operator who may see it.
func recordOf(r *request, job *storage.Job) lunora.Record {
	record := lunora.Record{
		ID: string(job.ID), EnqueuedAt: job.EnqueuedAt.UnixMilli(), ScheduledFor: job.Due.UnixMilli(), FunctionPath: job.Function,
		Attempts: job.Failures, InstanceName: job.Instance, Pool: job.Pool, ShardKey: job.ShardKey,
	}
	if dispatch.IsWorkflow(job) {
		_, record.Workflow, _ = strings.Cut(job.Function, ":")
		record.FunctionPath = ""
	}
	if job.PendingOutside() {
		record.ScheduledFor = job.ScheduledFor.UnixMilli()
	}
	if r.op.may(ScopeReadArgs) {
		record.Args = job.Args
	}
	if p := job.Retry; p != nil {
		record.Retry = &lunora.Retry{MaxAttempts: p.Limit, Backoff: lunora.Exponential, BaseMs: float64(p.Base.Milliseconds()), MaxMs: float64(p.Max.Milliseconds())}
		if p.Linear {
			record.Retry.Backoff = lunora.Linear
		}
	}
	return record
}

func (h *handler) lunoraGet(_ http.ResponseWriter, r *request) (int, any, error) {
	query := r.URL.Query()
	if err := onlyOnce(query, []string{"id"}); err != nil {
		return 0, nil, err
	}
	id := storage.JobID(query.Get("id"))
	if id == "" {
		return 0, nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "id is missing")
	}
	job, known, err := r.app.Scheduler(r.Context()).Get(id)
	if err != nil {
		return 0, nil, err
	}
	var found lunora.Found
	if known && !job.State.Ended() {
		record := recordOf(r, &job)
		found.Record = &record
	}
	return http.StatusOK, found, nil
}

func (h *handler) lunoraList(_ http.ResponseWriter, r *request) (int, any, error) {
	return h.lunoraListing(r, false, lunora.PendingCursor)
}

// lunoraListing is the page of pending or of dead jobs that the URL asks for.
func (h *handler) lunoraListing(r *request, dead bool, cursor string) (int, any, error) {
	after, err := lunoraAfter(r.URL.Query(), cursor)
	if err != nil {
		return 0, nil, err
	}
	page, err := h.lunoraPage(r, dead, after, cursor)
	return http.StatusOK, page, err
}

// lunoraAfter is the id that the page begins behind.
func lunoraAfter(query url.Values, cursor string) (storage.JobID, error) {
	if err := onlyOnce(query, []string{"cursor"}); err != nil {
		return "", err
	}
	text := query.Get("cursor")
	if text == "" {
		return "", nil
	}
	id, ok := strings.CutPrefix(text, cursor)
	if !ok || id == "" {
		return "", dispatch.Errorf(dispatch.CodeInvalidArgument, "cursor is %.32q, want %s and an id", text, cursor)
	}
	return storage.JobID(id), nil
}

// lunoraPage is the page of records behind an id.
func (h *handler) lunoraPage(r *request, dead bool, after storage.JobID, cursor string) (lunora.Page, error) {
	page := lunora.Page{Records: []lunora.Record{}}
	err := r.app.Read(r.Context(), func(reader storage.Reader) error {
		found, err := reader.System().ByID(dead, after, lunora.PageSize)
		if err != nil {
			return err
		}
		for i := range found.Jobs {
			page.Records = append(page.Records, recordOf(r, &found.Jobs[i]))
		}
		if page.Truncated = found.More; found.More {
			page.Cursor = cursor + string(found.Next)
		}
		return nil
	})
	return page, err
}

func (h *handler) lunoraDead(_ http.ResponseWriter, r *request) (int, any, error) {
	return h.lunoraListing(r, true, lunora.DeadCursor)
}

// lunoraIsDead says whether the job of the body is dead: what follows is not for one that is held.
func (h *handler) lunoraIsDead(w http.ResponseWriter, r *request) (id storage.JobID, dead bool, status int, err error) {
	text, status, err := h.lunoraField(w, r, "id")
	if err != nil {
		return "", false, status, err
	}
	id = storage.JobID(text)
	job, known, err := r.app.Scheduler(r.Context()).Get(id)
	return id, known && job.State == storage.StateFailed, 0, err
}

func (h *handler) lunoraRetryDead(w http.ResponseWriter, r *request) (int, any, error) {
	id, dead, status, err := h.lunoraIsDead(w, r)
	if err != nil {
		return status, nil, err
	}
	if !dead {
		return http.StatusOK, lunora.Retried{}, nil
	}
	s := r.app.Scheduler(r.Context())
	ok, err := s.RetryDead(id)
	if err != nil {
		return 0, nil, err
	}
	if !ok {
		return http.StatusOK, lunora.Retried{}, nil
	}
	retried := lunora.Retried{Retried: true, ID: string(id), ScheduledFor: h.eng.Clock().Wall.UnixMilli()}
	if job, known, err := s.Get(id); err == nil && known { // it is retried, whatever becomes of the reading
		retried.ScheduledFor = job.Due.UnixMilli()
	}
	return http.StatusOK, retried, nil
}

func (h *handler) lunoraDropDead(w http.ResponseWriter, r *request) (int, any, error) {
	id, dead, status, err := h.lunoraIsDead(w, r)
	if err != nil {
		return status, nil, err
	}
	if !dead {
		return http.StatusOK, lunora.Removed{}, nil
	}
	ok, err := r.app.Scheduler(r.Context()).DropDead(id)
	return http.StatusOK, lunora.Removed{Removed: ok}, err
}

// lunoraPools are the pools that the program has. Of each it tells what waits, due or not.
func (h *handler) lunoraPools(r *request) ([]lunora.Pool, error) {
	pools, err := r.app.Pools(r.Context())
	if err != nil {
		return nil, err
	}
	shown := make([]lunora.Pool, len(pools))
	err = r.app.Read(r.Context(), func(reader storage.Reader) error {
		for i, p := range pools {
			queued, _, err := reader.System().Waiting(p.Name, storage.MaxInstant)
			if err != nil {
				return err
			}
			shown[i] = lunora.Pool{PoolStatus: lunora.PoolStatus{InFlight: p.Running, MaxConcurrency: p.Limit, Queued: queued}, Name: p.Name}
		}
		return nil
	})
	return shown, err
}

// lunoraPoolNamed is what the pool does. One that the program does not have does nothing.
func (h *handler) lunoraPoolNamed(r *request, name string) (lunora.PoolStatus, error) {
	pools, err := h.lunoraPools(r)
	for _, p := range pools {
		if p.Name == name {
			return p.PoolStatus, err
		}
	}
	return lunora.PoolStatus{MaxConcurrency: 1}, err
}

func (h *handler) lunoraPool(_ http.ResponseWriter, r *request) (int, any, error) {
	query := r.URL.Query()
	if err := onlyOnce(query, []string{"name"}); err != nil {
		return 0, nil, err
	}
	name := query.Get("name")
	if name == "" {
		return 0, nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "name is missing")
	}
	status, err := h.lunoraPoolNamed(r, name)
	return http.StatusOK, status, err
}

func (h *handler) lunoraStatus(_ http.ResponseWriter, r *request) (int, any, error) {
	pools, err := h.lunoraPools(r)
	if err != nil {
		return 0, nil, err
	}
	status := lunora.Status{Pools: pools}
	for _, p := range pools {
		status.Backlog += p.Queued
		status.InFlight += p.InFlight
	}
	return http.StatusOK, status, nil
}

// lunoraComplete ends the attempt of a workflow in the pool. What any other function holds of its pool
// it gives back when it has ended, so that there is nothing to do.
func (h *handler) lunoraComplete(w http.ResponseWriter, r *request) (int, any, error) {
	var done lunora.Completion
	status, err := h.lunoraBody(w, r, func(body []byte) (err error) {
		done, err = lunora.ParseCompletion(body)
		return err
	})
	if err != nil {
		return status, nil, err
	}
	r.entry.IDs = append(r.entry.IDs, done.Pool, done.ID)
	if _, err := r.app.CompleteWorkflow(r.Context(), done.Pool, storage.JobID(done.ID)); err != nil {
		return 0, nil, err
	}
	of, err := h.lunoraPoolNamed(r, done.Pool)
	return http.StatusOK, lunora.Completed{InFlight: of.InFlight}, err
}
