package seeded_test

// traceFaults are planted where calls and jobs have traces.
var traceFaults = []seededFault{
	{
		name: "trace-of-the-scheduler", what: "the run of a job is in the trace of what has scheduled it",
		pkg: "actors", tests: "TestTraces",
		edits: []edit{{"dispatch/trace.go", `		rand.Read(t.Span.ID[:])`, `		if rand.Read(t.Span.ID[:]); FAULT {
			t.Span.ID = link.ID
		}`}},
	},
	{
		name: "trace-unsampled", what: "the run of a job is not sampled, though its link is",
		pkg: "actors", tests: "TestTraces",
		edits: []edit{{"dispatch/trace.go", `Sampled: link.Sampled}`, `Sampled: link.Sampled && !FAULT}`}},
	},
	{
		name: "trace-of-the-caller", what: "a call has the span of its caller",
		pkg: "actors", tests: "TestTraces",
		edits: []edit{{"dispatch/trace.go", `	rand.Read(t.Span.Span[:])`, `	if !FAULT {
		rand.Read(t.Span.Span[:])
	}`}},
	},
	{
		name: "trace-not-stored", what: "the trace of a job is lost with the process",
		pkg: "storage", tests: "TestAJobHasItsTrace",
		edits: []edit{{"storage/record.go", `	if t := job.Trace; t != nil {`, `	if t := job.Trace; t != nil && !FAULT {`}},
	},
	{
		name: "trace-of-middleware-lost", what: "jobs are not linked to the span that a middleware has made",
		pkg: "actors", tests: "TestAMiddlewareMakesTheSpans",
		edits: []edit{{"dispatch/middleware.go", `f.env.Trace != nil && t != f.env.Trace {`, `f.env.Trace != nil && t != f.env.Trace && !FAULT {`}},
	},
	{
		name: "trace-of-nested", what: "what is scheduled beside a function that ran inside is linked to that one",
		pkg: "actors", tests: "TestAMiddlewareMakesTheSpans",
		edits: []edit{{"dispatch/frame.go", `	if env.Trace != nil {`, `	if env.Trace != nil && !FAULT {`}},
	},
	{
		name: "trace-fingerprinted", what: "a schedule from another span is another call of its idempotency key",
		pkg: "actors", tests: "TestG39_ATraceIsNoPartOfACall",
		edits: []edit{{"dispatch/idempotency.go", `p.Parent, p.Trace = true, nil, epoch, "", nil`, `p.Parent, p.Trace = true, nil, epoch, "", map[bool]*Trace{true: p.Trace}[FAULT]`}},
	},
	{
		name: "trace-malformed-read", what: "a trace of zeros is read",
		pkg: "storage", tests: "TestParseTrace",
		edits: []edit{{"storage/trace.go", `	if t.ID == [16]byte{} || t.Span == [8]byte{} {`, `	if !FAULT && (t.ID == [16]byte{} || t.Span == [8]byte{}) {`}},
	},
	{
		name: "trace-state-unbounded", what: "any tracestate is kept",
		pkg: "storage", tests: "TestParseTrace",
		edits: []edit{{"storage/trace.go", `size-1 <= MaxTraceState {`, `size-1 <= MaxTraceState || FAULT {`}},
	},
}
