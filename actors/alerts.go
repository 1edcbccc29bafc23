package actors

import (
	"fmt"

	"carillon/dispatch"
	"carillon/storage"
)

// This file schedules the program's alerts (dispatch.Registry.AlertTo): those of dead jobs and
// of missed slots in the change set that makes them so, so that a process that dies next owes
// none. Only a stuck handler, which is nowhere but in the process, is told of afterwards.

// alerts is where they go.
type alerts struct {
	to      dispatch.AlertTarget // nil: nowhere
	path    string               // of its function
	planner dispatch.Planner
}

func (e *Engine) newAlerts() *alerts {
	to := e.opts.Functions.Alerts()
	if to == nil {
		return &alerts{}
	}
	return &alerts{to, to.With(dispatch.Alert{}).Path(), e.planner()}
}

// checkAlerts says what is wrong with the function that alerts go to.
func (o *Options) checkAlerts() error {
	to := o.Functions.Alerts()
	if to == nil {
		return nil
	}
	if _, err := o.planner().After(0, to.With(dispatch.Alert{})); err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	return nil
}

// schedule has the alert be a job, in the transaction of w.
func (as *alerts) schedule(w storage.JobWriter, a dispatch.Alert) error {
	if as.to == nil {
		return nil
	}
	plan := as.planner
	plan.Parent = a.Job
	job, err := plan.After(0, as.to.With(a))
	if err != nil {
		return err
	}
	_, err = w.InsertNow(job)
	return err
}

// alertDead schedules an alert for each job that the transaction, which is about to be
// committed, leaves dead.
func (s *scheduler) alertDead(tx *storage.Tx) error {
	if s.eng.alerts.to == nil || !tx.MayLeaveDead() {
		return nil
	}
	for _, job := range tx.LeftDead() {
		if s.eng.pathOf(job.Function) == s.eng.alerts.path {
			continue
		}
		a := dispatch.Alert{
			Kind: dispatch.AlertDead, App: s.id, At: job.CompletedAt, Function: job.Function, Job: job.ID,
			Attempts: job.Attempts, Trigger: job.Trigger,
		}
		if job.Error != nil {
			a.Code, a.Message = dispatch.Code(job.Error.Code), job.Error.Message
		}
		if err := s.eng.alerts.schedule(tx.JobWriter(), a); err != nil {
			return err
		}
	}
	return nil
}

// alertStuck schedules an alert of the stuck handler.
func (e *Engine) alertStuck(s *StuckHandler) {
	if e.alerts.to == nil || e.pathOf(s.Function) == e.alerts.path {
		return
	}
	a := dispatch.Alert{Kind: dispatch.AlertStuck, App: s.App, At: s.Since.UTC(), Function: s.Function, Job: s.Job, Attempts: s.Attempt}
	e.handlers.spawn("alert", func() result {
		app, err := e.App(s.App)
		if err == nil {
			_, err = app.Scheduler(e.ctx).RunAfter(0, e.alerts.to.With(a))
		}
		return result{err: err}
	}, func(res result) {
		if res.err != nil {
			e.opts.Logger.Error("scheduling the alert of a stuck handler", "app", s.App, "err", res.err)
		}
	})
}
