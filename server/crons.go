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
	"carillon/server/api"
	"carillon/storage"
)

// Bounds of what one request about triggers may say.
const (
	defaultSlots = 20
	maxSlots     = 200 // as many as are kept
	maxReason    = 500 // bytes of why a trigger is paused
	previewSlots = 5   // of a spec that no trigger has yet

	maxListedSlots = 20  // of each trigger in a list,
	maxSlotted     = 100 // of so many of them
)

// servicePrefix begins the subjects that an operator may have a trigger run as. Operators
// act for the service and not for a user, so that no user's name is taken here.
const servicePrefix = "service:"

func retryOf(p dispatch.RetryPolicy) api.Retry {
	backoff := api.BackoffExponential
	if p.Backoff == dispatch.Linear {
		backoff = api.BackoffLinear
	}
	return api.Retry{MaxAttempts: p.MaxAttempts, Backoff: backoff, BaseMs: p.Base.Milliseconds(), MaxMs: p.Max.Milliseconds(), Jitter: p.Jitter}
}

// cronOf is the trigger in JSON, without its slots.
func cronOf(info *dispatch.CronInfo) *api.Cron {
	c := &api.Cron{
		Name: info.Name, Spec: info.Spec, Zone: info.Zone, Function: info.Function, Args: info.Args, Overlap: api.Overlap(info.Overlap),
		CatchUp:  api.CatchUp{Mode: api.CatchUpMode(info.CatchUp.Mode), Limit: info.CatchUp.Limit, WindowMs: info.CatchUp.Window.Milliseconds()},
		JitterMs: info.Jitter.Milliseconds(),
		Retry:    retryOf(info.Policy),
		Declared: info.Declared, Paused: info.Paused, PauseReason: info.PauseReason, Fault: info.Fault, HeldJob: string(info.HeldJob), Description: info.Description,
		CreatedAt: info.CreatedAt.UTC(), Next: []api.CronNext{}, LastSuccess: instant(info.LastSuccess),
		AtStart: info.AtStart, AtMostOnce: info.AtMostOnce, TimeoutMs: info.Timeout.Milliseconds(), As: identityOf(info.As),
		SuccessWithinMs: info.SuccessWithin.Milliseconds(), LastSuccessAt: instant(info.LastSuccessAt), Overdue: info.Overdue,
		Tags: info.Tags,
	}
	for _, at := range info.Upcoming {
		c.Next = append(c.Next, api.CronNext{Slot: at.Slot.UTC(), At: at.At.UTC()})
	}
	if b := info.Backfill; b != nil {
		c.Backfill = backfillOf(b)
	}
	if info.LastState != "" {
		c.Last = &api.CronLast{
			Slot: instant(info.LastSlot), JobID: string(info.LastJob), State: api.State(info.LastState),
			EndedAt: instant(info.LastEndedAt), Error: errorOf(info.LastError),
		}
	}
	return c
}

func backfillOf(b *storage.Backfill) *api.CronBackfill {
	return &api.CronBackfill{
		From: b.From.UTC(), To: b.To.UTC(), Again: b.Again, Reason: b.Reason, AskedAt: b.AskedAt.UTC(), Slots: b.Slots, Begun: b.Begun,
		Outcome: api.BackfillOutcome(b.Outcome), EndedAt: instant(b.EndedAt),
	}
}

// instant is t, or nil if there is none.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// triggerOf is the definition for the engine, which checks what is not checked here.
func triggerOf(d *api.CronDefinition) (dispatch.Trigger, error) {
	bad := func(format string, args ...any) (dispatch.Trigger, error) {
		return dispatch.Trigger{}, dispatch.Errorf(dispatch.CodeInvalidArgument, format, args...)
	}
	if d.Name == "." || d.Name == ".." {
		return bad("name: no URL can have %q in its path", d.Name)
	}
	if err := checkService(d.As); err != nil {
		return dispatch.Trigger{}, err
	}
	def := dispatch.Trigger{
		Name: d.Name, Schedule: cron.Expr(d.Spec), Zone: d.Zone, Overlap: storage.Overlap(d.Overlap), AtMostOnce: d.AtMostOnce,
		As: actsAs(d.As), Tags: d.Tags,
	}
	if d.Args == nil {
		d.Args = json.RawMessage("{}")
	}
	def.Call = dispatch.Path(d.Function).With(d.Args)
	def.CatchUp = storage.CatchUp{Mode: storage.CatchUpMode(d.CatchUp.Mode), Limit: d.CatchUp.Limit}
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
	if def.Retry, err = policyOf(d.Retry); err != nil {
		return dispatch.Trigger{}, err
	}
	return def, nil
}

// trigger is the definition, if the operator may have it run as it says.
func (r *request) trigger(body *api.CronDefinition) (dispatch.Trigger, error) {
	if err := r.mayActAs(body.As); err != nil {
		return dispatch.Trigger{}, err
	}
	return triggerOf(body)
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
	limit, err := slotsIn(r.URL.Query(), 0, maxListedSlots)
	if err != nil {
		return 0, nil, err
	}
	infos, err := r.app.Scheduler(r.Context()).Crons().List()
	if err != nil {
		return 0, nil, err
	}
	crons := make([]*api.Cron, len(infos))
	for i := range infos {
		crons[i] = cronOf(&infos[i])
	}
	if err := r.addSlots(limit, crons[:min(len(crons), maxSlotted)]...); err != nil {
		return 0, nil, err
	}
	for _, c := range crons {
		veil(r, c, hideInCron)
	}
	return http.StatusOK, crons, nil
}

// previewCron answers with what a trigger that is made now of the spec and zone says, and its first slots.
func (h *handler) previewCron(_ http.ResponseWriter, r *request) (int, any, error) {
	query := r.URL.Query()
	if err := onlyOnce(query, []string{"spec", "zone"}); err != nil {
		return 0, nil, err
	}
	spec := cron.Expr(query.Get("spec"))
	schedule, err := spec.Compile(query.Get("zone"))
	if err != nil {
		return 0, nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "%w", err)
	}
	at := h.eng.Clock().Wall.Truncate(time.Millisecond)
	schedule = schedule.WithAnchor(at)
	p := api.CronPreview{Spec: spec.String(), Zone: schedule.Zone(), Description: schedule.Describe(), Next: []api.PreviewSlot{}}
	for range previewSlots {
		at = schedule.Next(at)
		p.Next = append(p.Next, api.PreviewSlot{Slot: at.UTC(), Local: schedule.In(at).Format("Mon 2006-01-02 15:04:05 MST")})
	}
	return http.StatusOK, p, nil
}

func (h *handler) createCron(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.CronDefinition
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
	limit, err := slotsIn(r.URL.Query(), defaultSlots, maxSlots)
	if err != nil {
		return 0, nil, err
	}
	cron, err := lookup(r.app.Scheduler(r.Context()).Crons(), r.PathValue("name"))
	if err != nil {
		return 0, nil, err
	}
	if err := r.addSlots(limit, cron); err != nil {
		return 0, nil, err
	}
	veil(r, cron, hideInCron)
	return http.StatusOK, cron, nil
}

// slotsIn is how many slots of each trigger the query asks for, up to most.
func slotsIn(query url.Values, byDefault, most int) (int, error) {
	if err := onlyOnce(query, []string{"slots"}); err != nil {
		return 0, err
	}
	text := query.Get("slots")
	if text == "" {
		return byDefault, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 0 || limit > most {
		return 0, dispatch.Errorf(dispatch.CodeInvalidArgument, "slots is %.32q, want 0 to %d", text, most)
	}
	return limit, nil
}

// addSlots gives the triggers so many of their latest slots each, with the states of their jobs.
func (r *request) addSlots(limit int, crons ...*api.Cron) error {
	if limit == 0 {
		return nil
	}
	return r.app.Read(r.Context(), func(reader storage.Reader) error {
		system := reader.System()
		for _, c := range crons {
			slots, err := system.Slots(c.Name, limit)
			if err != nil {
				return err
			}
			c.Slots = each(slots, func(s storage.Slot) api.CronSlot {
				shown := api.CronSlot{
					From: s.From.UTC(), To: s.To.UTC(), Count: s.Count, Outcome: api.SlotOutcome(s.Outcome), Reason: s.Reason,
					JobID: string(s.Job), At: s.At.UTC(),
				}
				// What is not kept, or cannot be read, has none.
				if job, known, err := system.Get(s.Job); err == nil && known {
					shown.State = api.State(job.State)
				}
				return shown
			})
		}
		return nil
	})
}

// putCron makes a trigger or gives it another definition. It leaves out whether the
// trigger is paused, which is no part of the definition and has routes of its own.
func (h *handler) putCron(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.CronDefinition
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
	return http.StatusOK, api.Empty{}, nil
}

func (h *handler) runCron(w http.ResponseWriter, r *request) (int, any, error) {
	if status, err := h.decodeBody(w, r, &api.Empty{}); err != nil {
		return status, nil, err
	}
	id, err := r.app.Scheduler(r.Context()).Crons().RunNow(r.PathValue("name"))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, api.CronRun{JobID: string(id)}, nil
}

func (h *handler) pauseCron(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.PauseCron
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
	if status, err := h.decodeBody(w, r, &api.Empty{}); err != nil {
		return status, nil, err
	}
	crons, name := r.app.Scheduler(r.Context()).Crons(), r.PathValue("name")
	if err := crons.Resume(name); err != nil {
		return 0, nil, err
	}
	return r.shown(http.StatusOK, crons, name)
}

func (h *handler) backfillCron(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.BackfillRequest
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	b, err := r.app.Scheduler(r.Context()).Crons().Backfill(r.PathValue("name"), dispatch.Backfill(body))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, backfillOf(&b), nil
}

func (h *handler) cancelBackfill(_ http.ResponseWriter, r *request) (int, any, error) {
	crons, name := r.app.Scheduler(r.Context()).Crons(), r.PathValue("name")
	canceled, err := crons.CancelBackfill(name)
	if err == nil && !canceled {
		err = dispatch.Errorf(dispatch.CodeFailedPrecondition, "trigger %s has no backfill that goes on", name)
	}
	if err != nil {
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
	veil(r, cron, hideInCron)
	return status, cron, nil
}

// lookup returns an existing trigger, or not_found.
func lookup(crons dispatch.Crons, name string) (*api.Cron, error) {
	info, ok, err := crons.Get(name)
	if err == nil && !ok {
		err = dispatch.Errorf(dispatch.CodeNotFound, "no trigger %.64q", name)
	}
	if err != nil {
		return nil, err
	}
	return cronOf(&info), nil
}
