package server

import (
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// Bounds of what one request about triggers may say.
const (
	defaultSlots = 20
	maxSlots     = 200 // as many as are kept
	maxReason    = 500 // bytes of why a trigger is paused
)

// servicePrefix begins the subjects that an operator may have a trigger run as. Operators
// act for the service and not for a user, so that no user's name is taken here.
const servicePrefix = "service:"

// Cron is a trigger as the operator routes show it. Instants are RFC 3339 in UTC; null
// means none.
type Cron struct {
	Name     string          `json:"name"`
	Spec     string          `json:"spec"`
	Zone     string          `json:"zone"`
	AtStart  bool            `json:"atStart"` // it has no spec, and ticks when the program starts
	Function string          `json:"function"`
	Args     json.RawMessage `json:"args,omitempty"`
	Overlap  storage.Overlap `json:"overlap"`
	CatchUp  CronCatchUp     `json:"catchUp"`
	JitterMs int64           `json:"jitterMs"`
	Retry    CronRetry       `json:"retry"`

	AtMostOnce      bool               `json:"atMostOnce"`
	TimeoutMs       int64              `json:"timeoutMs"`       // 0: the function's own
	As              *dispatch.Identity `json:"as"`              // who its ticks run as; null is anonymous
	SuccessWithinMs int64              `json:"successWithinMs"` // how long without a success is too long; 0: nothing is
	Tags            []string           `json:"tags,omitempty"`  // of its ticks

	Declared    bool       `json:"declared"` // by the program, which alone can change or delete it
	Paused      bool       `json:"paused"`
	PauseReason string     `json:"pauseReason"`
	Fault       string     `json:"fault"`       // why it cannot tick; "" if it can
	HeldJob     string     `json:"heldJob"`     // the tick that this program cannot run; "" if it can
	Description string     `json:"description"` // the spec in English
	CreatedAt   time.Time  `json:"createdAt"`
	Next        []CronNext `json:"next"`        // the next three ticks; none while it is paused or faulty
	Last        *CronLast  `json:"last"`        // the last tick that ended; null if none has
	LastSuccess *time.Time `json:"lastSuccess"` // the slot
	// LastSuccessAt is when a tick, or a run by hand, last ended as a success, and
	// Overdue whether that is too long ago.
	LastSuccessAt *time.Time `json:"lastSuccessAt"`
	Overdue       bool       `json:"overdue"`

	Backfill *CronBackfill `json:"backfill,omitempty"` // the latest that was asked for
	Slots    []CronSlot    `json:"slots,omitempty"`    // the latest first; only where one trigger is asked for
	// Hidden names what an operator without the scope read-args is not shown.
	Hidden []string `json:"hidden,omitempty"`
}

// CronBackfill is storage.Backfill in JSON.
type CronBackfill struct {
	From    time.Time               `json:"from"`
	To      time.Time               `json:"to"`
	Again   bool                    `json:"again,omitempty"`
	Reason  string                  `json:"reason,omitempty"`
	AskedAt time.Time               `json:"askedAt"`
	Slots   int                     `json:"slots"`
	Begun   int                     `json:"begun"`
	Outcome storage.BackfillOutcome `json:"outcome"` // "" while it goes on
	EndedAt *time.Time              `json:"endedAt"`
}

// CronCatchUp is storage.CatchUp in JSON.
type CronCatchUp struct {
	Mode     storage.CatchUpMode `json:"mode"`
	Limit    int                 `json:"limit,omitempty"`
	WindowMs int64               `json:"windowMs,omitempty"`
}

// CronRetry is dispatch.RetryPolicy in JSON.
type CronRetry struct {
	MaxAttempts int    `json:"maxAttempts"`
	Backoff     string `json:"backoff"` // exponential or linear
	BaseMs      int64  `json:"baseMs"`
	MaxMs       int64  `json:"maxMs,omitempty"`
	Jitter      bool   `json:"jitter,omitempty"`
}

// CronNext is dispatch.Upcoming in JSON.
type CronNext struct {
	Slot time.Time `json:"slot"`
	At   time.Time `json:"at"` // when it is to run
}

// CronLast is how the last tick of a trigger that has ended did.
type CronLast struct {
	Slot    *time.Time        `json:"slot"` // null of a run by hand
	JobID   storage.JobID     `json:"jobId"`
	State   storage.State     `json:"state"`
	EndedAt *time.Time        `json:"endedAt"`
	Error   *storage.JobError `json:"error"`
}

// CronSlot is storage.Slot in JSON.
type CronSlot struct {
	From    time.Time           `json:"from"`
	To      time.Time           `json:"to"`
	Count   int                 `json:"count"`   // 0: too many to count
	Outcome storage.SlotOutcome `json:"outcome"` // how a fired one ended is the state of its job
	Reason  string              `json:"reason,omitempty"`
	JobID   storage.JobID       `json:"jobId,omitempty"`
	At      time.Time           `json:"at"`
}

func retryOf(p dispatch.RetryPolicy) CronRetry {
	backoff := backoffExponential
	if p.Backoff == dispatch.Linear {
		backoff = backoffLinear
	}
	return CronRetry{p.MaxAttempts, backoff, p.Base.Milliseconds(), p.Max.Milliseconds(), p.Jitter}
}

// cronOf is the trigger in JSON, without its slots.
func cronOf(info *dispatch.CronInfo) *Cron {
	c := &Cron{
		Name: info.Name, Spec: info.Spec, Zone: info.Zone, Function: info.Function, Args: info.Args, Overlap: info.Overlap,
		CatchUp:  CronCatchUp{info.CatchUp.Mode, info.CatchUp.Limit, info.CatchUp.Window.Milliseconds()},
		JitterMs: info.Jitter.Milliseconds(),
		Retry:    retryOf(info.Policy),
		Declared: info.Declared, Paused: info.Paused, PauseReason: info.PauseReason, Fault: info.Fault, HeldJob: string(info.HeldJob), Description: info.Description,
		CreatedAt: info.CreatedAt.UTC(), Next: []CronNext{}, LastSuccess: instant(info.LastSuccess),
		AtStart: info.AtStart, AtMostOnce: info.AtMostOnce, TimeoutMs: info.Timeout.Milliseconds(), As: info.As,
		SuccessWithinMs: info.SuccessWithin.Milliseconds(), LastSuccessAt: instant(info.LastSuccessAt), Overdue: info.Overdue,
		Tags: info.Tags,
	}
	for _, at := range info.Upcoming {
		c.Next = append(c.Next, CronNext{at.Slot.UTC(), at.At.UTC()})
	}
	if b := info.Backfill; b != nil {
		c.Backfill = &CronBackfill{b.From.UTC(), b.To.UTC(), b.Again, b.Reason, b.AskedAt.UTC(), b.Slots, b.Begun, b.Outcome, instant(b.EndedAt)}
	}
	if info.LastState != "" {
		c.Last = &CronLast{instant(info.LastSlot), info.LastJob, info.LastState, instant(info.LastEndedAt), info.LastError}
	}
	return c
}

// instant is t, or nil if there is none.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// The names of dispatch.Backoff.
const (
	backoffExponential = "exponential"
	backoffLinear      = "linear"
)

// cronDefinition is what a trigger is made of, as an operator writes it.
type cronDefinition struct {
	Name     string          `json:"name"`
	Spec     string          `json:"spec"`
	Zone     string          `json:"zone"`
	Function string          `json:"function"`
	Args     json.RawMessage `json:"args"`
	Overlap  storage.Overlap `json:"overlap"`
	CatchUp  CronCatchUp     `json:"catchUp"`
	JitterMs int64           `json:"jitterMs"`

	AtMostOnce      bool               `json:"atMostOnce"`
	TimeoutMs       int64              `json:"timeoutMs"`
	As              *dispatch.Identity `json:"as"`
	SuccessWithinMs int64              `json:"successWithinMs"`
	Tags            []string           `json:"tags"`

	Retry  *RetryRequest `json:"retry"`
	Paused *bool         `json:"paused"` // only where one is made
}

// cron is the definition for the engine, which checks what is not checked here.
func (d *cronDefinition) cron() (dispatch.Trigger, error) {
	bad := func(format string, args ...any) (dispatch.Trigger, error) {
		return dispatch.Trigger{}, dispatch.Errorf(dispatch.CodeInvalidArgument, format, args...)
	}
	if d.Name == "." || d.Name == ".." {
		return bad("name: no URL can have %q in its path", d.Name)
	}
	if err := checkService(d.As); err != nil {
		return dispatch.Trigger{}, err
	}
	def := dispatch.Trigger{Name: d.Name, Schedule: cron.Expr(d.Spec), Zone: d.Zone, Overlap: d.Overlap, AtMostOnce: d.AtMostOnce, As: d.As, Tags: d.Tags}
	if d.Args == nil {
		d.Args = json.RawMessage("{}")
	}
	def.Call = dispatch.Path(d.Function).With(d.Args)
	def.CatchUp = storage.CatchUp{Mode: d.CatchUp.Mode, Limit: d.CatchUp.Limit}
	var err error
	if def.CatchUp.Window, err = milliseconds("catchUp.windowMs", d.CatchUp.WindowMs); err != nil {
		return dispatch.Trigger{}, err
	}
	for _, span := range []struct {
		field string
		ms    int64
		into  *time.Duration
	}{{"jitterMs", d.JitterMs, &def.Jitter}, {"timeoutMs", d.TimeoutMs, &def.Timeout}, {"successWithinMs", d.SuccessWithinMs, &def.SuccessWithin}} {
		if *span.into, err = milliseconds(span.field, span.ms); err != nil {
			return dispatch.Trigger{}, err
		}
	}
	if def.Retry, err = d.Retry.policy(); err != nil {
		return dispatch.Trigger{}, err
	}
	return def, nil
}

// trigger is the definition, if the operator may have it run as it says.
func (r *request) trigger(body *cronDefinition) (dispatch.Trigger, error) {
	if err := r.mayActAs(body.As); err != nil {
		return dispatch.Trigger{}, err
	}
	return body.cron()
}

// milliseconds is a span that a field gives.
func milliseconds(field string, ms int64) (time.Duration, error) {
	const longest = math.MaxInt64 / int64(time.Millisecond)
	if ms < 0 || ms > longest {
		return 0, dispatch.Errorf(dispatch.CodeInvalidArgument, "%s is %d, want 0 to %d", field, ms, longest)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

func (h *handler) listCrons(_ http.ResponseWriter, r *request) (int, any, error) {
	infos, err := r.app.Scheduler(r.Context()).Crons().List()
	if err != nil {
		return 0, nil, err
	}
	crons := make([]*Cron, len(infos))
	for i := range infos {
		crons[i] = cronOf(&infos[i])
		r.veil(crons[i])
	}
	return http.StatusOK, crons, nil
}

func (h *handler) createCron(w http.ResponseWriter, r *request) (int, any, error) {
	var body cronDefinition
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	def, err := r.trigger(&body)
	if err != nil {
		return 0, nil, err
	}
	def.Paused = body.Paused != nil && *body.Paused
	r.entry.IDs = append(r.entry.IDs, def.Name)
	crons := r.app.Scheduler(r.Context()).Crons()
	if err := crons.Create(def); err != nil {
		return 0, nil, err
	}
	w.Header().Set("Location", r.URL.EscapedPath()+"/"+url.PathEscape(def.Name))
	return r.shown(http.StatusCreated, crons, def.Name)
}

func (h *handler) getCron(_ http.ResponseWriter, r *request) (int, any, error) {
	name, limit := r.PathValue("name"), defaultSlots
	if text := r.URL.Query().Get("slots"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 0 || limit > maxSlots {
			return 0, nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "slots is %.32q, want 0 to %d", text, maxSlots)
		}
	}
	crons := r.app.Scheduler(r.Context()).Crons()
	cron, err := lookup(crons, name)
	if err != nil {
		return 0, nil, err
	}
	if limit == 0 {
		r.veil(cron)
		return http.StatusOK, cron, nil
	}
	slots, err := crons.Slots(name, limit)
	if err != nil {
		return 0, nil, err
	}
	cron.Slots = make([]CronSlot, len(slots))
	for i, s := range slots {
		cron.Slots[i] = CronSlot{s.From.UTC(), s.To.UTC(), s.Count, s.Outcome, s.Reason, s.Job, s.At.UTC()}
	}
	r.veil(cron)
	return http.StatusOK, cron, nil
}

// putCron makes a trigger or gives it another definition. It leaves out whether the
// trigger is paused, which is no part of the definition and has routes of its own.
func (h *handler) putCron(w http.ResponseWriter, r *request) (int, any, error) {
	var body cronDefinition
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	name := r.PathValue("name")
	if body.Name != "" && body.Name != name {
		return 0, nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "name: a trigger cannot be renamed, and the path has %.64q", name)
	}
	if body.Paused != nil {
		return 0, nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "paused: an update leaves that as it is, the routes pause and resume change it")
	}
	body.Name = name
	def, err := r.trigger(&body)
	if err != nil {
		return 0, nil, err
	}
	crons := r.app.Scheduler(r.Context()).Crons()
	created, err := crons.Put(def)
	if err != nil {
		return 0, nil, err
	}
	if created {
		w.Header().Set("Location", r.URL.EscapedPath())
		return r.shown(http.StatusCreated, crons, name)
	}
	return r.shown(http.StatusOK, crons, name)
}

func (h *handler) deleteCron(_ http.ResponseWriter, r *request) (int, any, error) {
	err := r.app.Scheduler(r.Context()).Crons().Delete(r.PathValue("name"))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, struct{}{}, nil
}

func (h *handler) runCron(w http.ResponseWriter, r *request) (int, any, error) {
	if status, err := h.decodeBody(w, r, &struct{}{}); err != nil {
		return status, nil, err
	}
	id, err := r.app.Scheduler(r.Context()).Crons().RunNow(r.PathValue("name"))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, CronRun{id}, nil
}

// CronRun is the answer to a trigger that was run by hand.
type CronRun struct {
	JobID storage.JobID `json:"jobId"`
}

func (h *handler) pauseCron(w http.ResponseWriter, r *request) (int, any, error) {
	var body struct {
		Reason string `json:"reason"`
	}
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	if len(body.Reason) > maxReason {
		return 0, nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "reason is %d bytes long, want at most %d", len(body.Reason), maxReason)
	}
	crons, name := r.app.Scheduler(r.Context()).Crons(), r.PathValue("name")
	if err := crons.Pause(name, body.Reason); err != nil {
		return 0, nil, err
	}
	return r.shown(http.StatusOK, crons, name)
}

func (h *handler) resumeCron(w http.ResponseWriter, r *request) (int, any, error) {
	if status, err := h.decodeBody(w, r, &struct{}{}); err != nil {
		return status, nil, err
	}
	crons, name := r.app.Scheduler(r.Context()).Crons(), r.PathValue("name")
	if err := crons.Resume(name); err != nil {
		return 0, nil, err
	}
	return r.shown(http.StatusOK, crons, name)
}

// shown is the answer of an operation that leaves the trigger changed.
func (r *request) shown(status int, crons dispatch.Crons, name string) (int, any, error) {
	cron, err := lookup(crons, name)
	if err != nil {
		return 0, nil, err
	}
	r.veil(cron)
	return status, cron, nil
}

// lookup returns an existing trigger, or not_found.
func lookup(crons dispatch.Crons, name string) (*Cron, error) {
	info, ok, err := crons.Get(name)
	if err == nil && !ok {
		err = dispatch.Errorf(dispatch.CodeNotFound, "no trigger %.64q", name)
	}
	if err != nil {
		return nil, err
	}
	return cronOf(&info), nil
}
