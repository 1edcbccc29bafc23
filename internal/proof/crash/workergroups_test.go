package crash_test

import (
	"fmt"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is the worker's groups: one is made in one transaction with its members and its seal,
// another by calls of their own.

var (
	groupMark = dispatch.Mutation[string, dispatch.None]("work:group")        // makes a group, all in one
	overMark  = dispatch.InternalMutation[string, dispatch.None]("work:over") // follows a group
)

// groupSize is how many members a group has, of which the last one dies, and overKey the key of what
// follows it.
const groupSize = 3

func overKey(key string) string { return key + "/over" }

// memberOf is the call of the i-th member, and how it may be tried.
func memberOf(key string, i int, group storage.GroupID) (dispatch.Call, []dispatch.RunOption) {
	opts := []dispatch.RunOption{dispatch.InGroup(group), dispatch.NoRetry()}
	if i == groupSize-1 {
		return failMark.With(batched(key, i)), opts
	}
	return runMark.With(batched(key, i)), opts[:1]
}

// handleGroups binds the functions.
func handleGroups(reg *dispatch.Registry) {
	groupMark.Handle(reg, func(ctx *dispatch.MutationCtx, key string) (dispatch.None, error) {
		group, err := ctx.Scheduler.NewGroup(overMark.With(overKey(key)))
		if err != nil {
			return dispatch.None{}, err
		}
		calls := make([]dispatch.Scheduled, groupSize)
		for i := range calls {
			call, opts := memberOf(key, i, group)
			calls[i] = dispatch.After(50*time.Millisecond, call, opts...)
		}
		if _, err := ctx.Scheduler.RunMany(calls); err != nil {
			return dispatch.None{}, err
		}
		return dispatch.None{}, ctx.Scheduler.Seal(group)
	})
	overMark.Handle(reg, func(ctx *dispatch.MutationCtx, key string) (dispatch.None, error) {
		return dispatch.None{}, leaveMarkOf(ctx, mark{Key: key, Told: endsText(ctx.Job.GroupOutcome.GroupEnds)})
	})
}

func endsText(ends storage.GroupEnds) string { return fmt.Sprintf("%+v", ends) }

// groups makes both.
func (p *part) groups(name func(string) string) {
	key := string(p.id) + "/" + name("group")
	p.w.do(p.id, name("group"), func() (storage.JobID, string, error) {
		_, err := groupMark.Run(p.w.app(p.id).As(p.w.ctx, nil), key)
		return "", "", err
	})
	key = string(p.id) + "/" + name("calls")
	var group storage.GroupID
	made := p.grouped("make:"+name("calls"), func(s dispatch.Scheduler) (err error) {
		group, err = s.NewGroup(overMark.With(overKey(key)))
		return err
	})
	for i := 0; made && i < groupSize; i++ {
		made = p.grouped(fmt.Sprint("join:", batched(name("calls"), i)), func(s dispatch.Scheduler) error {
			call, opts := memberOf(key, i, group)
			_, err := s.RunAfter(0, call, opts...)
			return err
		})
	}
	if made {
		p.grouped("seal:"+name("calls"), func(s dispatch.Scheduler) error { return s.Seal(group) })
	}
}

// grouped is a call that concerns a group.
func (p *part) grouped(name string, change func(s dispatch.Scheduler) error) bool {
	_, ok := p.w.do(p.id, name, func() (storage.JobID, string, error) { return "", "", change(p.w.app(p.id).Scheduler(p.w.ctx)) })
	return ok
}

// seal seals what a worker has left open.
func (v *verifier) seal() {
	for _, id := range workerApps {
		s := v.h.Scheduler(id)
		groups, err := s.Groups(storage.GroupFilter{Going: true, Limit: 1000})
		for _, g := range groups {
			if err == nil {
				err = s.Seal(g.ID)
			}
		}
		if err != nil {
			v.tally.Other("%s: app %s: sealing its groups: %v", v.what, id, err)
		}
	}
}

// groups verifies that each group counts its members as they are, that it ends when it is sealed and
// all of them have, and that one job follows it then, which is told how (G32). over says that all
// that can has ended.
func (l *appLedger) groups(over bool) {
	type members struct {
		pending int
		ends    storage.GroupEnds
	}
	of := map[storage.GroupID]*members{}
	byName := map[string]storage.GroupID{} // by the keys of members
	follows := map[storage.GroupID][]*storage.Job{}
	for i := range l.view.Jobs {
		job := &l.view.Jobs[i]
		if o := job.GroupOutcome; o != nil {
			follows[o.Group] = append(follows[o.Group], job)
		}
		if job.Group == 0 {
			continue
		}
		m := of[job.Group]
		if m == nil {
			m = new(members)
			of[job.Group] = m
		}
		byName[keyOf(job)] = job.Group
		switch job.State {
		case storage.StateSuccess:
			m.ends.Success++
		case storage.StateFailed:
			m.ends.Failed++
		case storage.StateCanceled:
			m.ends.Canceled++
		case storage.StateExpired:
			m.ends.Expired++
		default:
			m.pending++
		}
	}
	groups := map[storage.GroupID]*storage.Group{}
	for i := range l.view.Groups {
		g := &l.view.Groups[i]
		groups[g.ID] = g
		m := of[g.ID]
		if m == nil {
			m = new(members)
		}
		if g.Pending != m.pending || g.Ends != m.ends {
			l.tally.Other("%s: app %s: the members of a group are %+v, and it is %+v", l.what, l.id, *m, *g)
		}
		next := follows[g.ID]
		switch {
		case g.Ended() != (g.Sealed && m.pending == 0), over && !g.Ended():
			l.tally.Lost("%s: app %s: the members of a group are %+v, and it is %+v", l.what, l.id, *m, *g)
		case len(next) > 1:
			l.tally.Doubled("%s: app %s: %d jobs follow group %+v", l.what, l.id, len(next), *g)
		case g.Ended() && (len(next) == 0 || next[0].ID != g.FollowUp):
			l.tally.Lost("%s: app %s: the jobs that follow group %+v are %v", l.what, l.id, *g, next)
		case !g.Ended() && len(next) > 0:
			l.tally.Other("%s: app %s: group %+v goes on, and job %s follows it", l.what, l.id, *g, next[0].ID)
		}
		for _, job := range next {
			if job.GroupOutcome.GroupEnds != g.Ends {
				l.tally.Other("%s: app %s: group %+v, and job %s was told %+v", l.what, l.id, *g, job.ID, *job.GroupOutcome)
			}
			for _, m := range l.marks[keyOf(job)] {
				if m.Told != endsText(g.Ends) {
					l.tally.Other("%s: app %s: group %+v, and job %s was told %s", l.what, l.id, *g, job.ID, m.Told)
				}
			}
		}
	}
	for key := range l.acks {
		verb, object := split(key)
		g := groups[byName[batched(l.keyed(object), 0)]]
		switch {
		case verb == "seal" && (g == nil || !g.Sealed):
			l.tally.Lost("%s: %s was acknowledged, and the group is %+v", l.what, key, g)
		case verb == "join" && len(l.byKey[l.keyed(object)]) == 0:
			l.tally.Lost("%s: %s was acknowledged, and there is no such member", l.what, key)
		case strings.HasPrefix(verb, "group") && groups[byName[batched(key, 0)]] == nil:
			l.tally.Lost("%s: %s was acknowledged, and there is no such group", l.what, key)
		}
	}
}
