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
}
