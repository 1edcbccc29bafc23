package seeded_test

// groupFaults are planted where jobs are members of groups (G32).
var groupFaults = []seededFault{
	{
		name: "group-follow-up-lost", what: "a group that ends has no follow-up",
		pkg: "actors", tests: "TestG32_AGroupCountsEveryEnd",
		edits: []edit{{"storage/groups.go", `	next, err := decodeJob(place{}, data)
	if err == nil {
`, `	next, err := decodeJob(place{}, data)
	if err == nil && !FAULT {
`}},
	},
	{
		name: "group-follow-up-twice", what: "a group that has ended ends again when it is canceled",
		pkg: "actors", tests: "TestG32_AGroupOfNoneEndsAtOnce",
		edits: []edit{{"storage/groups.go", `	if g.Ended() || g.Sealed &&`, `	if g.Ended() && !FAULT || g.Sealed &&`}},
	},
	{
		name: "group-ends-unsealed", what: "a group ends though it is not sealed",
		pkg: "actors", tests: "TestG32_AGroupOfNoneEndsAtOnce",
		edits: []edit{{"storage/groups.go", `	if g.Sealed && g.Pending == 0 {`, `	if (g.Sealed || FAULT) && g.Pending == 0 {`}},
	},
	{
		name: "group-counts-one-end", what: "every end of a member is counted as a success",
		pkg: "actors", tests: "TestG32_AGroupCountsEveryEnd",
		edits: []edit{{"storage/groups.go", `	switch state {
	case StateSuccess:
		g.Ends`, `	if FAULT {
		state = StateSuccess
	}
	switch state {
	case StateSuccess:
		g.Ends`}},
	},
	{
		name: "group-waits-for-the-dropped", what: "a held member that is dropped keeps its group open",
		pkg: "actors", tests: "TestG32_AGroupCountsEveryEnd",
		edits: []edit{{"storage/dead.go", `		if err := tx.leaveGroup(job, StateCanceled); err != nil {`, `		if FAULT {
			job.Group = 0
		}
		if err := tx.leaveGroup(job, StateCanceled); err != nil {`}},
	},
	{
		name: "group-counts-the-retried", what: "a dead member that is retried is counted again",
		pkg: "actors", tests: "TestG32_AGroupCountsEveryEnd",
		edits: []edit{{"storage/dead.go", `		job.Group = 0 // which`, `		if !FAULT {
			job.Group = 0
		} // which`}},
	},
	{
		name: "group-within-quotas", what: "what follows a group is held to the quotas of the app",
		pkg: "actors", tests: "TestG32_AGroupCountsEveryEnd",
		edits: []edit{{"storage/groups.go", `		if g.FollowUp, err = tx.insertNow(next); err != nil {
`, `		if err := tx.room(&next); FAULT && err != nil {
			return err
		}
		if g.FollowUp, err = tx.insertNow(next); err != nil {
`}},
	},
	{
		name: "group-end-unclaimed", what: "what follows a group that a mutation ends waits for the next look",
		pkg: "actors", tests: "TestG32_WhatFollowsAGroupIsDueAtOnce",
		edits: []edit{{"actors/turnbatch.go", `	if job != nil && t.tx.EndsGroup(&job.job) {`, `	if job != nil && t.tx.EndsGroup(&job.job) && !FAULT {`}},
	},
	{
		name: "group-takes-strangers", what: "any job adds members to a group that is sealed",
		pkg: "actors", tests: "TestG32_MembersAddMembers",
		edits: []edit{{"storage/groups.go", `	if err == nil && parent.Group != g.ID {`, `	if err == nil && parent.Group != g.ID && !FAULT {`}},
	},
	{
		name: "group-misses-follow-ups", what: "a follow-up is of no group though it says so",
		pkg: "actors", tests: "TestG32_MembersAddMembers",
		edits: []edit{{"storage/chains.go", `	if next.Group != job.Group {`, `	if next.Group != job.Group || FAULT {`}},
	},
	{
		name: "group-loses-the-replaced", what: "a job whose call is replaced is of no group any more",
		pkg: "actors", tests: "TestG32_AReplacedJobStaysInItsGroup",
		edits: []edit{{"storage/unique.go", `	job.Group, job.GroupOutcome = was.Group, was.GroupOutcome
`, `	if !FAULT {
		job.Group, job.GroupOutcome = was.Group, was.GroupOutcome
	}
`}},
	},
	{
		name: "group-canceled-and-added-to", what: "members add members to a group that was canceled",
		pkg: "actors", tests: "TestG32_ACanceledGroupTakesNoMembers",
		edits: []edit{{"storage/groups.go", `	case g.Canceled:
`, `	case g.Canceled && !FAULT:
`}},
	},
	{
		name: "group-canceled-and-open", what: "a group that is canceled is not sealed",
		pkg: "actors", tests: "TestG32_ACanceledGroupTakesNoMembers",
		edits: []edit{{"storage/groups.go", `	g.Sealed, g.Canceled = true,`, `	g.Sealed, g.Canceled = !stop || !FAULT,`}},
	},
	{
		name: "group-filter-ignored", what: "a filter of a group chooses all jobs",
		pkg: "actors", tests: "TestG32_ACanceledGroupTakesNoMembers",
		edits: []edit{{"storage/filter.go", `(f.Group == 0 ||`, `(f.Group == 0 || FAULT ||`}},
	},
	{
		name: "group-shown-for-ever", what: "a group is shown past its retention",
		pkg: "actors", tests: "TestG32_AGroupMoves",
		edits: []edit{{"storage/groups.go", `	return g.Ended() && keep > 0 &&`, `	return g.Ended() && !FAULT && keep > 0 &&`}},
	},
	{
		name: "groups-kept", what: "groups that have ended are never deleted",
		pkg: "storage", tests: "TestG32_GroupsArePurgedAsTheyEnded",
		edits: []edit{{"storage/groups.go", `	if c.over == 0 {
`, `	if c.over == 0 || FAULT {
`}},
	},
	{
		name: "groups-not-looked-for", what: "an app that sleeps is not woken for its groups",
		pkg: "storage", tests: "TestG32_GroupsArePurgedAsTheyEnded",
		edits: []edit{{"storage/expired.go", `	if c.over > uint64(`, `	if !FAULT && c.over > uint64(`}, {"storage/expired.go", `c.over > 0 && !e.History.IsZero()`, `c.over > 0 && !FAULT && !e.History.IsZero()`}},
	},
	{
		name: "groups-without-end", what: "an app may have any number of groups",
		pkg: "storage", tests: "TestG32_GroupsHaveBounds",
		edits: []edit{{"storage/groups.go", `	if c.groups >= MaxGroups {`, `	if c.groups >= MaxGroups && !FAULT {`}},
	},
	{
		name: "group-members-without-end", what: "a group may have any number of members",
		pkg: "storage", tests: "TestG32_GroupsHaveBounds",
		edits: []edit{{"storage/groups.go", `	case g.Pending+g.Ends.Total() >= MaxGroupMembers:`, `	case g.Pending+g.Ends.Total() >= MaxGroupMembers && !FAULT:`}},
	},
	{
		name: "group-arguments-uncounted", what: "the arguments of what follows a group are not counted",
		pkg: "storage", tests: "TestG32_GroupsHaveBounds",
		edits: []edit{{"storage/groups.go", `	c.addArgs(&then, 1)
`, `	if !FAULT {
		c.addArgs(&then, 1)
	}
`}},
	},
	{
		name: "lost-group-keeps-its-members", what: "a member whose group cannot be read does not end",
		pkg: "storage", tests: "TestG32_AMemberOfALostGroupEnds",
		edits: []edit{{"storage/groups.go", `		if lostGroup(err) {
			return nil
		}
		return err
`, `		if lostGroup(err) && !FAULT {
			return nil
		}
		return err
`}},
	},
	{
		name: "group-count-unchecked", what: "the check does not count the members of groups",
		pkg: "storage", tests: "TestG32_TheCheckCountsMembers",
		edits: []edit{{"storage/groupcheck.go", `		case g.Pending != n:
`, `		case g.Pending != n && !FAULT:
`}},
	},
}
