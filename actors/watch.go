package actors

import (
	"context"
	"fmt"
	"iter"

	"carillon/dispatch"
	"carillon/internal/inturn"
	"carillon/storage"
)

// Watch yields the jobs of the app that the filter chooses, and then each change of theirs
// when it is durable, in the order of the commits: none is left out, and none of those that
// the snapshot has is told again. A job has one event a commit.
//
//	for e, err := range app.Watch(ctx, storage.JobFilter{Tags: []string{"ann"}}) {
//		switch {
//		case err != nil:
//			return err
//		case e.Kind == actors.EventReset:
//			clear(jobs)
//		case e.Left:
//			delete(jobs, e.Job.ID)
//		case e.Job.ID != "":
//			jobs[e.Job.ID] = e.Job
//		}
//	}
//
// It begins with EventReset, an EventJob for each job, by the regions of a listing, and
// EventReady. It does so again, with the Reason, if it could not go on without a gap: the loop
// was too slow (16,384 events were waiting), a commit's outcome was not known, the app was
// deleted or imported. The events after a snapshot know no such distinction: a job that the
// filter chooses no more has one with Left. A change of a function's run that is not durable,
// EventStarted or EventProgressed, may be missing.
//
// The watch ends with the loop, or with an error: that of ctx; resource_exhausted for a
// snapshot of more than Options.MaxWatched jobs, and if the engine has Options.MaxWatchers
// calls that watch; invalid_argument for a filter with Due, Ended, Error, Limit or Cursor;
// failed_precondition inside a mutation of the app; unavailable when the engine closes, or if
// the snapshot cannot be read. It neither slows the app nor keeps it awake.
func (a *App) Watch(ctx context.Context, f storage.JobFilter) iter.Seq2[Event, error] {
	return a.WatchAfter(ctx, f, Position{})
}

// WatchAfter is Watch that goes on behind the event of the position, without a snapshot, if
// what came since is in memory: of an app that is watched, up to 10,000 changes and 1 MiB; of
// one that was watched within the last minute as much, and what was written since then, up to
// 4 MiB. Of a store that shares its log with other nodes it reads there what has become of each job
// since a position with Log, if the log still has it, and tells that all in all, one event a job. Else it begins with EventReset. The filter is that of the watch that the position is
// of.
func (a *App) WatchAfter(ctx context.Context, f storage.JobFilter, after Position) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := a.watch(ctx, f, after, func(e *Event) bool { return yield(*e, nil) }); err != nil {
			yield(Event{}, err)
		}
	}
}

// watch is WatchAfter. It returns nil once yield has returned false.
func (a *App) watch(ctx context.Context, f storage.JobFilter, after Position, yield func(*Event) bool) error {
	if err := checkWatch(&f); err != nil {
		return err
	}
	if inturn.In(ctx, string(a.id)) {
		return &dispatch.Error{
			Code: dispatch.CodeFailedPrecondition, Err: storage.ErrReentrant,
			Message: "called from inside a mutation of the same app, which keeps its jobs from changing",
		}
	}
	feeds := &a.eng.feeds
	w, err := feeds.join(a.id, f, after, a.eng.opts.MaxWatchers)
	if err != nil {
		return err
	}
	defer feeds.leave(w)
	lapse := &a.eng.lapse
	var lapsed error
	tell := func(e *Event) bool {
		if lapsed = lapse.held(); lapsed != nil {
			return false
		}
		return yield(e)
	}
	for {
		told, reset, err := feeds.next(ctx, w, lapse)
		if err == nil && reset == resetGone {
			told, err = a.since(ctx, w, after)
			if err == nil {
				reset = ""
			} else if ctx.Err() == nil {
				err = nil // it begins with a snapshot
			}
		}
		switch {
		case err != nil:
			return err
		case reset != "":
			if !tell(&Event{Kind: EventReset, Reason: reset}) {
				return lapsed
			}
			jobs, as, given, err := a.chosen(ctx, w)
			if err != nil {
				return err
			}
			at := w.feed.ready(w, as, given)
			for i := range jobs {
				if !tell(&Event{Kind: EventJob, Job: jobs[i]}) {
					return lapsed
				}
			}
			if !tell(&Event{Kind: EventReady, Position: at}) {
				return lapsed
			}
		}
		for _, ch := range told {
			if !tell(ch.to(&f)) {
				return lapsed
			}
		}
	}
}

// checkWatch says why the filter is not one to watch with, or nil.
func checkWatch(f *storage.JobFilter) error {
	if f.Limit != 0 || f.Cursor != "" || f.Desc || f.Error != "" || f.Due != (storage.TimeRange{}) || f.Ended != (storage.TimeRange{}) || f.Priority != 0 || f.ArgsContains != "" {
		return dispatch.Errorf(dispatch.CodeInvalidArgument, "due, ended, error, priority, arguments, limit, cursor and desc are for listings: a watch is of the jobs that the rest of the filter chooses")
	}
	if err := f.Check(); err != nil {
		return dispatch.AsError(err)
	}
	return nil
}

// resumesAtOnce is how many watches read at once what they have missed: behind a takeover all come from the node of before.
const resumesAtOnce = 4

// since reads from a shared log what has become of the jobs that the watcher's filter chooses, all in
// all, since a position of another feed, which may be of another node. The error is no reason but
// to begin with a snapshot.
func (a *App) since(ctx context.Context, w *watcher, after Position) (told []*change, err error) {
	if after.Log == 0 {
		return nil, storage.ErrSinceGone
	}
	ref, err := a.eng.acquire(ctx, a.id, nil)
	if err != nil {
		return nil, err
	}
	defer ref.release()
	select {
	case a.eng.resumes <- struct{}{}:
		defer func() { <-a.eng.resumes }()
	case <-ctx.Done():
		return nil, contextError(ctx, "")
	}
	given := a.eng.feeds.given(w.feed)
	changes, as, err := ref.app.store.JobsSince(ctx, after.mark())
	if err != nil {
		return nil, asError(err)
	}
	for i := range changes {
		if ch, ok := changeOf(Position{}, &changes[i]); ok && ch.chosenBy(&w.filter) {
			told = append(told, ch)
		}
	}
	if len(told) > keptChanges {
		return nil, storage.ErrSinceGone
	}
	if at := w.feed.ready(w, as, given); len(told) > 0 {
		told[len(told)-1].event.Position = at
	}
	return told, nil
}

// chosen reads the jobs that the watcher's filter chooses, what this is as of, and how
// much the feed had been given by then: the jobs are read later, and show what was told before.
func (a *App) chosen(ctx context.Context, w *watcher) (jobs []storage.Job, as storage.CommitMark, given uint64, err error) {
	none := storage.CommitMark{}
	ref, err := a.eng.acquire(ctx, a.id, nil)
	if err != nil {
		return nil, none, 0, err
	}
	defer ref.release()
	snap, commit, err := ref.app.store.SnapshotAt(a.eng.clock.now())
	if err != nil {
		return nil, none, 0, asError(err)
	}
	defer snap.Close()
	given = a.eng.feeds.given(w.feed)
	if as, err = snap.Mark(); err != nil {
		return nil, none, 0, asError(err)
	}
	as.Commit = commit
	for job, err := range snap.Reader().System().All(w.filter) {
		switch {
		case err != nil:
			return nil, none, 0, asError(err)
		case ctx.Err() != nil:
			return nil, none, 0, contextError(ctx, "")
		case len(jobs) == a.eng.opts.MaxWatched:
			return nil, none, 0, &dispatch.Error{
				Code: dispatch.CodeResourceExhausted, Err: storage.ErrLimit,
				Message: fmt.Sprintf("the filter chooses more than %d jobs, as many as a watch begins with (MaxWatched): have it choose fewer, by a tag or by states, say", len(jobs)),
			}
		}
		jobs = append(jobs, job.Brief())
	}
	return jobs, as, given, nil
}
