package sample

import (
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Reminder is a document of the table reminders: one that fired. One that is
// still to come is a job and nothing else.
type Reminder struct {
	JobID        storage.JobID `json:"jobId"`
	Text         string        `json:"text"`
	ScheduledFor time.Time     `json:"scheduledFor"`
	FiredAt      time.Time     `json:"firedAt"`
}

type (
	setReminder struct {
		Text    string `json:"text"`
		AfterMs int64  `json:"afterMs"`
	}
	reminderRef struct {
		JobID storage.JobID `json:"jobId"`
	}
	completedReminder struct {
		Canceled bool `json:"canceled"`
	}
	fireReminder struct {
		Text string `json:"text"`
	}
)

var (
	reminders = storage.NewTable[Reminder]("reminders")

	remindersSet      = dispatch.Mutation[setReminder, scheduled]("reminders:set")
	remindersComplete = dispatch.Mutation[reminderRef, completedReminder]("reminders:complete")
	remindersList     = dispatch.Query[dispatch.None, []Reminder]("reminders:list")
	remindersFire     = dispatch.InternalMutation[fireReminder, dispatch.None]("reminders:fire")
)

func handleReminders(reg *dispatch.Registry) {
	remindersSet.Handle(reg, func(ctx *dispatch.MutationCtx, args setReminder) (scheduled, error) {
		if err := checkText("text", args.Text); err != nil {
			return scheduled{}, err
		}
		delay, err := milliseconds("afterMs", args.AfterMs)
		if err != nil {
			return scheduled{}, err
		}
		id, err := ctx.Scheduler.RunAfter(delay, remindersFire.With(fireReminder{args.Text}))
		return scheduled{id}, err
	})

	// The answer is true: canceled means that the reminder will not fire, and not
	// canceled that it has fired, was canceled before, or never was a reminder.
	remindersComplete.Handle(reg, func(ctx *dispatch.MutationCtx, args reminderRef) (completedReminder, error) {
		if err := checkText("jobId", string(args.JobID)); err != nil {
			return completedReminder{}, err
		}
		job, known, err := ctx.Scheduler.Get(args.JobID)
		if err != nil || !known || job.Function != remindersFire.Path() {
			return completedReminder{}, err
		}
		answer, err := ctx.Scheduler.Cancel(args.JobID)
		return completedReminder{answer.Canceled}, err
	})

	remindersFire.Handle(reg, func(ctx *dispatch.MutationCtx, args fireReminder) (dispatch.None, error) {
		_, err := reminders.Insert(ctx.DB, Reminder{
			JobID: ctx.Job.ID, Text: args.Text, ScheduledFor: ctx.Job.ScheduledFor, FiredAt: ctx.Now,
		})
		return dispatch.None{}, err
	})

	remindersList.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) ([]Reminder, error) {
		return values(reminders.Query(ctx.DB))
	})
}
