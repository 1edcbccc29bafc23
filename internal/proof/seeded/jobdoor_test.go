package seeded_test

// jobDoorFaults are planted where operators look at jobs and act on them.
var jobDoorFaults = []seededFault{
	{
		name: "parameters-ignored", what: "a parameter that a route does not know is ignored",
		pkg: "server", tests: "TestEveryRouteRefusesBadInput",
		edits: []edit{{"server/query.go", `if !slices.Contains(known, key) {`, `if !slices.Contains(known, key) && !FAULT {`}},
	},
	{
		name: "refused-backup-audited", what: "a backup that is refused is in the audit log",
		pkg: "server", tests: "TestEveryRouteRefusesBadInput",
		edits: []edit{{"server/backup.go", `if since != "" {`, `if since != "" && !FAULT {`}},
	},
	{
		name: "args-looked-for", what: "an operator who may not read arguments looks for what is in them",
		pkg: "server", tests: "TestArgumentsAreHidden",
		edits: []edit{{"server/filter.go", `if f.ArgsContains == "" {`, `if f.ArgsContains == "" || FAULT {`}},
	},
	{
		name: "scan-without-end", what: "a page of a listing looks on when its time is over",
		pkg: "storage", tests: "TestFilterChoosesWhatMeetsEveryCondition",
		edits: []edit{{"storage/listing.go", `|| n == maxExamined || more != nil && n > 0`, `|| n == maxExamined || !FAULT && more != nil && n > 0`}},
	},
	{
		name: "count-without-end", what: "a count goes on when it has as many as were asked for",
		pkg: "storage", tests: "TestFilterChoosesWhatMeetsEveryCondition",
		edits: []edit{{"storage/listing.go", `return n == most || more`, `return n == most && !FAULT || more`}},
	},
	{
		name: "args-without-call", what: "an operator who may not call a function chooses what it is given",
		pkg: "server", tests: "TestReschedulingArgumentsIsCalling",
		edits: []edit{{"server/schedule.go", `if err := r.op.need(ScopeCall); err != nil {`, `if err := r.op.need(ScopeCall); err != nil && !FAULT {`}},
	},
	{
		name: "checkpoint-shown", what: "an operator who may not read arguments reads a checkpoint",
		pkg: "server", tests: "TestOneJobInFull",
		edits: []edit{{"server/hidden.go", `&d.Checkpoint, d.Checkpoint != nil)`, `&d.Checkpoint, d.Checkpoint != nil && !FAULT)`}},
	},
	{
		name: "operators-token-outside", what: "the route of an attempt's token takes an operator's",
		pkg: "server", tests: "TestOutsideOverHTTP",
		edits: []edit{{"server/outside.go", `strings.HasPrefix(text, tokenPrefix) {`, `strings.HasPrefix(text, tokenPrefix) && !FAULT {`}},
	},
	{
		name: "logs-shown", what: "an operator who may not read arguments reads what a handler has logged",
		pkg: "server", tests: "TestOneJobInFull",
		edits: []edit{{"server/hidden.go", `&d.Logs, d.Logs != nil)`, `&d.Logs, d.Logs != nil && !FAULT)`}},
	},
	{
		name: "logs-outlive-the-job", what: "the log lines of a job stay when its record is purged",
		pkg: "storage", tests: "TestLogLinesInTheStore",
		edits: []edit{{"storage/joblog.go", `rows, err := tx.logsOf(job.place.seq)
	for`, `rows, err := tx.logsOf(job.place.seq)
	if FAULT {
		rows = nil
	}
	for`}},
	},
	{
		name: "late-log", what: "an attempt that is over stores log lines",
		pkg: "storage", tests: "TestLogLinesInTheStore",
		edits: []edit{{"storage/joblog.go", `if ok, err := tx.attempts(job); err != nil || !ok {`, `if ok, err := tx.attempts(job); err != nil || !ok && !FAULT {`}},
	},
	{
		name: "logs-unbounded", what: "the log lines of an app have more bytes than they may",
		pkg: "storage", tests: "TestLogLinesAreBounded",
		edits: []edit{{"storage/joblog.go", `c.logged+uint64(len(value)) > most; {`, `c.logged+uint64(len(value)) > most && !FAULT; {`}},
	},
	{
		name: "log-every-line", what: "each line that an action logs is a commit",
		pkg: "actors", tests: "TestLogLinesAreBounded",
		edits: []edit{{"actors/notes.go", `n.logFrom = now.Add(noteEvery)
	}
	n.arm(n.logFrom)`, `n.logFrom = now.Add(noteEvery)
		if FAULT {
			n.logFrom = now
		}
	}
	n.arm(n.logFrom)`}, {"actors/notes.go", `logs, n.unlogged, n.logFrom = true, false, now.Add(noteEvery)`, `if logs, n.unlogged, n.logFrom = true, false, now.Add(noteEvery); FAULT {
			n.logFrom = now
		}`}},
	},
	{
		name: "last-lines-lost", what: "what an attempt has logged last is not written with its end",
		pkg: "actors", tests: "TestLogLinesOfEachAttempt",
		edits: []edit{{"actors/lines.go", `log, ok := r.log.take(true)
	if !ok {`, `log, ok := r.log.take(true)
	if !ok || FAULT {`}},
	},
	{
		name: "cause-lost", what: "what an attempt has failed of is not kept",
		pkg: "actors", tests: "TestCauseOfEachAttempt",
		edits: []edit{{"actors/lines.go", `if end.Error != nil`, `if !FAULT && end.Error != nil`}},
	},
	{
		name: "cause-unbounded", what: "what an attempt has failed of is kept however long it is",
		pkg: "actors", tests: "TestCauseOfEachAttempt",
		edits: []edit{{"dispatch/cause.go", `return brief.Cut(`, `if FAULT {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	return brief.Cut(`}},
	},
	{
		name: "cause-of-interruption", what: "what a handler says that was told to stop is kept as what its attempt has failed of",
		pkg: "actors", tests: "TestCauseOfEachAttempt",
		edits: []edit{{"actors/lines.go", `&& !end.Interrupted {`, `&& (FAULT || !end.Interrupted) {`}},
	},
	{
		name: "users-name-taken", what: "an operator schedules a job in the name of a user",
		pkg: "server", tests: "TestScheduleRefusals",
		edits: []edit{{"server/schedule.go", `if as != nil && (!strings`, `if !FAULT && as != nil && (!strings`}},
	},
}
