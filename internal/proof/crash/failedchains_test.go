package crash_test

import (
	"carillon/dispatch"
	"carillon/storage"
)

// Half of the jobs of an engine whose commits fail have a follow-up, which leaves behind what it
// was told.

// failTold is what the follow-up of a job was told.
type failTold struct {
	Job     storage.JobID `json:"job"`
	State   storage.State `json:"state"`
	Ordinal int           `json:"ordinal"`
}

var (
	failTolds   = storage.NewTable[failTold]("failTolds")
	failTell    = dispatch.InternalMutation[dispatch.None, dispatch.None]("fail:tell")
	failAllTold = dispatch.InternalQuery[dispatch.None, []failTold]("fail:told")
)

func (l *failLife) handleChains(reg *dispatch.Registry) {
	failTell.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
		o := ctx.Job.Outcome
		_, err := failTolds.Insert(ctx.DB, failTold{o.Job, o.State, o.Ordinal})
		return dispatch.None{}, err
	})
	failAllTold.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) (all []failTold, err error) {
		for told, err := range failTolds.Query(ctx.DB).All() {
			if err != nil {
				return nil, err
			}
			all = append(all, told.Value)
		}
		return all, nil
	})
}

// told is what was told of each job, by ordinal.
func (l *failLife) told() map[storage.JobID]map[int]storage.State {
	all, err := failAllTold.Run(l.h.Caller(failApp), dispatch.None{})
	if err != nil {
		l.h.TB().Fatalf("reading what follow-ups were told: %v", err)
	}
	told := map[storage.JobID]map[int]storage.State{}
	for _, t := range all {
		if told[t.Job] == nil {
			told[t.Job] = map[int]storage.State{}
		}
		if told[t.Job][t.Ordinal] != "" {
			l.tally.Doubled("seed %d: end %d of job %s was told twice", l.seed, t.Ordinal, t.Job)
		}
		told[t.Job][t.Ordinal] = t.State
	}
	return told
}

// checkChain demands that each end of the job was told once, and the last as it was (G32). The
// caller holds the lock.
func (l *failLife) checkChain(known *failJob, job *storage.Job, told map[int]storage.State) {
	want := job.Ends
	if !known.chained {
		want = 0
	}
	switch {
	case len(told) < want, known.chained && want == 0:
		l.found(l.tally.Lost, "job %s is %s, has ended %d times, and told are %v", job.ID, job.State, want, told)
	case len(told) > want:
		l.found(l.tally.Doubled, "job %s is %s, has ended %d times, and told are %v", job.ID, job.State, want, told)
	case known.chained && told[want] != job.State:
		l.found(l.tally.Other, "job %s is %s, and told are %v", job.ID, job.State, told)
	case want > 1:
		l.seen["ended again"]++
	}
}
