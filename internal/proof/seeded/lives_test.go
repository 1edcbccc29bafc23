package seeded_test

// lifeFaults are planted for what the worker of the crash tests is verified by.
var lifeFaults = []seededFault{
	{
		name: "follow-up-untold", what: "a follow-up is not told the result of its job",
		pkg: "internal/proof/crash", tests: "TestG1_WholeLives",
		edits: []edit{{"storage/chains.go", `		Result: job.Result, NotKept: job.NotKept, Error`, `		Result: job.Result[:len(job.Result)*map[bool]int{false: 1}[FAULT]], NotKept: job.NotKept, Error`}},
	},
	{
		name: "result-cut-short", what: "half of a long result is read",
		pkg: "internal/proof/crash", tests: "TestG1_WholeLives",
		edits: []edit{{"storage/results.go", `	if job.Result = value; value == nil {`, `	if job.Result = value[:len(value)>>map[bool]int{true: 1}[FAULT]]; value == nil {`}},
	},
	{
		name: "limit-not-stored", what: "a limit of a pool set at run time is acknowledged and not stored",
		pkg: "internal/proof/crash", tests: "TestG1_WholeLives",
		edits: []edit{{"storage/controls.go", `	r := proto.PoolLimit{Version: recordVersion, Limit: uint32(limit)}
`, `	r := proto.PoolLimit{Version: recordVersion, Limit: uint32(limit)}
	if FAULT {
		return nil
	}
`}},
	},
	{
		name: "rate-unbounded", what: "a pool with a rate begins as many as it has permits for",
		pkg: "internal/proof/crash", tests: "TestG1_WholeLives",
		edits: []edit{{"actors/rates.go", `	case over < 0:
`, `	case over < 0 || FAULT:
`}, {"actors/rates.go", `		return rate - len(s.begun) - s.ahead
`, `		return rate - len(s.begun)*map[bool]int{false: 1}[FAULT] - s.ahead
`}},
	},
	{
		name: "group-told-nothing", what: "the follow-up of a group is told that none of its members has ended",
		pkg: "internal/proof/crash", tests: "TestG1_WholeLives",
		edits: []edit{{"storage/groups.go", `		next.GroupOutcome = &GroupOutcome{g.ID, g.Ends}`, `		next.GroupOutcome = &GroupOutcome{g.ID, g.Ends}
		if FAULT {
			next.GroupOutcome.GroupEnds = GroupEnds{}
		}`}},
	},
	{
		name: "outside-result-lost", what: "an end from outside is a success without the result that it was told",
		pkg: "internal/proof/crash", tests: "TestG1_WholeLives",
		edits: []edit{{"actors/outside.go", `	end := ending{run: of, result: say.Result, notKept: say.NotKept}
`, `	end := ending{run: of, result: say.Result, notKept: say.NotKept}
	if FAULT {
		end.result = []byte("null")
	}
`}},
	},
	{
		name: "late-begins", what: "a job begins however late it is",
		pkg: "internal/proof/crash", tests: "TestG1_WholeLives",
		edits: []edit{
			{"actors/notafter.go", `	if s.lates.busy || s.lates.nextAt.IsZero() ||`, `	if FAULT || s.lates.busy || s.lates.nextAt.IsZero() ||`},
			{"storage/notafter.go", `return !j.NotAfter.IsZero() &&`, `return !FAULT && !j.NotAfter.IsZero() &&`},
		},
	},
}

// followFaults are planted where the model alone, or first, must find them: in what follows from
// the ends of jobs.
var followFaults = []seededFault{
	{
		name: "follow-up-of-the-canceled", what: "a canceled job has no follow-up",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"storage/ends.go", `	return answer, tx.finish(&job, StateCanceled, trigger, key)`, `	if FAULT {
		job.Then = nil
	}
	return answer, tx.finish(&job, StateCanceled, trigger, key)`}},
	},
	{
		name: "follow-up-of-the-expired", what: "a job that has expired has no follow-up",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"storage/notafter.go", `	return tx.finish(job, StateExpired, trigger, key)`, `	if FAULT {
		job.Then = nil
	}
	return tx.finish(job, StateExpired, trigger, key)`}},
	},
	{
		name: "follow-up-of-another", what: "the follow-up of a follow-up has the first job as its parent",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"storage/chains.go", `	next.Parent = job.ID
`, `	next.Parent = job.ID
	if FAULT && job.Parent != "" {
		next.Parent = job.Parent
	}
`}},
	},
	{
		name: "short-results-take-room", what: "a result that is a part of its record has others make room for it",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"storage/results.go", `	size := len(end.Result)
	if size <= shortResult {`, `	size := len(end.Result)
	if size <= shortResult && !FAULT {`}},
	},
	{
		name: "expiry-not-told", what: "those who watch are not told that a job has expired",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"actors/events.go", `	if c.Job(job) != nil {`, `	if c.Job(job) != nil || FAULT && job.State == storage.StateExpired {`}},
	},
	{
		name: "second-start-not-told", what: "those who watch are told only of the first attempt of a job that it begins",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"actors/feeds.go", `	if fs.watches(r.app.id) {
`, `	if fs.watches(r.app.id) && (!FAULT || r.attempt < 2) {
`}},
	},
	{
		name: "progress-told-once", what: "those who watch are told the first step of an attempt's progress alone",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"actors/notes.go", `	n.steps = append(n.steps, *p)
`, `	if FAULT && p.Done > 1 {
		return false
	}
	n.steps = append(n.steps, *p)
`}},
	},
	{
		name: "progress-before-its-start", what: "those who watch are told that an attempt has started behind its progress",
		pkg: "actors", tests: "TestG36_ProgressBehindItsStart",
		edits: []edit{{"actors/handlers.go", `		h.eng.sys.tell(app.scheduler, &runStarted{inv.job, inv.now, ctx, inv.timeout})
`, `		started := &runStarted{inv.job, inv.now, ctx, inv.timeout}
		if FAULT {
			time.AfterFunc(time.Second, func() { h.eng.sys.tell(app.scheduler, started) })
		} else {
			h.eng.sys.tell(app.scheduler, started)
		}
`}},
	},
	{
		name: "progress-told-twice", what: "those who watch are told each step of an attempt's progress twice",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"actors/feeds.go", `	for i := range steps {
`, `	if FAULT {
		for i := range len(steps) {
			steps = append(steps, steps[i])
		}
	}
	for i := range steps {
`}},
	},
	{
		name: "goes-on-with-the-last", what: "a watch that goes on is told again what it was told last",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"actors/feed.go", `k.at.Compare(w.after) > 0 {`, `k.at.Compare(w.after) > 0 || FAULT && k.at == w.after {`}},
	},
	{
		name: "outside-answer-counts", what: "an end that comes before the handler has returned counts as an attempt",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"storage/outside.go", `	job.outside = &outside{token: bytes.Clone(token), answer: &answer}
`, `	job.outside = &outside{token: bytes.Clone(token), answer: &answer}
	if FAULT {
		job.Attempts++
	}
`}},
	},
	{
		name: "outside-due-forgotten", what: "a job that has ended outside is due when its attempt would have timed out",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"storage/outside.go", `o != nil && !o.due.IsZero() {`, `o != nil && !o.due.IsZero() && !FAULT {`}},
	},
	{
		name: "outside-without-checkpoint", what: "an attempt that goes on outside loses its checkpoint",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"storage/ends.go", `tx.dropNotes(&job, true)`, `tx.dropNotes(&job, !FAULT || !end.Outside)`}},
	},
	{
		name: "expired-counts-as-canceled", what: "a member of a group that has expired counts as canceled",
		pkg: "internal/proof/model", tests: "TestG3_ModelScripts",
		edits: []edit{{"storage/groups.go", `	case StateExpired:
		g.Ends.Expired++
`, `	case map[bool]State{false: StateExpired}[FAULT]:
		g.Ends.Expired++
`}},
	},
}
