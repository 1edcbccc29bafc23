package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"carillon/server/api"
)

// Crons returns all triggers of the app, by name.
func (a *App) Crons(ctx context.Context) (crons []api.Cron, err error) {
	err = a.c.do(ctx, a.get("crons"), &crons)
	return crons, err
}

// Cron returns the trigger, with how its latest slots ended, up to so many, which are 200 at most.
func (a *App) Cron(ctx context.Context, name string, slots int) (*api.Cron, error) {
	r := a.get("crons", name)
	r.query = url.Values{"slots": {strconv.Itoa(slots)}}
	return a.cron(ctx, r)
}

// PreviewCron returns what the spec says in words, and the first five slots of a trigger that is made of it now in the zone, ""
// being UTC. It is invalid_argument of a spec or a zone that no trigger can have.
func (c *Client) PreviewCron(ctx context.Context, spec, zone string) (preview api.CronPreview, err error) {
	err = c.do(ctx, request{method: http.MethodGet, path: v1("crons", "preview"), query: url.Values{"spec": {spec}, "zone": {zone}}, repeat: always}, &preview)
	return preview, err
}

// CreateCron makes a trigger. It is already_exists if there is one of the name.
func (a *App) CreateCron(ctx context.Context, cron api.CronDefinition) (*api.Cron, error) {
	return a.cron(ctx, a.post(ifNotDone, &cron, "crons"))
}

// PutCron makes the trigger, or gives it another definition, as a whole. Paused has to be nil: PauseCron
// and ResumeCron change that.
func (a *App) PutCron(ctx context.Context, cron api.CronDefinition) (*api.Cron, error) {
	return a.cron(ctx, request{method: http.MethodPut, path: a.path("crons", cron.Name), body: &cron, repeat: always})
}

// DeleteCron deletes the trigger, with its next tick. It is failed_precondition of one that the program
// declares.
func (a *App) DeleteCron(ctx context.Context, name string) error {
	return a.c.do(ctx, request{method: http.MethodDelete, path: a.path("crons", name), repeat: ifNotDone}, nil)
}

// RunCron runs the trigger by hand, and returns the id of the job. Its next slot stays as it is.
func (a *App) RunCron(ctx context.Context, name string) (jobID string, err error) {
	var run api.CronRun
	err = a.c.do(ctx, a.post(ifNotDone, nil, "crons", name, "run"), &run)
	return run.JobID, err
}

// BackfillCron has the trigger run for slots that have passed, up to 10,000 of them, one after the other. Cron says how
// far that has come. It is already_exists while another backfill of it goes on.
func (a *App) BackfillCron(ctx context.Context, name string, span api.BackfillRequest) (backfill api.CronBackfill, err error) {
	err = a.c.do(ctx, a.post(ifNotDone, &span, "crons", name, "backfill"), &backfill)
	return backfill, err
}

// CancelBackfill ends the backfill of the trigger: slots that have begun go on. It is failed_precondition if
// there is none.
func (a *App) CancelBackfill(ctx context.Context, name string) (*api.Cron, error) {
	return a.cron(ctx, request{method: http.MethodDelete, path: a.path("crons", name, "backfill"), repeat: ifNotDone})
}

// PauseCron pauses the trigger. reason is for people, up to 500 bytes.
func (a *App) PauseCron(ctx context.Context, name, reason string) (*api.Cron, error) {
	return a.cron(ctx, a.post(always, &api.PauseCron{Reason: reason}, "crons", name, "pause"))
}

// ResumeCron ends the pause of the trigger.
func (a *App) ResumeCron(ctx context.Context, name string) (*api.Cron, error) {
	return a.cron(ctx, a.post(always, nil, "crons", name, "resume"))
}

// cron is a request that is answered with a trigger.
func (a *App) cron(ctx context.Context, r request) (*api.Cron, error) {
	cron := new(api.Cron)
	if err := a.c.do(ctx, r, cron); err != nil {
		return nil, err
	}
	return cron, nil
}
