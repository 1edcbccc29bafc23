package kill_test

import (
	"fmt"

	"carillon/dispatch"
	"carillon/storage"
)

// Some jobs of the observed server are members of groups, which are sealed with them or by a call
// of their own. What follows a group writes down what it was told.

// killGroup is the argument of what makes a group.
type killGroup struct {
	Key     string
	N       int // members that it is made with; every fifth of them dies
	AfterMs int
	Adds    bool // the first one adds another
	Open    bool // it is not sealed yet
}

// killMember is the argument of a member.
type killMember struct {
	Key  string
	I    int
	Adds bool
}

func (m killMember) id() storage.JobID { return storage.JobID(fmt.Sprintf("%s-m%d", m.Key, m.I)) }
func (m killMember) dies() bool        { return m.I%5 == 4 }

// killGroupMade is a document that is stored together with a group, and killGroupTold what is left
// behind by what follows it.
type (
	killGroupMade struct {
		Key   string          `json:"key"`
		Group storage.GroupID `json:"group"`
	}
	killGroupTold struct {
		Key  string            `json:"key"`
		Job  storage.JobID     `json:"job"`
		Ends storage.GroupEnds `json:"ends"`
	}
)

// killGroupSeen is what there is of a group.
type killGroupSeen struct {
	Made    []killGroupMade
	Group   storage.Group
	Members map[int]storage.State
	Told    []killGroupTold
}

var (
	killGroupsMade = storage.NewTable[killGroupMade]("killGroups", storage.Index("by_key", "key"))
	killGroupsTold = storage.NewTable[killGroupTold]("killGroupsTold", storage.Index("by_key", "key"))

	killGroupStart  = dispatch.Mutation[killGroup, killStarted]("group:start")
	killGroupMember = dispatch.InternalMutation[killMember, dispatch.None]("group:member")
	killGroupEnd    = dispatch.InternalMutation[string, dispatch.None]("group:end")
	killGroupSeal   = dispatch.Mutation[storage.GroupID, dispatch.None]("group:seal")
	killGroupCancel = dispatch.Mutation[storage.GroupID, dispatch.None]("group:cancel")
	killGroupRest   = dispatch.Mutation[dispatch.None, []storage.GroupID]("group:rest") // seals those that are open
	killGroupLook   = dispatch.Query[killGroup, killGroupSeen]("group:look")
)

// killStarted is what the maker of a group is answered.
type killStarted struct {
	Group  storage.GroupID
	JobIDs []storage.JobID
}

func handleGroups(reg *dispatch.Registry) {
	killGroupStart.Handle(reg, func(ctx *dispatch.MutationCtx, args killGroup) (made killStarted, err error) {
		if made.Group, err = ctx.Scheduler.NewGroup(killGroupEnd.With(args.Key)); err != nil {
			return made, err
		}
		if _, err := killGroupsMade.Insert(ctx.DB, killGroupMade{args.Key, made.Group}); err != nil {
			return made, err
		}
		later := killLater{AfterMs: args.AfterMs}
		calls := make([]dispatch.Scheduled, args.N)
		for i := range calls {
			m := killMember{args.Key, i, args.Adds && i == 0}
			opts := []dispatch.RunOption{dispatch.InGroup(made.Group), dispatch.ID(m.id())}
			if m.dies() {
				opts = append(opts, dispatch.NoRetry())
			}
			calls[i] = dispatch.After(later.after(), killGroupMember.With(m), opts...)
		}
		made.JobIDs, err = ctx.Scheduler.RunMany(calls)
		if err == nil && !args.Open {
			err = ctx.Scheduler.Seal(made.Group)
		}
		return made, err
	})
	killGroupMember.Handle(reg, func(ctx *dispatch.MutationCtx, args killMember) (dispatch.None, error) {
		if args.dies() {
			return dispatch.None{}, dispatch.Errorf(dispatch.CodeUnavailable, "member %d dies", args.I)
		}
		if !args.Adds {
			return dispatch.None{}, nil
		}
		more := killMember{Key: args.Key, I: killAdded}
		_, err := ctx.Scheduler.RunAfter(0, killGroupMember.With(more), dispatch.InGroup(ctx.Job.Group), dispatch.ID(more.id()))
		return dispatch.None{}, err
	})
	killGroupEnd.Handle(reg, func(ctx *dispatch.MutationCtx, key string) (dispatch.None, error) {
		_, err := killGroupsTold.Insert(ctx.DB, killGroupTold{key, ctx.Job.ID, ctx.Job.GroupOutcome.GroupEnds})
		return dispatch.None{}, err
	})
	killGroupSeal.Handle(reg, func(ctx *dispatch.MutationCtx, id storage.GroupID) (dispatch.None, error) {
		return dispatch.None{}, ctx.Scheduler.Seal(id)
	})
	killGroupCancel.Handle(reg, func(ctx *dispatch.MutationCtx, id storage.GroupID) (dispatch.None, error) {
		_, err := ctx.Scheduler.CancelGroup(id)
		return dispatch.None{}, err
	})
	killGroupRest.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (open []storage.GroupID, err error) {
		groups, err := ctx.Scheduler.Groups(storage.GroupFilter{Going: true, Limit: 1000})
		for _, g := range groups {
			if err == nil && !g.Sealed {
				open, err = append(open, g.ID), ctx.Scheduler.Seal(g.ID)
			}
		}
		return open, err
	})
	killGroupLook.Handle(reg, func(ctx *dispatch.QueryCtx, args killGroup) (seen killGroupSeen, err error) {
		seen.Members = map[int]storage.State{}
		for doc, err := range killGroupsMade.Query(ctx.DB).By("by_key").Eq(args.Key).All() {
			if err != nil {
				return seen, err
			}
			seen.Made = append(seen.Made, doc.Value)
		}
		for doc, err := range killGroupsTold.Query(ctx.DB).By("by_key").Eq(args.Key).All() {
			if err != nil {
				return seen, err
			}
			seen.Told = append(seen.Told, doc.Value)
		}
		for i := range killAdded + 1 {
			job, known, err := ctx.DB.System().Get(killMember{Key: args.Key, I: i}.id())
			if err != nil {
				return seen, err
			}
			if known {
				seen.Members[i] = job.State
			}
		}
		if len(seen.Made) > 0 {
			seen.Group, _, err = ctx.DB.System().Group(seen.Made[0].Group)
		}
		return seen, err
	})
}

// killAdded is the number of the member that another one adds: more than a group is made with.
const killAdded = 30

// endGroup has the group of the op sealed or canceled, which was left open.
func (c *killClient) endGroup(life *killLife, d *killOp) error {
	if err := c.note(*d); err != nil {
		return err
	}
	fn := killGroupSeal.Path()
	if d.Cancels {
		fn = killGroupCancel.Path()
	}
	if err := c.loop.call(life, c.app, fn, d.Group, new(any)); err != nil {
		return err
	}
	d.Sealed = true
	return c.note(*d)
}

// restGroups seals the groups of all apps that are open yet, and notes them: their clients were
// told of no seal.
func (l *killLoop) restGroups(life *killLife) error {
	l.openGroups = map[string]map[storage.GroupID]bool{}
	for n := range killApps {
		app := fmt.Sprint("demo", n)
		var open []storage.GroupID
		if err := l.call(life, app, killGroupRest.Path(), nil, &open); err != nil {
			return err
		}
		l.openGroups[app] = map[storage.GroupID]bool{}
		for _, id := range open {
			l.openGroups[app][id] = true
		}
	}
	return nil
}

// group looks at the group of an op.
func (v *killVerdict) group(d killOp) error {
	var seen killGroupSeen
	if err := v.call(v.life, d.App, killGroupLook.Path(), killGroup{Key: d.Key}, &seen); err != nil {
		return err
	}
	if d.Sealed && v.openGroups[d.App][d.Group] {
		v.tally.Lost("the end of group %s was acknowledged, and it was open", d.Key)
	}
	checkGroup(v.tally, d, &seen, func(i int) bool { return v.canceled[d.job(killMember{Key: d.Key, I: i}.id())] })
	return nil
}

// checkGroup demands that a group is there with its members or not at all, that all of them have
// ended, and that one job has followed, which was told how (G32). canceled says whether it was asked
// for the cancel of a member.
func checkGroup(to killFinder, d killOp, seen *killGroupSeen, canceled func(i int) bool) {
	switch n := len(seen.Made); {
	case n == 0 && (len(seen.Members) > 0 || len(seen.Told) > 0):
		to.Other("group %s is not there, and this of it: %+v", d.Key, seen)
		return
	case n == 0 && d.Acked:
		to.Lost("group %s was acknowledged, and is not there", d.Key)
		return
	case n == 0:
		return
	case n > 1:
		to.Doubled("group %s was made %d times", d.Key, n)
	}
	var ends storage.GroupEnds
	for i := range killAdded + 1 {
		state, there := seen.Members[i]
		want := i < d.N || i == killAdded && d.Adds && seen.Members[0] == storage.StateSuccess
		switch {
		case want && !there:
			to.Lost("member %d of group %s is not there", i, d.Key)
		case !want && there:
			to.Doubled("group %s has a member %d of %d", d.Key, i, d.N)
		}
		if !there {
			continue
		}
		dies := i != killAdded && killMember{I: i}.dies()
		switch {
		case state == storage.StateSuccess && !dies:
			ends.Success++
		case state == storage.StateFailed && dies:
			ends.Failed++
		case state == storage.StateCanceled && (d.Cancels || canceled(i)):
			ends.Canceled++
		default:
			to.Lost("member %d of group %s is %s", i, d.Key, state)
		}
	}
	switch {
	case !seen.Group.Ended():
		to.Lost("group %s has not ended, and its members are %v: %+v", d.Key, seen.Members, seen.Group)
	case seen.Group.Ends != ends:
		to.Other("the members of group %s are %v, and it counts %+v", d.Key, seen.Members, seen.Group.Ends)
	}
	switch {
	case len(seen.Told) == 0:
		to.Lost("nothing has followed group %s: %+v", d.Key, seen.Group)
	case len(seen.Told) > 1:
		to.Doubled("%d jobs have followed group %s: %+v", len(seen.Told), d.Key, seen.Told)
	case seen.Told[0].Ends != ends || seen.Told[0].Job != seen.Group.FollowUp:
		to.Other("the members of group %s are %v, and %+v has followed, which was told %+v", d.Key, seen.Members, seen.Group, seen.Told[0])
	}
}
