package seeded_test

// clientFaults are planted in the client.
var clientFaults = []seededFault{
	{
		name: "client-action-repeated", what: "the client sends an action again",
		pkg: "client", tests: "TestWhatIsRepeated",
		edits: []edit{{"client/functions.go", `	r.repeat = never`, `	if r.repeat = never; FAULT {
		r.repeat = always
	}`}},
	},
	{
		name: "client-repeat-without-key", what: "the client repeats a change without a key of which it is not known whether it was done",
		pkg: "client", tests: "TestWhatIsRepeated|TestWithoutKeys",
		edits: []edit{{"client/retry.go", `		return over && (e.own || e.Status == 0)`, `		return over && (e.own || e.Status == 0) || FAULT && e.Code == api.CodeUnknown`}},
	},
	{
		name: "client-proxy-trusted", what: "the client takes what a proxy refuses for not done",
		pkg: "client", tests: "TestWhatIsRepeated",
		edits: []edit{{"client/errors.go", `	e := &Error{Status: resp.StatusCode, RetryAfter:`, `	e := &Error{own: FAULT, Status: resp.StatusCode, RetryAfter:`}},
	},
	{
		name: "client-key-of-the-attempt", what: "each attempt of a call has an idempotency key of its own",
		pkg: "client", tests: "TestAttemptsHaveOneKey",
		edits: []edit{{"client/request.go", `		head.Set("Idempotency-Key", *r.key)`, `		key := *r.key
		if FAULT {
			key = fmt.Sprint(time.Now().UnixNano())
		}
		head.Set("Idempotency-Key", key)`}},
	},
	{
		name: "client-retry-after-unheeded", what: "the client asks again before Retry-After is over",
		pkg: "client", tests: "TestWaitsBetweenAttempts",
		edits: []edit{{"client/retry.go", `	return max(wait, asked), true`, `	if FAULT {
		asked = 0
	}
	return max(wait, asked), true`}},
	},
	{
		name: "client-outwaits-deadline", what: "the client waits for an attempt that its context does not leave time for",
		pkg: "client", tests: "TestContextEndsAttempts",
		edits: []edit{{"client/retry.go", `ok && time.Until(deadline) <= wait {`, `ok && time.Until(deadline) <= wait && !FAULT {`}},
	},
	{
		name: "client-empty-page-ends", what: "a listing of the client ends at a page without rows",
		pkg: "client", tests: "TestListingsHaveAllPages",
		edits: []edit{{"client/pages.go", `			for _, row := range in(page) {`, `			if FAULT && len(in(page)) == 0 {
				return
			}
			for _, row := range in(page) {`}},
	},
	{
		name: "client-resumes-too-far", what: "the client goes on behind an event that has not come as a whole",
		pkg: "client", tests: "TestEventsGoOn",
		edits: []edit{
			{"client/sse.go", `				event.last = string(value)`, `				if event.last = string(value); FAULT {
					f.last = event.last
				}`},
			{"client/events.go", `		watch.Stop() // the loop may take its time`, `		if watch.Stop(); FAULT && err != nil {
			s.last = frames.last
		}`},
		},
	},
	{
		name: "client-begins-again", what: "a connection of events that was lost is followed by one that does not say where it was",
		pkg: "client", tests: "TestEventsGoOn",
		edits: []edit{{"client/events.go", `	r.query, r.lastID = jobQuery(s.filter), s.last`, `	r.query = jobQuery(s.filter)
	if !FAULT {
		r.lastID = s.last
	}`}},
	},
	{
		name: "client-resumes-in-snapshot", what: "the client goes on behind what was told before a snapshot that it has not seen the end of",
		pkg: "client", tests: "TestEventsGoOn|TestFrames",
		edits: []edit{{"client/sse.go", `			if bytes.IndexByte(value, 0) < 0 {`, `			if bytes.IndexByte(value, 0) < 0 && (len(value) > 0 || !FAULT) {`}},
	},
	{
		name: "client-silence-unheeded", what: "the client waits for ever on a stream of events that says nothing",
		pkg: "client", tests: "TestEventsGoOn",
		edits: []edit{{"client/events.go", `func() { cancel(errIdle) })`, `func() {
		if !FAULT {
			cancel(errIdle)
		}
	})`}},
	},
	{
		name: "client-tells-the-url", what: "an error of the client has the URL, with the token of an attempt",
		pkg: "client", tests: "TestErrorsWithoutAnAnswer",
		edits: []edit{{"client/errors.go", `errors.AsType[*url.Error](err); ok {`, `errors.AsType[*url.Error](err); ok && !FAULT {`}},
	},
}
