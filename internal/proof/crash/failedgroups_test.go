package crash_test

import (
	"fmt"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Now and then an engine whose commits fail makes a group, with its members and its seal in one
// transaction. What follows it leaves behind what it was told.

// failGroup is a group: its members are an action, a mutation, and one that dies.
type failGroup struct {
	Members [3]storage.JobID `json:"members"`
}

// failGroupTold is what was told of the group of that first member.
type failGroupTold struct {
	First storage.JobID     `json:"first"`
	Ends  storage.GroupEnds `json:"ends"`
}

var (
	failGroupTolds = storage.NewTable[failGroupTold]("failGroupTolds")
	failMakeGroup  = dispatch.InternalMutation[failGroup, dispatch.None]("fail:group")
	failGroupOver  = dispatch.InternalMutation[storage.JobID, dispatch.None]("fail:over")
	failAllOver    = dispatch.InternalQuery[dispatch.None, []failGroupTold]("fail:overs")
)

func (l *failLife) handleGroups(reg *dispatch.Registry) {
	failMakeGroup.Handle(reg, func(ctx *dispatch.MutationCtx, args failGroup) (none dispatch.None, err error) {
		group, err := ctx.Scheduler.NewGroup(failGroupOver.With(args.Members[0]))
		if err != nil {
			return none, err
		}
		again := dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 5, Base: time.Second})
		option := func(i int, retry dispatch.RunOption) []dispatch.RunOption {
			return []dispatch.RunOption{dispatch.InGroup(group), dispatch.ID(args.Members[i]), dispatch.Timeout(time.Minute), retry}
		}
		_, err = ctx.Scheduler.RunMany([]dispatch.Scheduled{
			dispatch.After(0, failAct.With(failTask{Takes: time.Second}), option(0, again)...),
			dispatch.After(time.Millisecond, failDo.With(failTask{Fails: 1}), option(1, again)...),
			dispatch.After(0, failDo.With(failTask{Fails: 1000}), option(2, dispatch.NoRetry())...),
		})
		if err != nil {
			return none, err
		}
		return none, ctx.Scheduler.Seal(group)
	})
	failGroupOver.Handle(reg, func(ctx *dispatch.MutationCtx, first storage.JobID) (dispatch.None, error) {
		_, err := failGroupTolds.Insert(ctx.DB, failGroupTold{first, ctx.Job.GroupOutcome.GroupEnds})
		return dispatch.None{}, err
	})
	failAllOver.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) (all []failGroupTold, err error) {
		for told, err := range failGroupTolds.Query(ctx.DB).All() {
			if err != nil {
				return nil, err
			}
			all = append(all, told.Value)
		}
		return all, nil
	})
}

// group has a client make a group.
func (l *failLife) group() {
	var g failGroup
	l.mu.Lock()
	for i := range g.Members {
		g.Members[i] = storage.JobID(fmt.Sprintf("n%03d", len(l.jobs)))
		l.jobs[g.Members[i]] = &failJob{action: i == 0, begun: map[int]int{}}
	}
	l.groups = append(l.groups, g)
	l.mu.Unlock()
	l.call(fmt.Sprintf("make a group of %v", g.Members), func() error {
		_, err := failMakeGroup.Run(l.h.Caller(failApp), g)
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, id := range g.Members {
			l.jobs[id].acknowledged = err == nil
		}
		return err
	})
}

// overs is what was told of each group, by its first member.
func (l *failLife) overs() map[storage.JobID][]storage.GroupEnds {
	all, err := failAllOver.Run(l.h.Caller(failApp), dispatch.None{})
	if err != nil {
		l.h.TB().Fatalf("reading what was told of groups: %v", err)
	}
	told := map[storage.JobID][]storage.GroupEnds{}
	for _, t := range all {
		told[t.First] = append(told[t.First], t.Ends)
	}
	return told
}

// checkGroup demands that all members of a group are there or none, and that one job has followed
// them, which was told how they have ended (G32). The caller holds the lock.
func (l *failLife) checkGroup(g *failGroup, stored map[storage.JobID]storage.Job, told []storage.GroupEnds) {
	var ends storage.GroupEnds
	there := 0
	for _, id := range g.Members {
		job, ok := stored[id]
		if !ok {
			continue
		}
		there++
		switch job.State {
		case storage.StateSuccess:
			ends.Success++
		case storage.StateFailed:
			ends.Failed++
		case storage.StateCanceled:
			ends.Canceled++
		}
	}
	switch {
	case there == 0 && len(told) == 0:
	case there < len(g.Members):
		l.found(l.tally.Other, "of the group of %v there are %d members", g.Members, there)
	case len(told) == 0:
		l.found(l.tally.Lost, "the members of the group of %v have ended, %+v, and nothing has followed", g.Members, ends)
	case len(told) > 1:
		l.found(l.tally.Doubled, "the end of the group of %v was told %d times: %+v", g.Members, len(told), told)
	case told[0] != ends:
		l.found(l.tally.Other, "the members of the group of %v have ended, %+v, and told was %+v", g.Members, ends, told[0])
	default:
		l.seen["group"]++
	}
}
