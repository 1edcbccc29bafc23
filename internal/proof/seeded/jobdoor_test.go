package seeded_test

// jobDoorFaults are planted where operators look at jobs and act on them.
var jobDoorFaults = []seededFault{
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
		name: "poll-outlives-rights", what: "an operator whose token has expired is told the end of a job",
		pkg: "server", tests: "TestG33_ResultByLongPoll",
		edits: []edit{{"server/result.go", `if err := h.stillMay(r); err != nil {`, `if err := h.stillMay(r); err != nil && !FAULT {`}},
	},
	{
		name: "operators-token-outside", what: "the route of an attempt's token takes an operator's",
		pkg: "server", tests: "TestOutsideOverHTTP",
		edits: []edit{{"server/outside.go", `strings.HasPrefix(text, tokenPrefix) {`, `strings.HasPrefix(text, tokenPrefix) && !FAULT {`}},
	},
	{
		name: "users-name-taken", what: "an operator schedules a job in the name of a user",
		pkg: "server", tests: "TestScheduleRefusals",
		edits: []edit{{"server/schedule.go", `if as != nil && (!strings`, `if !FAULT && as != nil && (!strings`}},
	},
}
