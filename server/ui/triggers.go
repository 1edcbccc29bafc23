package ui

import (
	"net/url"
	"strconv"
	"time"

	"carillon/cron"
	"carillon/dispatch"
	"carillon/server/api"
)

// Bounds of the page of a trigger: the slots that have passed, and the next ones.
const (
	shownSlots = 60
	listSlots  = 10 // of each in the list
	nextSlots  = 5
)

// instant is an instant as UTC has it, and as a zone does.
type instant struct {
	At    time.Time
	Local string
}

// trigger is one, with what its spec says.
type trigger struct {
	*api.Cron
	Due      []instant // its next slots; none while it is paused or faulty
	Latest   []slot
	schedule *cron.Schedule
}

// triggerOf is the trigger with up to so many slots to come. What passes between two of them is not known
// to an interval by its spec alone: the slot that the row has told says it.
func triggerOf(c *api.Cron, slots int) trigger {
	t := trigger{Cron: c}
	for _, s := range c.Slots {
		t.Latest = append(t.Latest, slotOf(c, s))
	}
	if c.AtStart || len(c.Next) == 0 {
		return t
	}
	schedule, err := cron.Expr(c.Spec).Compile(c.Zone)
	if err != nil {
		return t // of a zone that this machine does not know: the row says the fault
	}
	slot := c.Next[0].Slot
	t.schedule = schedule.WithAnchor(slot)
	t.Due = instants(t.schedule, slot, slots)
	return t
}

// instants are so many slots, from the first one.
func instants(schedule *cron.Schedule, first time.Time, slots int) (list []instant) {
	for at := first; !at.IsZero() && len(list) < slots; at = schedule.Next(at) {
		list = append(list, instant{at.UTC(), schedule.In(at).Format("Mon 2006-01-02 15:04:05 MST")})
	}
	return list
}

type triggersData struct {
	App      string
	Triggers []trigger
}

func triggers(r *Request) (*Answer, error) {
	path := r.inPath("app")
	crons, err := ask[[]*api.Cron](r, Call{Route: "GET /v1/apps/{app}/crons", Path: path, Query: url.Values{"slots": {strconv.Itoa(listSlots)}}})
	if err != nil {
		return nil, err
	}
	d := triggersData{App: path["app"]}
	for _, c := range crons {
		d.Triggers = append(d.Triggers, triggerOf(c, 1))
	}
	return r.show("triggers", "Triggers", r.inApp(), d), nil
}

// slot is a slot that has passed, or a run of slots with one outcome, as the strip shows it.
type slot struct {
	api.CronSlot
	Outcome string // that of the slot, or of its job
	Class   string // how good that is
	Late    string // how much later than its slot the tick was begun; "" if it was in time
}

// lateAfter is how long after its slot and its delay a tick is late.
const lateAfter = time.Second

// slotOf is the slot of the trigger.
func slotOf(c *api.Cron, s api.CronSlot) slot {
	state := s.State
	if last := c.Last; state == "" && last != nil && last.JobID == s.JobID {
		state = last.State // whose job is not kept
	}
	shown := slot{CronSlot: s, Outcome: string(s.Outcome), Class: "held"}
	if s.Outcome != api.SlotFired {
		return shown
	}
	if late := s.At.Sub(s.From) - time.Duration(c.JitterMs)*time.Millisecond; late > lateAfter {
		shown.Late = span(late)
	}
	switch {
	case state == api.StateSuccess && shown.Late != "":
		shown.Outcome = "late"
	case state == api.StateSuccess, state == "":
		shown.Class = string(state)
	default:
		shown.Outcome, shown.Class = string(state), string(state)
	}
	return shown
}

type triggerData struct {
	App string
	trigger
	Weeks []week
	Zone  string // of the calendar
}

func triggerPage(r *Request) (*Answer, error) {
	path := r.inPath("app", "name")
	c, err := ask[api.Cron](r, Call{Route: "GET /v1/apps/{app}/crons/{name}", Path: path, Query: url.Values{"slots": {strconv.Itoa(shownSlots)}}})
	if err != nil {
		return nil, err
	}
	d := triggerData{App: path["app"], trigger: triggerOf(&c, nextSlots), Zone: c.Zone}
	if d.schedule != nil {
		d.Weeks = calendar(d.schedule, c.Next[0].Slot, time.Now())
	}
	return r.show("trigger", c.Name, r.inApp(crumb{"Triggers", r.triggersAt()}), d), nil
}

// triggersAt is the address of the app's triggers.
func (r *Request) triggersAt() string {
	return r.Base + "/apps/" + escaped(r.HTTP.PathValue("app")) + "/triggers"
}

// changeTrigger does what the row does to the trigger, and goes back to its page.
func (r *Request) changeTrigger(method, what string, body any) (*Answer, error) {
	path := r.inPath("app", "name")
	if _, err := r.Ask(Call{Route: method + " /v1/apps/{app}/crons/{name}" + what, Path: path, Body: body}); err != nil {
		return nil, err
	}
	return Go(r.triggersAt() + "/" + escaped(path["name"])), nil
}

func pauseTrigger(r *Request) (*Answer, error) {
	return r.changeTrigger("POST", "/pause", api.PauseCron{Reason: r.field("reason")})
}

func resumeTrigger(r *Request) (*Answer, error) { return r.changeTrigger("POST", "/resume", nil) }

// runTrigger runs the trigger by hand, and goes to the page of the job.
func runTrigger(r *Request) (*Answer, error) {
	run, err := ask[api.CronRun](r, Call{Route: "POST /v1/apps/{app}/crons/{name}/run", Path: r.inPath("app", "name")})
	if err != nil {
		return nil, err
	}
	return Go(r.Base + "/apps/" + escaped(r.HTTP.PathValue("app")) + "/jobs/" + escaped(run.JobID)), nil
}

func backfillTrigger(r *Request) (*Answer, error) {
	body := api.BackfillRequest{Again: r.field("again") != "", Reason: r.field("reason")}
	var unread error
	if body.From, unread = instantIn("from", r.field("from")); unread == nil {
		body.To, unread = instantIn("to", r.field("to"))
	}
	if unread != nil {
		body.From, body.To = time.Time{}, time.Time{}
	}
	a, err := r.changeTrigger("POST", "/backfill", body)
	if err != nil && unread != nil && dispatch.AsError(err).Code == dispatch.CodeInvalidArgument {
		return nil, unread // the row has said that the operator may, and of what it was given instead that it is none
	}
	return a, err
}

func cancelBackfill(r *Request) (*Answer, error) { return r.changeTrigger("DELETE", "/backfill", nil) }

func deleteTrigger(r *Request) (*Answer, error) {
	if _, err := r.changeTrigger("DELETE", "", nil); err != nil {
		return nil, err
	}
	return Go(r.triggersAt()), nil
}

// instantIn is the instant of a field of a form: as a browser writes it, in UTC, or as RFC 3339 has it.
func instantIn(field, text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", time.DateTime, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, unfit("%s is %.40q, want an instant such as 2026-11-30T07:00, in UTC", field, text)
}

// unfit is what is wrong in a form.
func unfit(format string, args ...any) error {
	return dispatch.Errorf(dispatch.CodeInvalidArgument, format, args...)
}
